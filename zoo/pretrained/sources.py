"""Where trained weights come from: one function for each kind of source, all of them to the same Source."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from zoo.adapters.model import INSIDE
from zoo.adapters.record import Base, Record, from_plain
from zoo.errors import ZooError, one_line
from zoo.models import Preprocess
from zoo.pretrained import (
    adapter_files,
    facts,
    folder,
    hugging_face,
    llama2c,
    llama2c_tokenizer,
    weights,
)
from zoo.series import SeriesPreprocess
from zoo.text import Tokenizer, from_text
from zoo.text.base import ROLES

TIMM = "timm://"


@dataclass(frozen=True)
class Joined:
    """An adapter that belongs to a source's tensors.

    record: what it is. own: tensors that it keeps whole, in place of the base's. parts: of a model -> its parts, by our names.
    source: where the base lies; None: in the same place. where: what errors call the adapter.
    """

    record: Record
    own: weights.State
    parts: Callable[[nn.Module], weights.State]
    source: str | None
    where: str


@dataclass(frozen=True)
class Source:
    """What a source holds.

    Args:
        state: tensors under our names, mapped from their file.
        weights: what errors call that file.
        config: the one they belong to, as the file has it; None where none is known.
        preprocess: how images or series were prepared.
        classes: names of the outputs.
        described: what errors call the file of the config.
        targets: what outputs are for.
        tokenizer: between text and the model's ids; None for none.
        converted_from: the class of another library that the weights were made for.
        ours: whether the config was made here, by a conversion.
        whole_vocabulary: whether its tokenizer has as many tokens as it, not fewer.
        adapter: what belongs on a model of these tensors, which are then its base's.
    """

    state: weights.State
    weights: str
    config: Any = None
    preprocess: Preprocess | SeriesPreprocess | None = None
    classes: tuple[str, ...] | None = None
    described: str = ""
    targets: str = "class"
    tokenizer: Tokenizer | None = None
    converted_from: str | None = None
    ours: bool = False
    whole_vocabulary: bool = False
    adapter: Joined | None = None


def open_source(
    source: str,
    tokenizer: str | Path | Tokenizer | None = None,
    base: str | None = None,
    trust: tuple[str, ...] = (),
) -> Source:
    """Read a source; the kinds are those of `zoo.pretrained.initialise`.

    Args:
        tokenizer: in place of the source's own.
        base: where the base of an adapter lies, in place of where its file says.
        trust: packages whose tokenizers and adapters the source may name.

    Raises: ZooError for a source that is not there or cannot be read.
    """
    given = None if tokenizer is None else _tokenizer(tokenizer, trust)
    found = _opened(source, base, trust)
    found = found if given is None else replace(found, tokenizer=given)
    if found.whole_vocabulary and found.tokenizer and found.tokenizer.vocab_size != found.config["vocab_size"]:
        raise ZooError(
            f"{found.weights!r} is of {found.config['vocab_size']:,} tokens, and the tokenizer of "
            f"{found.tokenizer.vocab_size:,}; they are not of each other."
        )
    return found


def _opened(source: str, base: str | None, trust: tuple[str, ...] = ()) -> Source:
    """As `open_source`; base: "" where this is a base itself, which is no adapter."""
    if source.startswith(TIMM):
        return _from_timm(*_timm_name(source))
    path = Path(source)
    if path.is_dir():
        if hugging_face.is_one(path):
            return Source(**hugging_face.read(path))
        if not any((each / folder.CONFIG).is_file() for each in (path / "model", path)) and llama2c.is_folder(path):
            model, beside = llama2c.find(path)
            return _from_llama2c(model, beside)
        return _from_folder(folder.find(path), base=base, trust=trust)
    if path.suffix in (".safetensors", ".bin") and hugging_face.is_one(path.parent):
        return Source(**hugging_face.read(path.parent, path))
    if path.suffix == ".bin" and path.is_file():
        return _from_llama2c(path)
    if path.suffix == ".safetensors":
        return _from_folder(path.parent, path, base, trust) if _beside(path) else _from_file(path)
    if path.suffix == ".ckpt":
        return _from_checkpoint(path, base, trust)
    raise ZooError(_unknown(source))


def preprocess_of(source: str) -> Preprocess | SeriesPreprocess | None:
    """What a source tells about its images or series, without reading its weights."""
    if source.startswith(TIMM):
        from zoo.pretrained import timm_hub

        name, file = _timm_name(source)
        if file and not file.is_file():
            raise ZooError(f"There is no file {str(file)!r} for timm's {name}.")
        if not (cfg := timm_hub.card(name)):
            return None
        channels, height, width = cfg["input_size"]
        return timm_hub.preprocess(cfg, height, channels) if height == width else None
    path = Path(source)
    if path.suffix == ".bin" or hugging_face.is_one(path) or llama2c.is_folder(path):
        return None  # of text
    if path.is_dir():
        return folder.describe(folder.find(path))["preprocess"]
    if path.suffix not in (".safetensors", ".ckpt") or not path.is_file():
        raise ZooError(_unknown(source))
    return folder.describe(path.parent)["preprocess"] if path.suffix == ".safetensors" and _beside(path) else None


def described(where: Path) -> tuple[Any, Path]:
    """(the plain config of the model in a folder, not looked at yet, and the file that tells it), without reading weights.

    Raises: ZooError for a folder that holds no model.
    """
    if hugging_face.is_one(where):
        path = where / folder.CONFIG
        return hugging_face.describe(where)[1], path
    if not any((each / folder.CONFIG).is_file() for each in (where / "model", where)) and llama2c.is_folder(where):
        path = llama2c.find(where)[0]
        return llama2c.read(path)[0], path
    found = folder.find(where)
    return folder.describe(found)["model"], found / folder.CONFIG


def tokenizer_of(source: str, trust: tuple[str, ...] = ()) -> Tokenizer | None:
    """The tokenizer that comes with a source, without reading its weights; None for none."""
    path = Path(source)
    if source.startswith(TIMM):
        return None
    if hugging_face.is_one(where := path if path.is_dir() else path.parent):
        return hugging_face.read_tokenizer(where)
    if path.is_dir() and not any((each / folder.CONFIG).is_file() for each in (path / "model", path)):
        beside = llama2c.find(path)[1] if llama2c.is_folder(path) else None
        return None if beside is None else _tokenizer(beside)
    where = folder.find(path) if path.is_dir() else path.parent
    if path.suffix == ".ckpt" and path.is_file():
        where = path.absolute().parent.parent / "model"
        if not (where / folder.CONFIG).is_file():
            return _tokenizer_in(weights.read(path), path, trust)
    if not (where / folder.CONFIG).is_file():
        return None
    return folder.read_tokenizer(where, folder.describe(where)["tokenizer"], trust)


def _from_llama2c(path: Path, tokenizer: Path | None = None) -> Source:
    config, state = llama2c.read(path)
    said = f"the header of {str(path)!r}"
    found = None if tokenizer is None else _tokenizer(tokenizer)
    return Source(state, str(path), config, described=said, tokenizer=found, whole_vocabulary=True)


def _tokenizer(given: str | Path | Tokenizer, trust: tuple[str, ...] = ()) -> Tokenizer:
    """A tokenizer, or the one of a tokenizer.json, of a folder that has one, or of a tokenizer.bin of llama2.c's."""
    if isinstance(given, Tokenizer):
        return given
    path = Path(given).expanduser()
    return llama2c_tokenizer.read(path) if path.suffix == ".bin" and path.is_file() else Tokenizer.load(path, trust)


