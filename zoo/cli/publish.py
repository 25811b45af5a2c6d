"""Put a trained model into a zoo: a folder that any file server makes remote, or the Hugging Face hub.

    python -m zoo publish runs/<a run> gat.mine --to zoo licence=MIT "limits=Cora alone." --about card.yaml
    python -m zoo publish runs/<a run> gat.mine --to zoo --dtype bfloat16    figure and probe are made anew
    python -m zoo publish runs/<a run> gat.mine --to hf://owner/name

What the run recorded is in its card; licence, use, limits, how the seed was chosen and the published figure are said here.
A card that lacks something is refused. ZOO_INDEX=zoo, or an address of that folder, then makes the name known everywhere.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from zoo.console import table
from zoo.errors import ZooError

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
    parser.add_argument("--replace", action="store_true", help="take the place of a model of that name")
    parser.set_defaults(rest="said")


def run(options: argparse.Namespace) -> None:
    """Publish, and tell how to load it."""
    from zoo.catalog import about, card, local, publish
    from zoo.catalog.files import CARD, sha256
    from zoo.pretrained.folder import find

    to, name = options.to, options.name
    publish.check_name(name)
    if to.startswith(("http://", "https://")):
        raise ZooError(f"--to {to}: a server is not written to; publish to the folder that it serves.")
    said = about.read(Path(options.about) if options.about else None, options.said)
    source = find(local(options.source))
    with tempfile.TemporaryDirectory() as scratch:
        content = card.read(source) or {}
        if options.dtype and options.dtype != content.get("dtype"):
            source, content = rounded(source, content, options.dtype, Path(scratch) / "rounded")
        content = about.join(content, said, name)
        if to.startswith("hf://"):
            from zoo.catalog import hub

            folder = Path(scratch) / "staged"
            publish.stage(source, content, folder)
            hub.push(folder, to.removeprefix("hf://"))
            where = to
        else:
            folder = publish.publish(source, content, Path(to).expanduser(), options.replace)
            where = str(folder)
        table(told(folder, where, sha256(folder / CARD)), f"{name}   published")


def told(folder: Path, where: str, digest: str) -> list[tuple[str, str]]:
    """Where it lies and how it is loaded."""
    size = sum(path.stat().st_size for path in folder.iterdir())
    load = (
        f'zoo.load("{where}")' if where.startswith("hf://") else f'ZOO_INDEX={folder.parent}, zoo.load("{folder.name}")'
    )
    return [("lies at", where), ("bytes", f"{size:,}"), ("load it", load), ("pin it", f"#sha256={digest}")]


def rounded(source: Path, content: dict[str, Any], dtype: str, folder: Path) -> tuple[Path, dict[str, Any]]:
    """The model in another precision, with its figure and probe made anew on the rounded weights."""
    import torch

    import zoo
    from zoo.pretrained import probe
    from zoo.training import evaluation

    data, metric = content.get("data") or {}, content.get("metric") or {}
    if not data.get("config") or not content.get("task_config") or not metric.get("name"):
        raise ZooError(
            f"--dtype {dtype}: the figure of the rounded weights has to be measured, and the card of {str(source)!r} does not "
            "tell data, task and metric; publish a run of train.py."
        )
    model: Any = zoo.load(source).to(getattr(torch, dtype))
    stage = "val" if metric["name"].startswith("val/") else "test"
    figures, samples = evaluation.evaluate(
        model, data["config"], content["task_config"], stage=stage, vintage=data.get("vintage")
    )
    if metric["name"] not in figures:
        raise ZooError(f"--dtype {dtype}: the test gives {', '.join(figures)}, and not {metric['name']}.")
    new = {**metric, "value": float(figures[metric["name"]]), "samples": samples}
    told = {**content, "metric": new, "metrics": {key: float(value) for key, value in figures.items()}}
    kept = {key: value for key, value in told.items() if key not in ("files", "format", "parameters", "dtype", "probe")}
    zoo.save(model, folder, **kept, probe=probe.make(model))
    return folder, zoo.info(folder)
