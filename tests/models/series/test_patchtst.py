"""PatchTST: its published size, each channel alone, the newest value counts, and what it refuses."""

from functools import partial

import pytest
import torch

import zoo
from zoo.attention import LSH, Attention, Causal, Learned, ProbSparse, RoPE, Sinusoidal, TopK, record_attention
from zoo.errors import ZooError
from zoo.layers import pre_norm
from zoo.layers.patch_masking import LastPatches, RandomPatches
from zoo.models.series.heads import Normal, Quantile
from zoo.models.series.patchtst import PatchTST

SIZES = dict(channels=3, lookback=37, horizon=5, patch=8, stride=4, dim=8, depth=2, num_heads=2, hidden=12)
KINDS = {
    "usual": {},
    "no residual scores": dict(residual_scores=False),
    "one channel, one head": dict(channels=1, num_heads=1),
    "no end padding": dict(end_padding=False),
    "pre-norm, a class token": dict(order=pre_norm, class_token=True),
    "mean": dict(pool="mean"),
    "max": dict(pool="max"),
    "channels mixed": dict(mix_channels=True),
    "channels mixed, a class token, no residual scores": dict(
        mix_channels=True, class_token=True, residual_scores=False
    ),
    "a map for each channel": dict(shared_embedding=False),
    "no RevIN": dict(revin=False),
    "turned": dict(position=RoPE, class_token=True, mix_channels=True),
    "chosen by content": dict(pattern=TopK(3), class_token=True),
    "ProbSparse": dict(pattern=ProbSparse(factor=1)),
    "ProbSparse, a class token, channels mixed": dict(
        pattern=ProbSparse(factor=1), class_token=True, mix_channels=True
    ),
    "LSH": dict(pattern=LSH(bucket=4)),
    "causal": dict(pattern=Causal(), position=Sinusoidal),
    "quantiles": dict(head=Quantile((0.1, 0.5, 0.9))),
    "normal": dict(head=Normal()),
    "exogenous": dict(
        past_covariates=1, future_covariates=2, static_categories=(3,), static_reals=1, mix_channels=True
    ),
}


def make(kind="usual", **more):
    torch.manual_seed(0)
    return PatchTST(**{**SIZES, **KINDS[kind], **more})


def columns(model, batch):
    """Exogenous columns for a model that reads some."""
    if model.exogenous is None:
        return {}
    torch.manual_seed(2)
    return dict(
        past_covariates=torch.randn(batch, 37, 1), future_covariates=torch.randn(batch, 42, 2),
        static_categorical_features=torch.randint(3, (batch, 1)), static_real_features=torch.randn(batch, 1),
    )  # fmt: skip


def window(model, batch=2):
    torch.manual_seed(1)
    return torch.randn(batch, model.lookback, model.channels) * 3 + 5


def test_published_size():
    """PUBLISHED.md 4.1: PatchTST/42 of ETTh."""
    model = zoo.create_model("patchtst", lookback=336, horizon=96, channels=7)
    assert sum(p.numel() for p in model.parameters()) == 81_728
    assert model.num_patches == 42 and model.patches()[0] == (0, 16) and model.patches()[-1] == (328, 344)
    assert model(torch.randn(2, 336, 7)).mean.shape == (2, 96, 7)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_it_forecasts_and_trains(kind, batch):
    """E12: one channel, one head, a batch of one."""
    model = make(kind)
    x = window(model, batch)
    forecast = model(x, **columns(model, batch))
    assert forecast.mean.shape == (batch, 5, model.channels) and forecast.mean.isfinite().all()
    assert (forecast.loc is None) == (kind == "no RevIN")
    forecast.mean.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for n, p in model.named_parameters() if "head" not in n)


@pytest.mark.parametrize("kind", KINDS)
def test_a_window_is_forecast_alone_as_among_others(kind):
    """E2; and the last value moves every channel's own forecast (bug 18)."""
    model = make(kind)
    model(window(model), **columns(model, 2))  # running statistics
    model.eval()
    x, given = window(model), columns(model, 2)
    together = model(x, **given).mean
    alone = model(x[:1], **{name: value[:1] for name, value in given.items()}).mean
    torch.testing.assert_close(alone, together[:1], atol=1e-5, rtol=1e-5)
    moved = x.clone()
    moved[:, -1] += 1
    assert ((model(moved, **given).mean - together).abs().amax(1) > 1e-4).all()


