"""The figures of a run exist, and say what was measured."""

import logging

import pytest
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

import zoo
from tests.tasks.tiny import ADAMW, COSINE, data, loader, make_task, make_trainer
from zoo.callbacks.checkpoint import Checkpoint
from zoo.callbacks.figures import Figures
from zoo.errors import ZooError
from zoo.inspect.maps import PatchMaps, attention_maps, patch_attention
from zoo.inspect.plots import confusion_matrix, learning_curves, read_metric

VIT = {"_target_": "zoo.models.vit.ViT", "img_size": 4, "patch_size": 2, "in_chans": 1, "num_classes": 3}
VIT |= {"dim": 8, "depth": 2, "num_heads": 2}
PNG = b"\x89PNG"
METRICS = """epoch,step,train/loss,val/loss,train/accuracy,val/accuracy
0,1,,2.0,,.5
0,1,2.5,,.4,
1,3,,1.0,,.7
1,3,1.5,,.8,
1,3,1.4,,.9,
"""


class Data(LightningDataModule):
    classes = ("one", "two", "three")
    preprocess = {"size": 4, "in_chans": 1, "mean": (0.5,), "std": (0.25,)}  # noqa: RUF012 (a stand-in, never changed)

    def test_dataloader(self):
        return loader(13)

    def test_images(self, n):
        return data(n).tensors


def drawn(folder):
    return {path.name: path.read_bytes()[:4] for path in (folder / "figures").glob("*")}


def test_all_three_are_drawn_after_a_test(tmp_path):
    (tmp_path / "metrics.csv").write_text(METRICS)
    trainer = make_trainer(callbacks=[Figures(tmp_path, images=3)])
    trainer.test(make_task(zoo.build(VIT)), datamodule=Data(), verbose=False)
    names = ("learning_curves.png", "confusion_matrix.png", "attention_maps.png")
    assert drawn(tmp_path) == dict.fromkeys(names, PNG)


def test_what_cannot_be_drawn_is_left_out_with_a_line(tmp_path, caplog):
    caplog.set_level(logging.INFO, "zoo.callbacks.figures")
    trainer = make_trainer(callbacks=[Figures(tmp_path)])
    trainer.test(make_task(), datamodule=Data(), verbose=False)  # no metrics.csv; a model without attention
    assert set(drawn(tmp_path)) == {"confusion_matrix.png"}
    assert "learning_curves.png is left out" in caplog.text and "attention_maps.png is left out" in caplog.text


def test_nothing_is_drawn_in_a_fast_dev_run(tmp_path):
    trainer = make_trainer(callbacks=[Figures(tmp_path)], fast_dev_run=True)
    trainer.test(make_task(), datamodule=Data(), verbose=False)
    assert not (tmp_path / "figures").exists()


def test_drawing_leaves_the_predictions_as_they_were(tmp_path):
    task = make_task(zoo.build(VIT)).eval()
    before = task(data(4).tensors[0])
    make_trainer(callbacks=[Figures(tmp_path)]).test(task, datamodule=Data(), verbose=False)
    assert torch.equal(task.eval()(data(4).tensors[0]), before)


