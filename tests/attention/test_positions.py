"""Positions against independent formulas."""

import math

import pytest
import torch

from tests.attention.examples import POSITIONS, B, D, H, N, make
from zoo.attention import (
    ALiBi,
    Attention,
    AxialRoPE,
    Causal,
    Learned,
    Learned2D,
    MixedRoPE,
    Position,
    RelativeBias,
    RelativeBias2D,
    RoPE,
    SinCos2D,
    Sinusoidal,
    SkipPrefix,
    Time2Vec,
)  # fmt: skip
from zoo.attention.positions.grids import resample_grid
from zoo.errors import ZooError

INSIDE = [kind for kind in POSITIONS if make(kind).acts_inside]


@pytest.mark.parametrize("dim", [1, 6, 7])
def test_sinusoidal(dim):
    """Bug 16: an odd width works."""
    pos = torch.tensor([0, 3, 50])
    got = Sinusoidal(dim).embed(torch.zeros(1, 3, dim, dtype=torch.float64), pos)[0]
    for p, row in zip(pos.tolist(), got, strict=True):
        for i, value in enumerate(row.tolist()):
            angle = p / 10000 ** ((i - i % 2) / dim)
            assert value == pytest.approx(math.cos(angle) if i % 2 else math.sin(angle), abs=1e-12)


