"""Shared by the tests of conversions."""

import pytest


@pytest.fixture(scope="module")
def isolated_nodes_are_meant():
    """The one warning of a process that tells of them (D3) is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zoo.attention.edges._told_of_isolated", True)
        yield
