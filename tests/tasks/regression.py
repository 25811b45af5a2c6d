"""A task of one's own, whole: the regression of one number, or of several, a row (docs/extend.md)."""

from torch.nn import functional as F

from zoo.tasks.task import Task
from zoo.tasks.totals import Step


class Regression(Task):
    """Minimise the mean squared error."""

    learns = ("numbers",)
    monitor, mode = "mae", "min"

    def step(self, batch, stage):
        outputs, targets = self(*self.model.inputs(batch)), batch[1]
        return Step(F.mse_loss(outputs, targets), len(targets), outputs, targets)

    def metrics(self, stage):
        return {"mae": lambda outputs, targets: (outputs - targets).abs()}
