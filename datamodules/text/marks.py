"""What is set apart in reStructuredText as `help()` shows it: code in "..." (``...`` in later Pythons), terms in *...*.

The marks are taken out and become tags: what is left is the plain prose that a model reads.
"""

import re
from collections.abc import Iterator

from zoo.text.entities import OUTSIDE
from zoo.text.words import WORD

#: What begins an item of a list.
ITEM = re.compile(r"(?:[*-] |\d+\. |\[\d+\] )")
#: Code; a term; bold, of which the marks go and no tag stays. Each begins where no word goes on and ends where none does.
OPENS = {'"': "CODE", "``": "CODE", "**": None, "*": "TERM"}
OPEN = re.compile(r"(?<![\w\"*`])(?:``|\*\*|\"|\*)(?=\S)")
CLOSE = {mark: re.compile(rf"(?<=\S){re.escape(mark)}(?![\w*`])") for mark in OPENS}
PAIRS = {")": "(", "]": "[", "}": "{"}


def paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of prose, each in one line: no headings, signatures, grammar, tables and code."""
    above, depth, code = "", 0, None
    for block in re.split(r"\n[ \t]*\n", text):
        lines = [line for line in block.split("\n") if line.strip()]
        if not lines:
            continue
        indent = len(lines[0]) - len(lines[0].lstrip())
        whole = " ".join(line.strip() for line in lines)
        item = ITEM.match(whole)
        if code is not None and indent > code:
            continue
        code = None
        if above.endswith(":") and indent > depth and not item:  # "... as follows:", and an example, further in
            code = depth
            continue
        above, depth = whole, indent + (item.end() if item else 0)
        body = whole[item.end() :] if item else whole
        if _is_prose(body):
            yield body


def _is_prose(text: str) -> bool:
    """Words that end as a sentence does."""
    if "::=" in text or ">>>" in text or re.search(r"[*=~^+|-]{3,}", text):
        return False
    ends = re.search(r'[.:;!?]["*)`”]*$', text)
    return ends is not None and len(re.findall(r"\b[a-z]{2,}\b", text)) >= 4


def read_marks(text: str) -> tuple[list[str], list[str]] | None:
    """(words, their tags as IOB2) of a paragraph without its marks; None where one that opens is not closed, or is left."""
    words, tags, at = list[str](), list[str](), 0
    while at < len(text):
        opens = OPEN.search(text, at)
        plain = text[at : opens.start() if opens else len(text)]
        if '"' in plain or "``" in plain:
            return None
        _add(words, tags, plain, None)
        if opens is None:
            break
        mark = opens.group()
        if (closes := _close(text, opens.end(), mark)) is None:
            if mark != "*":
                return None
            _add(words, tags, mark, None)  # one by itself, as of a product
            at = opens.end()
            continue
        _add(words, tags, text[opens.end() : closes], OPENS[mark])
        at = closes + len(mark)
    return words, tags


def _close(text: str, at: int, mark: str) -> int | None:
    """Where what was opened ends: the first mark before which brackets are in pairs, else the first."""
    ends = [found.start() for found in CLOSE[mark].finditer(text, at + 1)]
    if mark != '"':  # no code: a term goes over no other mark
        return ends[0] if ends else None
    return next((end for end in ends if _paired(text[at:end])), ends[0] if ends else None)


def _paired(text: str) -> bool:
    """Whether brackets close as they open."""
    open_ = list[str]()
    for letter in text:
        if letter in PAIRS.values():
            open_.append(letter)
        elif letter in PAIRS and (not open_ or open_.pop() != PAIRS[letter]):
            return False
    return not open_


def _add(words: list[str], tags: list[str], text: str, kind: str | None) -> None:
    found = WORD.findall(text)
    words += found
    tags += [OUTSIDE if kind is None else f"{'I' if i else 'B'}-{kind}" for i in range(len(found))]
