"""`python -m zoo report oversmoothing`: what is trained, what is chosen by what, what is written, what is refused."""

import csv
import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.cli.conftest import in_an_empty_folder, refused, zoo  # noqa: F401  the fixtures
from zoo.reports import REPORTS, oversmoothing, table, training
from zoo.reports.words import Settings, read

#: seconds: 100 digits' graph layers are 2 wide
SMALL = ("data=digits_knn", "model.num_heads=2", "model.head_dim=2")


def test_the_study_trains_prints_writes_and_goes_on(zoo):  # noqa: F811
    words = ("report", "oversmoothing", *SMALL, "depths=2,3", "seeds=0,1", "epochs=2", "out=here")
    code, out, err = zoo(*words, "variants=plain")
    assert code == 0, err
    assert "MADGap" in out and "plain" in out
    assert sorted(path.name for path in Path("here").iterdir()) == ["oversmoothing.png", "results.json", "table.csv"]
    assert [path.name for path in Path.cwd().iterdir()] == ["here"]
    with Image.open("here/oversmoothing.png") as image:
        assert image.width > 800 and len(set(image.convert("L").get_flattened_data())) > 10
    first = json.loads(Path("here/results.json").read_text())["runs"]
    assert [(run["depth"], run["seed"]) for run in first] == [(2, 0), (3, 0), (2, 1), (3, 1)]
    assert all(0 <= run["mad"] <= 2 and run["energy"] >= 0 and 0 <= run["accuracy"] <= 1 for run in first)
    with open("here/table.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["variant"], row["depth"], row["seeds"]) for row in rows][:2] == [
        ("plain", "2", "2"),
        ("plain", "3", "2"),
    ]
    two = [run["mad"] for run in first if run["depth"] == 2]
    assert float(rows[0]["mad_mean"]) == pytest.approx(sum(two) / 2)
    assert float(rows[0]["mad_std"]) == pytest.approx(abs(two[0] - two[1]) / 2**0.5)

    # what is there is not trained again; another recipe in the same folder is refused
    code, out, err = zoo(*words, "variants=plain,pairnorm+residual", "seeds=0")
    assert code == 0, err
    runs = json.loads(Path("here/results.json").read_text())["runs"]
    assert runs[:4] == first and [run["variant"] for run in runs[4:]] == ["pairnorm+residual"] * 2
    code, _, err = zoo(*words, "task.optimizer.lr=0.1")
    assert code == 2 and "choose another out=" in err


def test_the_weights_are_those_of_the_best_validation_and_the_same_as_anew(monkeypatch):
    settings = read([*SMALL, "epochs=6", "task.optimizer.lr=0.05"], oversmoothing.VARIANTS)
    config = oversmoothing.compose(settings, "plain", 2, 3, Path("nowhere"))
    data = training.load(config)
    task, figures = training.fit(config, data, patience=6)
    batch = data.example()
    nodes, logits = training.nodes_of(task.model, batch)
    for stage, name in (("val", "val_accuracy"), ("test", "accuracy")):
        rows = batch.rows[stage]
        right = (logits[rows].argmax(-1) == batch.labels[rows]).float().mean()
        assert figures[name] == pytest.approx(float(right))
    assert nodes.shape == (1797, 4) and not Path("nowhere").exists()
    # the logits are the last layer's of these nodes
    assert not task.model.training
    pattern = task.model.seen(batch.edge_index, 1797, None, None)
    torch.testing.assert_close(task.model.layers[-1](nodes, pattern), logits)

    # another test set changes nothing but the figure of the test
    batch.rows["test"] = batch.rows["train"]
    data.source.splits["test"] = data.source.splits["train"]
    other, again = training.fit(config, data, patience=6)
    assert again["val_accuracy"] == figures["val_accuracy"] and again["epoch"] == figures["epoch"]
    assert all(torch.equal(a, b) for a, b in zip(task.parameters(), other.parameters(), strict=True))


def test_the_best_epoch_and_patience():
    class Now:
        should_stop, current_epoch = False, 0

    best, trainer, model = training.Best(patience=2), Now(), torch.nn.Linear(1, 1)
    stops = []
    nan = float("nan")
    epochs = [(0.5, 1.0), (0.5, 0.9), (0.4, 0.95), (0.5, nan), (0.3, 0.8), (0.4, 0.9), (0.4, 0.9), (0.9, 0.1)]
    for trainer.current_epoch, (accuracy, loss) in enumerate(epochs[:-1]):
        with torch.no_grad():
            model.weight.fill_(trainer.current_epoch)
        trainer.callback_metrics = {"val/accuracy": torch.tensor(accuracy), "val/loss": torch.tensor(loss)}
        best.on_train_epoch_end(trainer, model)
        stops.append(trainer.should_stop)
    # the stop of epoch 3 would have been real; a better loss at epoch 4 comes too late
    assert stops == [False, False, False, True, True, True, True]
    assert best.epoch == 1 and float(best.weights["weight"]) == 1