@pytest.mark.parametrize("halves", [False, True])
def test_rope_by_complex_numbers(halves):
    """Su et al. 2021, equation 12: each pair is a complex number times e^(i m theta)."""
    x, pos = torch.randn(B, H, N, D, dtype=torch.float64), torch.arange(N) * 3
    pairs = x.unflatten(-1, (2, D // 2)).mT if halves else x.unflatten(-1, (D // 2, 2))
    theta = 10000.0 ** (-2 * torch.arange(D // 2, dtype=torch.float64) / D)
    turned = torch.view_as_complex(pairs.contiguous()) * torch.exp(1j * pos[:, None] * theta)
    want = torch.view_as_real(turned)
    want = want.mT.flatten(-2) if halves else want.flatten(-2)
    torch.testing.assert_close(RoPE(D, halves=halves).rotate(x, pos), want)


def test_rope_on_a_part_of_the_width():
    """GPT-NeoX, Phi: the first numbers of a head are turned as a head of that width, the others stay."""
    x, pos = torch.randn(B, H, N, 16, dtype=torch.float64), torch.arange(N)
    turned = RoPE(16, part=0.25, halves=True).rotate(x, pos)
    torch.testing.assert_close(turned[..., :4], RoPE(4, halves=True).rotate(x[..., :4], pos))
    assert torch.equal(turned[..., 4:], x[..., 4:])


def test_scalings_of_rope():
    """linear: places lie closer. llama3, yarn: fast pairs keep their turn, slow ones are divided."""
    x, pos, like = torch.randn(B, H, N, 64, dtype=torch.float64), torch.arange(N), torch.zeros(1, dtype=torch.float64)
    plain = RoPE(64).frequencies(like)
    linear = RoPE(64, scaling={"type": "linear", "factor": 4.0})
    torch.testing.assert_close(linear.rotate(x, 4 * pos), RoPE(64).rotate(x, pos))
    for kind, gain in (("llama3", 1.0), ("yarn", 1 + 0.1 * math.log(8))):
        scaled = RoPE(64, scaling={"type": kind, "factor": 8.0, "original_max_position_embeddings": 512})
        shares = scaled.frequencies(like) / plain
        assert shares[0] == 1 and shares[-1].item() == pytest.approx(1 / 8) and (shares.diff() <= 1e-12).all()
        torch.testing.assert_close(scaled.rotate(x, 0 * pos), gain * x)
    yarn = {"type": "yarn", "factor": 8.0}
    assert RoPE(64, scaling={**yarn, "attention_factor": 0.5}).scaling.gain == 0.5
    assert RoPE(64, scaling={**yarn, "mscale": 0.7, "mscale_all_dim": 0.7}).scaling.gain == 1.0


@pytest.mark.parametrize("kind", [kind for kind in INSIDE if make(kind).is_relative])
@pytest.mark.parametrize("pattern", [None, Causal()])
def test_only_the_distance_matters(kind, pattern):
    """All places shifted by 5 give the same output, where a position does not say that it is none of distances alone."""
    layer = Attention(H * D, H, position=kind, pattern=pattern).double()
    x = torch.randn(B, N, H * D, dtype=torch.float64)
    torch.testing.assert_close(layer(x, pos=torch.arange(N) + 5), layer(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", INSIDE)
def test_positions_break_permutation_equivariance(kind):
    layer = Attention(H * D, H, position=make(kind)).double()
    x, order = (
        torch.randn(B, N, H * D, dtype=torch.float64),
        torch.tensor([1, 0, *range(2, N)]),
    )  # no reversal: that keeps |i - j|
    x[:, :, ::3] += torch.arange(N).double()[None, :, None]
    for parameter in layer.position.parameters():
        torch.nn.init.normal_(parameter)
    assert not torch.allclose(layer(x[:, order]), layer(x)[:, order], atol=1e-6)


@pytest.mark.parametrize("position", [RoPE(D), AxialRoPE(D, (4, 4))])
def test_rotation_in_half_precision_uses_float32_angles(position):
    """C8: at place 4001 a bf16 angle would be off by radians."""
    x = torch.randn(1, 1, 1, D)
    pos = torch.tensor([4001])
    half = position.rotate(x.bfloat16(), pos).float()
    torch.testing.assert_close(half, position.rotate(x.bfloat16().double(), pos).float(), rtol=0, atol=0.02)
    torch.testing.assert_close(position.rotate(x, pos).norm(), x.norm())


def test_axial_rope_turns_halves_by_row_and_column():
    x, pos = torch.randn(1, 1, 12, 8, dtype=torch.float64), torch.arange(12)
    got = AxialRoPE(8, (3, 4)).rotate(x, pos)
    half = RoPE(4, base=100.0)
    torch.testing.assert_close(got[..., :4], half.rotate(x[..., :4], pos // 4))
    torch.testing.assert_close(got[..., 4:], half.rotate(x[..., 4:], pos % 4))


def test_axial_rope_on_a_span_turns_by_the_part_of_the_grid():
    """EVA-02 and DINOv3: the same place of an image has the same angle on a grid twice as fine."""
    x = torch.randn(1, 1, 1, 8, dtype=torch.float64)

    def turned(side, place, **how):
        row, column = place
        position = AxialRoPE(8, (side, side), span=16.0, **how)
        return position.rotate(x, torch.tensor([row * side + column]))

    torch.testing.assert_close(turned(4, (1, 3)), turned(8, (2, 6)))
    torch.testing.assert_close(turned(4, (1, 3)), AxialRoPE(8, (16, 16)).rotate(x, torch.tensor([4 * 16 + 12])))
    torch.testing.assert_close(turned(5, (2, 2), centred=True), x)
    torch.testing.assert_close(turned(4, (1, 3), columns_first=True), turned(4, (3, 1)))
    torch.testing.assert_close(turned(4, (1, 2), offset=1.0), turned(4, (2, 3)))
    order = torch.tensor([0, 4, 1, 5, 2, 6, 3, 7])  # pairs side by side, or half a width apart
    halves = AxialRoPE(8, (4, 4), halves=True).rotate(x, torch.tensor([7]))
    torch.testing.assert_close(halves[..., order], AxialRoPE(8, (4, 4)).rotate(x[..., order], torch.tensor([7])))


def test_mixed_rope_turns_each_pair_by_column_and_row():
    """Heo et al. 2024, equation 14, for one head as axial, for the other by both axes at once."""
    position = MixedRoPE(8, 2, (3, 4)).double()
    size = 100.0 ** -(torch.arange(0, 8, 4, dtype=torch.double) / 8)
    with torch.no_grad():
        position.frequencies[:, 0] = torch.stack([torch.cat([0 * size, size]), torch.cat([size, 0 * size])])
        position.frequencies[:, 1] = 1.0
    x, pos = torch.randn(1, 2, 12, 8, dtype=torch.float64), torch.arange(12)
    got = position.rotate(x, pos)
    torch.testing.assert_close(got[:, :1], AxialRoPE(8, (3, 4)).rotate(x[:, :1], pos))
    half = RoPE(2, base=2.0)
    torch.testing.assert_close(got[:, 1, :, 2:4], half.rotate(x[:, 1:, :, 2:4], pos // 4 + pos % 4)[:, 0])
    torch.testing.assert_close(position.rotate(x, pos.expand(1, 12)), got)


def test_alibi_slopes():
    """Press et al. 2022, section 3: 8 heads have 1/2 .. 1/256; others as in the authors' code."""
    torch.testing.assert_close(torch.tensor(ALiBi(8).slopes), 2.0 ** -torch.arange(1.0, 9))
    torch.testing.assert_close(
        torch.tensor(ALiBi(6).slopes), torch.tensor([2.0**-2, 2**-4, 2**-6, 2**-8, 2**-1, 2**-3])
    )
    bias = ALiBi(2).bias(torch.tensor([4]), torch.arange(5))
    torch.testing.assert_close(bias, -torch.tensor(ALiBi(2).slopes).view(1, 2, 1, 1) * torch.tensor([4.0, 3, 2, 1, 0]))


def test_relative_bias_on_a_grid_by_hand():
    """Swin's equation 4: an entry for each pair of offsets; BEiT's three for the class token."""
    position = RelativeBias2D(2, (2, 3), prefix=1)
    with torch.no_grad():
        position.table.copy_(torch.arange(18).unsqueeze(1) + torch.tensor([0.0, 100.0]))
    bias = position.bias(torch.arange(7), torch.arange(7))
    assert bias.shape == (1, 2, 7, 7) and torch.equal(bias[:, 1], bias[:, 0] + 100)
    for q in range(6):
        for k in range(6):
            row, column = q // 3 - k // 3, q % 3 - k % 3
            assert bias[0, 0, q + 1, k + 1] == (row + 1) * 5 + column + 2
    assert bias[0, 0, 0, 0] == 17 and (bias[0, 0, 0, 1:] == 15).all() and (bias[0, 0, 1:, 0] == 16).all()
    alone = RelativeBias2D(2, (2, 3))
    alone.table.data = position.table.data[:15]
    assert torch.equal(alone.bias(torch.arange(6), torch.arange(6)), bias[:, :, 1:, 1:])


@pytest.mark.parametrize("bidirectional", [True, False])
def test_relative_buckets_by_hand(bidirectional):
    """Raffel et al. 2020: exact up to half of the buckets, then logarithmic, then one bucket for all beyond."""
    position = RelativeBias(H, 32, 128, bidirectional)
    for offset in [0, 1, -1, 7, 8, -8, 9, -15, 16, -17, 60, -100, 127, -128, 1000, -1000]:
        buckets, start, distance = 32, 0, max(-offset, 0)
        if bidirectional:
            buckets, start, distance = 16, 16 * (offset > 0), abs(offset)
        half = buckets // 2
        want = distance
        if distance >= half:
            want = min(
                buckets - 1, half + int(math.log(distance / half) / math.log(128 / half) * (buckets - half) + 1e-6)
            )
        got = position.bucket(torch.tensor(offset)).item()
        assert abs(got - (start + want)) == 0 or (
            distance >= half and abs(got - start - want) <= 1 and distance in (16, 128)
        )
    table = position.table.detach()
    bias = position.bias(torch.tensor([2]), torch.arange(4))
    torch.testing.assert_close(bias[0, :, 0].detach(), table[position.bucket(torch.arange(4) - 2)].T)


def test_learned_2d_resamples_as_timm():
    """B1: the grid is resampled, the class token's entry is kept."""
    from timm.layers import resample_abs_pos_embed

    table = torch.randn(1 + 16, 12)
    want = resample_abs_pos_embed(table[None], [7, 5], [4, 4], num_prefix_tokens=1)[0]
    torch.testing.assert_close(resample_grid(table, (4, 4), (7, 5), 1), want)
    position = Learned2D(12, (4, 4), prefix=1)
    assert position.resample((7, 5)).table.shape == (36, 12)
    torch.testing.assert_close(position.resample((4, 4)).table, position.table)


def test_sincos_2d_is_a_row_and_a_column():
    got = SinCos2D(8, (2, 3)).embed(torch.zeros(1, 6, 8), torch.arange(6))[0]
    line = Sinusoidal(4).embed(torch.zeros(1, 3, 4), torch.arange(3))[0]
    for row in range(2):
        for col in range(3):
            torch.testing.assert_close(got[row * 3 + col], torch.cat([line[row], line[col]]))


@pytest.mark.parametrize("kind", INSIDE)
def test_prefix_tokens_have_no_place(kind):
    """Class and register tokens are neither turned nor biased; the patches' places begin at 0."""
    inner = make(kind, N - 2)
    skip = SkipPrefix(inner, 2)
    x, pos = torch.randn(B, H, N, D), torch.arange(N)
    turned = skip.rotate(x, pos)
    assert torch.equal(turned[:, :, :2], x[:, :, :2])
    torch.testing.assert_close(turned[:, :, 2:], inner.rotate(x[:, :, 2:], torch.arange(N - 2)))
    bias = skip.bias(pos, pos)
    if bias is not None:
        bias = bias.expand(1, H, N, N)
        assert (bias[:, :, :2] == 0).all() and (bias[..., :2] == 0).all()
        torch.testing.assert_close(bias[:, :, 2:, 2:], inner.bias(pos[:-2], pos[:-2]).expand(1, H, N - 2, N - 2))


@pytest.mark.parametrize("kind", POSITIONS)
def test_places_may_differ_by_sample(kind):
    """pos [B, N]: each row as it would be alone."""
    position = make(kind)
    pos = torch.stack([torch.arange(N), torch.arange(N).flip(0)])
    x, heads = torch.randn(B, N, H * D), torch.randn(B, H, N, D)
    embedded, turned, bias = position.embed(x, pos), position.rotate(heads, pos), position.bias(pos, pos)
    for b in range(B):
        torch.testing.assert_close(embedded[b], position.embed(x[b : b + 1], pos[b])[0])
        torch.testing.assert_close(turned[b], position.rotate(heads[b : b + 1], pos[b])[0])
        if bias is not None:
            torch.testing.assert_close(bias.expand(B, H, N, N)[b], position.bias(pos[b], pos[b]).expand(1, H, N, N)[0])


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: RoPE(7), "even; got 7"),
        (lambda: RoPE(8, part=0.3), "part=0.3 of head_dim=8"),
        (lambda: RoPE(8, base=1.0), "above 1; got 1.0"),
        (lambda: RoPE(8, scaling={"type": "dynamic", "factor": 2.0}), "'dynamic' of RoPE is unknown"),
        (lambda: RoPE(8, scaling={"type": "linear"}), "does not say its factor"),
        (lambda: RoPE(8, scaling={"type": "linear", "factor": -1.0}), "factor=-1.0"),
        (lambda: RoPE(8, scaling={"type": "linear", "factor": "x"}), "factor='x'"),
        (lambda: RoPE(8, scaling={"type": "linear", "factor": 2.0, "low": 1}), "scaling.low is not a setting"),
        (lambda: RoPE(8, scaling={"type": "llama3", "factor": 2.0, "high_freq_factor": 1.0}), "above low_freq_factor"),
        (lambda: RoPE(8, scaling=4.0), "scaling=4.0"),
        (lambda: AxialRoPE(6, (2, 2)), "got 6"),
        (lambda: AxialRoPE(8, (2, 2), centred=True), "give span="),
        (lambda: MixedRoPE(6, 2, (2, 2)), "got 6"),
        (lambda: MixedRoPE(8, 2, (2, 2)).rotate(torch.zeros(1, 3, 4, 8), torch.arange(4)), "2 heads, not 3"),
        (lambda: SinCos2D(6, (2, 2)), "6 % 4"),
        (lambda: Learned(4, 3).embed(torch.zeros(1, 5, 4), torch.arange(5)), "5 tokens, but Learned has 3"),
        (lambda: Learned2D(4, (2, 2)).embed(torch.zeros(1, 5, 4), torch.arange(5)), "5 tokens for a grid"),
        (lambda: Attention(8, 2, position=Sinusoidal), "Sinusoidal is added to the tokens"),
    ],
)
def test_errors_are_sentences(call, words):
    with pytest.raises(ZooError, match=words):
        call()


def test_a_position_of_ones_own():
    """One class with one hook."""

    class Nearer(Position):
        def bias(self, q_pos, k_pos):
            return -((q_pos[:, None] - k_pos[None]) ** 2).double()

    layer = Attention(H * D, H, position=Nearer).double()
    assert layer(torch.randn(B, N, H * D, dtype=torch.float64)).shape == (B, N, H * D)


@pytest.mark.parametrize("dim", [1, 2, 7, 8])
def test_time2vec_is_a_trend_and_periods(dim):
    """Kazemi et al. 2019, equation 1, with odd widths (bug 16); both parameters train; it starts as sines and cosines."""
    part, pos = Time2Vec(dim), torch.arange(50)
    with torch.no_grad():
        got = part.embed(torch.zeros(2, 50, dim), pos)[0]
        trend = part.frequency[0] * pos + part.phase[0]
        torch.testing.assert_close(got[:, 0], trend)
        for i in range(1, dim):
            torch.testing.assert_close(got[:, i], torch.sin(part.frequency[i] * pos + part.phase[i]))
        if dim > 2:
            torch.testing.assert_close(got[:, 1], torch.sin(pos.float()))
            torch.testing.assert_close(got[:, 2], torch.cos(pos.float()), atol=1e-5, rtol=0)
    part.embed(torch.zeros(2, 50, dim), pos).sum().backward()
    assert part.frequency.grad.isfinite().all() and part.frequency.grad.any() and part.phase.grad.any()
    assert part.embed(torch.zeros(2, 50, dim, dtype=torch.bfloat16), pos).dtype == torch.bfloat16
