"""What the data decide about a model and its task."""

from collections.abc import Mapping
from typing import Any

from zoo.attention.parts import build
from zoo.config import argument_types, instantiate, locate
from zoo.errors import ZooError
from zoo.models.base import Model
from zoo.preprocess import Preprocess


def ask_for_positions(data: Any, model: Mapping[str, Any]) -> None:
    """Let graph data compute what the model's position reads (Laplacian eigenvectors, ...) before they are set up."""
    node: Any = model.get("position")
    if not _is_target(node) or not hasattr(locate(node["_target_"]), "wants"):
        return
    wants = build(instantiate(node), dim=1, num_heads=1).wants
    if not hasattr(data, "use_positions"):
        raise ZooError(f"{node['_target_']} is a position of graphs, and {type(data).__name__} holds none.")
    data.use_positions(wants)


def fill(node: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """A config with what the data decide (number of classes, image size, width of features) in place of its nulls, and
    what the model itself decides by these."""
    filled = {key: facts[key] if value is None and key in facts else value for key, value in node.items()}
    kind = locate(node["_target_"]) if "_target_" in node else None
    return kind.complete(filled) if isinstance(kind, type) and issubclass(kind, Model) else filled


def check_filled(part: str, node: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Refuse a null where a value must stand: the data did not say, so they are of another kind than the model reads."""
    hints = argument_types(locate(node["_target_"]))
    missing = [key for key, value in node.items() if value is None and key in hints and type(None) not in hints[key]]
    if missing:
        raise ZooError(
            f"{part}.{', '.join(missing)} must be known, and these data say only {', '.join(facts)}: "
            f"{node['_target_'].rpartition('.')[2]} reads data of another kind. Take other data=, or set it."
        )


def label(model: Model, data: Any) -> None:
    """Let the model know how its inputs were prepared and what its outputs are called; both are saved with it."""
    prepared = getattr(data, "preprocess", None)
    model.preprocess, model.classes = Preprocess(**prepared) if prepared else None, tuple(data.classes)


def _is_target(node: Any) -> bool:
    return isinstance(node, Mapping) and "_target_" in node
