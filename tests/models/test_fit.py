"""Each model with data of each modality: it builds, or one sentence says why not before anything is loaded."""

from pathlib import Path

import pytest
import torch

import zoo
from tests.test_recipes import GRAPH, IMAGES, SPECS
from tests.training.compose import compose
from zoo.config import instantiate, locate, plain
from zoo.errors import ZooError
from zoo.models import Model
from zoo.models.fit import check_reads, encodings, fit
from zoo.spec import WORDS, GraphSpec, ImageSpec
from zoo.tasks.classification import Classification
from zoo.training.run import train

CONF = Path(__file__).resolve().parents[2] / "conf"
MODELS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
DATA = {
    "image": "digits",
    "graph": "digits_knn",
    "relational_graph": "aifb",
    "heterogeneous_graph": "acm",
    "text": "python_docs",
    "series": "nyc_weather",
    "pairs": "reverse",
    "captions": "digit_scenes",
}
SMALL = {"vit": ["model.dim=16", "model.depth=1"], "cnn": []}


@pytest.fixture
def nothing_is_loaded(monkeypatch):
    """Loading anything, or looking for it, fails."""

    def refuse(*args, **kwargs):
        raise AssertionError("data was loaded")

    for method in ("setup", "prepare_data"):
        monkeypatch.setattr(f"datamodules.base.DataModule.{method}", refuse)


@pytest.mark.parametrize("data", DATA.values())
@pytest.mark.parametrize("model", MODELS)
def test_each_model_with_data_of_each_modality(model, data, nothing_is_loaded, tmp_path):
    config = compose(f"model={model}", f"data={data}", "callbacks=none", *SMALL.get(model, []), run=tmp_path)
    settings = plain(config)
    kind, module = locate(settings["model"]["_target_"]), instantiate(settings["data"])
    assert issubclass(kind, Model) and set(kind.reads) <= set(WORDS)
    if module.modality in kind.reads:
        outputs = 0 if module.modality in ("series", "pairs", "captions") else 3  # a forecast is not a row's numbers
        made = zoo.build(fit(settings["model"], SPECS[module.modality], outputs))
        assert made.num_classes == outputs
        assert getattr(made, "vocab_size", 11) == 11 and getattr(made, "context", 12) == 12, "of text"
        return
    with pytest.raises(ZooError, match=f"{kind.__name__} is for .*, and {type(module).__name__} holds") as error:
        train(config, tmp_path)
    assert "\n" not in str(error.value) and str(error.value).count(". ") == 0
    assert not list(tmp_path.iterdir())


def test_every_modality_of_a_model_has_data_and_words():
    read = {modality for model in MODELS for modality in locate(_config(model)["_target_"]).reads}
    assert read <= set(DATA) == set(WORDS)


def _config(model, *changes):
    return plain(compose(f"model={model}", *changes))["model"]


@pytest.mark.parametrize(
    "changes, what",
    [
        (["pattern=edges"], "GraphEdges is for graphs"),
        (["position=laplacian"], "Laplacian is for graphs"),
        (["position=shortest_path"], "ShortestPath is for graphs"),
    ],
)
def test_a_part_for_graphs_is_refused_on_images_before_they_are_loaded(changes, what, nothing_is_loaded, tmp_path):
    """Issue 7: pattern=edges on a ViT was refused only in the first batch."""
    with pytest.raises(ZooError, match=f"{what}.*, and Digits holds images"):
        train(compose("model=vit", *changes, run=tmp_path), tmp_path)


def test_a_relational_graph_with_features_is_a_graph():
    without, learned = (instantiate(plain(compose("data=aifb", *more))["data"]) for more in ([], ["features=node2vec"]))
    with pytest.raises(ZooError, match=r"GAT is for graphs, and AIFB holds graphs with several kinds of edges"):
        check_reads(_config("gat"), without.modalities, "AIFB")
    check_reads(_config("gat"), learned.modalities)
    check_reads(_config("rgat"), learned.modalities)