def _from_timm(name: str, file: Path | None) -> Source:
    from zoo.pretrained import timm_hub
    from zoo.pretrained.convert import convert

    model: Any = convert(timm_hub.create(name, file))
    state, called = weights.tensors(model), f"timm's {name}"
    return Source(state, called, model.config, model.preprocess, model.classes, called, ours=True)


def _from_folder(where: Path, file: Path | None = None, base: str | None = None, trust: tuple[str, ...] = ()) -> Source:
    content, file = folder.describe(where), file or where / folder.WEIGHTS
    known = {key: content[key] for key in ("preprocess", "classes", "targets", "converted_from")}
    known |= {"config": content["model"], "described": repr(str(where / folder.CONFIG))}
    known["tokenizer"] = folder.read_tokenizer(where, content["tokenizer"], trust)
    record = folder.record(where, content, trust)
    if record is None:
        return Source(weights.clean(weights.read(file)), str(file), **known)
    _refuse_inner(base, where)
    held, own = adapter_files.read(record, where)
    called = repr(str(where / adapter_files.TENSORS))
    if base is None and record.base.source is None:
        state, place = weights.clean(weights.read(where / folder.WEIGHTS)), None
    else:
        state, place = _base(record.base, where, base, called, trust)
    joined = Joined(record, own, lambda model: adapter_files.parts(model, record, held, called), place, called)
    return Source(state, called, **known, adapter=joined)


