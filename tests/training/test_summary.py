"""The commands that a run suggests at its end can be run."""

import shlex

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser

import zoo
from tests.test_recipes import SPECS
from tests.training.compose import compose
from zoo.config import locate, plain
from zoo.models.fit import fit
from zoo.text import train_tokenizer
from zoo.training.checks import check_config
from zoo.training.summary import beside, next_trainings, print_summary, use, without_paths

CHOICES = {"model": "vit", "data": "digits", "score": "scaled_dot", "position": "learned_2d"}


def jobs(line):
    """The configs of the jobs that a printed command starts, by Hydra's own parsers."""
    program, script, *arguments = shlex.split(line)
    assert (program, script) == ("python", "train.py")
    given = get_args_parser().parse_args(arguments)
    overrides = OverridesParser.create().parse_overrides(given.overrides)
    if not given.multirun:
        return [compose(*given.overrides)]
    return [compose(*job) for batch in BasicSweeper.split_arguments(overrides, None) for job in batch]


@pytest.mark.parametrize("overrides", [[], ["model=vit", "seed=3", "score=additive", "+trainer.limit_train_batches=2"]])
def test_suggested_commands_parse(overrides):
    swap, seeds = next_trainings(overrides, CHOICES)
    (swapped,) = jobs(swap)
    assert swapped.seed == 0
    assert ("RoPE" in swapped.model.position._target_) == bool(overrides)
    assert swapped.model.attention.score._target_ == "zoo.attention.Additive"
    assert [job.seed for job in jobs(seeds)] == [0, 1, 2]
    for job in (swapped, *jobs(seeds)):
        check_config(plain(job))


def test_no_hint_names_what_is_chosen_or_what_trained_weights_cannot_take():
    chosen = next_trainings(["model=bahdanau"], {**CHOICES, "score": "additive"})[0]
    assert "score=" not in chosen
    begun = next_trainings(["init=vit.fashion_mnist", "finetune=linear_probe"], CHOICES)[0]
    assert "score=" not in begun and "position=" not in begun


def test_values_that_a_shell_would_take_apart_are_quoted():
    swap, _ = next_trainings(["data.normalise={mean:[0.5],std:[0.5]}", "paths.runs=my runs"], CHOICES)
    (job,) = jobs(swap)
    assert job.data.normalise == {"mean": [0.5], "std": [0.5]} and job.paths.runs == "my runs"


def test_compressors_stand_beside_bits_per_byte_also_where_they_win(tmp_path, capsys):
    from types import SimpleNamespace

    from datamodules.text import TextFile

    (tmp_path / "a.txt").write_text("one two three " * 100)
    data = TextFile(path=str(tmp_path / "a.txt"), cache=str(tmp_path))
    metrics = {"test/bits_per_byte": 2.5, "test/loss": 3.0}
    found = beside(SimpleNamespace(metrics=metrics, data=data))
    assert found["test/bits_per_byte"].keys() == {"gzip -9", "xz"}
    assert beside(SimpleNamespace(metrics={"test/accuracy": 1.0}, data=None)) == {}
    content = {
        "metrics": metrics,
        "parameters": 3,
        "wall_time_s": 0,
        "beside": {"test/bits_per_byte": {"gzip -9": 2.0, "xz": 3.0}},
    }
    print_summary(
        tmp_path, content, zoo.create_model("gpt_mini", vocab_size=9, dim=8, num_heads=2, depth=1), [], CHOICES
    )
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    at = lines.index(["test/bits_per_byte", "2.5"])
    assert lines[at + 1] == ["gzip", "-9", "2,", "which", "is", "less"] and lines[at + 2] == ["xz", "3"]


@pytest.mark.parametrize("name, writing", [("gpt_mini", True), ("bert_mini", False), ("vit_mini_patch2_8", False)])
def test_what_writes_is_told_to(tmp_path, capsys, name, writing):
    more = {} if name.startswith("vit") else {"vocab_size": 259}
    model = zoo.create_model(name, depth=1, **more)
    if more:
        model.tokenizer = train_tokenizer("byte", [""])
    print_summary(tmp_path, {"metrics": {}, "parameters": 3, "wall_time_s": 0}, model, [], CHOICES)
    assert ("python -m zoo generate" in capsys.readouterr().out) == writing


def test_what_was_only_pre_trained_is_gone_on_from(tmp_path, capsys):
    """It forecasts nothing, and predict and backtest would refuse it."""
    sizes = {"lookback": 32, "horizon": 4, "channels": 1}
    masking = {"_target_": "zoo.layers.patch_masking.RandomPatches", "ratio": 0.4}
    words = ["model=patchtst", "data=etth1", "task=masked_patches", "task.ratio=.5", "seed=1"]
    told = {}
    for name, more in {"pre-trained": {"masking": masking, "stride": 16}, "forecaster": {}}.items():
        model = zoo.create_model("patchtst", **sizes, **more)
        print_summary(tmp_path, {"metrics": {}, "parameters": 3, "wall_time_s": 0}, model, words, CHOICES)
        told[name] = capsys.readouterr().out
    run = f"init={tmp_path} finetune=linear_probe"
    assert f"python train.py model=patchtst data=etth1 {run}\n" in told["pre-trained"]
    assert "zoo predict" not in told["pre-trained"] and "backtest" not in told["pre-trained"]
    assert "zoo predict" in told["forecaster"] and "zoo backtest" in told["forecaster"]


def test_what_is_shared_names_no_folder_of_this_machine():
    words = [
        "model=vit",
        "paths.runs=/home/me/runs",
        "init='/home/me/x/best.ckpt'",
        "data.root=~/pets",
        "ckpt_path=/a/b",
    ]
    assert without_paths(words) == ["model=vit", "init=best.ckpt", "data.root=pets"]


@pytest.mark.parametrize(
    "model, what",
    [
        ("vit", "predict RUN <image>"),
        ("cnn", "predict RUN <image>"),
        ("gat", "predict RUN <graph.npz>"),
        ("rgat", "predict RUN <graph.npz>"),
        ("bahdanau", 'translate RUN "a sentence"'),
        ("han", None),
    ],
)
def test_a_verb_is_recommended_with_what_it_takes(model, what):
    """HAN reads a graph for each meta-path, which no file holds: predict refuses it."""
    config = plain(compose(f"model={model}"))["model"]
    spec = SPECS[locate(config["_target_"]).reads[0]]
    assert use(zoo.build(fit(config, spec, 3)), "RUN") == (what and f"python -m zoo {what}")


def test_an_example_is_of_letters_that_the_model_reads():
    """A char tokenizer of a few letters knows no "a sentence"."""
    model = zoo.create_model("bahdanau", source_vocab=8, target_vocab=8, dim=4)
    model.tokenizer = train_tokenizer("char", ["abcde"], special=True)
    assert use(model, "RUN") == "python -m zoo translate RUN abcde"
    model.source_tokenizer = train_tokenizer("byte", [])
    assert use(model, "RUN") == 'python -m zoo translate RUN "a sentence"'
