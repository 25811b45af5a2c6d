"""Rows of tokens; sentences with tags, a model of them, and their scores by seqeval's own function; files of both kinds."""

import json

import torch
from seqeval.metrics.v1 import precision_recall_fscore_support
from seqeval.scheme import IOB2
from torch.nn import functional as F

from zoo.models.language.bert import BERT

TAGS = ("O", "B-A", "I-A", "B-B-C", "I-B-C")


def texts(n):
    """ids, targets of which some are not asked for, and their bytes."""
    ids = torch.randint(11, (n, 7), generator=torch.Generator().manual_seed(1))
    targets = ids[:, 1:].clone()
    for row in range(n):
        targets[row, : row % 5] = -100
    return ids[:, :-1], targets, (targets >= 0).sum(1) * 3


class Tagger(BERT):
    def __init__(self):
        super().__init__(11, 6, 8, 1, 2, num_classes=5, per_token=True)
        self.classes = TAGS
        self.batch_norm = self.dropout = torch.nn.Identity()


def sentences(n):
    """ids, the tags of four words and the places of their first tokens; of every third row the last word has none."""
    g = torch.Generator().manual_seed(1)
    ids, gold = torch.randint(11, (n, 6), generator=g), torch.randint(5, (n, 4), generator=g)
    gold[::2, 3] = -100  # a shorter sentence
    places = torch.tensor([0, 1, 3, 5]).repeat(n, 1).where(gold >= 0, -1)
    places[::3, 2] = -1
    tags = torch.full((n, 6), -100)
    for row in range(n):
        tags[row, places[row][places[row] >= 0]] = gold[row][places[row] >= 0]
    return ids, tags, gold, places


def tagged_by_hand(task, n):
    """Loss and scores of all sentences at once."""
    ids, tags, gold, places = sentences(n)
    with torch.no_grad():
        out = task.eval()(ids)
    said = [[0 if at < 0 else int(out[row, at].argmax()) for at in places[row]] for row in range(n)]
    pairs = list(zip(gold.tolist(), said, strict=True))
    true = [[TAGS[t] for t in row if t >= 0] for row, _ in pairs]
    found = [[TAGS[s] for t, s in zip(*pair, strict=True) if t >= 0] for pair in pairs]
    strict = {"mode": "strict", "scheme": IOB2, "average": "micro", "zero_division": 0}
    precision, recall, f1, _ = precision_recall_fscore_support(true, found, **strict)
    loss = F.cross_entropy(out[tags >= 0], tags[tags >= 0])
    accuracy = (torch.tensor(said) == gold).sum() / (gold >= 0).sum()
    return {"loss": loss, "accuracy": accuracy, "precision": precision, "recall": recall, "f1": f1}


def written(folder, kind, n=60):
    """A hand-made file of `n` sentences in CoNLL's columns ("tags") or of as many questions in SQuAD's form ("spans"), if it is
    not there yet."""
    file = folder / ("tags.txt" if kind == "tags" else "spans.json")
    if file.exists():
        return str(file)
    names = ("Ada", "Grace Hopper", "Alan Turing", "Emmy")
    said = [(names[i % 4], f"{'so ' * (i % 5)}saw {i} of the", names[(i + 1 + i // 4) % 4]) for i in range(n)]
    if kind == "tags":
        lines = []
        for who, did, whom in said:
            for words, tag in ((who, "A"), (did, None), (whom, "B"), (".", None)):
                lines += [f"{w} {'O' if tag is None else 'BI'[j > 0] + '-' + tag}" for j, w in enumerate(words.split())]
            lines.append("")
        text = "\n".join(lines)
    else:
        paragraphs = []
        for i, (who, did, whom) in enumerate(said):
            answer = {"text": whom, "answer_start": len(f"{who} {did} ")}
            asked = [{"id": str(i), "question": f"Whom did {who} see?", "answers": [answer]}]
            paragraphs.append({"context": f"{who} {did} {whom}.", "qas": asked})
        data = [{"title": str(i), "paragraphs": [paragraph]} for i, paragraph in enumerate(paragraphs)]
        text = json.dumps({"version": "1.1", "data": data})
    file.write_text(text)
    return str(file)


def settings(folder, kind):
    """Words for train.py: a tiny BERT on such a file; "spans" in rows that hold about half of a question's context."""
    data = ("data=conll", "tokenizer=byte") if kind == "tags" else ("data=squad", "data.context=32")
    given = (
        *data,
        f"data.path={written(folder, kind)}",
        f"data.cache={folder}",
        "data.batch_size=8",
        "trainer.max_epochs=2",
    )
    return ("model=bert", "model.dim=8", "model.depth=1", "model.num_heads=2", *given)
