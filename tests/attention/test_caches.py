"""The caches by policy: each is the full cache under the pattern that the policy names; verbs of all; buckets; records."""

from functools import partial

import pytest
import torch
from torch import nn

from tests.attention.examples import POSITIONS, B, D, H, make
from zoo.attention import (
    ALiBi,
    Attention,
    Causal,
    Full,
    HeavyHitterCache,
    KVCache,
    ModelCache,
    Prefix,
    QuantizedCache,
    RoPE,
    SinkCache,
    Window,
    make_cache,
    record_attention,
)
from zoo.errors import ZooError

DIM, N = H * D, 18
INSIDE = [None, *(kind for kind in POSITIONS if make(kind).acts_inside)]
SPLITS = [[1] * N, [9, *[1] * 9], [3, 5, 1, 2, 1, 6], [N], [1, 2, 1, 3, *[1] * 11]]
NAMES = {"full": Full(), "window:4": Window(4), "sinks:2+3": Prefix(2) | Window(3), "sinks:0+5": Window(5)}
POLICIES = [*NAMES, "heavy:2+3", "int8"]
MASKS = {
    None: torch.ones(B, N).bool(),
    "left": torch.arange(N) >= torch.tensor([[0], [5]]),
    "right": (torch.arange(N) < torch.tensor([[9], [4]])) | (torch.arange(N) >= 9),
}  # a prompt of 9, padded on the right, and what follows


def tokens(n=N):
    return torch.randn(B, n, DIM, dtype=torch.float64)


def attention(**how):
    return Attention(DIM, H, **{"pattern": Causal(), **how}).double().eval()


def cache_of(policy, kv=H, length=N, dtype=torch.float64):
    return make_cache(policy, B, kv, length, D, dtype)


def places_of(mask):
    return torch.where(mask, mask.cumsum(-1) - 1, -1)


@torch.no_grad()
def run(layer, x, cache, split, mask=None):
    pieces = zip(x.split(split, 1), (mask if mask is not None else x[..., 0] == x[..., 0]).split(split, 1), strict=True)
    out = []
    for piece, own in pieces:
        places = None if own.all() else torch.where(own, own.cumsum(-1) - 1 + cache.end[:, None], -1)
        out.append(layer(piece, cache=cache, places=places))
    return torch.cat(out, 1)


@pytest.mark.parametrize("side", MASKS)
@pytest.mark.parametrize("position", INSIDE)
@pytest.mark.parametrize("policy, kv", [("full", 1), ("window:4", 4), ("sinks:2+3", 2), ("sinks:0+5", 1)])
def test_a_policy_is_its_pattern(policy, kv, position, side):
    """Prompts longer than what is kept, chunks and steps, rows padded left and right: the whole sequence under the pattern."""
    part = None if position is None else make(position, N)
    layer, x, mask = attention(position=part, num_kv_heads=kv), tokens(), MASKS[side]
    want = layer(x, pattern=NAMES[policy], places=None if side is None else places_of(mask))
    for split in SPLITS:
        if side == "right" and 9 not in [sum(split[:i]) for i in range(len(split) + 1)]:
            continue
        got = run(layer, x, cache_of(policy, kv), split, None if side is None else mask)
        torch.testing.assert_close(got[mask], want[mask])


@pytest.mark.parametrize("side", MASKS)
@pytest.mark.parametrize("position, kv", [(None, 4), (RoPE, 1), (RoPE, 2), (ALiBi, 2)])
@pytest.mark.parametrize("prompt", [1, 3, 9])
def test_heavy_hitters_are_those_of_loops(prompt, kv, position, side):
    """H2O, one sample, head and token at a time: keep a set of keys, add the weights of each query to their sums."""
    heavy, recent = 2, 3
    part = None if position is None else make(position, N)
    layer, x, mask = attention(position=part, num_kv_heads=kv), tokens(), MASKS[side]
    got = run(
        layer, x, cache_of(f"heavy:{heavy}+{recent}", kv), [prompt, *[1] * (N - prompt)], None if side is None else mask
    )
    for b in range(B):
        rows = x[b : b + 1, mask[b]]
        first = int(mask[b, :prompt].sum())  # tokens of the prompt
        want = by_loops(layer, rows, first, heavy, recent, kv)
        torch.testing.assert_close(got[b : b + 1, mask[b]], want)


