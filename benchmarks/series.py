"""The same work for zoo and for transformers: forecasters with the same weights, and the calls that are timed."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import zoo
from benchmarks.timing import finished
from zoo.models import Model

Call = Callable[[], Any]
CHANNELS, HORIZON, BATCH = 7, 96, {"patchtst": 128, "informer": 16}
#: How far apart gradients may be, as a share of the largest; outputs: 1e-4, relative above 1 (`zoo.convert`).
TOLERANCE = 1e-3


def patchtst(dropout: float = 0.0, **sizes: int) -> Any:
    """transformers' PatchTST/42 of ETTh1 with random weights. (It pads no end: 41 patches.)"""
    from transformers import PatchTSTConfig, PatchTSTForPrediction

    torch.manual_seed(0)
    published = dict(
        context_length=336, patch_length=16, patch_stride=8, d_model=16, num_attention_heads=4, ffn_dim=128
    )
    published |= dict(num_hidden_layers=3, num_input_channels=CHANNELS, prediction_length=HORIZON)
    rates = dict.fromkeys(("attention_dropout", "positional_dropout", "path_dropout", "ff_dropout"), dropout)
    how = dict(norm_type="batchnorm", pre_norm=False, pooling_type=None, positional_encoding_type="random", loss="mse")
    return PatchTSTForPrediction(PatchTSTConfig(**{**published, **sizes}, **rates, **how))


def informer(length: int, factor: int = 5, **sizes: int) -> Any:
    """transformers' Informer with random weights, `length` steps in and out, nothing dropped out.

    Args:
        factor: of ProbSparse; one at which every query is answered leaves nothing to chance.
    """
    from transformers import InformerConfig, InformerForPrediction

    torch.manual_seed(0)
    ours = dict(d_model=128, encoder_ffn_dim=512, decoder_ffn_dim=512, encoder_layers=2, decoder_layers=1)
    ours |= dict(encoder_attention_heads=8, decoder_attention_heads=8, input_size=CHANNELS, num_time_features=4)
    rates = ("dropout", "encoder_layerdrop", "decoder_layerdrop", "attention_dropout", "activation_dropout")
    how = dict(context_length=length, prediction_length=length, sampling_factor=factor, lags_sequence=[1])
    config = InformerConfig(**{**ours, **sizes}, **dict.fromkeys(rates, 0.0), **how)
    return InformerForPrediction(config)


def windows(batch: int, model: Any) -> dict[str, Tensor]:
    """Random windows of the size that a model of transformers takes, as keyword arguments; and what follows them."""
    config, draw = model.config, torch.Generator().manual_seed(1)
    if config.model_type == "patchtst":
        size = config.num_input_channels
        past = torch.randn(batch, config.context_length, size, generator=draw)
        return {
            "past_values": past,
            "future_values": torch.randn(batch, config.prediction_length, size, generator=draw),
        }
    before, after = config.context_length + max(config.lags_sequence), config.prediction_length
    past, future = (torch.randn(batch, n, config.input_size, generator=draw) for n in (before, after))
    clock = [torch.rand(batch, n, config.num_time_features, generator=draw) - 0.5 for n in (before, after)]
    return {
        "past_values": past, "past_time_features": clock[0], "past_observed_mask": torch.ones_like(past),
        "future_values": future, "future_time_features": clock[1],
    }  # fmt: skip


def said(model: nn.Module, given: dict[str, Tensor]) -> tuple[Tensor, ...]:
    """What a model of either side forecasts: the mean, or a distribution's parameters; of theirs without its loss."""
    if isinstance(model, Model):
        known = given if hasattr(model, "generate") else {"past_values": given["past_values"]}
        out = model(**known)
        return (out.mean,) if out.params is None else tuple(out.params)
    if model.config.model_type == "patchtst":
        return (model(past_values=given["past_values"]).prediction_outputs,)
    return model.output_params(model.model(**given)[0])


def loss_of(found: tuple[Tensor, ...], target: Tensor) -> Tensor:
    """The mean square error, of every tensor that is found: the same work on both sides."""
    return torch.stack([F.mse_loss(each, target) for each in found]).sum()


def training_step(model: nn.Module, given: dict[str, Tensor], mode: str = "eager", learns: bool = True) -> Call:
    """Forward, mean square error, backward, gradients to None; with `learns` Adam in between, at a tiny rate."""
    optimizer = torch.optim.Adam(model.parameters(), 1e-9)
    call_model = torch.compile(said, dynamic=False) if mode == "compiled" else said
    model.train()

    def call() -> None:
        loss = loss_of(call_model(model, given), given["future_values"])
        loss.backward()
        if learns:
            optimizer.step()
        optimizer.zero_grad()
        finished(loss)

    return call


def trio(make: Callable[[], Any], batch: int) -> tuple[dict[str, nn.Module], dict[str, Tensor]]:
    """transformers' model, a second copy of it, and ours with the same weights; windows for them."""
    theirs = make()
    models = {"zoo": zoo.convert(theirs), "hf": theirs, "copy": copy.deepcopy(theirs)}
    return models, windows(batch, theirs)


def agree(models: dict[str, nn.Module], given: dict[str, Tensor]) -> dict[str, float]:
    """Raise AssertionError where ours says other things than theirs in eval mode, or learns other things in training with all
    rates 0; else how far they are apart: outputs relative above 1, gradients as a share of the largest number."""
    found = {}
    for name in ("zoo", "hf"):
        model, past = models[name], given["past_values"].clone().requires_grad_()
        with torch.no_grad():
            out = said(model.eval(), given)
        still = {module: module.p for module in model.modules() if isinstance(module, nn.Dropout)}
        for module in still:
            module.p = 0.0
        rates = {
            module: module.dropout for module in model.modules() if isinstance(getattr(module, "dropout", None), float)
        }
        for module in rates:
            module.dropout = 0.0
        before = copy.deepcopy(model.state_dict())
        loss_of(said(model.train(), {**given, "past_values": past}), given["future_values"]).backward()
        model.load_state_dict(before)  # batch norm has counted
        norms = sum(each.grad.double().square().sum() for each in model.parameters() if each.grad is not None)
        model.zero_grad()
        for module, rate in still.items():
            module.p = rate
        for module, rate in rates.items():
            module.dropout = rate
        found[name] = (out, past.grad, norms.sqrt())
    outs = [(a - b).abs() / b.abs().clamp(min=1) for a, b in zip(found["zoo"][0], found["hf"][0], strict=True)]
    apart = {
        "outputs": max(each.max().item() for each in outs),
        "gradient_of_input": ((found["zoo"][1] - found["hf"][1]).abs().max() / found["hf"][1].abs().max()).item(),
        "norm_of_gradients": (found["zoo"][2] / found["hf"][2] - 1).abs().item(),
    }
    assert apart["outputs"] <= 1e-4 and max(apart.values()) <= TOLERANCE, apart
    return apart


def noise(model: nn.Module, given: dict[str, Tensor]) -> float:
    """How much two training passes on the same windows differ: the deviation that dropout brings."""
    with torch.no_grad():
        before = copy.deepcopy(model.state_dict())
        one, two = (torch.stack(said(model.train(), given)) for _ in range(2))
        model.load_state_dict(before)
    return (one - two).std().item() / 2**0.5
