"""zoo.adapt and zoo.merge: no effect at the start, the backbone untouched, and what is where in a fused matrix."""

import copy

import pytest
import torch
from torch import nn

import zoo
from tests.adapters.models import MODELS, gat, gpt, inputs, make, stirred, vit
from zoo import ZooError
from zoo.adapters import AdaptedLinear, named_places, own_names
from zoo.attention import FusedQKV, SeparateQKV, SharedKV, SharedQKV

KINDS = ("lora", "bottleneck")
EVERY = pytest.mark.parametrize("name", MODELS)


def targets(model, kind):
    """Its own kind's where the model has them, else the rest of its maps by pattern (a GAT has no output map)."""
    there = named_places(model)
    wanted = ("q", "v") if kind == "lora" else ("o", "down")
    return list(wanted) if all(name in there for name in wanted) else ["q"]


@EVERY
@pytest.mark.parametrize("kind", KINDS)
def test_no_effect_at_the_start_exactly(name, kind):
    model = make(name)
    with torch.no_grad():
        before = model(*inputs(model))
        zoo.adapt(model, kind, rank=2, targets=targets(model, kind), dropout=0.5)
        assert torch.equal(model(*inputs(model)), before)
        assert not torch.equal(stirred(model)(*inputs(model)), before)


@EVERY
@pytest.mark.parametrize("kind", KINDS)
def test_the_backbone_is_bit_identical_after_training(name, kind):
    model = make(name).train()
    before = copy.deepcopy(model.state_dict())
    zoo.adapt(model, kind, rank=2, targets=targets(model, kind))
    own = set(own_names(model, model.state_dict()))
    assert {n for n, p in model.named_parameters() if p.requires_grad} == own
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model(*inputs(model)).pow(2).mean().backward()
        optimizer.step()
    after = model.state_dict()
    assert all(torch.equal(after[n], tensor) for n, tensor in before.items() if n not in own)
    assert all(after[n].abs().sum() > 0 for n in own if n.endswith(".b"))  # each part has learned


@EVERY
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_merged_gives_the_same(name, dtype):  # C11
    model = make(name).to(dtype)
    data = tuple(x.to(dtype) if x.is_floating_point() else x for x in inputs(model))
    names = list(model.state_dict())
    zoo.adapt(
        model,
        "lora",
        rank=3,
        alpha=7,
        targets=[n for n in ("q", "k", "v", "o", "up", "gate", "down") if n in named_places(model)],
    )
    with torch.no_grad():
        adapted = stirred(model)(*data)
        assert zoo.merge(model) is model
        assert (model(*data) - adapted).abs().max() <= (1e-5 if dtype == torch.float32 else 1e-12)
    assert list(model.state_dict()) == names and model.adapter is None
    assert all(p.requires_grad for p in model.parameters()) and not any(
        type(m) is AdaptedLinear for m in model.modules()
    )


@pytest.mark.parametrize("name", ["gpt"])
def test_merging_into_tied_embeddings_is_refused(name):  # C11
    model = zoo.adapt(make(name), "lora", targets=["head", "q"])
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ZooError, match=r"head is that of embed too.*untie"):
        zoo.merge(model)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), before.values(), strict=True))
    model.head.weight = nn.Parameter(model.head.weight.detach().clone())  # as the sentence says
    zoo.merge(model)


def test_bottlenecks_cannot_be_merged():
    with pytest.raises(ZooError, match="not linear"):
        zoo.merge(zoo.adapt(vit(), "bottleneck"))
    with pytest.raises(ZooError, match="has no adapter"):
        zoo.merge(vit())


def test_rows_of_fused_matrices():
    """An adapter on v leaves q and k what they were."""
    model = vit()
    projection = model.blocks[0].attn.projection
    x = torch.randn(1, 5, 16)
    before = projection(x)
    stirred(zoo.adapt(model, "lora", targets=["v"]))
    after = projection(x)
    assert (
        torch.equal(after[0], before[0]) and torch.equal(after[1], before[1]) and not torch.equal(after[2], before[2])
    )


@pytest.mark.parametrize(
    "projection, maps",
    [
        (FusedQKV(8, 4, 2, 2), {"q": ("qkv", 0, 8), "k": ("qkv", 8, 12), "v": ("qkv", 12, 16)}),
        (SeparateQKV(8, 4, 2, 2), {"q": ("q", 0, 8), "k": ("kv", 0, 4), "v": ("kv", 4, 8)}),
        (SharedQKV(8, 4, 2), dict.fromkeys("qkv", ("map", 0, 8))),
        (SharedQKV(8, 4, 2, context_dim=3), {"q": ("map", 0, 8), "k": ("context", 0, 8), "v": ("context", 0, 8)}),
        (SharedKV(8, 4, 2), {"q": ("query", 0, 8), "k": ("key", 0, 8), "v": ("key", 0, 8)}),
        (SharedKV(8, 4, 2, share=True), dict.fromkeys("qkv", ("key", 0, 8))),
    ],
    ids=lambda value: type(value).__name__,
)
def test_where_the_maps_lie(projection, maps):
    found = {name: [(p.linear, p.start, p.stop) for p in places] for name, places in named_places(projection).items()}
    assert found == {name: [place] for name, place in maps.items()}
    x, context = torch.randn(1, 3, 8), torch.randn(1, 3, 3 if maps["k"][0] == "context" else 8)
    whole = projection(x, context if maps["k"][0] == "context" else None)
    for i, (linear, start, stop) in enumerate(maps[name] for name in "qkv"):
        with torch.no_grad():
            read = context if linear == "context" else x
            ours = projection.get_submodule(linear)(read)[..., start:stop]
        assert torch.equal(whole[i].transpose(1, 2).flatten(2), ours)


