"""A package of one's own with what language models are made of: tokenizer, cache policy, kind of adapter, family, texts."""

import json

import pytest
import torch

import zoo
from tests.own import package as own_package
from zoo import conf
from zoo.adapters import Part
from zoo.cli import main
from zoo.errors import ZooError
from zoo.text import Tokenizer

FILES = {
    "__init__.py": "",
    "text.py": """
import re
from dataclasses import dataclass
from types import MappingProxyType
from datamodules.splits import at_random
from datamodules.text import Corpus, Text, TextData
from zoo.attention import ALiBi
from zoo.models.language.decoder import Decoder
from zoo.text import Tokenizer


class Words(Tokenizer):
    kind = "words"

    def __init__(self, words):
        self.words = [*words, "<?>", "<end>"]
        self.ids = {word: id for id, word in enumerate(self.words)}
        self.vocab_size, self.unk, self.bos = len(self.words), len(words), len(words) + 1
        self.eos = self.bos

    def encode(self, text):
        return [self.ids.get(word, self.unk) for word in re.findall(r"\\w+|\\W", text)]

    def decode(self, ids, special=False):
        return "".join(self.words[id] for id in self.check(ids) if special or id != self.eos)

    def token(self, id):
        return self.words[id]

    def id(self, token):
        return self.ids.get(token)

    def settings(self):
        return {"words": self.words[:-2]}


def learn(texts, most=1000):
    return Words(sorted({word for text in texts for word in re.findall(r"\\w+|\\W", text)})[:most])


class Bloom(Decoder):
    parts = MappingProxyType({**Decoder.parts, "position": ALiBi})


@dataclass(kw_only=True, eq=False, repr=False)
class Counting(TextData):
    def load(self):
        texts = [" ".join(map(str, range(i, i + 60))) for i in range(50)]
        return Corpus([Text(text) for text in texts], at_random(50, [0.8, 0.1, 0.1], self.split_seed))
""",
    "parts.py": """
import torch
from zoo.adapters import Part
from zoo.attention.cache_bounded import BoundedCache


class Even(BoundedCache):
    def __init__(self, batch, num_kv_heads, length, head_dim, **how):
        super().__init__(batch, num_kv_heads, max(length // 2, 1), head_dim, **how)

    def worth(self, places, end):
        return torch.where(places % 2 == 0, places + end, places)


class Scale(Part):
    targets = ("k", "v", "up")

    @staticmethod
    def width(in_features, out_features):
        return 1

    def forward(self, x, y):
        return y * (self.b @ self.a).squeeze(-1) * self.scale
""",
    "conf/tokenizer/mywords.yaml": "# @package data.tokenizer\n_target_: mypackage.text.learn\n_partial_: true\nmost: 1000\n",
    "conf/model/bloom.yaml": """# @package _global_
defaults:
  - gpt
  - _self_
  - override /position: alibi
model:
  _target_: mypackage.text.Bloom
""",
    "conf/data/counting.yaml": """defaults:
  - shared/text@_here_
  - override /tokenizer@_global_.tokenizer: byte
  - _self_
_target_: mypackage.text.Counting
""",
}
SMALL = [
    "trainer.max_epochs=1", "+trainer.limit_train_batches=2", "trainer.accelerator=cpu", "callbacks.progress=null",
    "callbacks.figures=null", "data.batch_size=8", "data.context=16", "model=bloom", "data=counting",
    "model.dim=16", "model.depth=1", "model.num_heads=2", "tokenizer=mywords", "~logger",
]  # fmt: skip
TRUST = ["mypackage"]


def trained(folder, *words):
    from zoo.training.run import train
    from zoo.training.summary import save_model

    cache = folder.parent / "cache"
    record = train(conf.compose_train([*SMALL, f"paths.run={folder}", f"paths.cache={cache}", *words]), folder)
    save_model(folder, record.task.model, record.metrics, [])
    return record


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A run of the family on the texts with the tokenizer, and one with the adapter on it."""
    where = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch, own_package("mypackage", FILES, where, patch):
        patch.setenv("ZOO_PACKAGES", "mypackage")
        trained(where / "base")
        trained(where / "scaled", f"init={where / 'base'}", "finetune=mypackage.parts.Scale", "trust=[mypackage]")
        yield where


def test_a_tokenizer_of_ones_own_comes_back_with_its_model(home, capsys):
    model = zoo.load(home / "base", trust=TRUST)
    assert (type(model).__name__, type(model.tokenizer).__name__) == ("Bloom", "Words")
    assert model.tokenizer.decode(model.tokenizer.encode("7 8 9")) == "7 8 9"
    assert "trust=['mypackage'])" in (home / "base" / "model" / "README.md").read_text()
    book = home / "book.txt"
    book.write_text(" ".join(map(str, range(300))))
    words = ["report", "perplexity", f"run={home / 'base'}", f"path={book}"]
    assert main([*words, "trust=mypackage"]) == 0 and f"{book.stat().st_size:,} bytes" in capsys.readouterr().out
    assert main(words) == 2 and "may not be instantiated from a file" in capsys.readouterr().err


def test_a_tokenizers_file_needs_the_readers_word(home, tmp_path):
    """A8: also where the package is one's own; and what it names is a tokenizer."""
    file = home / "base" / "model" / "tokenizer.json"
    with pytest.raises(ZooError, match="may not be instantiated from a file"):
        Tokenizer.load(file)
    assert Tokenizer.load(file, trust=("mypackage",)) == zoo.load(home / "base", trust=TRUST).tokenizer
    wrong = {
        "mypackage.parts.Scale": "is no tokenizer",
        "os.system": "may not be instantiated",
        "mypackage.text.Words": "cannot be made of its settings",
    }
    for name, why in wrong.items():
        other = tmp_path / "tokenizer.json"
        other.write_text(json.dumps({"_target_": name, "settings": {"command": "true"}}))
        with pytest.raises(ZooError, match=why):
            Tokenizer.load(other, trust=("mypackage",))


