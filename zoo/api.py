"""Models by name: one name space for `zoo.create_model`, `python train.py model=` and `python -m zoo list`.

A name is a file of conf/model, whose sizes the data decides (vit, gat), one of zoo/models/registry.py, whose sizes are known
(vit_tiny_patch16_224), or one of a zoo, which comes with weights (gat.cora; zoo.list_pretrained).
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from inspect import signature
from typing import Any

from torch import nn

from zoo import catalog, conf
from zoo.errors import ZooError, nearest


def create_model(name: str, *, pretrained: bool | str = False, trust: Sequence[str] = (), **changes: Any) -> nn.Module:
    """A model by name: `create_model("vit_tiny_patch16_224", num_classes=10, img_size=32, in_chans=1)`.

    Args:
        name: one of `list_models()`, or of `list_pretrained()`: that one is built untrained.
        pretrained: True for the weights of that name (of a zoo's its own, else timm's from timm's hub), or what `init=` takes:
            a name of a zoo, an address, a run or model folder, a file. Tensors are adapted to the sizes asked for.
        trust: packages of your own that the config in `pretrained` may name, see `zoo.load`.
        changes: arguments of the model that differ from the name's; the sizes, where it leaves them to the data.

    Raises:
        ZooError: unknown name or argument (the nearest is named), or a size that is not known.
    """
    if catalog.is_name(name):
        return _of_zoo(name, name if pretrained is True else pretrained, trust, changes)
    from zoo.models import build_model
    from zoo.models.fit import complete

    source = f"timm://{name}" if pretrained is True else pretrained
    config = {**config_of(name), **changes}
    if not source or not _has_config(source):
        config = complete(config, lambda missing: f"{name} leaves {missing} to the data; give it.")
    if source:
        return _started(config, source, trust, changes)
    from zoo.config import check

    check(config)
    return build_model(config)


def _has_config(source: str) -> bool:
    from zoo.pretrained.sources import has_config

    return has_config(source)


def _of_zoo(name: str, pretrained: bool | str, trust: Sequence[str], changes: dict[str, Any]) -> nn.Module:
    """As `create_model`, of a name of a zoo."""
    from zoo.pretrained import described, untrained

    if not catalog.list_pretrained(name):
        raise ZooError(f"{name!r} is not a model; {nearest(name, [*list_models(), *catalog.list_pretrained()])}")
    if not pretrained:
        return untrained(name, changes, trust)
    config, _ = described(name)
    return _started({**config, **changes}, str(pretrained), trust, changes)


def _started(config: dict[str, Any], source: str, trust: Sequence[str], changes: dict[str, Any]) -> nn.Module:
    """The model with the weights of a source, adapted to the sizes among the changes; others must be the source's own."""
    from zoo.pretrained.initialise import FACTS, OF_SERIES, initialise

    facts = {key: value for key, value in changes.items() if key in (*FACTS, *OF_SERIES)}
    model, _ = initialise(config, source, facts, trust)
    takes = signature(type(model)).parameters
    if unknown := next((key for key in changes if key not in takes), None):
        raise ZooError(f"{type(model).__name__} takes no {unknown!r}; {nearest(unknown, takes)}")
    made: Any = model.config
    stuck = {key: value for key, value in changes.items() if made.get(key, value) != value}
    if stuck:
        raise ZooError(
            f"{source} comes with its own architecture: {stuck} cannot be changed. Leave it out, or train anew."
        )
    return model


def list_models(pattern: str = "*") -> list[str]:
    """Names that match a shell pattern: `list_models("vit*")`."""
    from zoo.models.registry import CONFIGS

    return sorted(name for name in {*CONFIGS, *conf.options("model")} if fnmatchcase(name, pattern))


def config_of(name: str) -> dict[str, Any]:
    """What a name stands for: a model's config, null where the data decides.

    Raises: ZooError for a name that is none (the nearest is named).
    """
    from zoo.config import plain
    from zoo.models.registry import CONFIGS

    if name in CONFIGS:
        return dict(CONFIGS[name])
    if name not in conf.options("model"):
        raise ZooError(f"{name!r} is not a model; {nearest(name, [*list_models(), *catalog.list_pretrained()])}")
    return plain(conf.compose_train([f"model={name}"]).model)
