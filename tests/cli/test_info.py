"""`python -m zoo info`."""

import json
import shutil

import pytest

import zoo as library
from tests.pretrained.llama2c_files import write

GAT = {"_target_": "zoo.models.gat.GAT", "in_dim": 5, "num_classes": 3}
HAN = {"_target_": "zoo.models.han.HAN", "in_dim": 5, "num_classes": 3}
PATHS = {"metadata": {"target": "paper", "metapaths": [["paper", "by", "paper"], ["paper", "on", "paper"]]}}


def row(out: str, name: str) -> str:
    return next(line for line in out.splitlines() if line.strip().startswith(name)).strip()[len(name) :].strip()


def test_a_model_by_name(zoo):
    code, out, _ = zoo("info", "vit_tiny_patch16_224")
    assert code == 0
    assert row(out, "parameters") == "5,717,416"  # as timm's
    assert row(out, "score x pattern x position") == "ScaledDot x Full() x Learned2D"
    assert row(out, "operations").startswith("2.51 GFLOPs")  # twice the 1.25 G multiply-adds
    assert row(out, "dim") == "192" and row(out, "depth") == "12"


def test_a_model_of_the_conf_folder_takes_changes(zoo, refused):
    out = zoo("info", "vit", "model.depth=2", "model.patch_size=2")[1]
    assert row(out, "depth") == "2" and row(out, "img_size") == "8" and row(out, "tokens").startswith("4 x 4")
    assert "did you mean 'depth'?" in refused("info", "vit", "model.dpth=2")
    assert "not divisible" in refused("info", "vit", "model.patch_size=3")
    assert row(zoo("info", "vit_tiny_patch16_224", "model.depth=2", "data.img_size=224")[1], "depth") == "2"
    assert "set data.img_size=224" in refused("info", "vit_tiny_patch16_224", "model.depth=2")


def test_a_model_without_attention(zoo):
    out = zoo("info", "cnn")[1]
    assert "x pattern x" not in out and row(out, "parameters")


def test_a_finished_run(zoo, run):
    code, out, _ = zoo("info", run)
    assert code == 0 and "finished" in out
    assert row(out, "test/accuracy") == "0.125"
    assert row(out, "command") == "python train.py seed=3 model.depth=2"
    assert "model/model.safetensors" in out and f'zoo.load("{run}")' in out
    assert f"python -m zoo predict {run} <image>" in out
    model = library.load(run)
    assert row(out[out.index("score x") :], "parameters") == f"{sum(p.numel() for p in model.parameters()):,}"


def test_an_unfinished_run_says_how_to_go_on(zoo, run, tmp_path):
    shutil.copytree(run, tmp_path / "cut")
    (tmp_path / "cut" / "summary.json").unlink()
    shutil.rmtree(tmp_path / "cut" / "model")
    out = zoo("info", tmp_path / "cut")[1]
    assert "not finished" in out and f"ckpt_path={tmp_path / 'cut'}" in out and "zoo.load" not in out


def test_a_model_folder(zoo, run):
    assert row(zoo("info", run / "model")[1], "depth") == "2"


def test_a_folder_of_the_hub_and_one_of_llama2c(zoo, tmp_path):
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 50, "n_positions": 64}
    config = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], **sizes}
    (tmp_path / "config.json").write_text(json.dumps(config))
    said = zoo("info", tmp_path)[1]
    assert "zoo.models.language.gpt.GPT" in said and "50 tokens" in said and "ScaledDot x Causal() x Learned" in said
    (tmp_path / "config.json").unlink()
    write(tmp_path / "stories.bin")
    assert "zoo.models.language.llama.Llama" in zoo("info", tmp_path)[1]


def test_what_is_neither(refused, tmp_path):
    assert "did you mean 'vit_tiny_patch16_" in refused("info", "vit_tiny_patch16")
    assert "model folder" in refused("info", tmp_path)


# W [in, heads x width], a vector a query and a key for each head, a bias; the last layer's bias is of the mean over heads
BY_HAND = {
    "gat_cora": (1433 * 64 + 2 * 64 + 64) + (64 * 7 + 2 * 7 + 7),
    "gat_citeseer": (3703 * 64 + 2 * 64 + 64) + (64 * 6 + 2 * 6 + 6),
    "gat_pubmed": (500 * 64 + 2 * 64 + 64) + (64 * 8 * 3 + 2 * 8 * 3 + 3),
    "gat_ppi": (50 * 1024 + 3 * 1024) + (1024 * 1024 + 3 * 1024) + (1024 * 6 * 121 + 2 * 6 * 121 + 121),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_a_graph_model_by_name(zoo, name):
    """The sizes of Velickovic et al. 2018, counted by hand."""
    code, out, _ = zoo("info", name)
    model = library.create_model(name)
    assert code == 0 and row(out, "parameters") == f"{BY_HAND[name]:,}"
    assert sum(p.numel() for p in model.parameters()) == BY_HAND[name]
    assert row(out, "score x pattern x position") == "GATScore x GraphEdges() x no position"
    assert "FLOPs" not in out and "tokens" not in out  # which are of images


def test_a_graph_model_of_the_conf_folder_has_the_size_of_its_data(zoo):
    out = zoo("info", "model=gatv2", "position=laplacian", "model.depth=3")[1]
    assert (row(out, "in_dim"), row(out, "num_classes"), row(out, "depth")) == ("64", "10", "3")  # data=digits_knn
    assert row(out, "score x pattern x position") == "GATv2Score x GraphEdges() x Laplacian"
    out = zoo("info", "graph_transformer", "position=shortest_path", "pattern=full")[1]
    assert row(out, "score x pattern x position") == "ScaledDot x Full() x ShortestPath"


@pytest.mark.parametrize("model, said", [
    ({**GAT, "edge_dim": 2}, "GATScore x GraphEdges() x no position"),
    ({**HAN, **PATHS}, "GATScore x GraphEdges() x no position; Dot x Full() x no position"),
    ({**GAT, "_target_": "zoo.models.rgat.RGAT", "num_relations": 2}, "AdditiveEdgeScore x GraphEdges() x no position"),
])  # fmt: skip
def test_the_sentence_of_models_of_graphs(zoo, graph_run, model, said):
    out = zoo("info", graph_run(model))[1]
    assert row(out, "score x pattern x position") == said


def test_the_pattern_of_a_graph_model_may_be_joined(zoo, graph_run):
    both = {"_target_": "zoo.attention.And", "left": {"_target_": "zoo.attention.GraphEdges"}}
    both["right"] = {"_target_": "zoo.attention.Window", "size": 4}
    parts = {"score": {"_target_": "zoo.attention.GATv2Score", "_partial_": True}, "pattern": both}
    attention = {"_target_": "zoo.attention.Attention", "_partial_": True, **parts}
    out = zoo("info", graph_run({**GAT, "attention": attention}))[1]
    assert row(out, "score x pattern x position") == "GATv2Score x GraphEdges() & Window(size=4) x no position"


def test_how_to_use_a_run_on_graphs(zoo, graph_run):
    gat, han = graph_run(GAT), graph_run({**HAN, **PATHS})
    out = zoo("info", gat)[1]
    assert f"python -m zoo predict {gat} <graph.npz>" in out and row(out, "loader") == "full"
    out = zoo("info", han)[1]
    assert "python -m zoo predict" not in out and f'zoo.load("{han}")' in out
    assert row(out, "meta-paths") == "paper-by-paper, paper-on-paper" and "metadata" not in out
