"""Conversations to learn answers from: `data=chat data.path=talks.jsonl`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datamodules.splits import at_random
from datamodules.text.corpus import Corpus, Turns
from datamodules.text.lines import read_lines, text_of
from datamodules.text.module import TextData
from zoo.declared import declared
from zoo.errors import ZooError

ANSWERING = "assistant"


@declared("run")
@dataclass(kw_only=True, eq=False, repr=False)
class Chat(TextData):
    """A conversation a line, as JSON; a model learns what is answered and where an answer ends, nothing else.

        {"prompt": "2 + 2 =", "answer": " 4"}                           becomes  <bos>2 + 2 = 4<eos>
        {"messages": [{"role": "user", "content": "2 + 2?"},
                      {"role": "assistant", "content": "4"}]}           becomes  <bos>user: 2 + 2?\\nassistant: 4<eos>

    Prompt and answer stand as they are written, without anything between. Of messages those of the role "assistant" are
    answers, and "user: 2 + 2?\\nassistant:" is what such a model is to be asked.

    Args:
        path: of the file.
        split: shares of training, validation and test, by number of conversations.
    """

    path: str | None = None
    split: Sequence[float] = field(default_factory=lambda: [0.9, 0.05, 0.05])
    pack: str | None = "documents"
    places = ("path",)

    def load(self) -> Corpus:
        if not self.path:
            raise ZooError("data=chat needs data.path=<a file of conversations, one JSON object a line>.")
        found = conversations(Path(self.path).expanduser())
        splits = at_random(len(found), self.split, self.split_seed)
        return Corpus(found, splits, name=f"data.path={self.path}")


def conversations(path: Path) -> list[Turns]:
    """The conversations of a file. Raises: ZooError for lines that are none, with their numbers."""
    form = '{"prompt": "...", "answer": "..."} or {"messages": [{"role": "...", "content": "..."}]}'
    return read_lines(path, _turns, "conversation", form)


def _turns(line: Any) -> Turns:
    if not isinstance(line, dict):
        raise ValueError(f"it is a {type(line).__name__}")
    if "messages" not in line:
        return Turns(((text_of(line, "prompt"), False), (text_of(line, "answer"), True)))
    messages = line["messages"]
    if not isinstance(messages, list) or not messages:
        raise ValueError("its messages are no list of messages")
    turns: list[tuple[str, bool]] = []
    for message in messages:
        if not isinstance(message, dict):
            raise ValueError(f"a message is a {type(message).__name__}")
        role, content = text_of(message, "role"), text_of(message, "content")
        if role == ANSWERING:
            turns += [(f"{role}:", False), (f" {content}", True)]
        else:
            turns.append((f"{role}: {content}\n", False))
    if not any(asked for _, asked in turns):
        raise ValueError(f"no message is of the role {ANSWERING!r}")
    return Turns(tuple(turns))
