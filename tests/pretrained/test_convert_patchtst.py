"""zoo.convert: transformers' PatchTST gives the same forecasts and fills in the same patches, or is refused.

max |difference| <= 1e-4, relative above 1, in float32, eval, random weights.
"""

import random

import pytest
import torch
from torch import nn
from transformers import PatchTSTConfig, PatchTSTForPrediction, PatchTSTForPretraining

import zoo
from zoo.errors import ZooError
from zoo.models.series.heads import LEVELS

SIZES = dict(
    num_input_channels=3, context_length=37, prediction_length=5, patch_length=8, patch_stride=4, d_model=16,
    num_attention_heads=2, ffn_dim=24, num_hidden_layers=2,
)  # fmt: skip
SHARED = {
    "": {},
    "one channel": dict(num_input_channels=1),
    "one head": dict(num_attention_heads=1),
    "one layer": dict(num_hidden_layers=1),
    "layer norm": dict(norm_type="layernorm"),
    "batch norm, other eps": dict(norm_eps=0.1),
    "layer norm, other eps": dict(norm_type="layernorm", norm_eps=0.1),
    "post-norm": dict(pre_norm=False),
    "post-norm, layer norm": dict(pre_norm=False, norm_type="layernorm"),
    "random positions": dict(positional_encoding_type="random"),
    "an embedding each": dict(share_embedding=False),
    "a class token": dict(use_cls_token=True),
    "a class token, random positions": dict(use_cls_token=True, positional_encoding_type="random"),
    "channel attention": dict(channel_attention=True),
    "channel attention, post-norm, a class token": dict(channel_attention=True, pre_norm=False, use_cls_token=True),
    "channel attention of one channel": dict(channel_attention=True, num_input_channels=1),
    "scaled by the mean": dict(scaling="mean"),
    "scaled, true": dict(scaling=True),
    "not scaled": dict(scaling=None),
    "not scaled, false": dict(scaling=False),
    "no biases inside": dict(bias=False),
    "patches that divide": dict(context_length=40, patch_stride=8),
    "patches far apart": dict(patch_stride=11),
    "patches of one": dict(patch_length=1, patch_stride=1, context_length=9),
    "rates": dict(path_dropout=0.1, ff_dropout=0.2, attention_dropout=0.3, positional_dropout=0.4, head_dropout=0.5),
    **{
        name: dict(activation_function=name)
        for name in (
            "relu",
            "gelu_new",
            "gelu_accurate",
            "gelu_pytorch_tanh",
            "quick_gelu",
            "silu",
            "tanh",
            "sigmoid",
            "mish",
        )
    },
    **{
        name: dict(activation_function=name)
        for name in (
            "relu2",
            "laplace",
            "sqrtsoftplus",
            "hardswish",
            "linear",
            "leaky_relu",
            "relu6",
            "gelu_fast",
            "swish",
        )
    },
}
FORECASTS = {
    **SHARED,
    "max": dict(pooling_type="max"),
    "all patches": dict(pooling_type=None),
    "all patches, channel attention": dict(pooling_type=None, channel_attention=True),
    "one step": dict(prediction_length=1),
    **{
        f"{name}, {pool}": dict(loss="nll", distribution_output=name, pooling_type=pool)
        for name in ("student_t", "normal", "negative_binomial")
        for pool in ("mean", None)
    },
    "normal, not scaled": dict(loss="nll", distribution_output="normal", scaling=None),
}
MASKED = {
    **SHARED,
    "same in all channels": dict(channel_consistent_masking=True),
    "another value": dict(mask_value=3),
    "shown channels": dict(unmasked_channel_indices=[0, 2]),
}


def make(kind, **options):
    """A model with random weights and statistics."""
    torch.manual_seed(0)
    model = kind(PatchTSTConfig(**{**SIZES, **options}))
    for p in model.parameters():
        if p.requires_grad:
            nn.init.normal_(p, std=0.3)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return model.eval()


def windows(model, gaps=True):
    """Three windows; of the second a channel is not observed at all."""
    torch.manual_seed(1)
    shape = (3, model.config.context_length, model.config.num_input_channels)
    observed = torch.rand(shape) > (0.3 if gaps else -1)
    if gaps:
        observed[1, :, -1] = False
    return (torch.randn(shape) * 3 + 4) * observed, observed


def assert_same(ours, theirs):
    assert ((ours - theirs).abs() <= 1e-4 * theirs.abs().clamp(min=1)).all()


@torch.no_grad()
def assert_same_forecasts(theirs, ours, gaps):
    x, observed = windows(theirs, gaps)
    mask = observed if gaps else None
    out, forecast = theirs(x, past_observed_mask=mask), ours(x, past_observed_mask=mask)
    if isinstance(out.prediction_outputs, tuple):
        assert len(out.prediction_outputs) == len(forecast.params)
        for a, b in zip(forecast.params, out.prediction_outputs, strict=True):
            assert_same(a, b)
    else:
        assert forecast.params is None
        assert_same(forecast.mean, out.prediction_outputs)
    if forecast.loc is not None:
        assert_same(forecast.loc, out.loc)
        assert_same(forecast.scale, out.scale)


@pytest.mark.parametrize("name", FORECASTS)
def test_the_same_forecasts(name):
    theirs = make(PatchTSTForPrediction, **FORECASTS[name])
    ours = zoo.convert(theirs)
    for gaps in (False, True):
        assert_same_forecasts(theirs, ours, gaps)


