"""Models: one file a family; `registry.py` names them."""

from zoo.models.base import Model
from zoo.models.factory import build_model, create_model, list_models
from zoo.preprocess import Preprocess

__all__ = ["Model", "Preprocess", "build_model", "create_model", "list_models"]
