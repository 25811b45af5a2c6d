"""What decides what: a model the model, a data set its task, a recipe how long and how fast; the user's own word wins."""

from pathlib import Path

import pytest
import yaml

from tests.training.compose import compose

CONF = Path(__file__).resolve().parents[2] / "conf"
MODELS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
RECIPES = sorted(path.stem for path in (CONF / "recipe").glob("*.yaml"))
LONG = "max_epochs: 777\ngradient_clip_val: 7.5\n"
MINE = "optimizer:\n  lr: 0.777\n  weight_decay: 0.5\n"


@pytest.fixture
def own(tmp_path):
    """Files of the user's: trainer=long, task=mine and task=my_images, and the word that makes Hydra find them."""
    for group, name, base, text in (
        ("trainer", "long", "default", LONG),
        ("task", "mine", "graph_classification", MINE),
        ("task", "my_images", "image_classification", MINE),
    ):
        (tmp_path / group).mkdir(exist_ok=True)
        (tmp_path / group / f"{name}.yaml").write_text(f"defaults:\n  - {base}\n  - _self_\n\n{text}")
    return f"hydra.searchpath=[file://{tmp_path}]"


@pytest.mark.parametrize("model", MODELS)
def test_a_models_file_decides_the_model(model):
    """At most it names the data and the recipe to begin with."""
    config = yaml.safe_load((CONF / "model" / f"{model}.yaml").read_text())
    assert set(config) <= {"defaults", "model"}
    named = [key for entry in config.get("defaults", []) if isinstance(entry, dict) for key in entry]
    axes = {
        f"{word}/{axis}" for word in ("", "override ") for axis in ("score", "pattern", "position", "kernel", "head")
    }
    assert set(named) <= axes | {"override /data", "override /recipe"}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_says_how_long_and_how_fast(recipe):
    """Epochs, clipping, rate, decay, schedule; the stop rule is a choice of callbacks."""
    config = yaml.safe_load((CONF / "recipe" / f"{recipe}.yaml").read_text())
    assert set(config) <= {"defaults", "trainer", "task"}
    assert set(config.get("trainer", {})) <= {"max_epochs", "gradient_clip_val"}
    assert set(config.get("task", {})) <= {"optimizer", "schedule"}
    assert set(config.get("task", {}).get("optimizer", {})) <= {"lr", "weight_decay"}
    whole = compose("model=gat", f"recipe={recipe}")
    assert whole.trainer.max_epochs and whole.task.optimizer.lr and "schedule" in whole.task


@pytest.mark.parametrize("model", MODELS)
def test_the_users_trainer_wins_over_what_a_model_names(own, model):
    config = compose(own, f"model={model}", "trainer=long")
    assert (config.trainer.max_epochs, config.trainer.gradient_clip_val) == (777, 7.5)


@pytest.mark.parametrize("model", MODELS)
def test_the_users_task_wins_over_what_a_model_names(own, model):
    task = "my_images" if model in ("vit", "cnn") else "mine"
    config = compose(own, f"model={model}", f"task={task}")
    assert (config.task.optimizer.lr, config.task.optimizer.weight_decay) == (0.777, 0.5)
    assert compose(own, f"model={model}", f"task={task}", "task.optimizer.lr=0.1").task.optimizer.lr == 0.1


def test_the_users_recipe_wins_and_an_experiment_over_the_models(own):
    assert compose("model=gat").trainer.max_epochs == 200
    assert compose("model=gat", "recipe=rgat").trainer.max_epochs == 50
    assert compose("experiment=gat_cora").trainer.max_epochs == 100_000
    assert compose("experiment=gat_cora", "recipe=gat").trainer.max_epochs == 200
    assert compose(own, "experiment=gat_cora", "trainer.max_epochs=3", "trainer=long").trainer.max_epochs == 3
    assert compose("experiment=gat_pubmed").task.optimizer.lr == 0.01


def test_data_name_their_usual_task():
    """And the command line may say another."""
    for data, multilabel in (("digits", False), ("cora", True)):
        assert ("multilabel" in compose(f"data={data}").task) == multilabel
    assert "multilabel" in compose("data=digits", "task=graph_classification").task
    assert "mixing" in compose("data=cora", "model=gat", "task=image_classification").task


def test_short_forms_of_two_keys():
    config = compose("model=gat", "loader=neighbor", "features=node2vec").data
    assert (config.loader, config.features) == ("neighbor", "node2vec")


@pytest.mark.parametrize("experiment", sorted(path.stem for path in (CONF / "experiment").glob("*.yaml")))
def test_an_experiment_says_its_command_time_and_figure(experiment):
    head = (CONF / "experiment" / f"{experiment}.yaml").read_text().split("defaults:")[0].splitlines()
    named = [line[4:12].strip() for line in head if line.startswith("#   ") and line[4] != " "]
    assert named[:3] == ["command", "time", "figure"] and head[0] == "# @package _global_"
    (command,) = (line for line in head if line.startswith("#   command"))
    assert command.split()[2:4] == ["python", "train.py"] and f"experiment={experiment}" in command