CHOICES = dict(
    norm_type=["batchnorm", "layernorm"], pre_norm=[True, False], positional_encoding_type=["random", "sincos"],
    share_embedding=[True, False], use_cls_token=[True, False], channel_attention=[True, False],
    scaling=["std", "mean", None], pooling_type=["mean", "max", None], loss=["mse", "nll"], bias=[True, False],
    activation_function=["gelu", "relu"], distribution_output=["student_t", "normal", "negative_binomial"],
    num_input_channels=[1, 2], patch_stride=[3, 8], mask_type=["random", "forecast"],
)  # fmt: skip


@pytest.mark.parametrize("seed", range(24))
def test_options_together(seed):
    """Any set of options: forecasts, and patches filled in."""
    draw = random.Random(seed)
    options = {key: draw.choice(values) for key, values in CHOICES.items()}
    theirs = make(PatchTSTForPrediction, **options)
    assert_same_forecasts(theirs, zoo.convert(theirs), gaps=bool(seed % 2))
    masked = make(PatchTSTForPretraining, **options)
    assert_same_patches(masked, zoo.convert(masked), gaps=bool(seed % 2))


@torch.no_grad()
def assert_same_patches(theirs, ours, gaps=False):
    """Their draw, given to ours."""
    x, observed = windows(theirs, gaps)
    drawn = []
    handle = theirs.model.masking.register_forward_hook(lambda module, given, out: drawn.append(out[1]))
    out = theirs(x, past_observed_mask=observed)
    handle.remove()
    filled = ours.reconstruct(x, observed, drawn[0])
    assert_same(filled.out, out.prediction_output)
    assert torch.equal(filled.out, ours(x, past_observed_mask=observed, mask=drawn[0]))
    loss = ((filled.out - filled.patches).square().mean(-1) * drawn[0]).sum() / (drawn[0].sum() + 1e-10)
    assert_same(loss, out.loss)


@pytest.mark.parametrize("name", MASKED)
def test_the_same_patches_filled_in(name):
    theirs = make(PatchTSTForPretraining, **MASKED[name])
    assert_same_patches(theirs, zoo.convert(theirs))


@torch.no_grad()
@pytest.mark.parametrize("count", [1, 3])
def test_the_last_patches_need_no_mask(count):
    """Forecast masks of one size: nothing is left to chance."""
    theirs = make(PatchTSTForPretraining, mask_type="forecast", num_forecast_mask_patches=count)
    x, _ = windows(theirs, gaps=False)
    assert_same(zoo.convert(theirs)(x), theirs(x).prediction_output)


def test_gradients_are_theirs():
    """Weights that serve two attentions get the gradients of both."""
    theirs = make(PatchTSTForPrediction, channel_attention=True, pooling_type=None).train()
    ours = zoo.convert(theirs)
    x, observed = windows(theirs)
    theirs(x, past_observed_mask=observed).prediction_outputs.square().sum().backward()
    ours(x, past_observed_mask=observed).mean.square().sum().backward()
    for name, own in (("q", 0), ("k", 16), ("v", 32)):
        a = theirs.model.encoder.layers[0].self_attn.get_parameter(f"{name}_proj.weight").grad
        b = ours.blocks[0].attn.projection.qkv.weight.grad[own : own + 16]
        torch.testing.assert_close(b, a, rtol=1e-3, atol=1e-3 * a.abs().max().item())


@pytest.mark.parametrize("kind, options", [(PatchTSTForPrediction, dict(loss="nll")), (PatchTSTForPretraining, {})])
def test_it_is_saved_loaded_and_says_where_it_is_from(kind, options, tmp_path):
    ours = zoo.convert(make(kind, **options, share_embedding=False, use_cls_token=True, channel_attention=True))
    assert ours.converted_from == kind.__name__ and not ours.training
    zoo.save(ours, tmp_path / "model")
    again, x = zoo.load(tmp_path / "model"), torch.randn(2, 37, 3)
    a, b = ours(x), again(x)
    assert torch.equal(a if isinstance(a, torch.Tensor) else a.mean, b if isinstance(b, torch.Tensor) else b.mean)


@pytest.mark.parametrize("name", ["student_t", "normal", "negative_binomial"])
@torch.no_grad()
def test_distributions_are_theirs(name):
    """The negative log-likelihood of what follows, and quantiles that hold what they say."""
    theirs = make(PatchTSTForPrediction, loss="nll", distribution_output=name, scaling="mean")
    ours = zoo.convert(theirs)
    x = windows(theirs, gaps=False)[0].abs().round()
    future = torch.randint(9, (3, 5, 3)).float()
    forecast = ours(x)
    loss = theirs(x, future_values=future).loss
    # Theirs counts the three channels of a step as one outcome, so its mean is of sums of three.
    assert_same(ours.head.loss(forecast, future).sum(-1).mean(), loss)
    quantiles = ours.head.quantiles(forecast, LEVELS)
    assert (quantiles.diff(dim=-1) >= 0).all() and quantiles.shape == (3, 5, 3, 9)
    sample = ours.head.distribution(forecast).sample((4000,))
    below = (sample.unsqueeze(-1) <= quantiles).float().mean(0)
    assert (below >= torch.tensor(LEVELS) - 0.05).all()


@pytest.mark.parametrize(
    "options, words",
    [
        (dict(share_projection=False), "share_projection=False"),
        (dict(loss="nll", prediction_length=1), "prediction_length=1"),
        (dict(activation_function="xielu"), "activation_function='xielu'"),
    ],
)
def test_what_ours_has_not_is_refused_by_name(options, words):
    theirs = PatchTSTForPrediction(PatchTSTConfig(**{**SIZES, **options}))
    with pytest.raises(ZooError, match=words):
        zoo.convert(theirs)


def test_somebodys_own_class_is_refused():
    class Own(PatchTSTForPrediction):
        pass

    with pytest.raises(ZooError, match="somebody's own"):
        zoo.convert(Own(PatchTSTConfig(**SIZES)))
