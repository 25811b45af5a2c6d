"""A model as another engine calls it: named tensors in, named tensors out, and which of their axes are open.

What a kind of model takes is said once, by a subclass of `Served`. Its inputs are the model's own `example`
(zoo.models.examples), drawn at other sizes than the traced ones to compare an export with ours (docs/criteria.md, B7).
"""

from collections.abc import Mapping, Sequence
from functools import singledispatch
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.models.base import ImageModel
from zoo.models.examples import Draw
from zoo.models.language.base import LanguageModel
from zoo.models.pairs.base import PairModel
from zoo.models.series.base import INPUTS, Forecaster

Tensors = dict[str, Any]  # name -> a tensor, or a list of them
Sizes = Mapping[str, int]  # settings of `zoo.models.examples.Draw`
Limits = Mapping[str, tuple[int, int | None]]

#: limits, traced and compared of what is open in its batch alone
BATCHES: Any = ({"batch": (1, None)}, {"rows": 2}, ({"rows": 1}, {"rows": 3}))


class Served(nn.Module):
    """The model with its inputs by name; `forward` takes them by keyword and gives a dict of tensors.

    Args:
        model: ours.
        axes: input -> what each of its axes counts, None where the model fixes the size; a list for a list of tensors.
        limits: what is counted -> (least, most); most None: any number.
        traced: sizes at which it is exported.
        compared: sizes at which the export is compared with ours.
    """

    def __init__(self, model: Any, axes: Mapping[str, Any], limits: Limits, traced: Sizes, compared: Sequence[Sizes]):
        super().__init__()
        self.model, self.axes, self.limits, self.traced, self.compared = model, axes, limits, traced, compared

    def draw(self, sizes: Sizes, seed: int = 0) -> Tensors:
        """Inputs of these sizes, the same for a seed."""
        return self.named(self.model.example(Draw(seed, **sizes)))

    def named(self, batch: Any) -> Tensors:
        """Inputs by name, of a batch as the model's `inputs` takes it."""
        raise NotImplementedError(f"{type(self).__name__} names no inputs")

    def counted(self, inputs: Tensors) -> dict[str, int]:
        """How many there are of what is counted."""
        pairs = [
            pair
            for name, axes in self.axes.items()
            for pair in (zip(axes, inputs[name], strict=True) if isinstance(axes, list) else [(axes, inputs[name])])
        ]
        return {name: size for axes, each in pairs for name, size in zip(axes, each.shape, strict=True) if name}


@singledispatch
def served(model: nn.Module) -> Served:
    """What of a model is exported; a class of one's own says it by `@served.register`.

    Raises: ZooError for a model of which nobody has said it.
    """
    raise ZooError(
        f"What a {type(model).__name__} takes and gives as a graph of tensors nobody has said: register it with "
        "zoo.exports.served (docs/export.md)."
    )


@served.register(PairModel)
def _pairs(model: PairModel) -> Served:
    raise ZooError(
        f"A {type(model).__name__} says a target token by token, each from those before it, which is no one graph of tensors: "
        "models of pairs are not exported. zoo.load(folder) and zoo.translate take the folder as it is."
    )


@served.register(ImageModel)
class Images(Served):
    """images [batch, C, H, W] -> logits [batch, classes]."""

    def __init__(self, model: ImageModel):
        super().__init__(model, {"images": ("batch", None, None, None)}, *BATCHES)

    def named(self, batch: Any) -> Tensors:
        return {"images": batch[0]}

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"logits": self.model(images)}


@served.register(LanguageModel)
class Text(Served):
    """ids and mask [batch, length] -> logits of each token, or of each row where there is a classifier.

    mask is True where a token stands; padding is left or right of a row's tokens. Logits of padding mean nothing.
    """

    def __init__(self, model: LanguageModel):
        most = model.context
        if most < 2:
            raise ZooError(f"context={most}: a text of one token has no length to leave open.")
        limits = {"batch": (1, None), "length": (1, most)}
        compared = [{"rows": rows, "tokens": n} for rows, n in product((1, 3), (min(4, most - 1), min(24, most)))]
        axes = {"ids": ("batch", "length"), "mask": ("batch", "length")}
        super().__init__(model, axes, limits, {"rows": 2, "tokens": min(7, most)}, compared)
        vocabulary = getattr(model, "token_head", None) is not None
        vocabulary |= getattr(model.head, "out_features", None) == model.vocab_size
        self.said = "logits" if model.num_classes or vocabulary else "hidden"

    def named(self, batch: Any) -> Tensors:
        mask = torch.ones_like(batch.ids, dtype=torch.bool)
        if mask.shape[1] > 2:
            mask[1:2, :1], mask[2:3, -2:] = False, False  # one row is padded on the left, one on the right
        return {"ids": batch.ids, "mask": mask}

    def forward(self, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
        return {self.said: self.model(ids, mask)}


@served.register(Forecaster)
class Windows(Served):
    """past_values [batch, L, C], which of them were observed, and what else the model reads -> what its `Forecast` holds.

    `mean` is the forecast; `quantiles`, `loc`, `scale` and `params_<i>` are there where the model's head gives them.
    """

    def __init__(self, model: Forecaster):
        if not model.forecasts:
            raise ZooError(
                "This model fills in hidden patches and forecasts nothing, so there is nothing to serve: fine-tune it "
                "first (init=)."
            )
        example = self.named(model.example(Draw(rows=1)))
        axes = {name: ("batch", *[None] * (tensor.ndim - 1)) for name, tensor in example.items()}
        super().__init__(model, axes, *BATCHES)

    def named(self, batch: Any) -> Tensors:
        return {name: batch[name] for name in INPUTS if name in batch}

    def forward(
        self,
        past_values: Tensor,
        past_time_features: Tensor | None = None,
        future_time_features: Tensor | None = None,
        past_observed_mask: Tensor | None = None,
        past_covariates: Tensor | None = None,
        future_covariates: Tensor | None = None,
        static_categorical_features: Tensor | None = None,
        static_real_features: Tensor | None = None,
    ) -> dict[str, Tensor]:
        columns = (past_covariates, future_covariates, static_categorical_features, static_real_features)
        said = self.model(past_values, past_time_features, future_time_features, past_observed_mask, *columns)
        params = {f"params_{i}": each for i, each in enumerate(said.params or ())}
        named = {"mean": said.mean, "quantiles": said.quantiles, "loc": said.loc, "scale": said.scale, **params}
        return {name: tensor for name, tensor in named.items() if tensor is not None}
