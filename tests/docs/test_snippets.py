"""Every Python block of README.md and docs/ runs, and prints what the page says it prints."""

import contextlib
import io

import pytest
import torch

from tests.docs.pages import PAGES, ROOT, blocks


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name)
def test_snippets_run(page, somewhere):
    torch.manual_seed(0)
    names: dict = {"__name__": "snippet"}
    for block in blocks(page):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block.code, str(page.relative_to(ROOT)), "exec"), names)
        if block.output is not None:
            assert printed.getvalue().split() == block.output.split()
