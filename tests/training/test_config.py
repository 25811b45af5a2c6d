"""Every key is read by something, or refused with the nearest one (A6); what may be instantiated (A8)."""

import pytest
from hydra.errors import HydraException

from tests.training.compose import compose
from zoo.conf import expand, quoted
from zoo.config import check, instantiate, locate, plain
from zoo.errors import ZooError
from zoo.training.checks import check_config
from zoo.training.identity import config_hash, essence, flatten
from zoo.training.sentences import explain


@pytest.mark.parametrize("trainer", ["default", "ddp"])
@pytest.mark.parametrize("model", ["vit", "cnn"])
def test_what_ships_is_accepted(model, trainer):
    check_config(plain(compose(f"model={model}", f"trainer={trainer}")))


@pytest.mark.parametrize("debug", ["fast_dev_run", "fdr", "overfit", "profile"])
def test_debug_configs_are_accepted(debug):
    check_config(plain(compose(f"debug={debug}")))


@pytest.mark.parametrize("logger", ["csv", "tensorboard", "wandb"])
def test_each_logger_keeps_the_csv(logger):
    config = plain(compose(f"logger={logger}"))
    assert set(config["logger"]) == {"csv", logger}


@pytest.mark.parametrize(
    "override, expected",
    [
        ("+model.dpth=3", "model.dpth=3 is not a setting of zoo.models.vision.vit.ViT; did you mean 'depth'?"),
        ("seed=4294967296", "seed=4294967296 is not a whole number from 0 to 4294967295; give one, such as seed=0."),
        ("+model.dpeth=3", "model.dpeth=3 is not a setting of zoo.models.vision.vit.ViT; did you mean 'depth'?"),
        ("+trainer.limit_train_batchs=.1", "did you mean 'limit_train_batches'?"),
        ("+model.attention.dropuot=.1", "did you mean 'dropout'?"),
        ("+sede=3", "sede is not a key of this config; did you mean 'seed'?"),
        ("+paths.rns=3", "paths.rns is not a key of this config; did you mean 'runs'?"),
        ("trainer.max_epochs=abc", "trainer.max_epochs='abc' is not a number"),
        ("seed=-1", "seed=-1 is not a whole number"),
        ("model.dropout=nan", "model: dropout=nan is not a finite number"),
        ("+model.head_dropout=inf", "model: head_dropout=inf is not a finite number"),
        ("train=maybe", "train=maybe is neither true nor false"),
        ("model.attention._target_=zoo.attention.Atention", "did you mean 'Attention'?"),
        ("+callbacks.foo=1", "callbacks.foo=1 has no _target_, so nothing can be built of it; There are: best"),
        ("+callbacks.figurs.images=1", "did you mean 'figures'?"),
        ("+logger.csw.folder=1", "did you mean 'csv'?"),
        ("~data", "data=None cannot be built; choose one of acm, actor,"),
        ("train=false", "train=false has no weights to test"),
    ],
)
def test_a6_keys_that_nothing_reads_are_refused(override, expected):
    with pytest.raises(ZooError) as error:
        check_config(plain(compose(override)))
    assert expected in str(error.value)


@pytest.mark.parametrize("choice", ["~logger", "~callbacks", "callbacks=none", "callbacks.nan=null"])
def test_callbacks_and_loggers_may_be_left_out(choice):
    check_config(plain(compose(choice)))


def test_a_probe_of_random_features_is_warned_of(caplog):
    check_config(plain(compose("finetune=linear_probe", "init=somewhere")))
    assert not caplog.text
    check_config(plain(compose("finetune=linear_probe")))
    assert "keeps the backbone at random; init=<weights>" in caplog.text


def test_a6_keys_that_the_target_accepts_are_not():
    check_config(plain(compose("+trainer.limit_train_batches=.1", "+model.head_dropout=.1")))


