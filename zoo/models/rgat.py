"""The name under which configs of earlier versions know `zoo.models.graph.rgat`."""

from zoo.models.graph.rgat import RGAT

__all__ = ["RGAT"]