def _base(base: Base, where: Path, given: str | None, called: str, trust: tuple[str, ...]) -> tuple[weights.State, str]:
    """The base's tensors, and where they lie."""
    places = [given] if given is not None else adapter_files.places(base, where)
    if not places:
        raise ZooError(
            f"{called} is an adapter of {base.name} (sha256 {base.hash[:12]}), which is not where it was ({base.source}); say "
            "where it is: zoo.load(..., base=<its folder>)."
        )
    return _opened(places[0], "", trust).state, places[0]


def _refuse_inner(base: str | None, where: Path) -> None:
    """A file that says what its base is cannot lead in a circle."""
    if base == "":
        raise ZooError(
            f"{str(where)!r} is the base of an adapter, and an adapter itself: merge that one first (zoo.merge)."
        )


def _from_file(path: Path) -> Source:
    state = weights.clean(weights.read(path))
    if "blocks.0.attn.qkv.weight" in state:
        raise ZooError(f"{str(path)!r} holds tensors under timm's names; take timm://<name of the model>@{path}.")
    return Source(state, str(path))


def _from_checkpoint(path: Path, base: str | None = None, trust: tuple[str, ...] = ()) -> Source:
    """Lightning's checkpoint of one of our runs: the task's `model` is the part that is wanted.

    How images were prepared and what classes are called stands in the run's model/, where that is there.
    """
    content, prefix = weights.read(path), "model."
    state, given = content.get("state_dict"), content.get("hyper_parameters", {})
    if not isinstance(state, dict):
        raise ZooError(
            f"{str(path)!r} is not a checkpoint of a run: it holds {', '.join(map(str, content))[:300] or 'nothing'}."
        )
    if not isinstance(given, dict):
        raise ZooError(f"{str(path)!r}: its hyper-parameters are a {type(given).__name__}, not those of a run.")
    state = {n.removeprefix(prefix): t for n, t in weights.clean(state).items() if n.startswith(prefix)}
    beside = path.absolute().parent.parent / "model"
    known = folder.describe(beside) if (beside / folder.CONFIG).is_file() else {}
    called = f"the model of {str(path)!r}"
    told: dict[str, Any] = {
        key: known[key] for key in ("preprocess", "classes", "targets", "converted_from") if key in known
    }
    told |= {"config": given.get("model"), "described": called}
    told["tokenizer"] = folder.read_tokenizer(beside, known.get("tokenizer"), trust)
    if not known:
        told["tokenizer"] = _tokenizer_in(content, path, trust)
    if content.get("adapter") is None:
        return Source(state, str(path), **told)
    _refuse_inner(base, path)
    record, held = from_plain(content["adapter"], called, trust), state
    parts = {name: tensor for name, tensor in held.items() if INSIDE in name}
    own = {name: tensor for name, tensor in held.items() if name in record.tensors}
    place = None
    if base is None and record.base.source is None:
        state = {name: tensor for name, tensor in held.items() if name not in parts}
    else:
        state, place = _base(record.base, path.absolute().parent, base, called, trust)
    joined = Joined(record, own, lambda model: parts, place, called)
    return Source(state, str(path), **told, adapter=joined)


def _tokenizer_in(content: Mapping[str, Any], path: Path, trust: tuple[str, ...]) -> Tokenizer | None:
    """The one that a checkpoint holds: of a run that did not finish, or a file that was copied alone."""
    kept, called = content.get("tokenizer"), f"the tokenizer of {str(path)!r}"
    if kept is None:
        return None
    if not isinstance(kept, dict) or not isinstance(kept.get("json"), str) or kept.get("roles") is None:
        raise ZooError(f"{called} is {one_line(kept, 80)}, no text and roles.")
    roles: Any = facts.roles(kept["roles"], called)
    return facts.with_kind(from_text(kept["json"], called, trust, **{role: roles.get(role) for role in ROLES}), roles)


def _timm_name(source: str) -> tuple[str, Path | None]:
    """timm://<name>@<file> -> name, file. An '@', since Hydra takes it without quotes."""
    name, _, file = source.removeprefix(TIMM).partition("@")
    return name, Path(file).expanduser() if file else None


def _beside(path: Path) -> bool:
    return (path.parent / folder.CONFIG).is_file()


def _unknown(source: str) -> str:
    kinds = (
        "a run folder, a model folder, a folder of the Hugging Face hub's form, a .safetensors or .ckpt file, a .bin of "
        "llama2.c's, timm://<name> or timm://<name>@<file>"
    )
    if Path(source).is_file():
        return f"{source} is a file of another kind than can be read here; give {kinds}."
    return f"init={source} is not there, or nothing to start from: give {kinds}."
