"""Models: one file a family; `registry.py` names them."""

from zoo.models.base import GraphModel, ImageModel, Model
from zoo.models.factory import build_model, create_model, list_models
from zoo.preprocess import Preprocess

__all__ = ["GraphModel", "ImageModel", "Model", "Preprocess", "build_model", "create_model", "list_models"]
