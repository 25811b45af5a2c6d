"""A task of one's own, whole: the regression of one number, or of several, of images, nodes or graphs (docs/extend.md)."""

from torch.nn import functional as F

from zoo.tasks import Step, Task, labelled


class Regression(Task):
    """Minimise the mean squared error."""

    learns = ("numbers",)
    monitor, mode = "mae", "min"

    def step(self, batch, stage):
        targets, rows = labelled(batch, stage)
        outputs = self(*self.model.inputs(batch))
        if rows is not None:  # of a graph, those of this stage
            outputs, targets = outputs[rows], targets[rows]
        return Step(F.mse_loss(outputs, targets), len(targets), outputs, targets)

    def metrics(self, stage):
        return {"mae": lambda outputs, targets: (outputs - targets).abs()}
