"""From a config to a model."""

from typing import Any

from torch import nn

from zoo.config import instantiate


def build_model(config: dict[str, Any]) -> nn.Module:
    """Build a model from a plain config with a `_target_`; the model keeps it as `model.config`, to be built again."""
    return with_config(instantiate(config), config)


def with_config(model: Any, config: dict[str, Any]) -> nn.Module:
    """The model, which carries from now on the config that it was built from, and what else `zoo.save` asks of it."""
    model.config = config
    return model