@pytest.mark.parametrize(
    "override, expected",
    [
        ("model=vitt", "model=vitt is unknown; did you mean 'vit'?"),
        ("data=digit", "data=digit is unknown; did you mean 'digits'?"),
        ("model.dpeth=3", "model.dpeth is not a key of this config; did you mean 'depth'?"),
        ("task.optimizer.lrr=3", "did you mean 'lr'?"),
        ("moddel=vit", "did you mean 'model'?"),
        ("model.depth=2}", "cannot be read as key=value"),
        ("logger=null", "to leave a group out, delete it: ~logger"),
    ],
)
def test_hydras_refusals_become_sentences(override, expected):
    with pytest.raises((HydraException, ValueError)) as error:
        compose(override)
    sentence = explain(error.value)
    assert expected in sentence
    assert "\n" not in sentence


def test_a_model_without_a_score_refuses_one():
    with pytest.raises(HydraException) as error:
        compose("model=cnn", "score=additive")
    assert "score= cannot be chosen for this model" in explain(error.value)


def test_score_is_replaced_whole_from_the_command_line():
    score = plain(compose("score=additive"))["model"]["attention"]["score"]
    assert score == {"_target_": "zoo.attention.Additive", "_partial_": True}
    with pytest.raises(HydraException) as error:
        compose("score=addditive")
    assert "score=addditive is unknown; did you mean 'additive'?" in explain(error.value)


@pytest.mark.parametrize("target", ["os.system", "builtins.eval", "zoo.packages.import_module", "torch.load"])
def test_a8_other_targets_are_refused(target):
    with pytest.raises(ZooError, match="may not be instantiated"):
        instantiate({"_target_": "zoo.errors.nearest", "name": {"_target_": target}})


def test_a8_a_target_that_does_not_exist_is_named():
    with pytest.raises(ZooError, match="did you mean 'AdamW'"):
        locate("torch.optim.AdanW")
    with pytest.raises(ZooError, match="does not exist"):
        locate("zoo.nowhere.Thing")


def test_check_looks_into_lists():
    with pytest.raises(ZooError, match=r"parts\[1\].nme='x' is not a setting"):
        check({"parts": [{"_target_": "zoo.errors.nearest"}, {"_target_": "zoo.errors.nearest", "nme": "x"}]})


def test_objects_are_handed_over_as_they_are():
    options = [object()]
    made = instantiate({"_target_": "zoo.training.callbacks.Begin", "function": None}, function=options)
    assert made.function is options


def test_a_part_is_set_by_the_name_of_its_group():
    assert compose("pattern=window", "pattern.size=4").model.attention.pattern.size == 4
    assert compose("position=rope", "+position.base=7", "++score.a=1").model.position.base == 7
    words = ["-m", "pattern=window", "+position.x=1", "~score.y", "data.loader=full", "out=pattern.png"]
    expanded = ["+model.position.x=1", "~model.attention.score.y"]
    assert expand(words) == [*words[:2], *expanded, *words[4:]] == expand(expand(words))


@pytest.mark.parametrize("value", ["a b", "it's", "a\\'b", "end\\", "x=1,2 [3]", '"'])
def test_any_text_can_be_a_value(value):
    assert compose(f"paths.runs={quoted(value)}").paths.runs == value


def test_nothing_alike_is_no_guess():
    with pytest.raises(HydraException) as error:
        compose("score=cosine")
    assert "did you mean" not in explain(error.value) and "score=cosine is unknown" in explain(error.value)


def test_missing_values_are_named():
    with pytest.raises(ZooError, match=r"a\.b has no default; give one, as a\.b="):
        plain({"a": {"b": "???"}})


def test_the_hash_knows_what_matters():
    def fingerprint(*overrides, run="here"):
        return config_hash(compose(*overrides, run=run))

    assert fingerprint() == fingerprint("ckpt_path=last") == fingerprint("paths.runs=there") == fingerprint(run="there")
    assert fingerprint() != fingerprint("seed=1")
    assert "ckpt_path" not in essence(compose())
    assert flatten({"a": {"b": 1, "c": [2]}, "d": {}}) == {"a.b": 1, "a.c": [2], "d": {}}
