"""The name under which checkpoints of earlier versions know `Classification`."""

from zoo.tasks.classification import Classification as GraphClassification

__all__ = ["GraphClassification"]
