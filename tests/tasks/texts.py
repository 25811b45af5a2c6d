"""Rows of tokens; sentences with tags, a model of them, and their scores by seqeval's own function."""

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
