"""The name under which configs of earlier versions know `zoo.models.graph.gat`."""

from zoo.models.graph.gat import GAT

__all__ = ["GAT"]
