"""What a run leaves behind: summary.json, and a short account on the terminal."""

import json
import platform
import resource
import shlex
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from zoo import packages
from zoo.errors import ZooError
from zoo.files import write_text
from zoo.training import card
from zoo.training.baselines import baselines_table, beside_forecasts, write_baselines
from zoo.training.compressors import bits_per_byte as compressed
from zoo.training.folders import summary, write_config

SWAPS = ("score=additive", "position=rope", "pattern=window", "kernel=reference")
PACKAGES = ("torch", "lightning", "torchmetrics", "timm", "torch-geometric", "hydra-core")


def use(model: Any, run: str) -> str | None:
    """The command that asks a model something; None for what no file or sentence of a user can hold.

    Args:
        model: of the run.
        run: its folder, as a shell takes it.
    """
    from zoo.models import Model
    from zoo.spec import GIVEN, GIVEN_FOR, SAID

    for verb, given in (("predict", GIVEN), ("translate", SAID)):
        for each in model.reads if isinstance(model, Model) else ():
            if each in given:
                return f"python -m zoo {verb} {run} {GIVEN_FOR.get(model.targets) or _readable(given[each], model)}"
    return None


def _readable(given: str, model: Any) -> str:
    """An example of an input; letters that the model's tokenizer knows, where it does not know a sentence's."""
    tokenizer = getattr(model, "source_tokenizer", model.tokenizer)
    if tokenizer is None or not given.startswith('"'):
        return given
    try:
        tokenizer.encode(given.strip('"'))
    except ZooError:
        return shlex.quote(tokenizer.decode(list(range(min(7, tokenizer.vocab_size)))))
    return given


def finish(record: Any, folder: Path, overrides: Sequence[str], choices: Mapping[str, str]) -> None:
    """Write the model folder and summary.json of a `zoo.training.run.Record`, and tell what came out.

    Args:
        overrides: the words of the command line.
        choices: the option that was chosen of each group.
    """
    write_config(folder, record.config, record.fingerprint)
    seed, model = record.config["seed"], record.task.model
    if forecasts := beside_forecasts(record.task, record.metrics, record.data):
        write_baselines(folder, forecasts)
    if rows := record.task.predictions:
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_text(folder / "predictions.jsonl", "".join(lines))
    others = by_metric(forecasts) or beside(record)
    save_model(folder, model, record.metrics, overrides, card.of_run(record, choices, others))
    content = write_summary(
        folder, record.metrics, record.monitored, model, record.stopwatch, seed, record.fingerprint, others,
        record.task.signatures, record.embedding,
    )  # fmt: skip
    stride = getattr(record.data, "eval_stride", 1)
    print_summary(folder, content, model, overrides, choices, forecasts, stride)


def beside(record: Any) -> dict[str, dict[str, float]]:
    """What stands beside a metric of the test: bits a byte of general compressors, that a language model must be held
    against. Empty for other runs, and for conversations, of which a model says the answers alone."""
    if "test/bits_per_byte" not in record.metrics or record.data.corpus().turns:
        return {}
    return {"test/bits_per_byte": compressed(record.data.texts("train"), record.data.texts("test"))}