@torch.no_grad()
def by_loops(layer, x, first, heavy, recent, kv):
    q, k, v = layer.projection(x)
    n, pos = x.shape[1], torch.arange(x.shape[1])
    bias = torch.zeros(1, H, n, n, dtype=x.dtype)
    if layer.position is not None:
        q, k = layer.position.rotate(q, pos), layer.position.rotate(k, pos)
        given = layer.position.bias(pos, pos)
        bias = bias if given is None else given.expand(1, H, n, n)
    out = torch.zeros(1, H, n, D, dtype=x.dtype)
    for g in range(kv):
        group, kept, sums = range(g * H // kv, (g + 1) * H // kv), [], {}
        for t in range(n):
            if t >= first and len(kept) >= heavy + recent:  # the new one and those before it that are recent stay
                old = [j for j in kept if j <= t - recent]
                kept.remove(min(old, key=lambda j: sums[j]))
            kept.append(t)
            sums[t] = 0.0
            seen = list(range(t + 1)) if t < first else kept
            for h in group:
                weights = torch.softmax(q[0, h, t] @ k[0, g, seen].T / D**0.5 + bias[0, h, t, seen], -1)
                out[0, h, t] = weights @ v[0, g, seen]
                for j, w in zip(seen, weights, strict=True):
                    sums[j] += float(w)
            if t == first - 1 and t + 1 > heavy + recent:
                old = sorted(range(t + 1 - recent), key=lambda j: -sums[j])[:heavy]
                kept = sorted(old) + list(range(t + 1 - recent, t + 1))
    return layer.output(out)


@pytest.mark.parametrize("side", MASKS)
def test_int8_is_near(side):
    """Each number is within half a step of its head's largest: s / 2 = max |x| / 254."""
    layer, x, mask = attention(position=RoPE), tokens(), MASKS[side]
    cache = cache_of("int8")
    got = run(layer, x, cache, [9, *[1] * 9], None if side is None else mask)
    want = layer(x, places=None if side is None else places_of(mask))
    assert 0 < (got - want)[mask].abs().max() < 0.02
    k, v = torch.randn(2, B, H, 4, D, dtype=torch.float64)
    cache.reset()
    for x, y in zip(cache.append(k, v)[:2], (k, v), strict=True):
        assert ((x - y).abs() <= y.abs().amax(-1, keepdim=True) / 254 * (1 + 1e-6)).all()


@pytest.mark.parametrize("width, at_most", [(32, 0.32), (64, 0.29), (128, 0.27)])
def test_int8_takes_a_quarter_of_the_memory(width, at_most):
    sizes = (2, 2, 64, width)
    assert QuantizedCache(*sizes).nbytes <= at_most * KVCache(*sizes).nbytes


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("policy", POLICIES)
def test_reset_is_new(policy, split):
    """What was there before leaves no trace, NaN neither."""
    layer, x, cache = attention(position=RoPE), tokens(), cache_of(policy)
    run(layer, torch.full_like(x, torch.nan), cache, split)
    cache.reset()
    assert cache.filled == cache.written == 0 and (cache.places == -1).all()
    want = run(layer, x, cache_of(policy), split)
    torch.testing.assert_close(run(layer, x, cache, split), want)


@pytest.mark.parametrize("side", [None, "left"])
@pytest.mark.parametrize("policy", POLICIES)
def test_rewound_tokens_were_never_there(policy, side):
    layer, x, mask = attention(position=RoPE), tokens(), MASKS[side]
    cache = cache_of(policy)
    n = 4 if cache.length < N else 9
    mask = mask if side is None else MASKS[None].clone().index_fill(1, torch.tensor([0]), False)
    want = run(layer, x[:, :n], cache_of(policy), [n - 2, 1, 1], mask[:, :n])
    run(layer, x[:, : n - 2], cache, [n - 2], mask[:, : n - 2])
    if policy.startswith("heavy"):
        run(layer, tokens(1), cache, [1])
        with pytest.raises(ZooError, match="cannot take back the last 1"):
            cache.rewind(1)
        return
    run(layer, torch.full_like(x[:, :1], torch.nan), cache, [1])
    cache.rewind(1)
    assert cache.written == n - 2
    got = run(layer, x[:, n - 2 : n], cache, [1, 1])
    torch.testing.assert_close(got, want[:, -2:])
    cache.rewind(0)
    with pytest.raises(ZooError, match=f"holds {n} tokens: it cannot forget the last {n + 1}"):
        cache.rewind(n + 1)


def test_what_was_let_go_does_not_come_back():
    for cache in (cache_of("window:4"), cache_of("sinks:2+3"), KVCache(B, H, 4, D, dtype=torch.float64, ring=True)):
        run(attention(), tokens(6), cache, [6])
        with pytest.raises(ZooError, match="the last 1"):
            cache.rewind(1)


@pytest.mark.parametrize("policy", POLICIES)
def test_reordered_rows_go_on_from_others(policy):
    layer, x, cache = attention(position=RoPE), tokens(), cache_of(policy)
    mask = MASKS["left"]
    run(layer, x[:, :9], cache, [7, 1, 1], mask[:, :9])
    cache.reorder(torch.tensor([1, 1]))
    got = run(layer, x[[1, 1], 9:], cache, [1] * 9)
    want = run(layer, x, cache_of(policy), [7, *[1] * 11], mask)[[1, 1], 9:]
    torch.testing.assert_close(got, want)
    with pytest.raises(ZooError, match="has 2 rows"):
        cache.reorder(torch.tensor([1]))


def test_a_ring_takes_prompts_longer_than_itself():
    layer, x = attention(pattern=Causal() & Window(4), position=RoPE), tokens()
    for split in SPLITS:
        cache = KVCache(B, H, 4, D, dtype=torch.float64, ring=True)
        torch.testing.assert_close(run(layer, x, cache, split), layer(x))


@pytest.mark.parametrize("policy", POLICIES)
def test_records_have_a_column_for_each_place(policy):
    """Empty slots and what was let go are 0 or not there; rows sum to 1."""
    layer, x, cache = attention(), tokens(), cache_of(policy, length=40)
    with record_attention(layer) as maps, torch.no_grad():
        layer(x[:, :9], cache=cache)
        for t in range(9, 12):
            layer(x[:, t : t + 1], cache=cache)
            assert maps[""].shape == (B, H, 1, t + 1)
            torch.testing.assert_close(maps[""].sum(-1), torch.ones(B, H, 1).double())
    if policy in NAMES:
        with record_attention(layer) as whole:
            layer(x[:, :12], pattern=NAMES[policy])
        torch.testing.assert_close(maps[""], whole[""][:, :, -1:])


def test_records_of_padded_rows_count_their_own_tokens():
    layer, x, mask = attention(), tokens(), MASKS["left"]
    cache = cache_of("full")
    run(layer, x[:, :9], cache, [9], mask[:, :9])
    with record_attention(layer) as maps:
        run(layer, x[:, 9:10], cache, [1])
    assert maps[""].shape == (B, H, 1, 10) and (maps[""][1, ..., 5:] == 0).all()
    torch.testing.assert_close(maps[""].sum(-1), torch.ones(B, H, 1).double())


def test_nan_of_a_key_that_left_the_window_goes_nowhere():
    """Contract 3 beside a cache: what the pattern hides is zeroed, what a cache never held is."""
    layer, x = attention(pattern=Causal() & Window(3)), tokens(8)
    cache, want = cache_of("full"), layer(x)
    x[:, 0] = torch.nan
    got = run(layer, x, cache, [2, *[1] * 6])
    torch.testing.assert_close(got[:, 3:], want[:, 3:])


class Graphs:
    """A backend that counts the graphs it is given."""

    def __init__(self):
        self.count = 0

    def __call__(self, graph, inputs):
        self.count += 1
        return graph.forward


@pytest.mark.parametrize("policy, padded", [*[(x, False) for x in POLICIES[1:]], ("full", True), ("sinks:2+3", True)])
def test_a_graph_for_each_bucket(policy, padded, monkeypatch):
    """Contract 6: no new graph from token to token, nor for another cache of the same sizes; one a bucket, when it grows."""
    monkeypatch.setattr("zoo.attention.cache.BUCKET", 4)
    torch.compiler.reset()
    layer, x, graphs = attention(position=RoPE), tokens(), Graphs()
    step = torch.compile(layer, fullgraph=True, backend=graphs)
    mask = MASKS["left"] if padded else None
    want = run(layer, x, cache_of(policy, length=32), [6, *[1] * 12], mask)
    buckets = {8, 16, 32} if policy in ("full", "int8") else {0}
    for prompt in (6, 7):
        cache, out = cache_of(policy, length=32), []
        run(layer, x[:, :prompt], cache, [prompt], None if mask is None else mask[:, :prompt])
        with torch.no_grad():
            for t in range(prompt, N):
                cache.reserve(1)
                out.append(step(x[:, t : t + 1], cache=cache))
        torch.testing.assert_close(torch.cat(out, 1), want[:, prompt:])
        assert graphs.count == len(buckets)
        assert cache.written == N and torch.equal(cache.end, torch.tensor([N, N - 5 * padded]))


def test_what_was_not_reserved_is_refused_when_compiled(monkeypatch):
    """Keys beyond the bucket would not be read: an error, not a wrong answer. Without `reserve` all slots are read."""
    monkeypatch.setattr("zoo.attention.cache.BUCKET", 4)
    torch.compiler.reset()
    layer, x, cache = attention(), tokens(6), cache_of("full")
    step = torch.compile(layer, fullgraph=True, backend="eager")
    with torch.no_grad():
        cache.reserve(4)
        for t in range(4):
            step(x[:, t : t + 1], cache=cache)
        with pytest.raises((IndexError, RuntimeError)):
            step(x[:, 4:5], cache=cache)
        cache.reset()
        torch.testing.assert_close(torch.cat([step(x[:, t : t + 1], cache=cache) for t in range(6)], 1), layer(x))
    with pytest.raises(ZooError, match="6 of 18 places are taken and 13 more came"):
        cache.reserve(13)


def test_a_compiled_prompt_is_plain_causal():
    """An empty cache: SDPA is given is_causal and no mask, compiled too."""
    torch.compiler.reset()
    code = []

    def backend(graph, inputs):
        code.append(graph.code)
        return graph.forward

    layer, x = attention(kernel="sdpa"), tokens()
    prompt = torch.compile(layer, fullgraph=True, backend=backend)
    with torch.no_grad():
        torch.testing.assert_close(prompt(x, cache=cache_of("full")), layer(x))
    assert len(code) == 1 and "is_causal = True" in code[0]


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([attention(), attention(num_kv_heads=2)])

    def forward(self, x, cache):
        for i, block in enumerate(self.blocks):
            x = block(x, cache=cache[i])
        return x


def test_a_cache_of_a_model():
    model, x = Two(), tokens()
    cache = ModelCache.of(model.blocks, B, N, dtype=torch.float64)
    assert len(cache) == 2 and cache.length == N and [c.k.shape[1] for c in cache] == [H, 2]
    assert cache.nbytes == sum(x.nbytes for x in cache.buffers())
    with torch.no_grad():
        want = model(x[:, :5], cache)
        model(x[:, 5:7], cache)
        assert cache.filled == cache.written == 7 and cache.next_places(2).tolist() == [[7, 8]] * B
        cache.rewind(2)
        cache.reorder(torch.tensor([1, 0]))
        again = model(x[[1, 0], 5:6], cache)
        cache.reset()
        torch.testing.assert_close(model(x[:, :5], cache), want)
        torch.testing.assert_close(model(x[:, 5:6], cache)[[1, 0]], again)
    cache.reserve(3)
    assert ModelCache.of(model.blocks, B, N, "none") is None
    assert not cache.state_dict(), "a cache is not part of a checkpoint"


def test_a_cache_made_in_inference_mode_serves_outside():
    """E11."""
    layer, x = attention(), tokens(4)
    with torch.inference_mode():
        cache = cache_of("full")
        layer(x[:, :2], cache=cache)
    with torch.no_grad():
        layer(x[:, 2:], cache=cache)


@pytest.mark.parametrize("policy, kind, length", [
    ("full", KVCache, 20), ("int8", QuantizedCache, 20), ("window:7", SinkCache, 7), ("sinks:4+60", SinkCache, 64),
    ("heavy:4+6", HeavyHitterCache, 10), (partial(KVCache, ring=True), KVCache, 20), (None, None, 0), ("none", None, 0),
])  # fmt: skip
def test_policies(policy, kind, length):
    made = make_cache(policy, 1, 2, 20, 8)
    assert made is None if kind is None else type(made) is kind and made.length == length


@pytest.mark.parametrize("call, words", [
    (lambda: make_cache("windows:4", 1, 1, 8, 8), "is none of none, full, window:N"),
    (lambda: make_cache("window:0", 1, 1, 8, 8), "N at least 1"),
    (lambda: make_cache("heavy:4", 1, 1, 8, 8), "is none of"),
    (lambda: SinkCache(1, 1, -1, 4, 8), r"SinkCache\(sinks\) is a whole number"),
    (lambda: HeavyHitterCache(1, 1, 4, 0, 8), r"HeavyHitterCache\(recent\) is a whole number, at least 1"),
    (lambda: ModelCache([]), "at least"),
])  # fmt: skip
def test_errors_are_sentences(call, words):
    with pytest.raises(ZooError, match=words):
        call()
