"""Every file that a page links to is there, and the first page stays short."""

import re

import pytest

from tests.docs.pages import PAGES, ROOT

LINK = re.compile(r"\]\(([^)#\s]+)|src=\"([^\"]+)\"")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    targets = {first or second for first, second in LINK.findall(page.read_text())}
    local = {target for target in targets if "://" not in target}
    assert not [target for target in local if not (page.parent / target).exists()]


def test_the_quick_start_is_what_ci_runs():
    """`.ci/run` reads the line below each marker, word for word."""
    lines = (ROOT / "README.md").read_text().splitlines()
    commands = [lines[i + 1] for i, line in enumerate(lines) if line.startswith("<!-- quick start:")]
    assert commands == [
        "    pip install -e . -c constraints.txt && python train.py model=vit",
        '    pip install -e ".[test]" -c constraints.txt && pytest',
    ]
    assert len(lines) <= 125
