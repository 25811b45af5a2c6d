"""Settings for all tests: one thread a worker, no network, seeds."""

import gc
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if os.environ.get("PYTEST_XDIST_WORKER"):  # two workers with two threads each would wait for one another
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

gc.disable()  # until all tests are collected: what they import stays


def pytest_collection_finish(session):
    """Modules and tests, millions of objects, live to the end: no search for garbage walks them again, of a second each."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(trylast=True)  # after pytest's own last search
def pytest_unconfigure(config):
    """Or else what Python leaves behind at its end would look like leaks."""
    gc.unfreeze()


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")


@pytest.fixture(autouse=True)
def seed():
    import torch

    if torch.cuda.is_available():
        torch.manual_seed(0)
    else:  # the same draws: without a GPU torch.manual_seed keeps three stack traces a call
        torch.default_generator.manual_seed(0)


@pytest.fixture(autouse=True)
def told(monkeypatch):
    """As if the one warning about isolated nodes had been given (D3): it comes once a process, in whichever test is first."""
    from zoo.attention import edges

    monkeypatch.setattr(edges, "_told_of_isolated", True)


@pytest.fixture(scope="session", autouse=True)
def configs():
    """Thousands are composed, of the same files."""
    from tests.parsed_once import parsed_once

    with parsed_once():
        yield


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data sets at hand offline: ZOO_DATA, or `shared/data` beside the repository; skips where there are none."""
    folder = Path(os.environ.get("ZOO_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "FashionMNIST").is_dir():
        pytest.skip("no offline data: set ZOO_DATA to a folder that holds FashionMNIST/raw")
    return folder