def test_a_function_that_gives_no_tokenizer_is_told(home):
    from mypackage.text import Counting

    for factory, why in ((lambda texts: None, "gave a NoneType"), (lambda: None, "failed on the training part")):
        with pytest.raises(ZooError, match=why):
            Counting(tokenizer=factory, context=16, cache=str(home / "cache")).setup()


def test_a_kind_of_adapter_of_ones_own(home, tmp_path):
    base, both = (zoo.load(home / name, trust=TRUST) for name in ("base", "scaled"))
    ids = torch.arange(8)[None]
    assert both.adapter.kind == "mypackage.parts.Scale" and not torch.equal(base(ids), both(ids))
    joined = zoo.load_adapter(zoo.load(home / "base", trust=TRUST), home / "scaled", trust=TRUST).eval()
    assert torch.equal(joined(ids), both(ids))
    assert torch.equal(zoo.load(home / "scaled" / "checkpoints" / "best.ckpt", trust=TRUST)(ids), both(ids))
    with pytest.raises(ZooError, match=r"adapter.kind.*may not be instantiated from a file"):
        zoo.load_adapter(zoo.load(home / "base", trust=TRUST), home / "scaled")
    with pytest.raises(ZooError, match="cannot be merged"):
        zoo.merge(both)


def test_what_is_no_kind_of_adapter():
    model = zoo.create_model("gpt_mini")
    for kind, why in {
        "lroa": "did you mean 'lora'",
        "os.system": "may not be instantiated",
        "zoo.text.Words": "exist",
    }.items():
        with pytest.raises(ZooError, match=why):
            zoo.adapt(model, kind)
    with pytest.raises(ZooError, match="no kind of adapter"):
        zoo.adapt(model, torch.nn.Linear)


def test_a_kind_that_can_be_merged_by_its_delta():
    class Same(Part):
        width = staticmethod(lambda in_features, out_features: in_features)

        def forward(self, x, y):
            return x @ self.delta().to(x.dtype).mT

        def delta(self):
            return self.scale * (self.b.double() @ self.a.double())

    model, ids = zoo.create_model("gpt_mini").eval(), torch.arange(8)[None]
    before = model(ids)
    assert torch.equal(zoo.adapt(model, Same)(ids), before), "no effect at the start"
    for part in model.modules():
        if isinstance(part, Same):
            torch.nn.init.normal_(part.b)
    after = model(ids)
    assert not torch.allclose(before, after) and torch.allclose(zoo.merge(model)(ids), after, atol=1e-4)


def test_a_cache_policy_of_ones_own(home, capsys, monkeypatch):
    from mypackage.parts import Even

    model = zoo.load(home / "base", trust=TRUST)
    wanted = zoo.generate(model, "1 2 3", max_new_tokens=6, temperature=0, cache=Even)[0]
    words = [
        "generate",
        str(home / "base"),
        "1 2 3",
        "--max-new-tokens",
        "6",
        "--temperature",
        "0",
        "--trust",
        "mypackage",
    ]
    assert main([*words, "--cache", "mypackage.parts.Even"]) == 0
    assert capsys.readouterr().out == f"1 2 3{wanted}\n"
    assert main([*words, "--cache", "mypackage.parts.Evn"]) == 2 and "Even" in capsys.readouterr().err
    book = home / "book.txt"
    book.write_text(" ".join(map(str, range(300))))
    words = ["report", "cache", f"run={home / 'base'}", f"path={book}", "trust=mypackage", "rows=2", f"out={home}"]
    assert (
        main([*words, "policies=full,mypackage.parts.Even"]) == 0 and "mypackage.parts.Even" in capsys.readouterr().out
    )
