"""The hub's own client: where it looks, and its errors as sentences."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from zoo.errors import ZooError, one_line


class NoHub(ZooError):
    """The hub cannot be asked now: what is in the cache may serve."""


@contextmanager
def answering(called: str) -> Iterator[None]:
    """The hub's and the client's errors as sentences. Raises: NoHub where a later try may do better."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise ZooError(f"{called} is gated: accept its terms on the hub's page and log in (hf auth login).") from error
    except errors.RepositoryNotFoundError as error:
        raise ZooError(
            f"There is no {called}, or it is private: correct the name, or log in (hf auth login, or HF_TOKEN)."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ZooError(f"{called}: there is no such revision; give a branch, tag or commit of it.") from error
    except errors.HfHubHTTPError as error:
        raise _refused(called, error) from error
    except errors.HFValidationError as error:
        raise ZooError(_no_name(called)) from error
    except (errors.LocalEntryNotFoundError, errors.HTTPError, ConnectionError, TimeoutError) as error:
        raise NoHub(f"The hub cannot be reached ({one_line(error, 200)}).") from error
    except OSError as error:
        why = error.strerror or one_line(error, 200)
        raise ZooError(f"{called} cannot be written into the hub's cache ({why}); make room or set HF_HOME.") from error


def _refused(called: str, error: Any) -> ZooError:
    code = getattr(getattr(error, "response", None), "status_code", None)
    if code in (401, 403):
        return ZooError(f"{called}: the hub wants a token that may do that; log in (hf auth login), or set HF_TOKEN.")
    if code in (409, 412):
        return ZooError(
            f"{called} was changed by somebody else just now; nothing was pushed. Look at it, and try again."
        )
    if code is None or code >= 500 or code == 429:
        return NoHub(f"The hub cannot serve {called} now (it answers {code}).")
    return ZooError(f"{called}: the hub answers {code} ({one_line(error, 200)}).")


def api() -> Any:
    from huggingface_hub import HfApi

    return HfApi(endpoint=where()["endpoint"], library_name="attention-zoo")


def where() -> dict[str, Any]:
    """Where the hub is: HF_ENDPOINT as it is now, not as it was when the client was imported."""
    return {"endpoint": os.environ.get("HF_ENDPOINT") or None}


def called(repository: str, revision: str | None) -> str:
    """What sentences call it. Raises: ZooError for what is no name of a repository or revision."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository, re.ASCII):
        raise ZooError(_no_name(f"hf://{one_line(repository, 100)}"))
    if revision and (not re.fullmatch(r"[\w./+-]+", revision) or ".." in revision):
        raise ZooError(f"hf://{repository}@{one_line(revision, 100)} ends in no name of a branch, tag or commit.")
    return f"hf://{repository}" + (f"@{one_line(revision, 100)}" if revision else "")


def _no_name(given: str) -> str:
    return f"{given} is no name of a repository: give hf://owner/name[@revision]."