def test_q_k_and_v_of_a_gat_are_one_map():
    model = zoo.adapt(gat(), "lora", targets=["q", "k", "v"])
    assert [[piece.name for piece in pieces] for pieces in model.adapter.pieces.values()] == [["qkv"], ["qkv"]]


def test_patterns_of_names():
    model = zoo.adapt(vit(), "lora", targets=["fc1", "blocks.0.*"])
    assert sorted(model.adapter.pieces) == [
        "blocks.0.attn.output.proj", "blocks.0.attn.projection.qkv", "blocks.0.mlp.fc1", "blocks.0.mlp.fc2", "blocks.1.mlp.fc1",
    ]  # fmt: skip
    assert zoo.adapt(vit(), "lora", targets=["*"]).adapter.whole == ("head",)  # which is trained whole instead


@pytest.mark.parametrize(
    "make, settings, sentence",
    [
        (
            vit,
            dict(targets=["gate"]),
            r"'gate' matches no linear map of this ViT.*There are: blocks\.\*\.attn.*down, head, k, o",
        ),
        (gat, dict(targets=["q", "o"]), "'o' matches no linear map of this GAT"),
        (vit, dict(targets=["blocks.7.*"]), "matches no linear map"),
        (vit, dict(targets="q"), "not a list of maps"),
        (vit, dict(targets=[]), "not a list of maps"),
        (vit, dict(targets=["head"]), "trained as a whole: head"),
        (vit, dict(rank=0), "adapter.rank=0"),
        (vit, dict(rank=2.0), "adapter.rank=2.0"),
        (vit, dict(alpha=0), "adapter.alpha=0"),
        (vit, dict(dropout=1), "adapter.dropout=1"),
        (vit, dict(kind="lara"), "did you mean 'lora'"),
        (vit, dict(train=["hed"]), "did you mean 'head'"),
    ],
)
def test_refusals_leave_the_model_as_it_is(make, settings, sentence):
    model = make()
    with pytest.raises(ZooError, match=sentence):
        zoo.adapt(model, **settings)
    assert model.adapter is None and all(p.requires_grad for p in model.parameters())


def test_one_adapter_at_a_time():
    with pytest.raises(ZooError, match="has an adapter already"):
        zoo.adapt(zoo.adapt(vit()), "lora")


def test_houlsby_is_behind_each_sublayer():
    model = zoo.adapt(vit(), "bottleneck", rank=4)
    assert sorted(name.rpartition(".")[2] for name in model.adapter.pieces) == ["fc2", "fc2", "proj", "proj"]
    assert {piece.scale for pieces in model.adapter.pieces.values() for piece in pieces} == {1.0}


def test_dropout_is_of_training_alone():
    model = stirred(zoo.adapt(vit(), "lora", dropout=0.5))
    (x,) = inputs(model)
    assert torch.equal(model.eval()(x), model(x))
    assert not torch.equal(model.train()(x), model(x))


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
def test_sparse_features():
    model = stirred(zoo.adapt(gat(), "lora", dropout=0.3)).eval()
    x, graph = inputs(model)
    assert torch.allclose(model(x.to_sparse_csr(), graph), model(x, graph), atol=1e-6)
    model.train()(x.to_sparse_csr(), graph).sum().backward()


def test_compiles_to_one_graph():
    model = stirred(zoo.adapt(vit(), "lora"))
    (x,) = inputs(model)
    assert torch.allclose(torch.compile(model, fullgraph=True, backend="eager")(x), model(x), atol=1e-6)


def test_around_what_is_compiled(tmp_path):
    model = vit().eval()
    (x,) = inputs(model)
    compiled = torch.compile(model, backend="eager")
    assert zoo.adapt(compiled, "lora") is compiled and "blocks.0.attn.projection.qkv" in model.adapter.pieces
    with torch.no_grad():
        wanted = stirred(compiled)(x)
        zoo.save_adapter(compiled, tmp_path)
        zoo.merge(compiled)
        assert torch.allclose(compiled(x), wanted, atol=1e-5) and model.adapter is None


def test_a_copy_and_half_precision():
    model = stirred(zoo.adapt(vit().to(torch.bfloat16), "lora"))
    twin = copy.deepcopy(model)
    x = inputs(model)[0].bfloat16()
    assert torch.equal(twin(x), model(x)) and {p.dtype for p in model.parameters()} == {torch.bfloat16}
    zoo.merge(twin)
    assert model.adapter is not None


def test_layers_and_decay_go_by_the_names_there_were():
    model = zoo.adapt(vit(), "lora")
    names = [name for group in model.layer_groups() for name in group]
    assert sorted(names) == sorted(name for name, _ in model.named_parameters())
    assert model.no_weight_decay() <= set(names)
    assert gpt().no_weight_decay() == zoo.adapt(gpt(), "lora").no_weight_decay()
