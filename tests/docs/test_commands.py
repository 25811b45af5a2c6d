"""Every command line of README.md and docs/ is one that its program takes; those of seconds are run."""

import re
import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from benchmarks.__main__ import make_parser
from tests.docs.pages import PAGES, commands
from tests.training.compose import compose
from zoo.cli._main import _read, main
from zoo.config import plain
from zoo.errors import ZooError
from zoo.training.checks import check_config

#: what stands for something else: <name>, VERB, ...
PLACEHOLDER = re.compile(r"<|\.\.\.|\b[A-Z]{3,}\b")
LINES = {
    line: page.name for page in PAGES for line in commands(page) if not PLACEHOLDER.search(line.partition(" #")[0])
}
TRAIN = [line for line in LINES if line.startswith("python train.py")]
ZOO = [line for line in LINES if line.startswith("python -m zoo")]
BENCHMARKS = [line for line in LINES if line.startswith("python -m benchmarks")]
#: verbs that take seconds
QUICK = ("list", "show", "info", "predict", "generate")


def words(line: str, program: int) -> list[str]:
    return shlex.split(line, comments=True)[program:]


def first(override: str) -> str:
    """Of a sweep `key=a,b` the job `key=a`."""
    parsed = OverridesParser.create().parse_override(override)
    return (
        f"{parsed.key_or_group}={next(iter(parsed.sweep_string_iterator()))}"
        if parsed.is_sweep_override()
        else override
    )


def test_there_are_some():
    assert len(TRAIN) > 20 and len(ZOO) > 5 and len(BENCHMARKS) > 2


@pytest.mark.parametrize("line", TRAIN)
def test_training_commands_compose_and_are_accepted(line):
    given = [word for word in words(line, 2) if word not in ("-m", "--multirun")]
    if any(word.startswith("-") for word in given):  # --help, --cfg job: Hydra's own
        return
    config = plain(compose(*map(first, given)))
    try:
        check_config(config)
    except ZooError as error:  # a GPU that is not here is the only thing that may be wrong with them
        assert "accelerator" in str(error) and "none here" in str(error)


@pytest.mark.parametrize("line", ZOO)
def test_commands_of_the_zoo_parse_and_the_quick_ones_run(line, request, capsys):
    given = words(line, 3)
    if given == ["--help"]:
        return
    _read(given)
    if given[0] in QUICK:
        request.getfixturevalue("somewhere")
        assert main(given) == 0, capsys.readouterr().err


@pytest.mark.parametrize("line", BENCHMARKS)
def test_benchmarks_parse(line):
    make_parser().parse_args(words(line, 3))
