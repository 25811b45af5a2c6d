"""Contract 8 and B2: recording sees the weights and changes nothing."""

import copy
import io
import pickle
import threading

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from tests.attention.examples import POSITIONS, SCORES, B, D, H, N, make
from zoo.attention import KERNELS, Attention, Causal, KVCache, SeparateQKV, join_steps, record_attention
from zoo.attention.record import strip_wrappers
from zoo.errors import ZooError

DIM = H * D
INSIDE = [None, *(kind for kind in POSITIONS if make(kind).acts_inside)]


class Two(nn.Module):
    def __init__(self, **how):
        super().__init__()
        self.layers = nn.ModuleList(Attention(DIM, H, **how) for _ in range(2))

    def forward(self, x):
        for layer in self.layers:
            x = x + layer(x)
        return x


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("kernel", [None, *(k.name for k in KERNELS)])
@pytest.mark.parametrize("kind", SCORES)
def test_recording_leaves_outputs_bit_for_bit(kind, kernel, train):
    """Any score, any kernel, pinned or not, training (with dropout, same random numbers) or not."""
    model = Two(score=kind, kernel=kernel, pattern=Causal(), dropout=0.3, num_kv_heads=2).train(train)
    x = torch.randn(B, N, DIM)
    try:
        torch.manual_seed(1)
        want = model(x)
    except ZooError:
        return  # this kernel cannot run this score, pinned or not
    torch.manual_seed(1)
    with record_attention(model) as maps:
        got = model(x)
    assert torch.equal(got, want)
    assert torch.equal(torch.rand(3), torch.rand(3)) is False  # the generator goes on as usual
    assert list(maps) == ["layers.0", "layers.1"]
    for weights in maps.values():
        assert weights.shape == (B, H, N, N) and not weights.requires_grad
        if model.layers[0].score.is_distribution:
            torch.testing.assert_close(weights.sum(-1), torch.ones(B, H, N))  # bug 23: before dropout
        assert (weights.triu(1) == 0).all()
    assert all(layer.recorder is None for layer in model.layers)


@pytest.mark.parametrize("position", INSIDE)
def test_recorded_weights_are_those_of_the_output(position):
    """With the values known, weights @ v gives the output: what is recorded is what was computed."""
    layer = Attention(DIM, H, position=None if position is None else make(position), output=nn.Identity()).eval()
    x = torch.randn(B, N, DIM)
    with record_attention(layer) as maps:
        out = layer(x)
    v = layer.projection(x)[2]
    torch.testing.assert_close(maps[""] @ v, out)


def test_only():
    model = Two()
    for only, paths in (
        ("layers.1", ["layers.1"]),
        ("layers.*", ["layers.0", "layers.1"]),
        (["layers.0"], ["layers.0"]),
    ):
        with record_attention(model, only=only) as maps:
            model(torch.randn(B, N, DIM))
        assert list(maps) == paths
    with pytest.raises(ZooError, match=r"layers\.0"), record_attention(model, only="layer.0"):
        pass
    with pytest.raises(ZooError, match="no Attention"), record_attention(nn.Linear(2, 2)):
        pass


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # dynamo's own look at .grad at a graph break
def test_paths_of_wrapped_models():
    """`module.` and `_orig_mod.` are stripped; a compiled model records, bit for bit, and goes on after it."""
    model = Two().eval()
    x = torch.randn(B, N, DIM)
    for fullgraph in (False, True):
        torch.compiler.reset()
        compiled = torch.compile(model, backend="eager", fullgraph=fullgraph)
        plain = compiled(x)
        for _ in range(2):
            with record_attention(compiled) as maps:
                assert torch.equal(compiled(x), plain)
            assert torch.equal(compiled(x), plain)
            assert list(maps) == ["layers.0", "layers.1"]
            torch.testing.assert_close(maps["layers.1"].sum(-1), torch.ones(B, H, N))
    with record_attention(nn.ModuleDict({"module": model})) as maps:
        model(x)
    assert list(maps) == ["layers.0", "layers.1"]
    assert strip_wrappers("module._orig_mod.my_module.attn") == "my_module.attn"


def test_an_error_inside_leaves_no_recorder():
    model = Two()
    with pytest.raises(RuntimeError), record_attention(model):
        raise RuntimeError
    assert all(layer.recorder is None for layer in model.layers)


def in_threads(*tasks):
    """Run them at once; the first error, if there is one."""
    errors = []

    def safely(task):
        try:
            task()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=safely, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]


def test_several_threads_record_one_model():
    """Each gets its own weights; whoever ends first or last, no recorder stays on."""
    model, meet = Two().eval(), threading.Barrier(4)
    inputs = [torch.randn(B, N + i, DIM) for i in range(4)]
    want, got = [], [{} for _ in inputs]
    for x in inputs:
        with record_attention(model) as maps:
            model(x)
        want.append(dict(maps))

    def record(i):
        with record_attention(model) as maps:
            for _ in range(3):
                meet.wait(30)
                model(inputs[i])
            got[i] = dict(maps)
        for _ in range(i):  # end in another order than begun
            model(inputs[i])

    in_threads(*(lambda i=i: record(i) for i in range(4)))
    for mine, alone in zip(got, want, strict=True):
        assert list(mine) == list(alone) and all(torch.equal(mine[path], alone[path]) for path in alone)
    assert all(layer.recorder is None for layer in model.layers) and not model._forward_hooks