def by_metric(forecasts: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """{"test/mse": {"repeat_last": ...}, ...} of the rows of baselines.csv, without the model's own."""
    found: dict[str, dict[str, float]] = {}
    for name, figures in forecasts.items():
        for figure, value in figures.items() if name != "model" else ():
            found.setdefault(f"test/{figure}", {})[name] = value
    return found


def save_model(
    folder: Path,
    model: Any,
    metrics: Mapping[str, Any],
    overrides: Sequence[str],
    about: Mapping[str, Any] | None = None,
) -> None:
    """The model folder, which `zoo.load` reads back without pickle.

    Args:
        about: what its card says besides (`zoo.training.card.of_run`).
    """
    import zoo

    said = command(without_paths(overrides))
    # Of an adapter the run keeps name and hash of the base that it began with, not the base.
    base = model.origin and model.origin.source
    save = zoo.save_adapter if model.adapter is not None and base is not None else zoo.save
    save(model, folder / "model", **(about or {}), metrics=_plain(metrics), command=said, versions=_versions())


def without_paths(overrides: Sequence[str]) -> list[str]:
    """The words of a command line as others may read them: folders of this machine by their names, or not at all."""
    words = []
    for word in overrides:
        key, equals, value = word.partition("=")
        bare = value.strip("'\"")
        if not key.startswith(("paths.", "hydra.", "ckpt_path")):
            words.append(key + equals + (Path(bare).name if bare.startswith(("/", "~")) else value))
    return words


def write_summary(
    folder: Path,
    metrics: Mapping[str, Any],
    monitored: float | None,
    model: Any,
    stopwatch: Any,
    seed: int,
    fingerprint: str,
    beside: Mapping[str, Mapping[str, float]] | None = None,
    signatures: Mapping[str, str] | None = None,
    embedding: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write summary.json, the last file of a finished run, and return its content."""
    content = {
        "metrics": _plain(metrics),
        **({"beside": beside} if beside else {}),
        **({"signatures": signatures} if signatures else {}),
        **({"embedding": embedding} if embedding else {}),
        "monitored": monitored,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "wall_time_s": round(stopwatch.fit_seconds, 3),
        "samples_per_second": round(stopwatch.samples_per_second, 1),
        **_peak_memory(),
        "seed": seed,
        "versions": _versions(),
        "config_hash": fingerprint,
    }
    write_text(summary(folder), json.dumps(content, indent=2) + "\n")
    return content


def print_summary(
    folder: Path,
    content: dict,
    model: Any,
    overrides: Sequence[str],
    choices: Mapping[str, str],
    forecasts: Mapping[str, Mapping[str, float]] | None = None,
    stride: int = 1,
) -> None:
    """Metrics, where everything lies, and three commands worth trying next."""
    from rich.console import Console
    from rich.table import Table

    from zoo.callbacks.sample import writes

    console = Console(highlight=False)
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in sorted(content["metrics"].items()):
        table.add_row(name, f"{value:.6g}")
        for other, figure in content.get("beside", {}).get(name, {}).items() if not forecasts else ():
            table.add_row(f"  {other}", f"{figure:.6g}{', which is less' if figure < value else ''}")
    table.add_row("parameters", f"{content['parameters']:,}")
    if content["wall_time_s"]:
        table.add_row("training", f"{content['wall_time_s']:.1f} s, {content['samples_per_second']:,.0f} samples/s")
    console.print(table)
    if forecasts:
        console.print()
        console.print(baselines_table(forecasts, stride))

    console.print(f"\nEverything is in {_short(folder)}", soft_wrap=True)
    for path in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
        inside = ": " + ", ".join(sorted(p.name for p in path.iterdir())) if path.is_dir() else ""
        console.print(f"  {path.name}{inside}", soft_wrap=True)

    from zoo.pretrained.facts import strangers_in

    console.print("\nWorth trying next:")
    run = shlex.quote(_short(folder))
    trust = "".join(f" --trust {package}" for package in strangers_in(model))
    ways = [use(model, run) or f"python -m zoo info {run}"]
    ways += [f'python -m zoo generate {run} "a beginning"'] * writes(model)
    if hasattr(model, "forecasts"):
        ways = [*ways, f"python -m zoo backtest {run}"] if model.forecasts else [goes_on(overrides, _short(folder))]
    for line in (*(each + trust for each in ways), *next_trainings(overrides, choices)):
        console.print(f"  {line}", soft_wrap=True, markup=False)


def goes_on(overrides: Sequence[str], run: str) -> str:
    """The training that goes on from a run of a model that has learned to fill in, and forecasts nothing yet."""
    left = ("seed=", "ckpt_path=", "train=", "task=", "task.", "init=", "finetune=")
    return command([*(each for each in overrides if not each.startswith(left)), f"init={run}", "finetune=linear_probe"])


def next_trainings(overrides: Sequence[str], choices: Mapping[str, str]) -> tuple[str, str]:
    """The same command with one word of its sentence swapped, and over three seeds."""
    kept = [o for o in overrides if not o.startswith(("seed=", "ckpt_path=", "train="))]
    taken = {override.split("=")[0] for override in kept}
    if "init" in taken:  # trained weights have no tensors for another comparison or position
        taken |= {"score", "position"}
    pairs = (swap.partition("=") for swap in SWAPS)
    found = next(
        (f"{group}={one}" for group, _, one in pairs if choices.get(group, one) != one and group not in taken), None
    )
    swap = found or "seed=1"
    # -m before the overrides: after them Hydra's parser does not know what to do with what follows it.
    return command([*kept, swap]), command(["-m", *kept, "seed=0,1,2"])


def command(arguments: Sequence[str]) -> str:
    """A command line of train.py, as a shell takes it."""
    return packages.in_front() + " ".join(["python train.py", *map(shlex.quote, arguments)])


def _plain(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items()}


def _short(folder: Path) -> str:
    here = Path.cwd()
    return str(folder.relative_to(here) if folder.is_relative_to(here) else folder)


def _peak_memory() -> dict[str, float]:
    import torch

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kibibytes on Linux
    found = {"peak_memory_mb": round(peak * unit / 2**20, 1)}
    if torch.cuda.is_available():
        found["peak_gpu_memory_mb"] = round(torch.cuda.max_memory_allocated() / 2**20, 1)
    return found


def _versions() -> dict[str, str]:
    import zoo

    found = {"python": platform.python_version(), "attention-zoo": zoo.__version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