def test_nulls_take_what_the_data_say_and_what_is_set_stays():
    made = fit(_config("gat", "model.head_dim=3"), GraphSpec(classes=("a",), in_dim=7, graph_level=True), 4)
    assert (made["in_dim"], made["edge_dim"], made["num_classes"], made["readout"]) == (7, 0, 4, "mean")
    assert made["head_dim"] == 3
    assert fit(_config("gat", "model.readout=sum"), GraphSpec(in_dim=7, graph_level=True), 4)["readout"] == "sum"
    assert fit(_config("gat", "model.edge_dim=0"), GraphSpec(in_dim=7, edge_dim=2), 4)["edge_dim"] == 0
    assert fit(_config("vit", "model.img_size=[8,8]"), IMAGES, 3)["img_size"] == [8, 8]


@pytest.mark.parametrize("n", [1, 5, 12])
def test_a_number_of_outputs_other_than_the_classes_is_refused(n):
    """Issue 7: 5 was a traceback, 12 trained and predict died, 1 trained."""
    with pytest.raises(ZooError, match=f"model.num_classes={n}, but the data wants 3 outputs"):
        fit(_config("vit", f"model.num_classes={n}"), IMAGES, Classification.outputs(IMAGES))
    assert fit(_config("vit", "model.num_classes=3"), IMAGES, 3)["num_classes"] == 3


@pytest.mark.parametrize(
    "model, change, spec, what",
    [
        (
            "vit",
            "model.img_size=16",
            IMAGES,
            "model.img_size=16, but the data has 8; leave it out, or set data.img_size=16",
        ),
        ("cnn", "model.in_chans=3", IMAGES, "model.in_chans=3, but the data has 1"),
        ("gat", "model.in_dim=6", GRAPH, "model.in_dim=6, but the data has 5; leave it out"),
        ("gat", "model.edge_dim=2", GRAPH, "model.edge_dim=2, but the data has 0"),
        ("rgat", "model.num_nodes=9", SPECS["relational_graph"], "model.num_nodes=9, but the data has no such thing"),
        ("rgat", "model.head_dim=2", GRAPH, "model.num_relations must be known, and graphs do not tell"),
    ],
)
def test_sizes_that_are_not_the_datas(model, change, spec, what):
    with pytest.raises(ZooError, match=what):
        fit(_config(model, change), spec, 3)


def test_encodings_are_read_off_the_config():
    assert encodings(_config("gat", "position=laplacian", "+model.position.k=5")) == {"laplacian": 5}
    found = encodings({"_target_": "zoo.models.gat.GAT", "position": {"_target_": "zoo.attention.RandomWalk"}})
    assert found == {"random_walk": 16}, "the default of its signature"
    assert encodings(_config("vit")) == {}


def test_the_task_says_what_the_targets_must_be():
    with pytest.raises(
        ZooError, match="Classification learns from one class or several classes at once a row, and the"
    ):
        Classification.outputs(ImageSpec(img_size=8, in_chans=1, targets="numbers", num_targets=2))
    several = GraphSpec(classes=("a", "b"), in_dim=3, targets="labels")
    assert Classification.complete({"multilabel": None}, several)["multilabel"] is True
    with pytest.raises(ZooError, match=r"task.multilabel=true, but the data has one class a row"):
        Classification.complete({"multilabel": True}, IMAGES)


def test_label_gives_names_and_preprocessing():
    from zoo.models.fit import label

    model = zoo.build(fit(_config("cnn"), IMAGES, 3))
    label(model, IMAGES)
    assert model.classes == IMAGES.classes and model.preprocess is IMAGES.preprocess
    assert model.inputs((torch.zeros(2), torch.zeros(2)))[0].shape == (2,)


class Captioner(Model):
    reads = ("image", "text")


def test_a_model_takes_all_that_it_reads(monkeypatch):
    """More than one where a model takes several, as a captioner does."""
    monkeypatch.setattr("zoo.models.fit.locate", lambda name: Captioner)
    check_reads({"_target_": "mine.Captioner"}, ("image", "text"))
    with pytest.raises(ZooError, match="Captioner is for images and text, and Digits holds images; take other data="):
        check_reads({"_target_": "mine.Captioner"}, ("image",), "Digits")


def test_a_probe_is_refused_by_the_command_and_leaves_no_run(tmp_path):
    """Issue 7: `model=gat finetune=linear_probe` trained everything without a word."""
    config = compose("model=gat", "finetune=linear_probe", "callbacks=none", "~logger", run=tmp_path / "run")
    with pytest.raises(ZooError, match="GAT as it is built has none; take finetune=full"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