def test_metrics_are_read_by_epoch_and_the_last_value_counts(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text(METRICS)
    assert read_metric(path, "train/loss") == ([1.0, 2.0], [2.5, 1.4])
    assert read_metric(path, "test/loss") == ([], [])
    assert learning_curves(path, tmp_path / "a.png").read_bytes()[:4] == PNG


@pytest.mark.parametrize("classes", [2, 30, 100])
def test_confusion_of_few_and_many_classes(tmp_path, classes):
    png = confusion_matrix(torch.eye(classes), [f"class {i}" for i in range(classes)], tmp_path / "c.png")
    assert png.read_bytes()[:4] == PNG


def test_patch_attention_by_hand():
    weights = torch.arange(2 * 25.0).view(1, 2, 5, 5)  # a class token and 2 x 2 patches
    by_class = patch_attention(weights, (2, 2), 1, class_token=True)
    assert by_class[0, 0].tolist() == [[1, 2], [3, 4]]
    assert patch_attention(weights, (2, 2), 1, class_token=False)[0, 0].tolist() == [[13.5, 14.5], [15.5, 16.5]]
    with pytest.raises(ZooError, match="2 x 3 patches"):
        patch_attention(weights, (2, 3), 1, True)


@pytest.mark.parametrize("channels, heads, layers", [(1, 3, 2), (3, 3, 1), (3, 12, 12)])
def test_attention_maps_of_grey_and_colour_and_many_heads(tmp_path, channels, heads, layers):
    maps = PatchMaps(
        torch.rand(2, heads, 2, 2), torch.rand(2, layers, 2, 2), torch.rand(2, 2, 2) if layers > 1 else None
    )
    png = attention_maps(torch.rand(2, channels, 8, 8), maps, tmp_path / "m.png", ["a", "b\nnot c"])
    assert png.read_bytes()[:4] == PNG


def texts(figure):
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


@pytest.fixture
def figures(monkeypatch):
    """The figures that are drawn, kept instead of written."""
    kept = []
    for module in ("maps", "plots"):
        monkeypatch.setattr(f"zoo.inspect.{module}.save", lambda figure, png: kept.append(figure) or png)
    return kept


def test_of_many_heads_and_layers_some_are_shown_first_and_last_layer_among_them(figures):
    maps = PatchMaps(torch.rand(1, 12, 2, 2), torch.rand(1, 12, 2, 2), torch.rand(1, 2, 2))
    attention_maps(torch.rand(1, 3, 8, 8), maps, "m.png", ["a"])
    columns = [axes.get_title().replace("\n", " ") for axes in figures[0].axes if axes.get_title()]
    heads = [f"last layer head {h}" for h in range(6)]
    assert columns == ["image", *heads, *(f"layer {i} mean of heads" for i in (0, 4, 7, 11)), "all layers rollout"]


def test_with_mixed_labels_no_training_accuracy_is_drawn_and_the_figure_says_why(tmp_path, figures):
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,train/loss,val/loss,val/accuracy\n0,1,2.5,2.0,.5\n1,2,1.5,1.0,.7\n")
    learning_curves(path, "a.png")
    loss, accuracy = figures[0].axes
    assert [line.get_label() for line in loss.lines] == ["training, on mixed labels", "validation"]
    assert "training" not in {line.get_label() for line in accuracy.lines}
    assert "mixed images have no one right class" in accuracy.get_xlabel()


@pytest.mark.parametrize("mode, best", [("max", "0.9"), ("min", "0.2")])
def test_the_best_value_is_marked_by_the_metric_and_its_mode(tmp_path, figures, mode, best):
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,train/mae,val/mae\n0,1,2.5,.9\n1,2,1.5,.2\n")
    learning_curves(path, "a.png", "mae", mode)
    assert best in texts(figures[0])


@pytest.mark.parametrize("chosen, marked", [(None, 3), (2, 2), (9, 3)])
def test_the_mark_is_at_the_epoch_of_best_ckpt_and_of_equals_at_the_latest(tmp_path, figures, chosen, marked):
    """What chose it may be another metric than the curve's (callbacks=by_loss)."""
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,val/loss,val/accuracy\n0,1,2.5,.9\n1,2,.5,.8\n2,3,1.5,.9\n")
    learning_curves(path, "a.png", chosen=chosen)
    dot = figures[0].axes[1].lines[-1]
    assert dot.get_marker() == "o" and list(dot.get_xdata()) == [marked]


def test_a_run_s_curve_is_marked_at_its_best_checkpoint(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr("zoo.inspect.plots.learning_curves", lambda *given: told.append(given))
    (tmp_path / "metrics.csv").write_text(METRICS)
    best = Checkpoint(str(tmp_path), "best", monitor="lr", mode="max")
    trainer = make_trainer(3, callbacks=[Figures(tmp_path), best])
    falling = {**COSINE, "warmup": 0.0}  # so the first epoch's rate is the best
    task = make_task(zoo.build(VIT), schedule=falling)
    trainer.fit(task, loader(), loader(13))
    trainer.test(task, datamodule=Data(), verbose=False)
    epoch = torch.load(tmp_path / "best.ckpt", weights_only=True)["epoch"]
    assert told == [
        (tmp_path / "metrics.csv", tmp_path / "figures" / "learning_curves.png", "accuracy", "max", epoch + 1)
    ]
    assert epoch == 0


# ---- graphs

GAT = {"_target_": "zoo.models.gat.GAT", "in_dim": 3, "num_classes": 3, "head_dim": 4, "num_heads": 2}
DENSE = {"_target_": "zoo.attention.Attention", "_partial_": True}
DENSE |= {"score": {"_target_": "zoo.attention.ScaledDot"}, "pattern": {"_target_": "zoo.attention.Full"}}


class Ring(LightningDataModule):
    """Six nodes, each seen by the three after it; alone, or four such graphs in a batch with a label each."""

    classes = ("one", "two", "three")

    def __init__(self, whole: bool = False):
        super().__init__()
        self.whole = whole

    def example(self):
        from torch_geometric.data import Batch, Data

        node = torch.arange(6).repeat(3)
        edge_index = torch.stack([node, (node + torch.arange(3).repeat_interleave(6) + 1) % 6])
        graphs = [Data(x=torch.randn(6, 3), edge_index=edge_index, labels=torch.tensor([i % 3])) for i in range(4)]
        graph = Batch.from_data_list(graphs) if self.whole else graphs[0].update({"labels": torch.arange(6) % 3})
        graph.rows = {"train": torch.arange(len(graph.labels)), "test": torch.arange(len(graph.labels))}
        return graph

    def test_dataloader(self):
        return DataLoader([self.example()], batch_size=None)


def graph_task(**model):
    from zoo.tasks.graph_classification import GraphClassification

    return GraphClassification(zoo.build(GAT | model), ADAMW)


@pytest.mark.parametrize("whole", [False, True])
def test_of_graphs_a_neighbourhood_and_the_entropy_are_drawn(tmp_path, whole, caplog):
    caplog.set_level(logging.INFO, "zoo.callbacks.figures")
    (tmp_path / "metrics.csv").write_text("epoch,step,train/loss,train/accuracy\n0,1,2.5,.4\n1,2,1.5,.8\n")
    task = graph_task(readout="mean" if whole else None)
    make_trainer(callbacks=[Figures(tmp_path)]).test(task, datamodule=Ring(whole), verbose=False)
    names = ("learning_curves.png", "confusion_matrix.png", "neighbourhood.png", "attention_entropy.png")
    assert drawn(tmp_path) == dict.fromkeys(names, PNG)
    assert "could not" not in caplog.text and "left out" not in caplog.text  # nor is another looked for


def test_dense_attention_on_a_graph_draws_no_edges(tmp_path, caplog):
    caplog.set_level(logging.INFO, "zoo.callbacks.figures")
    trainer = make_trainer(callbacks=[Figures(tmp_path)])
    trainer.test(graph_task(attention=DENSE), datamodule=Ring(), verbose=False)
    assert set(drawn(tmp_path)) == {"confusion_matrix.png"}
    for name in ("neighbourhood", "attention_entropy"):
        assert f"{name}.png is left out: GAT attends to all nodes, not along edges" in caplog.text


def test_labels_of_whole_graphs_colour_no_node():
    from zoo.callbacks.figures import _node_labels

    assert _node_labels(Ring(whole=True).example()) is None
    graph = Ring().example()
    assert _node_labels(graph).tolist() == [0, 1, 2, 0, 1, 2]
    graph.scored = torch.arange(6) < 4  # the others have none
    assert _node_labels(graph).tolist() == [0, 1, 2, 0, -1, -1]


def test_learning_curves_without_a_validation_part(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,train/loss,train/accuracy\n0,1,2.5,.4\n1,2,1.5,.8\n")
    assert learning_curves(path, tmp_path / "a.png").read_bytes()[:4] == PNG
