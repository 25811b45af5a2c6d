"""From a name or a config to a model."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from zoo.errors import ZooError, nearest
from zoo.models.registry import CONFIGS


def build_model(config: dict[str, Any]) -> nn.Module:
    """Build a model from a plain config with a `_target_`; the model keeps it as `model.config`, to be built again."""
    from zoo.config import instantiate

    return with_config(instantiate(config), config)


def with_config(model: Any, config: dict[str, Any]) -> nn.Module:
    """The model, which carries from now on the config that it was built from, and what else `zoo.save` asks of it."""
    model.config = config
    return model


def create_model(name: str, *, pretrained: bool | str = False, trust: Sequence[str] = (), **changes: Any) -> nn.Module:
    """A model by name: `create_model("vit_tiny_patch16_224", num_classes=10, img_size=32, in_chans=1)`.

    Args:
        name: one of `list_models()`.
        pretrained: True for timm's weights of that name (from timm's hub), or what `init=` takes: a
            "timm://name.tag", a run folder, a safetensors file. Tensors are adapted to the sizes asked for.
        trust: packages of your own that the config in `pretrained` may name, see `zoo.load`.
        changes: arguments of the model that differ from the name's.

    Raises:
        ZooError: unknown name or argument (the nearest is named).
    """
    if name not in CONFIGS:
        raise ZooError(f"Unknown model {name!r}: {nearest(name, CONFIGS)}")
    config = {**CONFIGS[name], **changes}
    if not pretrained:
        from zoo.config import check

        check(config)
        return build_model(config)
    from zoo.pretrained import initialise

    source = f"timm://{name}" if pretrained is True else pretrained
    facts = {key: value for key, value in changes.items() if key in ("num_classes", "img_size", "in_chans")}
    model, _ = initialise(config, source, facts, trust)
    made: Any = model.config
    stuck = {key: value for key, value in changes.items() if made.get(key, value) != value}
    if stuck:
        raise ZooError(
            f"{source} comes with its own architecture: {stuck} cannot be changed. Leave it out, or train anew."
        )
    return model


def list_models(pattern: str = "*") -> list[str]:
    """Names that match a shell pattern: `list_models("vit*")`."""
    return sorted(name for name in CONFIGS if fnmatchcase(name, pattern))
