"""Places of each row: padded batches on every pattern, position and kernel (C5), with and without a cache."""

import pytest
import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from tests.attention.examples import MASKS, PATTERNS, POSITIONS, B, D, H, N, make
from zoo.attention import (
    KERNELS,
    Attention,
    Causal,
    Documents,
    KVCache,
    LinearFeatures,
    Padding,
    Prefix,
    ProbSparse,
    RoPE,
    SeparateQKV,
    Window,
    attend,
    record_attention,
)
from zoo.attention.call import AttentionCall
from zoo.attention.dispatch import choose_kernel
from zoo.errors import ZooError

DIM = H * D
INSIDE = [None, *(kind for kind in POSITIONS if make(kind).acts_inside)]
SIDES = ["left", "right"]
SHORT = 3  # tokens that the second row lacks
OF_A_ROW = {  # what holds a row's own numbers, as the batch of one is given them
    "Prefix[B]": lambda b: Prefix(torch.tensor([[1, 3][b]])),
    "Documents[B]": lambda b: Documents(torch.tensor([[0] * N, [i % 2 for i in range(N)]])[b : b + 1]),
    "Padding": lambda b: Padding(torch.tensor([[N, N - 3][b]])),
    "Padding(mask)": lambda b: Padding(mask=torch.arange(N)[None] >= [0, 2][b]),
    "ProbSparse & Padding": lambda b: ProbSparse(1) & Padding(torch.tensor([[N, N - 3][b]])),
    "Causal & Padding": lambda b: Causal() & Padding(torch.tensor([[N, N - 3][b]])),
}


def tokens(n=N, batch=B):
    return torch.randn(batch, n, DIM, dtype=torch.float64)


def attention(**how):
    return Attention(DIM, H, **how).double().eval()


def pairs(patterns, without="Window2D"):
    """Every pattern with no position and with RoPE, every position with two patterns."""
    names = [name for name in patterns if name not in ("Window2D", without)]
    usual = [kind for kind in INSIDE if kind is None or kind is RoPE]
    return [(name, kind) for name in names for kind in (INSIDE if name in ("Causal", "Causal & Window") else usual)]


def padded(side):
    """mask [B, N] of rows of N and N - SHORT tokens, and their places."""
    lengths = torch.tensor([[N], [N - SHORT]])
    mask = torch.arange(N) >= N - lengths if side == "left" else torch.arange(N) < lengths
    return mask, torch.where(mask, mask.cumsum(-1) - 1, -1)


def of_row(name, b):
    """A pattern of the examples for a batch of row b alone, whose places are those of N tokens."""
    return OF_A_ROW[name](b) if name in OF_A_ROW else PATTERNS[name]()


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name, position", [each for each in pairs(PATTERNS) if "LSH" not in each[0]])
def test_each_padded_row_is_its_batch_of_one(name, position, side):
    """C5, for every pattern and position; NaN in the padding reaches nobody. Not for LSH, whose buckets and rotations go by the
    number of keys, padding included, as its docstring says."""
    part = None if position is None else make(position)
    layer, x, (mask, places) = attention(position=part, num_kv_heads=2), tokens(), padded(side)
    got = layer(torch.where(mask[..., None], x, torch.nan), places=places, pattern=PATTERNS[name]())
    for b in range(B):
        alone, n = x[b : b + 1, mask[b]], int(mask[b].sum())
        pattern = of_row(name, b)
        if name in ("Documents", "Documents[B]", "Causal & Documents"):  # ids of just its tokens
            ids = make(Documents).ids if name != "Documents[B]" else pattern.ids[0]
            pattern = Documents(ids[:n]) if name != "Causal & Documents" else Causal() & Documents(ids[:n])
        if name == "Padding(mask)":
            pattern = Padding(mask=pattern.mask[:, :n])
        torch.testing.assert_close(got[b : b + 1, mask[b]], layer(alone, pattern=pattern))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name, position", pairs(MASKS, without="Prefix[B]"))
