"""https addresses of models, and which of them are trusted with a request."""

import re
from dataclasses import dataclass, replace
from ipaddress import ip_address
from urllib.parse import SplitResult, quote, urlsplit

from zoo.errors import ZooError, one_line

PIN = re.compile(r"sha256=([0-9a-fA-F]{64})")


@dataclass(frozen=True)
class Address:
    """Where something lies, taken apart.

    scheme: https, or http. host: with its port. path, query: as in the address. pin: the SHA-256 that is asked for, or None.
    """

    scheme: str
    host: str
    path: str
    query: str = ""
    pin: str | None = None

    @property
    def url(self) -> str:
        """What is asked for."""
        return f"{self.scheme}://{self.host}{self.path}" + (f"?{self.query}" if self.query else "")

    def __str__(self) -> str:  # for sentences: a query may hold a password
        return f"{self.scheme}://{self.host}{self.path}"

    def __truediv__(self, name: str) -> "Address":
        """What lies in it under a name; no pin."""
        return replace(self, path=f"{self.path.rstrip('/')}/{quote(name)}", pin=None)

    @property
    def parent(self) -> "Address":
        return replace(self, path=self.path.rpartition("/")[0], pin=None)

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def parse(text: str) -> Address:
    """Take an address apart.

    Raises: ZooError for what is none: another scheme, no host, a password within, something else than #sha256= at its end; and
        for plain http without that to another machine (anybody between could change what is sent).
    """
    shown = one_line(text, 200)
    try:
        parts = urlsplit(text.strip())
        host = _host(parts)
    except ValueError as error:
        raise ZooError(f"{shown} is no address ({error}).") from None
    if parts.scheme not in ("https", "http") or not host or not text.isprintable():
        raise ZooError(f"{shown} is no address: give https://<host>/<path>.")
    if parts.username is not None or parts.password is not None:
        raise ZooError(f"An address may hold no user and password (of {host}): files are fetched without.")
    pin = PIN.fullmatch(parts.fragment)
    if parts.fragment and not pin:
        raise ZooError(f"{shown} ends in #{one_line(parts.fragment, 80)}; a pin is #sha256= and 64 hexadecimal digits.")
    found = Address(parts.scheme, host, quote(parts.path, safe="/%:@!$&'()*+,;=~-._"), parts.query)
    found = replace(found, pin=pin[1].lower() if pin else None)
    if not trusted(found.url, found.pin is not None):
        raise ZooError(plain(found))
    return found


def plain(address: Address) -> str:
    """Why an address is not `trusted`."""
    return (
        f"{address} is plain http, where anybody between could change what is sent: take https://, or pin its folder (#sha256= "
        "and the SHA-256 of its card.json at the end)."
    )


def trusted(url: str, pinned: bool) -> bool:
    """Whether a request may go there: https, or http to this machine, or any where a hash is known beforehand."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and (pinned or is_loopback(parts.hostname or "")))


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its very name."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _host(parts: SplitResult) -> str:
    """The host and a port that is not the usual one; "" for none. Raises: ValueError for what is none."""
    name = parts.hostname or ""
    name = f"[{name}]" if ":" in name else name and name.encode("idna").decode()
    return name if parts.port in (None, {"https": 443, "http": 80}.get(parts.scheme)) else f"{name}:{parts.port}"
