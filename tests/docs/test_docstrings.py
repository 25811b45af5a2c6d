"""Docstrings have one argument a line: two on a line are overlooked."""

import ast
import re

import pytest

from tests.docs.pages import ROOT

FILES = sorted(path for folder in ("zoo", "datamodules") for path in (ROOT / folder).rglob("*.py"))
INSIDE = re.compile(r"[.;] ([a-z_]\w*(?:, [a-z_]\w*)*): ")


def arguments(node: ast.AST) -> set[str]:
    """Names of a function's parameters; of a class its fields and what its __init__ takes."""
    if isinstance(node, ast.ClassDef):
        fields = {
            one.target.id for one in node.body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
        }
        inits = [one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"]
        return fields.union(*map(arguments, inits))
    return {arg.arg for arg in ast.walk(node.args) if isinstance(arg, ast.arg)}  # type: ignore[attr-defined]


def crowded(path) -> list[str]:
    """Lines of Args sections that begin a second argument."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or "Args:" not in (
            doc := ast.get_docstring(node) or ""
        ):
            continue
        names = arguments(node)
        section = doc.partition("Args:\n")[2].partition("\n\n")[0]
        found += [m[0] for m in INSIDE.finditer(section) if set(m[1].split(", ")) <= names]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_one_argument_a_line(path):
    assert not crowded(path)
