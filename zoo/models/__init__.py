"""Models: a room a modality, a file a family; base.py is what all say of themselves, fit.py fits them to data."""

from typing import Any

from zoo.models.base import GraphModel, ImageModel, Model
from zoo.models.factory import build_model
from zoo.preprocess import Preprocess

__all__ = ["GraphModel", "ImageModel", "Model", "Preprocess", "build_model", "create_model", "list_models"]


def __getattr__(name: str) -> Any:
    if name in ("create_model", "list_models"):  # where they were; they know conf/ and pretrained, which models do not
        import zoo

        return getattr(zoo, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
