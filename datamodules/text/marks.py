"""What is set apart in reStructuredText as `help()` shows it: code in "..." (``...`` in later Pythons), terms in *...*.

The marks are taken out and become tags: what is left is the plain prose that a model reads.
"""

import re
from collections.abc import Iterator

from zoo.text.entities import OUTSIDE
from zoo.text.words import split_words

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
    plain, spans, at = "", list[tuple[int, int, str]](), 0
    while at < len(text):
        opens = OPEN.search(text, at)
        before = text[at : opens.start() if opens else len(text)]
        if '"' in before or "``" in before:
            return None
        plain += before
        if opens is None:
            break
        mark = opens.group()
        if (closes := _close(text, opens.end(), mark)) is None:
            if mark != "*":
                return None
            plain, at = plain + mark, opens.end()  # one by itself, as of a product
            continue
        inside = text[opens.end() : closes]
        if kind := OPENS[mark]:
            spans.append((len(plain), len(plain) + len(inside), kind))
        plain, at = plain + inside, closes + len(mark)
    return _tagged(plain, spans)


def _tagged(text: str, spans: list[tuple[int, int, str]]) -> tuple[list[str], list[str]]:
    """The words of a text, and their tags: a word with a character of a span is of it."""
    words, tags, begun = split_words(text), list[str](), set[int]()
    for word in words:
        inside = [i for i, (first, end, _) in enumerate(spans) if first < word.end and word.start < end]
        tags.append(f"{'I' if inside[0] in begun else 'B'}-{spans[inside[0]][2]}" if inside else OUTSIDE)
        begun.update(inside)
    return [word.text for word in words], tags


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