def test_padded_rows_decode_as_their_batches_of_one(name, position, side, kv=2):
    """C5, C6: a padded prompt, then steps on a cache that counts each row's own tokens."""
    static = MASKS[name]()
    static = static if name == "Causal | Prefix" else Causal() & static
    part = None if position is None else make(position, N + 6)
    layer, (mask, places) = attention(position=part, num_kv_heads=kv), padded(side)
    x, cache, steps = tokens(N + 3), KVCache(B, kv, N + 5, D, dtype=torch.float64), []
    if "Documents" in name or "Padding" in name:
        static = Causal() & (
            Documents(torch.arange(N + 3) // 3) if "Documents" in name else Padding(torch.tensor([N + 3, N]))
        )
    with torch.no_grad():
        prompt = layer(x[:, :N], places=places, pattern=static, cache=cache)
        for t in range(N, N + 3):
            steps.append(layer(x[:, t : t + 1], pattern=static, cache=cache))
    got, mask = torch.cat([prompt, *steps], 1), torch.cat([mask, torch.ones(B, 3).bool()], 1)
    assert torch.equal(cache.end, torch.tensor([N + 3, N + 3 - SHORT])) and cache.filled == N + 3
    for b in range(B):
        pattern, n = static, int(mask[b].sum())
        if "Documents" in name:
            pattern = Causal() & Documents((torch.arange(N + 3) // 3)[:n])
        elif "Padding" in name:
            pattern = Causal() & Padding(torch.tensor([[N + 3, N][b]]))
        want = layer(x[b : b + 1, mask[b]], pattern=pattern)
        torch.testing.assert_close(got[b : b + 1, mask[b]], want)


@pytest.mark.parametrize("kernel", [kernel.name for kernel in KERNELS if not kernel.name.startswith("edge_")])
@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("shape", ["[K]", "[B, K]", "[B, H_kv, K]"])
def test_places_on_every_kernel(kernel, name, shape):
    """Each kernel goes by places, of a row or of a row and head, as the mask of loops says; or says why not."""
    g = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(B, h, n, D, dtype=torch.float64, generator=g) for h, n in ((H, 3), (2, N), (2, N)))
    k_pos = torch.stack([torch.randperm(N, generator=g) for _ in range(2 * B)]).view(B, 2, N)
    k_pos = torch.where(k_pos == 2, -1, k_pos)
    k_pos = {"[K]": k_pos[0, 0], "[B, K]": k_pos[:, 0], "[B, H_kv, K]": k_pos}[shape]
    q_pos = torch.tensor([1, 3, 6]) if shape == "[K]" else torch.tensor([[1, 3, 6], [0, 2, 5]])
    score = LinearFeatures() if kernel == "linear" else None
    how = dict(score=score, pattern=MASKS[name](), q_pos=q_pos, k_pos=k_pos)
    try:
        got = attend(q, k, v, **how, kernel=kernel).out
    except ZooError as error:
        assert f"{kernel}:" in str(error)
        return
    spots = k_pos.expand(B, 2, N) if k_pos.ndim != 2 else k_pos[:, None].expand(B, 2, N)
    queries = q_pos.expand(B, 3)
    place = torch.tensor
    for b in range(B):
        for h in range(H):
            for i in range(3):
                at = spots[b, h // 2]
                seen = [
                    j for j in range(N)
                    if at[j] >= 0 and how["pattern"].allowed(place(b), place(h), queries[b, i], at[j])
                ]  # fmt: skip
                logits = q[b, h, i] @ k[b, h // 2, seen].T / D**0.5
                want = torch.softmax(logits, -1) @ v[b, h // 2, seen]
                torch.testing.assert_close(got[b, h, i], want)


def test_pos_and_places_are_two_things():
    """Packed documents: pos restarts in each, places do not; each document is as it would be alone."""
    layer, x = attention(pattern=Causal(), position=RoPE), tokens()
    ids, pos = torch.tensor([0, 0, 0, 1, 1, 1, 1]), torch.tensor([0, 1, 2, 0, 1, 2, 3])
    got = layer(x, pos=pos, places=torch.arange(N), pattern=Documents(ids))
    torch.testing.assert_close(got[:, :3], layer(x[:, :3]))
    torch.testing.assert_close(got[:, 3:], layer(x[:, 3:]))


def test_places_of_the_order_change_nothing():
    layer, x = attention(pattern=Causal() & Window(3), position=RoPE), tokens()
    torch.testing.assert_close(layer(x, places=torch.arange(N)), layer(x))
    torch.testing.assert_close(layer(x, places=torch.arange(N).expand(B, N)), layer(x))


def test_a_row_without_tokens_is_zero():
    """C1: nothing to see gives 0 before the output map, with finite gradients."""
    layer, x = attention(pattern=Causal()), tokens().requires_grad_()
    places = torch.stack([torch.arange(N), torch.full((N,), -1)])
    out = layer(x, places=places)
    torch.testing.assert_close(out[1], layer.output.proj.bias.expand(N, DIM))
    out.sum().backward()
    assert x.grad.isfinite().all()


def test_padded_rows_train():
    """Gradients of a padded batch are those of its rows alone."""
    layer, x, (mask, places) = attention(pattern=Causal(), position=RoPE), tokens().requires_grad_(), padded("left")
    (got,) = torch.autograd.grad(layer(x, places=places)[mask].square().sum(), x)
    for b in range(B):
        alone = x[b : b + 1, mask[b]]
        (want,) = torch.autograd.grad(layer(alone).square().sum(), x)
        torch.testing.assert_close(got[b], want[b])


def test_records_of_padded_rows_go_by_token():
    """Without a cache a column is a token of the batch; padding has none of the weight."""
    layer, x, (_, places) = attention(pattern=Causal()), tokens(), padded("left")
    with record_attention(layer) as maps:
        layer(x, places=places)
    assert maps[""].shape == (B, H, N, N) and (maps[""][1, :, :, :SHORT] == 0).all()


@pytest.mark.parametrize("call, words", [
    (lambda: attention(projection=SeparateQKV)(tokens(), tokens(), places=torch.arange(N)), "a context's padding is Padding"),
    (lambda: attention()(tokens(), places=torch.arange(N - 1)), r"q_pos is \[7\] or \[2, 7\]; got \[6\]"),
    (lambda: attend(*[torch.zeros(B, H, N, D)] * 3, k_pos=torch.zeros(B, 3, N).long()), r"\[2, 4, 7\]; got \[2, 3, 7\]"),
])  # fmt: skip
def test_errors_are_sentences(call, words):
    with pytest.raises(ZooError, match=words):
        call()


class Largest(TorchDispatchMode):
    """The size of the largest tensor that is made."""

    size = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.size = max([self.size, *(x.numel() for x in pytree.tree_leaves(out) if isinstance(x, torch.Tensor))])
        return out


@pytest.mark.parametrize("kv", [H, 2])
def test_a_prompt_makes_no_matrix(kv):
    """The memory of a prompt grows with its length, not with its square; that of a step not at all."""
    sizes = {}
    for n in (256, 512, 1024):
        layer, cache = (
            attention(pattern=Causal(), position=RoPE, num_kv_heads=kv),
            KVCache(B, kv, n + 1, D, dtype=torch.float64),
        )
        x = tokens(n)
        with torch.no_grad(), Largest() as prompt:
            layer(x, cache=cache)
        with torch.no_grad(), Largest() as step:
            layer(x[:, :1], cache=cache)
        sizes[n] = prompt.size, step.size
        assert step.size <= cache.k.numel()  # the cache itself, written in place
    assert sizes[1024][0] == 2 * sizes[512][0] == 4 * sizes[256][0]


def test_the_kernel_of_a_prompt_is_plain_causal():
    """An empty cache and no padding: is_causal, no mask; then one query that sees all: no mask either."""
    calls, layer, cache = [], attention(pattern=Causal(), position=RoPE), KVCache(B, H, 300, D, dtype=torch.float64)
    layer.recorder = calls.append
    with torch.no_grad():
        layer(tokens(200), cache=cache)
        layer(tokens(1), cache=cache)
        layer(tokens(2), cache=cache)
    prompt, step, chunk = calls
    assert all(isinstance(call, AttentionCall) and choose_kernel(call).name == "sdpa" for call in calls)
    from zoo.attention.kernels.sdpa import aligned_causal

    assert aligned_causal(prompt) and not aligned_causal(chunk)
    assert step.is_unmasked and step.mask() is None and step.k.shape[2] == 201
    assert (
        step.zero_hidden(step.mask())[0] is step.k
        and step.k.untyped_storage().data_ptr() == cache.k.untyped_storage().data_ptr()
    )


@pytest.mark.parametrize(
    "static", [Causal() & Window(5), Causal() & (Window(9) & Window(5)), Window(5) & Causal() & Prefix(250)]
)
def test_a_step_under_a_window_reads_the_window(static):
    """What a layer with a sliding window reads does not grow with what its cache holds."""
    calls, layer, cache = [], attention(pattern=static, position=RoPE), KVCache(B, H, 300, D, dtype=torch.float64)
    x = tokens(204)
    with torch.no_grad():
        want = layer(x)
        layer.recorder = calls.append
        got = [layer(piece, cache=cache) for piece in x.split([200, 1, 3], 1)]
    assert [call.k.shape[2] for call in calls] == [200, 5, 7]
    torch.testing.assert_close(torch.cat(got, 1), want)
