"""Put a trained model into a zoo: a folder that any file server makes remote, or the Hugging Face hub.

    python -m zoo publish runs/<a run> gat.mine --to zoo licence=MIT "limits=Cora alone." --about card.yaml
    python -m zoo publish runs/<a run> gat.mine --to zoo --dtype bfloat16    figure and probe are made anew
    python -m zoo publish runs/<a run> vit.mine --to zoo --dtype bfloat16 --data photos    of data of yours: where they lie
    python -m zoo publish runs/<a run> gat.mine --to hf://owner/name

What the run recorded is in its card; licence, use, limits, how the seed was chosen and the published figure are said here.
A card that lacks something is refused, and so is a model that does not load or differs from its probe.
ZOO_INDEX=zoo, or an address of that folder, then makes the name known everywhere.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.console import table
from zoo.errors import ZooError

#: Keys of a card that saving finds anew.
FOUND = ("format", "files", "parameters", "dtype", "architecture", "outputs", "columns", "trust")
DTYPES = ("float32", "bfloat16", "float16")


def arguments(parser: argparse.ArgumentParser) -> None:
    """What, under which name, where to."""
    parser.add_argument("source", metavar="RUN", help="a run's folder, or a model folder")
    parser.add_argument("name", metavar="NAME", help="<model>.<tag>, as gat.mine")
    parser.add_argument(
        "said", nargs="*", metavar="KEY=VALUE", help="what the card shall say: licence=MIT, data.source=..."
    )
    parser.add_argument("--to", required=True, metavar="FOLDER", help="a zoo's folder, or hf://owner/name")
    parser.add_argument("--about", metavar="FILE.yaml", help="the same keys in a file")
    parser.add_argument("--dtype", choices=DTYPES, help="round the weights first, and measure them anew")
    parser.add_argument("--data", metavar="PATH", help="with --dtype, of a run on data of yours: where they lie")
    parser.add_argument(
        "--trust", metavar="PACKAGE", action="append", default=[], help="a package that the run may name"
    )
    parser.add_argument("--replace", action="store_true", help="take the place of a model of that name")
    parser.set_defaults(rest="said")


def run(options: argparse.Namespace) -> None:
    """Publish, and tell how to load it."""
    from zoo.catalog import about, card, local, publish
    from zoo.catalog.files import CARD, sha256
    from zoo.pretrained.folder import find
    from zoo.training.checking import of_old_run
    from zoo.training.figures import direction

    to, name = options.to, options.name
    publish.check_name(name)
    if options.data and not options.dtype:
        raise ZooError(
            f"--data {options.data} says where to measure rounded weights; give --dtype with it, or leave it out."
        )
    if to.startswith(("http://", "https://")):
        raise ZooError(f"--to {to}: a server is not written to; publish to the folder that it serves.")

    def tried(folder: Path) -> None:
        try_out(folder, options.source, options.trust)

    said = about.read(Path(options.about) if options.about else None, options.said)
    if "metric.name" in said:
        said.setdefault("metric.direction", direction(str(said["metric.name"])))
    source = find(local(options.source))
    with tempfile.TemporaryDirectory() as scratch:
        content = card.read(source) or of_old_run(Path(options.source))
        source, content = prepared(source, content, options.dtype, Path(scratch) / "saved", options.trust, options.data)
        content = about.join(content, said, name)
        if to.startswith("hf://"):
            from zoo.catalog import hub

            folder = Path(scratch) / "staged"
            publish.stage(source, content, folder)
            tried(folder)
            where = hub.push(folder, to.removeprefix("hf://"), replace=options.replace)
        else:
            folder = publish.publish(source, content, Path(to).expanduser(), options.replace, tried)
            where = str(folder)
        table(told(folder, where, sha256(folder / CARD)), f"{name}   published")


def try_out(folder: Path, source: str, trust: Sequence[str]) -> None:
    """Load what is to be published as a reader will, and compare it with its card, but for the figure. Raises: ZooError."""
    from zoo.training import checking

    try:
        for row in checking.check(folder, metric=False, trust=trust):
            if row.verdict == checking.DIFFERENT:
                raise ZooError(f"{row.what}: {row.why}")
    except ZooError as error:
        raise ZooError(f"{source!r} is not published, as it would not be what its card says. {error}") from error


def told(folder: Path, where: str, digest: str) -> list[tuple[str, str]]:
    """Where it lies and how it is loaded."""
    size = sum(path.stat().st_size for path in folder.iterdir())
    rows = [("lies at", where), ("bytes", f"{size:,}")]
    if where.startswith("hf://"):  # with its commit, which pins it
        return [*rows, ("load it", f'zoo.load("{where}")')]
    load = f'ZOO_INDEX={folder.parent}, zoo.load("{folder.name}")'
    return [*rows, ("load it", load), ("pin it", f"<its address>#sha256={digest}")]


def prepared(
    source: Path, content: dict[str, Any], dtype: str | None, folder: Path, trust: Sequence[str], at: str | None = None
) -> tuple[Path, dict[str, Any]]:
    """(a model folder that can stand alone, its card): the source itself, unless it is an adapter whose base lies elsewhere, or
    shall be rounded. Those are saved again, the figure and the probe of what is rounded made anew."""
    same = not dtype or dtype == content.get("dtype")
    if same and (source / "model.safetensors").is_file():
        return source, content
    import torch

    import zoo

    model: Any = zoo.load(source, trust=trust)
    about = {key: value for key, value in content.items() if key not in FOUND}
    if not same:
        model = model.to(getattr(torch, str(dtype)))
        about |= measured(model, content, str(dtype), trust, at)
    zoo.save(model, folder, **about)
    return folder, zoo.info(folder)


def measured(
    model: Any, content: dict[str, Any], dtype: str, trust: Sequence[str], at: str | None = None
) -> dict[str, Any]:
    """What a card says of outputs and figures, of this model; at: where data of the user's own lie.

    Raises: ZooError for a card that does not tell its test.
    """
    from zoo.pretrained import probe
    from zoo.training import evaluation

    data, metric, task = (content.get(key) or {} for key in ("data", "metric", "task_config"))
    if not data.get("config") or not task or not metric.get("name"):
        raise ZooError(
            f"--dtype {dtype}: the figure of the rounded weights has to be measured, and the card tells no data, task and "
            "metric to do so; publish a run of train.py."
        )
    stage = "val" if metric["name"].startswith("val/") else "test"
    figures, samples = evaluation.evaluate(
        model, data["config"], task, stage=stage, vintage=data.get("vintage"), at=at, trust=trust
    )
    if metric["name"] not in figures:
        raise ZooError(f"--dtype {dtype}: {metric['name']} is not among what the test gives: {', '.join(figures)}.")
    known = {name: float(value) for name, value in figures.items()}
    new = {**metric, "value": known[metric["name"]], "samples": samples}
    return {"metric": new, "metrics": known, "probe": probe.make(model)}
