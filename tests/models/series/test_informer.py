"""Informer, the transformer of 2017 and iTransformer: nothing of the future, of other samples or of chance is in a forecast."""

import pytest
import torch

from zoo.attention import (
    LSH,
    ALiBi,
    Causal,
    Full,
    Learned,
    ProbSparse,
    RoPE,
    Sinusoidal,
    Time2Vec,
    Window,
    record_attention,
)
from zoo.errors import ZooError
from zoo.models.series.heads import Mixture, Point, Quantile
from zoo.models.series.informer import Informer, Transformer
from zoo.models.series.itransformer import ITransformer

L, H, F = 24, 6, 3
STEPS = (Informer, Transformer)
KINDS = (*STEPS, ITransformer)


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def model(kind, channels: int = 2, **changes):
    torch.manual_seed(0)
    return kind(channels, L, H, **{**dict(time_features=F, dim=16, num_heads=2, hidden=32), **changes}).eval()


def window(batch: int = 2, channels: int = 2, seed: int = 0) -> dict[str, torch.Tensor]:
    return dict(
        past_values=numbers(batch, L, channels, seed=seed), past_time_features=numbers(batch, L, F, seed=seed + 1),
        future_time_features=numbers(batch, H, F, seed=seed + 2),
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("head", [Point(), Quantile((0.1, 0.5, 0.9)), Mixture(2)])
@pytest.mark.parametrize(
    ("batch", "channels", "sizes"), [(1, 1, dict(dim=7, num_heads=1)), (3, 2, dict(dim=15, num_heads=3))]
)
def test_odd_widths_and_axes_of_one(kind, head, batch, channels, sizes):
    """E12, bugs 11 and 16: one channel, one head, one window, a width that 2 does not divide."""
    out = model(kind, channels, head=head, **sizes)(**window(batch, channels))
    assert out.mean.shape == (batch, H, channels) and out.mean.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("revin", [False, True])
def test_a_window_alone_is_as_in_a_batch(kind, revin):
    """E2: neither its own nor a norm's statistics are of other samples."""
    net, three = model(kind, revin=revin), window(3)
    alone = net(**{name: x[1:2] for name, x in three.items()}).mean
    torch.testing.assert_close(alone, net(**three).mean[1:2], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_eval_has_no_chance_in_it(kind):
    """Bug 5: equal under other global seeds."""
    net = model(kind, dropout=0.3, attn_dropout=0.3)
    torch.manual_seed(1)
    first = net(**window()).mean
    torch.manual_seed(2)
    assert torch.equal(net(**window()).mean, first)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_dropped_in_training(kind):
    """Bug 7: attn_dropout does something."""
    net = model(kind, attn_dropout=0.5).train()
    for part in net.modules():
        if isinstance(part, torch.nn.BatchNorm1d):
            part.eval()
    torch.manual_seed(1)
    first = net(**window()).mean
    assert not torch.equal(net(**window()).mean, first)


@pytest.mark.parametrize("kind", KINDS)
def test_the_newest_value_moves_the_forecast(kind):
    """Bug 18"""
    net, given = model(kind, channels=1), window(channels=1)
    other = given["past_values"].clone()
    other[:, -1] += 1
    assert (net(**{**given, "past_values": other}).mean - net(**given).mean).abs().amax() > 1e-4


@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.parametrize("heads", [1, 2])
def test_the_decoder_looks_at_no_later_step(kind, heads):
    """Bugs 9, 14: what is known of a later step moves no forecast before it: attention, choice of queries, convolution."""
    net, given = model(kind, num_heads=heads), window()
    for step in range(H):
        other = given["future_time_features"].clone()
        other[:, step] += 3
        moved = (net(**{**given, "future_time_features": other}).mean - net(**given).mean).abs().amax((0, 2)) > 1e-6
        assert not moved[:step].any() and moved[step]


@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.parametrize("start", [0, 1, 5, L])
def test_start_tokens_are_of_the_lookback(kind, start):
    """Bug 17: with the encoder silenced, the decoder sees `start` steps and the two before them that its convolution sees."""
    net, given = model(kind, start=start), window(1)
    for block in net.decoder:
        torch.nn.init.zeros_(block.cross_attn.output.proj.weight)
    base = net(**given).mean
    seen = []
    for step in range(L):
        other = given["past_values"].clone()
        other[:, step] += 1
        seen.append(bool((net(**{**given, "past_values": other}).mean - base).abs().amax() > 1e-7))
    assert seen == [step >= max(0, L - start - 2) for step in range(L)]


def test_start_is_half_the_lookback_or_refused():
    assert model(Informer).start == L // 2
    for start in (-1, L + 1):
        with pytest.raises(ZooError, match=f"model.start={start}"):
            model(Informer, start=start)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("revin", [False, True])
def test_what_is_not_observed_is_not_read(kind, revin):
    """E8"""
    net, given = model(kind, revin=revin), window()
    mask = numbers(2, L, 2, seed=5) > 0
    mask[0, :, 1] = False
    other = {**given, "past_values": given["past_values"].masked_fill(~mask, 1e4)}
    out = net(**given, past_observed_mask=mask).mean
    assert out.isfinite().all() and torch.equal(net(**other, past_observed_mask=mask).mean, out)


def test_informer_is_distilled_and_sparse_and_the_transformer_neither():
    """Tokens of the encoder by layer, and what each attention sees."""
    for kind, lengths, sees in ((Informer, [L, L // 2], ProbSparse()), (Transformer, [L, L], Full())):
        net = model(kind)
        assert [block.attn.pattern for block in net.encoder] == [sees, sees]
        assert [block.self_attn.pattern for block in net.decoder] == [sees & Causal()]
        with record_attention(net) as maps:
            net(**window())
        assert [maps[f"encoder.{i}.attn"].shape[-1] for i in (0, 1)] == lengths
        assert maps["decoder.0.cross_attn"].shape == (2, 2, L // 2 + H, lengths[1])


@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.parametrize("position", [Sinusoidal, RoPE])
@pytest.mark.parametrize("length", [L, L - 1])
def test_positions_by_step_also_behind_distilling(kind, position, length):
    net = kind(2, length, H, dim=16, num_heads=2, position=position).eval()
    assert net(numbers(2, length, 2)).mean.shape == (2, H, 2)


COLUMNS = dict(past_covariates=1, future_covariates=2, static_categories=(3,), static_reals=1)


def exogenous(batch: int = 2) -> dict[str, torch.Tensor]:
    return dict(
        past_covariates=numbers(batch, L, 1, seed=7), future_covariates=numbers(batch, L + H, 2, seed=8),
        static_categorical_features=torch.tensor([[1]] * batch), static_real_features=numbers(batch, 1, seed=9),
    )  # fmt: skip


@pytest.mark.parametrize("kind", STEPS)
def test_every_block_of_the_encoder_reads_the_columns(kind):
    net, columns = model(kind, **COLUMNS), exogenous()
    assert all(block.names == ("attn", "cross_attn", "mlp") for block in net.encoder)
    base = net(**window(), **columns).mean
    for name, x in columns.items():
        other = {**columns, name: 1 - x if x.dtype == torch.long else x + 1}
        assert (net(**window(), **other).mean - base).abs().amax() > 1e-6, name


def test_itransformer_refuses_columns():
    """E7"""
    with pytest.raises(ZooError, match="reads no exogenous columns"):
        model(ITransformer)(**window(), **exogenous())


def test_channels_attend_to_channels():
    net = model(ITransformer, channels=3)
    with record_attention(net) as maps:
        net(**window(channels=3))
    assert maps["blocks.0.attn"].shape == (2, 2, 3 + F, 3 + F) and net.tokens == "channels"


@pytest.mark.parametrize("kind", KINDS)
def test_sizes_that_do_not_divide(kind):
    with pytest.raises(ZooError, match="not divisible by num_heads=3"):
        model(kind, num_heads=3)
    with pytest.raises(ZooError, match="depth=0"):
        model(kind, depth=0)


def test_a_known_column_is_used_down_to_the_noise():
    """y = 2u + noise, u white and known of the future: the mean square error falls to the variance of the noise."""
    torch.manual_seed(0)
    u, noise = torch.randn(1600, 1), 0.3 * torch.randn(1600, 1)
    y = 2 * u + noise
    windows = torch.arange(1600 - 16).unsqueeze(1) + torch.arange(16)
    net = Informer(1, 12, 4, dim=16, num_heads=2, hidden=32, future_covariates=1)
    adam = torch.optim.Adam(net.parameters(), 5e-3)
    for _ in range(200):
        rows = windows[torch.randint(1100, (64,))]
        error = net(y[rows[:, :12]], future_covariates=u[rows]).mean - y[rows[:, 12:]]
        adam.zero_grad()
        error.square().mean().backward()
        adam.step()
    rows = windows[1200:]
    error = net.eval()(y[rows[:, :12]], future_covariates=u[rows]).mean - y[rows[:, 12:]]
    assert error.square().mean() < 1.25 * noise[1200:].square().mean()


@pytest.mark.parametrize("kind", KINDS)
def test_layers_have_an_order(kind):
    """Every parameter once, input to output: layer-wise rates go by it."""
    net = model(kind, **(COLUMNS if kind in STEPS else {}))
    groups = net.layer_groups()
    assert sorted(name for group in groups for name in group) == sorted(name for name, _ in net.named_parameters())
    assert "embed" in groups[0][0] and {name.split(".")[0] for name in groups[-1]} >= {"proj"} and all(groups)
    assert net.no_weight_decay() <= {name for name, _ in net.named_parameters()}


@pytest.mark.parametrize("pattern", [ProbSparse(1), LSH(2, 8), Window(5)])
@pytest.mark.parametrize("position", [Learned, Time2Vec, ALiBi])
@pytest.mark.parametrize("kind", STEPS)
def test_other_patterns_and_positions(kind, pattern, position):
    """As from the command line: a window alone as in a batch, nothing later seen by a step, every weight learns."""
    net, given = model(kind, pattern=pattern, position=position), window()
    out = net(**given).mean
    torch.testing.assert_close(net(**{name: x[:1] for name, x in given.items()}).mean, out[:1], rtol=1e-5, atol=1e-5)
    other = given["future_time_features"].clone()
    other[:, 3:] += 3
    moved = (net(**{**given, "future_time_features": other}).mean - out).abs().amax((0, 2)) > 1e-6
    assert not moved[:3].any() and moved[3:].all()
    net.train()(**given).mean.square().sum().backward()
    assert all(p.grad is not None for p in net.parameters())