@pytest.mark.parametrize("kind", KINDS)
def test_channels_do_not_see_each_other_unless_mixed(kind):
    model = make(kind, channels=3).eval()
    x, given = window(model), columns(model, 2)
    moved = x.clone()
    moved[..., 0] = torch.randn(2, 37)
    before, after = model(x, **given).mean, model(moved, **given).mean
    assert torch.equal(before[..., 1:], after[..., 1:]) != KINDS[kind].get("mix_channels", False)


def test_shift_and_scale_of_a_window_are_those_of_its_forecast():
    model = make().eval()
    x = window(model)
    torch.testing.assert_close(model(10 * x + 7).mean, 10 * model(x).mean + 7, rtol=1e-3, atol=1e-2)


def test_a_constant_channel_and_missing_values():
    """Constant and wholly unobserved channels stay finite; what an unobserved cell holds is not looked at."""
    model = make().eval()
    x = window(model)
    x[..., 0] = 4.0
    observed = torch.ones_like(x, dtype=torch.bool)
    observed[0, :, 1] = False
    observed[1, -3:, 2] = False
    other = torch.where(observed, x, 1e6)
    forecast = model(x, past_observed_mask=observed).mean
    assert forecast.isfinite().all()
    assert torch.equal(model(other, past_observed_mask=observed).mean, forecast)
    make().train()(x, past_observed_mask=observed).mean.sum().backward()


def test_maps_are_of_channels():
    """[B C, H, P, P], channel c of sample b in row b C + c; where channels are mixed theirs are recorded beside."""
    model = make().eval()
    x = window(model)
    with record_attention(model) as maps:
        model(x)
    one = make(channels=1).eval()
    one.load_state_dict(model.state_dict())
    with record_attention(one) as alone:
        one(x[1:, :, 2:])
    for name in ("blocks.0.attn", "blocks.1.attn"):
        assert maps[name].shape == (6, 2, model.num_patches, model.num_patches)
        torch.testing.assert_close(maps[name][1 * 3 + 2], alone[name][0], rtol=1e-4, atol=1e-5)