def test_a_forward_of_another_thread_is_not_mine():
    model, mine, other = Two(), torch.randn(B, N, DIM), torch.randn(B, 3, DIM)
    with record_attention(model) as maps:
        model(mine)
        in_threads(lambda: model(other))
    assert maps["layers.0"].shape == (B, H, N, N)
    with pytest.raises(ZooError, match="ran in other threads"), record_attention(model):
        in_threads(lambda: model(other))


def test_a_recording_within_another():
    model = Two()
    with record_attention(model) as outer:
        with record_attention(model, only="layers.1") as inner:
            model(torch.randn(B, N, DIM))
        assert list(inner) == ["layers.1"] and torch.equal(inner["layers.1"], outer["layers.1"])
        model(torch.randn(B, 3, DIM))
    assert inner["layers.1"].shape[-1] == N and outer["layers.1"].shape[-1] == 3


@pytest.mark.parametrize("copied", ["pickle", "deepcopy", "save"])
def test_a_copy_made_while_recording_does_not_record(copied):
    model, x = Two().eval(), torch.randn(B, N, DIM)
    with record_attention(model) as maps:
        if copied == "pickle":
            other = pickle.loads(pickle.dumps(model))
        elif copied == "deepcopy":
            other = copy.deepcopy(model)
        else:
            torch.save(model, file := io.BytesIO())
            file.seek(0)
            other = torch.load(file, weights_only=False)
        assert torch.equal(other(x), model(x)) and list(maps) == ["layers.0", "layers.1"]
        maps.clear()
        other(x)
        assert not maps
    assert all(layer.recorder is None for layer in other.layers)


class Repeated(nn.Module):
    """One attention, several times in a forward."""

    def __init__(self, times, recompute=False):
        super().__init__()
        self.attn, self.times, self.recompute = Attention(DIM, H), times, recompute

    def forward(self, x):
        for _ in range(self.times):
            x = checkpoint(self.attn, x, use_reentrant=False) if self.recompute else self.attn(x)
        return x


@pytest.mark.parametrize("recompute", [False, True])
def test_a_module_that_runs_several_times(recompute):
    """A list in order, of the last forward; one tensor where it ran once; what backward recomputes does not count."""
    x = torch.randn(B, N, DIM, requires_grad=True)
    for times in (1, 3):
        model = Repeated(times, recompute)
        with record_attention(model) as maps:
            for _ in range(2):
                model(x).sum().backward()
        weights = [maps["attn"]] if times == 1 else maps["attn"]
        assert isinstance(maps["attn"], torch.Tensor if times == 1 else list) and len(weights) == times
        with record_attention(model.attn) as one:
            y = x
            for each in weights:
                y = model.attn(y)
                torch.testing.assert_close(one[""], each)


def test_parts_that_are_called_on_their_own():
    """Without a forward of the model: the last of each."""
    model = Two()
    with record_attention(model) as maps:
        for n in (N, 3):
            model.layers[0](torch.randn(B, n, DIM))
    assert list(maps) == ["layers.0"] and maps["layers.0"].shape == (B, H, 3, 3)


class Decoder(nn.Module):
    """A decoder that looks at its encoder's states once a step."""

    stepping = True

    def __init__(self):
        super().__init__()
        self.past, self.cross = Attention(DIM, H, pattern=Causal()), Attention(DIM, H, projection=SeparateQKV)

    def forward(self, x, context):
        cache, steps = KVCache(B, H, x.shape[1], D), []
        for t in range(x.shape[1]):
            h = x[:, t : t + 1]
            steps.append(self.cross(self.past(h, cache=cache), context))
        return torch.cat(steps, 1)


def test_a_stepping_decoder_joins_its_steps():
    """[B, H, T, S], as if it had been one call; and one step is one row of it."""
    model, x, context = nn.ModuleDict({"decoder": Decoder()}).requires_grad_(False), torch.randn(B, 4, DIM), tokens()
    decoder = model["decoder"]
    with record_attention(decoder) as maps:
        decoder(x, context)
    assert maps["past"].shape == (B, H, 4, 4) and maps["cross"].shape == (B, H, 4, N)
    with record_attention(decoder) as whole:
        h = decoder.past(x)
        decoder.cross(h, context)
    for path in ("past", "cross"):
        torch.testing.assert_close(maps[path], whole[path])
    with record_attention(decoder) as maps:
        decoder(x[:, :1], context)
    torch.testing.assert_close(maps["cross"], whole["cross"][:, :, :1])


def tokens():
    return torch.randn(B, N, DIM)


def test_steps_on_keys_that_grow_are_joined_with_zeros():
    steps = [torch.ones(1, 1, 1, n) for n in (1, 2, 3)]
    assert torch.equal(join_steps(steps)[0, 0], torch.ones(3, 3).tril())
