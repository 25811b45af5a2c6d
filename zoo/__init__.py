"""attention-zoo: one attention core under models of images, graphs and text.

    import zoo
    model = zoo.create_model("vit_tiny_patch16_224", num_classes=10)
    model = zoo.load("runs/...")

Everything is imported on first use, so that `import zoo` costs nothing.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_WHERE = {
    "adapt": ("zoo.adapters", "adapt"),
    "build": ("zoo.models", "build_model"),
    "create_model": ("zoo.api", "create_model"),
    "export": ("zoo.exports", "export"),
    "info": ("zoo.catalog", "info"),
    "list_models": ("zoo.api", "list_models"),
    "list_pretrained": ("zoo.catalog", "list_pretrained"),
    "load": ("zoo.pretrained", "load"),
    "load_adapter": ("zoo.pretrained", "load_adapter"),
    "merge": ("zoo.adapters", "merge"),
    "save": ("zoo.pretrained", "save"),
    "save_adapter": ("zoo.pretrained", "save_adapter"),
    "convert": ("zoo.pretrained", "convert"),
    "generate": ("zoo.generation", "text"),
    "translate": ("zoo.generation", "translate"),
    "quantize": ("zoo.layers.quantized", "quantize"),
    "ZooError": ("zoo.errors", "ZooError"),
}
__all__ = [
    "ZooError", "adapt", "build", "convert", "create_model", "export", "generate", "info", "list_models", "list_pretrained",
    "load", "load_adapter", "merge", "quantize", "save", "save_adapter",
    "translate",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        module, attribute = _WHERE[name]
        return getattr(import_module(module), attribute)
    raise AttributeError(f"module 'zoo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
