"""A model as another engine calls it: named tensors in, named tensors out, and which of their axes are open.

What a kind of model takes is said once, by a subclass of `Served`; inputs are drawn from a seed at any size, so that an export
can be compared with ours at sizes that it was not traced at (docs/criteria.md, B7).
"""

from collections.abc import Mapping, Sequence
from functools import singledispatch
from inspect import signature
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.models.base import ImageModel
from zoo.models.language.base import LanguageModel
from zoo.models.series.base import Forecaster

Tensors = dict[str, Any]  # name -> a tensor, or a list of them
Sizes = Mapping[str, int]  # what is counted -> how many

#: limits, traced and compared of what is open in its batch alone
BATCHES: Any = ({"batch": (1, None)}, {"batch": 2}, ({"batch": 1}, {"batch": 3}))


class Served(nn.Module):
    """The model with its inputs by name; `forward` takes them by keyword and gives a dict of tensors.

    Args:
        model: ours.
        axes: input -> what each of its axes counts, None where the model fixes the size; a list for a list of tensors.
        limits: what is counted -> (least, most); most None: any number.
        traced: sizes at which it is exported.
        compared: sizes at which the export is compared with ours.
    """

    def __init__(
        self,
        model: Any,
        axes: Mapping[str, Any],
        limits: Mapping[str, tuple[int, int | None]],
        traced: Sizes,
        compared: Sequence[Sizes],
    ):
        super().__init__()
        self.model, self.axes, self.limits, self.traced, self.compared = model, axes, limits, traced, compared

    def draw(self, sizes: Sizes, generator: torch.Generator) -> Tensors:
        """Inputs of these sizes."""
        raise NotImplementedError(f"{type(self).__name__} draws no inputs")


@singledispatch
def served(model: nn.Module) -> Served:
    """What of a model is exported; a class of one's own says it by `@served.register`.

    Raises: ZooError for a model of which nobody has said it.
    """
    raise ZooError(
        f"What a {type(model).__name__} takes and gives as a graph of tensors nobody has said: register it with "
        "zoo.exports.served (docs/export.md)."
    )


@served.register(ImageModel)
class Images(Served):
    """images [batch, C, H, W] -> logits [batch, classes]."""

    def __init__(self, model: ImageModel):
        super().__init__(model, {"images": ("batch", None, None, None)}, *BATCHES)

    def draw(self, sizes: Sizes, generator: torch.Generator) -> Tensors:
        config = settings(self.model)
        side = config["img_size"]
        height, width = (side, side) if isinstance(side, int) else side
        return {"images": torch.randn(sizes["batch"], config["in_chans"], height, width, generator=generator)}

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
        compared = [{"batch": b, "length": n} for b, n in product((1, 3), (min(4, most - 1), min(24, most)))]
        axes = {"ids": ("batch", "length"), "mask": ("batch", "length")}
        super().__init__(model, axes, limits, {"batch": 2, "length": min(7, most)}, compared)
        self.said = "logits" if model.num_classes or _has_vocabulary(model) else "hidden"

    def draw(self, sizes: Sizes, generator: torch.Generator) -> Tensors:
        rows, n = sizes["batch"], sizes["length"]
        ids = torch.randint(self.model.vocab_size, (rows, n), generator=generator)
        mask = torch.ones(rows, n, dtype=torch.bool)
        if n > 2:
            mask[1:2, :1], mask[2:3, -2:] = False, False  # one row is padded on the left, one on the right
        return {"ids": ids, "mask": mask}

    def forward(self, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
        return {self.said: self.model(ids, mask)}


def _has_vocabulary(model: Any) -> bool:
    """Whether the head is one over the vocabulary."""
    if getattr(model, "token_head", None) is not None:
        return True
    return getattr(model.head, "out_features", None) == model.vocab_size


@served.register(Forecaster)
class Windows(Served):
    """past_values [batch, L, C], and the calendar and columns that the model reads -> what its `Forecast` holds.

    Windows are whole: fill gaps before. `mean` is the forecast; `quantiles`, `loc`, `scale` and `params_<i>` are there where
    the model's head gives them.
    """

    def __init__(self, model: Forecaster):
        super().__init__(model, {}, *BATCHES)
        if not model.forecasts:
            raise ZooError(
                "This model fills in hidden patches and forecasts nothing, so there is nothing to serve: "
                "fine-tune it first (init=)."
            )
        drawn = self.draw({"batch": 1}, torch.Generator())
        self.axes = {name: ("batch", *[None] * (tensor.ndim - 1)) for name, tensor in drawn.items()}

    def draw(self, sizes: Sizes, generator: torch.Generator) -> Tensors:
        config, rows = settings(self.model), sizes["batch"]
        past, future = self.model.lookback, self.model.horizon

        def normal(*shape: int) -> Tensor:
            return torch.randn(rows, *shape, generator=generator)

        found = {"past_values": normal(past, self.model.channels)}
        if calendar := config.get("time_features"):
            found |= {"past_time_features": normal(past, calendar), "future_time_features": normal(future, calendar)}
        if columns := config.get("past_covariates"):
            found["past_covariates"] = normal(past, columns)
        if columns := config.get("future_covariates"):
            found["future_covariates"] = normal(past + future, columns)
        if texts := config.get("static_categories"):
            drawn = [torch.randint(count, (rows,), generator=generator) for count in texts]
            found["static_categorical_features"] = torch.stack(drawn, 1)
        if columns := config.get("static_reals"):
            found["static_real_features"] = normal(columns)
        return found

    def forward(
        self,
        past_values: Tensor,
        past_time_features: Tensor | None = None,
        future_time_features: Tensor | None = None,
        past_covariates: Tensor | None = None,
        future_covariates: Tensor | None = None,
        static_categorical_features: Tensor | None = None,
        static_real_features: Tensor | None = None,
    ) -> dict[str, Tensor]:
        said = self.model(
            past_values,
            past_time_features,
            future_time_features,
            None,
            past_covariates,
            future_covariates,
            static_categorical_features,
            static_real_features,
        )
        params = {f"params_{i}": each for i, each in enumerate(said.params or ())}
        named = {"mean": said.mean, "quantiles": said.quantiles, "loc": said.loc, "scale": said.scale, **params}
        return {name: tensor for name, tensor in named.items() if tensor is not None}


def settings(model: Any) -> dict[str, Any]:
    """A model's settings with the defaults of its class, by their names."""
    defaults = {name: each.default for name, each in signature(type(model)).parameters.items()}
    return {**defaults, **(model.config or {})}
