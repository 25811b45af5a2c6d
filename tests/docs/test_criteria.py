"""docs/criteria.md is true: every code that is quoted stands there, and every test that it names exists."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CRITERIA = (ROOT / "docs" / "criteria.md").read_text()
#: A8, C14: a letter of the list and a number of at most two digits, in running text or in front of a test's name
CODE = re.compile(r"\b(?:[ABCDE]\d{1,2})\b(?![\w\]])|\b(?:[Cc]ontracts?|[Bb]ugs?) \d+")
ROW = re.compile(r"^\| ([ABCDE]\d{1,2}|contract \d+|bug \d+) \|(.*)\|$", re.MULTILINE)


def rows() -> dict[str, str]:
    return dict(ROW.findall(CRITERIA))


def quoted() -> dict[str, set[str]]:
    """Codes in the source, and the files that quote them."""
    found: dict[str, set[str]] = {}
    for folder in ("tests", "zoo", "datamodules", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for code in CODE.findall(path.read_text()):
                one = code.lower().replace("s ", " ") if " " in code else code
                found.setdefault(one, set()).add(str(path.relative_to(ROOT)))
    return found


def test_every_code_quoted_is_a_criterion():
    unknown = {code: files for code, files in quoted().items() if code not in rows()}
    assert not unknown


def test_every_criterion_has_a_test_that_exists():
    text = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    tests = set(re.findall(r"^ *def (test_\w+)", text, re.MULTILINE))
    for code, row in rows().items():
        named = re.findall(r"`(test_\w+)`", row)
        assert named, f"{code} names no test"
        assert not set(named) - tests, f"{code} names tests that do not exist"


def test_every_criterion_is_quoted_where_it_is_tested():
    """A criterion that no test quotes may be changed by accident."""
    assert not rows().keys() - quoted().keys()
