"""constraints.txt is what .ci/constraints prints: what pyproject.toml asks for, what that asks for, and no more."""

import subprocess
import sys
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def names(lines):
    return {canonicalize_name(Requirement(line).name) for line in lines}


def test_everything_that_is_asked_for_is_pinned(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *(text for extra in project["optional-dependencies"].values() for text in extra)]
    pinned = (root / "constraints.txt").read_text().splitlines()
    assert names(asked) <= names(pinned) and all("==" in line for line in pinned)
    done = subprocess.run([sys.executable, root / ".ci" / "constraints"], capture_output=True, text=True, check=True)
    assert names(done.stdout.splitlines()) <= names(pinned)


def test_contributing_names_the_command(root):
    assert "python .ci/constraints > constraints.txt" in (root / "CONTRIBUTING.md").read_text()