def test_residual_scores_are_added_to_the_next_block():
    """RealFormer, equation 3: the second block's weights are those of its own logits and the first's."""
    model = make().eval()
    x = window(model)
    patches = model.patch_embed.cut(model.normed(x, None)[0])
    tokens = model.position.embed(model.patch_embed(patches).flatten(0, 1), torch.arange(model.num_patches))
    first, second = model.blocks
    _, own = first.attn(tokens, need_logits=True)
    after, scores = first(tokens, channels=3)
    torch.testing.assert_close(scores, own)
    _, bare = second.attn(after, need_logits=True)
    with record_attention(model) as maps:
        model(x)
    torch.testing.assert_close(maps["blocks.1.attn"], (bare + own).softmax(-1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["usual", "channels mixed", "exogenous", "ProbSparse"])
def test_gradients_are_those_of_a_model_that_recomputes(kind):
    model, given = make(kind), columns(make(kind), 2)
    x = window(model)
    model(x, **given).mean.sum().backward()
    again = make(kind)
    window(again)  # where the random numbers of both begin
    again.set_grad_checkpointing()
    again(x, **given).mean.sum().backward()
    for name, p in again.named_parameters():
        torch.testing.assert_close(p.grad, dict(model.named_parameters())[name].grad, msg=name)


def test_hidden_patches_are_filled_in():
    """[B, C, N, P]; what a hidden patch holds is not looked at; `mask` takes the place of the draw."""
    model = make(stride=8, end_padding=False, masking=RandomPatches(0.4)).eval()
    assert model.num_patches == 4 and model.proj is None
    x = window(model)
    assert model(x).shape == (2, 3, 4, 8)
    assert torch.equal(model(x), model(x))
    mask = torch.zeros(2, 3, 4, dtype=torch.bool)
    mask[:, 1, 2] = True
    found = model.reconstruct(x, mask=mask)
    assert torch.equal(found.out, model(x, mask=mask)) and torch.equal(found.mask, mask) and found.observed is None
    assert torch.equal(found.patches[:, :, -1, -1], model.normed(x, None)[0][:, -1])
    model.train()
    torch.manual_seed(0)
    assert not torch.equal(model.reconstruct(x).mask, model.reconstruct(x).mask)


def test_last_patches_need_no_mask():
    model = make(masking=LastPatches(1), end_padding=False).eval()
    x = window(model)
    mask = torch.zeros(2, 3, model.num_patches, dtype=torch.bool)
    mask[..., -1] = True
    assert torch.equal(model(x), model(x, mask=mask))


@pytest.mark.parametrize(
    "sizes, words",
    [
        (dict(lookback=7), "A lookback of 7 steps is shorter than a patch of 8"),
        (dict(dim=9), "num_heads divides dim"),
        (dict(horizon=0), "horizon=0"),
        (dict(pool="sum"), "pool='sum'"),
        (dict(stride=0), "stride=0"),
        (dict(head="point"), "is no head"),
    ],
)
def test_sizes_that_cannot_be(sizes, words):
    with pytest.raises(ZooError, match=words):
        PatchTST(**{**SIZES, **sizes})


def test_windows_and_masks_that_do_not_fit():
    model = make()
    with pytest.raises(ZooError, match=r"windows \[B, 37, 3\]"):
        model(torch.randn(2, 36, 3))
    with pytest.raises(ZooError, match="mask= hides patches"):
        model(window(model), mask=torch.zeros(2, 3, 9, dtype=torch.bool))
    with pytest.raises(ZooError, match="made for data without exogenous"):
        model(window(model), past_covariates=torch.randn(2, 37, 1))
    with pytest.raises(ZooError, match="forecasts: to fill in"):
        model.reconstruct(window(model))
    with pytest.raises(ZooError, match=r"\[B, C, N\] = \[2, 3, 9\]"):
        make(masking=RandomPatches())(window(model), mask=torch.zeros(2, 3, 8, dtype=torch.bool))


def test_a_part_is_bound_to_the_attention():
    model = make(attention=partial(Attention, pattern=Causal(), kernel="reference"))
    assert isinstance(model.blocks[0].attn.pattern, Causal) and model.blocks[0].attn.kernel == "reference"


def test_it_compiles_to_one_graph():
    model = make().eval()
    assert torch._dynamo.explain(model)(window(model)).graph_count == 1


@pytest.mark.slow
def test_a_known_column_takes_the_error_down_to_the_noise():
    """y = 2u + noise, u white and known: more known values than a token is wide."""
    torch.manual_seed(0)
    u = torch.randn(6000)
    y = 2 * u + 0.5 * torch.randn(6000)
    scale, noise = y.std(), 0.25 / y.var()
    y = y / scale
    model = PatchTST(1, 96, 24, future_covariates=1, position=partial(Learned, std=0.2))
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=1200, pct_start=0.1)

    def error(origins):
        at = origins[:, None] + torch.arange(-96, 24)
        past, known, future = y[at[:, :96]].unsqueeze(-1), u[at].unsqueeze(-1), y[at[:, 96:]].unsqueeze(-1)
        return (model(past, future_covariates=known).mean - future).square().mean()

    for _ in range(1200):
        optimizer.zero_grad()
        error(torch.randint(96, 4500, (32,))).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        assert error(torch.arange(4500, 5976)) < 1.35 * noise


def test_other_columns_and_channels_begin_anew_and_all_else_stays():
    """What is of each column or channel is reset where the data have others; the rest goes on."""
    from zoo.pretrained.adapt import adapt_all

    source = make(future_covariates=1, static_reals=1, shared_embedding=False)
    target = make(future_covariates=3, static_reals=1, shared_embedding=False, horizon=11, channels=2)
    state, changes = adapt_all(source.state_dict(), target, None)
    target.load_state_dict(state)
    assert {change.name for change in changes} == {
        "exogenous.names", "exogenous.places", "patch_embed.proj.weight", "patch_embed.proj.bias", "proj.weight", "proj.bias"
    }  # fmt: skip
    assert all(change.anew for change in changes)


@pytest.mark.parametrize("revin", ["x", 5, [True]])
def test_what_norms_windows_is_a_module_or_yes_or_no(revin):
    with pytest.raises(ZooError, match=r"model.revin=.* is neither true, false nor a module"):
        PatchTST(channels=2, lookback=32, horizon=8, revin=revin)
