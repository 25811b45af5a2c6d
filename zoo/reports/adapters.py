"""What adapters recover of full fine-tuning: a model of one text adapted to another, with a small share of its parameters.

    python -m zoo report adapters
    python -m zoo report adapters seeds=0 variants=full,lora trainer.max_epochs=1

For each seed a base is trained (experiment=shakespeare_first_half), then adapted from there in each variant
(experiment=shakespeare_adapted), and tested on the end of the text, which no training saw. The last weights are what is
tested. Told for each variant: the share of parameters that train, the test loss, and the part of full fine-tuning's gain over
the base that it recovers,

    recovery = (loss of the base - loss of the variant) / (loss of the base - loss of full fine-tuning)

with means and standard deviations over seeds. Settings: seeds, variants, out (a folder: results.json, adapters.csv,
adapters.png, and the bases; an interrupted study goes on there), base and adapted (experiments, others of the same kind), and
whatever train.py takes of model, data, task, trainer and recipe, for both.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from zoo.errors import ZooError, nearest
from zoo.files import write_text

Run = dict[str, Any]
#: name -> words of train.py; the rates of the first three had the least validation loss with seed 100, which is not one of the
#: study's: full of 3e-4, 1e-3, 2e-3, 4e-3; lora of 3e-3, 1e-2, 2e-2, 4e-2; lora_qv of 3e-3, 1e-2
VARIANTS: dict[str, tuple[str, ...]] = {
    "full": ("finetune=full", "task.optimizer.lr=1e-3"),
    "lora": ("finetune=lora", "adapter.targets=[q,k,v,o,up,down]", "task.optimizer.lr=3e-3"),
    "lora_qv": ("finetune=lora", "adapter.targets=[q,v]", "task.optimizer.lr=1e-2"),
    "bottleneck": ("finetune=bottleneck", "task.optimizer.lr=1e-2"),
}
GROUPS = ("model", "data", "task", "trainer", "recipe", "tokenizer")


@dataclass(frozen=True)
class Settings:
    """See the head of the file."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    variants: tuple[str, ...] = ("full", "lora", "lora_qv")
    base: str = "shakespeare_first_half"
    adapted: str = "shakespeare_adapted"
    out: str | None = None
    changes: tuple[str, ...] = ()


def run(words: Sequence[str]) -> None:
    """Train what is not yet in the folder, print the table, write the figures."""
    from zoo.console import console, table

    settings = read(words)
    folder = _folder(settings)
    runs = _known(folder, settings)
    done = {(each["seed"], each["variant"]) for each in runs}
    for seed in settings.seeds:
        for variant in ("base", *settings.variants):
            if (seed, variant) not in done:
                runs.append(train_one(settings, folder, seed, variant))
                _write(folder, settings, runs)
                console().print(f"seed {seed}, {variant}: test loss {runs[-1]['loss']:.4f}", style="dim")
    rows = summarise(runs)
    write_text(folder / "adapters.csv", "".join(",".join(map(str, line)) + "\n" for line in [HEAD, *rows]))
    shown = [
        [name, f"{share:.2%}", f"{loss:.4f} ± {spread:.4f}", f"{part:.1%} ± {wide:.1%}"]
        for name, share, loss, spread, part, wide in rows
    ]
    table(shown, f"seeds {', '.join(map(str, settings.seeds))}", ("variant", "trained", "test loss", "of the gain"))
    draw(rows, folder / "adapters.png")
    console().print(f"\nresults.json, adapters.csv and adapters.png are in {folder}", soft_wrap=True)


HEAD = ("variant", "share_trained", "loss", "loss_sd", "recovery", "recovery_sd")


def train_one(settings: Settings, folder: Path, seed: int, variant: str) -> Run:
    """One training, or the test of the base, which is trained and kept in the folder where it is not yet."""
    import zoo
    from zoo.adapters import trained
    from zoo.training.run import train

    base = folder / f"base_{seed}"
    if not base.is_dir():
        record = train(compose(settings, settings.base, seed), None)
        zoo.save(record.task.model, base)
    how = ("train=false",) if variant == "base" else VARIANTS[variant]
    record = train(compose(settings, settings.adapted, seed, f"init='{base}'", *how), None)
    model: Any = record.task.model
    some, every = trained(model) if variant != "base" else (0, trained(model)[1])
    found = {
        "seed": seed,
        "variant": variant,
        "trained": some,
        "parameters": every,
        "loss": record.metrics["test/loss"],
    }
    if "val/loss" in record.metrics:
        found["val_loss"] = record.metrics["val/loss"]
    return found


