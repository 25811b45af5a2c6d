"""What keys and values of the past cost, and what is lost where some are dropped or rounded: cache policy by policy.

    python -m zoo report cache run=runs/<a run> path=book.txt

`rows` stretches of the text, evenly spread over it, are read a token at a time, as in generation, through a cache of each
policy. Told for each: the bytes that it takes, perplexity of the tokens after the first, tokens read a second (of all rows
together), and at how many places its likeliest next token is the full cache's. A figure shows perplexity against bytes, and
what is lost by place. Settings: run, path, policies (none,full,int8,window:N,sinks:S+N,heavy:H+N; default: these, with a
quarter of the length where some are dropped), length (tokens of a stretch; default: the model's context, at most 256), rows
(default 8), out (folder of cache.png and cache.csv, default: reports/ in the run; for a name of a zoo or an address
reports-<name>), trust (packages of your own that the run may name). A policy may be a class of such a package:
policies=full,mypackage.caches.Even.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import torch
from torch import Tensor

from zoo import catalog
from zoo.config import locate
from zoo.errors import ZooError
from zoo.files import write_text
from zoo.reports.perplexity import load_causal, measured, read_text
from zoo.reports.settings import read_settings

LENGTH = 256


class Reading(NamedTuple):
    """nats [B, N - 1] of each token but the first; likeliest [B, N - 1], the ids that were expected in their places; nbytes of
    the cache; seconds of all steps."""

    nats: Tensor
    likeliest: Tensor
    nbytes: int
    seconds: float


@dataclass(frozen=True)
class Settings:
    """See the head of the file."""

    run: str
    path: str
    policies: tuple[str, ...] = ()
    length: int | None = None
    rows: int = 8
    out: str | None = None
    trust: tuple[str, ...] = ()


def run(words: Sequence[str]) -> None:
    """Read through each cache, print the table, draw the figure."""
    from zoo.console import table

    settings = read_settings(words, Settings)
    model = load_causal(settings.run, settings.trust)
    length = min(settings.length or LENGTH, model.context)
    if length < 8:
        raise ZooError(f"length={length} tokens tell nothing of a cache; give 8 or more.")
    ids = stretches(measured(model.tokenizer, read_text(settings.path))[0], length, settings.rows, settings.path)
    policies = settings.policies or defaults(length)
    if "full" not in policies:
        policies = ("full", *policies)  # what others are held against
    for policy in policies:
        model.new_cache(1, length, named(policy))  # what is no policy is refused before anything is computed
    found = {policy: read(model, ids, policy) for policy in policies}
    lines = [row(policy, each, found["full"]) for policy, each in found.items()]
    out = Path(settings.out) if settings.out else _usual_place(settings.run)
    write_text(out / "cache.csv", _csv(lines))
    shown = [[cell(value) for cell, value in zip(CELLS.values(), line, strict=True)] for line in lines]
    table(shown, f"{ids.shape[0]} x {length} tokens of {settings.path}, one at a time", tuple(CELLS))
    print(plot(found, out / "cache.png").absolute())


def _usual_place(run: str) -> Path:
    """In the folder; beside what is none, or one of a zoo, which stays as it is."""
    path = Path(run)
    return path / "reports" if path.is_dir() and not catalog.knows(run) else Path(f"reports-{path.name}")


#: Title of a column -> how its value is written.
CELLS: dict[str, Any] = {
    "cache": str,
    "bytes": "{:,}".format,
    "of full": "{:.2f}".format,
    "perplexity": "{:.4g}".format,
    "tokens/s": "{:,.0f}".format,
    "as full": lambda share: f"{100 * share:.1f} %",
}


def named(policy: str) -> Any:
    """A word of a policy, or the factory of a package of one's own that a dotted name means."""
    return locate(policy, "policies") if "." in policy else policy


def defaults(length: int) -> tuple[str, ...]:
    """Each kind; those that drop keep a quarter."""
    kept = max(length // 4, 2)
    sinks = min(4, kept // 2)
    heavy = kept // 2
    return ("none", "full", "int8", f"window:{kept}", f"sinks:{sinks}+{kept - sinks}", f"heavy:{heavy}+{kept - heavy}")


def stretches(ids: Any, length: int, rows: int, path: str) -> Tensor:
    """[rows, length]: evenly spread over the text, as many as there is text for. Raises: ZooError for less than one."""
    ids = torch.as_tensor(ids)
    rows = min(rows, len(ids) // length)
    if not rows:
        raise ZooError(f"{path} has {len(ids)} tokens, less than the {length} that are read at a time; give length=.")
    first = torch.linspace(0, len(ids) - length, rows).long()
    return torch.stack([ids[begin : begin + length] for begin in first.tolist()])


@torch.inference_mode()
def read(model: Any, ids: Tensor, policy: str) -> Reading:
    """Read ids [B, N] one column at a time through a cache; "none" reads all before it again each time."""
    ids = ids.to(next(model.parameters()).device)
    batch, length = ids.shape
    cache = model.new_cache(batch, length, named(policy))
    nats, likeliest = [], []
    began = perf_counter()
    for i in range(length - 1):
        logits = model.forward(ids[:, : i + 1]) if cache is None else model.forward(ids[:, i : i + 1], cache=cache)
        spread = logits[:, -1].double().log_softmax(-1)
        nats.append(-spread.gather(-1, ids[:, i + 1 : i + 2])[:, 0])
        likeliest.append(spread.argmax(-1))
    expected = torch.stack(likeliest, 1).cpu()  # waits for the device
    seconds = perf_counter() - began
    return Reading(torch.stack(nats, 1).cpu(), expected, 0 if cache is None else cache.nbytes, seconds)


def row(policy: str, found: Reading, full: Reading) -> tuple[Any, ...]:
    """The values of a line of the table."""
    perplexity = math.exp(found.nats.mean())
    agrees = (found.likeliest == full.likeliest).double().mean().item()
    return policy, found.nbytes, found.nbytes / full.nbytes, perplexity, found.nats.numel() / found.seconds, agrees


def plot(found: dict[str, Reading], png: Path) -> Path:
    """Perplexity against bytes, and by place what is lost against the full cache (the mean over rows and a sixteenth of the
    length)."""
    from zoo.inspect.plots import new_figure, save

    figure = new_figure(9, 3.6)
    left, right = figure.subplots(1, 2)
    for i, (policy, each) in enumerate(found.items()):
        loss, colour = (each.nats - found["full"].nats).mean(0), f"C{i}"
        left.plot([each.nbytes / 2**20], [math.exp(each.nats.mean())], "o", color=colour, label=policy)
        width = max(len(loss) // 16, 1)
        steps = loss[: len(loss) // width * width].view(-1, width).mean(1)
        right.plot([width * (j + 0.5) for j in range(len(steps))], steps, color=colour, label=policy, linewidth=1.5)
    left.set(xlabel="MiB of keys and values", ylabel="perplexity")
    right.set(xlabel="place of the token", ylabel="loss above the full cache's (nats)")
    left.legend(frameon=False, fontsize=8)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    return save(figure, png)


def _csv(lines: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([tuple(CELLS), *lines])
    return text.getvalue()
