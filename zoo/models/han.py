"""The name under which configs of earlier versions know `zoo.models.graph.han`."""

from zoo.models.graph.han import HAN

__all__ = ["HAN"]