@pytest.mark.parametrize("variant, what", [
    ("plain", lambda m: m.layers[1].skip is None and m.layers[1].norm is None and m.drop_edge == 0),
    ("residual", lambda m: type(m.layers[1].skip).__name__ == "Residual"),
    ("initial_residual", lambda m: type(m.layers[1].skip).__name__ == "InitialResidual"),
    ("identity_mapping", lambda m: m.layers[1].attn.projection.map.beta == 0.1),
    ("pairnorm", lambda m: type(m.layers[1].norm).__name__ == "PairNorm" and m.layers[-1].norm is None),
    ("dropedge", lambda m: m.drop_edge == 0.5),
    ("no_attn_dropout", lambda m: m.layers[1].attn.dropout == 0 and m.layers[1].drop.p == 0.6),
    ("residual+pairnorm", lambda m: m.layers[1].skip is not None and m.layers[1].norm is not None),
])  # fmt: skip
@pytest.mark.parametrize("model", ["gat", "gatv2", "graph_transformer"])
def test_variants(variant, what, model):
    from zoo import build
    from zoo.spec import GraphSpec
    from zoo.tasks.fit import fit

    settings = read([f"model={model}", *SMALL], oversmoothing.VARIANTS)
    config = oversmoothing.compose(settings, variant, 3, 0, Path("nowhere"))
    built = build(fit(config, GraphSpec(classes=("a", "b", "c"), in_dim=5))["model"])
    assert len(built.layers) == 3
    assert what(built) or (model, variant) == ("graph_transformer", "plain")  # which has a residual of its own
    x = torch.randn(6, 5)
    assert built.eval()(x, torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]])).isfinite().all()


def test_pair_norm_keeps_the_mean_square_length():
    from zoo.layers import pair_norm

    x = torch.randn(50, 8, dtype=torch.double) * 3 + 7
    out = pair_norm(8, scale=2.0)(x)
    torch.testing.assert_close(out.mean(0), torch.zeros(8, dtype=torch.double), atol=1e-9, rtol=0)
    assert float(out.square().sum(1).mean()) == pytest.approx(4, rel=1e-5)
    lengths = pair_norm(8, individually=True)(x).norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths), rtol=1e-4, atol=0)


def test_words():
    found = read(
        ["data=cora", "depths=[2,8]", "seeds=3", "variants=plain, residual", "epochs=7"], oversmoothing.VARIANTS
    )
    assert found == Settings((2, 8), (3,), ("plain", "residual"), 7, changes=("model=gat", "data=cora"))
    assert read(["model=gatv2"], oversmoothing.VARIANTS).changes == ("model=gatv2",)


def test_means_and_deviations():
    runs = [
        {"variant": v, "depth": d, "seed": s, "mad": s / 2, "dead": s} for s in (0, 1) for d in (4, 2) for v in "ba"
    ]
    rows = table.over_seeds(runs)
    assert [(row["variant"], row["depth"]) for row in rows] == [("b", 2), ("b", 4), ("a", 2), ("a", 4)]
    assert rows[0]["mad"] == (0.25, pytest.approx(0.125**0.5)) and rows[0]["dead"] == 1 and rows[0]["seeds"] == 2
    assert table.over_seeds(runs[:1])[0]["mad"] == (0, 0)


@pytest.mark.parametrize("words, said", [
    (["oversmothing"], "did you mean 'oversmoothing'?"),
    (["oversmoothing", "depth=2"], "did you mean 'depths'?"),
    (["oversmoothing", "cora"], "'cora' is not key=value"),
    (["oversmoothing", "seed=1"], "did you mean 'seeds'?"),
    (["oversmoothing", "depths=1,2"], "whole numbers from 2 on"),
    (["oversmoothing", "depths=2,2"], "names something twice"),
    (["oversmoothing", "seeds=-1"], "whole numbers from 0 on"),
    (["oversmoothing", "epochs=0"], "whole numbers from 1 on"),
    (["oversmoothing", "epochs=1,2"], "one number is meant"),
    (["oversmoothing", "variants=plain+residul"], "did you mean 'residual'?"),
    (["oversmoothing", "data=corra"], "did you mean 'cora'?"),
    (["oversmoothing", "model.head_dmi=3"], "did you mean 'head_dim'?"),
    (["oversmoothing", "+model.foo=3"], "model.foo=3 is not a setting of zoo.models.graph.gat.GAT"),
    (["oversmoothing", "model.depth=3"], "give depths="),
    (["oversmoothing", "trainer.max_epochs=3"], "give epochs="),
    (["oversmoothing", "callbacks=none"], "'callbacks' is not a setting of this study"),
    (["oversmoothing", "data=digits_graphs"], "not one graph"),
    (["oversmoothing", "data=digits"], "one full graph"),
    (["oversmoothing", "data.loader=neighbor"], "one full graph"),
])  # fmt: skip
def test_bad_words(refused, words, said):  # noqa: F811
    assert said in refused("report", *words)
    assert list(Path.cwd().iterdir()) == []


def test_every_study_is_there():
    from importlib import import_module

    assert all(callable(import_module(name).run) for name in REPORTS.values())