def compose(settings: Settings, experiment: str, seed: int, *words: str) -> Any:
    """The config of a training that leaves no files."""
    from zoo import conf
    from zoo.config import plain
    from zoo.training import folders

    folders.register()
    own = (
        f"experiment={experiment}",
        *settings.changes,
        f"seed={seed}",
        *words,
        "callbacks=none",
        "~logger",
        "paths.run=.",
    )
    config = plain(conf.compose_train(list(own)))
    config["trainer"]["enable_progress_bar"] = False
    return config


def summarise(runs: Sequence[Run]) -> list[tuple[str, float, float, float, float, float]]:
    """A line (HEAD) for each variant, in the order in which they first came; recovery is a seed's own, then the mean."""
    losses = {(each["variant"], each["seed"]): each["loss"] for each in runs}
    rows = []
    for variant in dict.fromkeys(each["variant"] for each in runs):
        own = [each for each in runs if each["variant"] == variant]
        share = own[0]["trained"] / own[0]["parameters"]
        parts = []
        for each in own:
            base, full = losses[("base", each["seed"])], losses.get(("full", each["seed"]))
            parts.append((base - each["loss"]) / (base - full) if full is not None and base != full else float("nan"))
        rows.append((variant, share, *_mean([each["loss"] for each in own]), *_mean(parts)))
    return rows


def draw(rows: Sequence[tuple[str, float, float, float, float, float]], path: Path) -> None:
    """Recovered part against the share of parameters that train."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 3.5), layout="constrained")
    for name, share, _, _, part, spread in rows:
        if share:
            axes.errorbar(100 * share, 100 * part, 100 * spread, fmt="o", capsize=3)
            axes.annotate(name, (100 * share, 100 * part), xytext=(6, -12), textcoords="offset points")
    axes.set_xscale("log")
    axes.set_xlabel("parameters that train (%)")
    axes.set_ylabel("of full fine-tuning's gain (%)")
    axes.axhline(100, color="0.8", zorder=0)
    axes.axhline(0, color="0.8", zorder=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def read(words: Sequence[str]) -> Settings:
    """Settings from key=value words. Raises: ZooError for a word that is none, or a value that cannot be."""
    known = [each.name for each in fields(Settings) if each.name != "changes"]
    given: dict[str, Any] = {}
    changes = []
    for word in words:
        key, equals, value = word.partition("=")
        parts = tuple(part.strip() for part in value.strip("[]()").split(",") if part.strip())
        if equals and key.lstrip("+~").partition(".")[0] in GROUPS:
            changes.append(word)
        elif not equals or key not in known:
            raise ZooError(f"{word!r} is not a setting of this study; {nearest(key, [*known, *GROUPS])}")
        elif key == "seeds":
            if not parts or not all(part.isdecimal() for part in parts):
                raise ZooError(f"seeds={value}: whole numbers are meant, such as seeds=0,1,2.")
            given[key] = tuple(dict.fromkeys(map(int, parts)))
        elif key == "variants":
            if wrong := [part for part in parts if part not in VARIANTS] or (not parts and [value]):
                raise ZooError(f"variants: {wrong[0]!r} is unknown; {nearest(wrong[0], VARIANTS)}")
            given[key] = parts
        else:
            given[key] = value
    return Settings(**given, changes=tuple(changes))


def _mean(values: Sequence[float]) -> tuple[float, float]:
    return fmean(values), stdev(values) if len(values) > 1 else 0.0


def _folder(settings: Settings) -> Path:
    from zoo.training.folders import stamp

    return Path(settings.out or Path("runs", "reports", f"{stamp()}_adapters")).absolute()


def _same(settings: Settings) -> dict[str, Any]:
    """What two studies must agree in to be one."""
    return {"base": settings.base, "adapted": settings.adapted, "changes": list(settings.changes)}


def _known(folder: Path, settings: Settings) -> list[Run]:
    file = folder / "results.json"
    if not file.exists():
        return []
    found = json.loads(file.read_text(encoding="utf-8"))
    if found["settings"] != _same(settings):
        raise ZooError(f"{folder} holds a study of other settings ({found['settings']}); choose another out=.")
    return [each for each in found["runs"] if each["seed"] in settings.seeds]


def _write(folder: Path, settings: Settings, runs: Sequence[Run]) -> None:
    content = {"settings": _same(settings), "variants": VARIANTS, "runs": list(runs)}
    write_text(folder / "results.json", json.dumps(content, indent=1) + "\n")
