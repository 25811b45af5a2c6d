"""`python -m zoo report coverage`: what of other libraries is converted, refused by an option, or wrong."""

from pathlib import Path

import pytest
import torch
from torch import nn

import zoo
from zoo.cli import main
from zoo.pretrained.convert import convert
from zoo.reports.coverage import LIBRARIES, look, page
from zoo.reports.coverage.of_transformers import names as causal
from zoo.reports.coverage.of_transformers_pairs import names as encoder_decoders
from zoo.reports.coverage.rows import Row, held_against

PAGE = Path(__file__).resolve().parents[2] / "docs" / "coverage.md"
#: the language issue's eight families
FAMILIES = ("GPT2LMHeadModel", *(f"{family}ForCausalLM" for family in (
    "Llama", "Mistral", "Qwen2", "Qwen3", "Gemma", "GPTNeoX", "Phi",
)))  # fmt: skip


@pytest.mark.parametrize(
    ("library", "name", "result", "why"),
    [
        ("timm", "vit_base_patch32_siglip_256", "converted", ""),
        ("timm", "vit_tiny_r_s16_p8_224", "refused", "embed_layer=HybridEmbed"),
        ("transformers", "GPT2LMHeadModel", "converted", ""),
        ("transformers", "MambaForCausalLM", "refused", "class MambaForCausalLM"),
        ("transformers_pairs", "MarianMTModel", "converted", ""),
        ("transformers_pairs", "T5ForConditionalGeneration", "refused", "class T5ForConditionalGeneration"),
        ("pyg", "GATv2Conv", "converted", ""),
        ("pyg", "FeaStConv", "refused", "class FeaStConv"),
    ],
)
def test_a_name(library, name, result, why):
    (row,) = look(library, [name])
    assert (row.name, row.result) == (name.removeprefix(""), result)
    assert row.why == why if why else float(row.why) <= 1e-4


def test_what_differs_and_what_fails_is_wrong():
    """A converter that gives another function, and one that stops without a sentence."""

    class Twice(nn.Linear):
        pass

    class Fails(nn.Linear):
        pass

    @convert.register
    def _(model: Twice) -> nn.Module:
        ours = nn.Linear(3, 3)
        ours.load_state_dict({name: tensor * 1.001 for name, tensor in model.state_dict().items()})
        return ours

    @convert.register
    def _(model: Fails) -> nn.Module:
        raise KeyError("a name")

    x = torch.ones(2, 3)
    assert held_against("a", "b", lambda: Twice(3, 3), lambda model: model(x)).result == "wrong"
    assert held_against("a", "b", lambda: Fails(3, 3), lambda model: model(x))[2:] == ("wrong", "KeyError: 'a name'")
    assert held_against("a", "b", lambda: Twice(-1, 3), lambda model: model(x)).result == "not built"


def test_the_page_is_read_back_and_one_library_can_be_looked_at_again(tmp_path, capsys, monkeypatch):
    out = tmp_path / "coverage.md"
    old = {
        "timm": [
            Row("vit_a", "vision_transformer", "converted", "1.0e-07"),
            Row("vit_b", "eva", "refused", "x='a|b'; y=1"),
        ],
        "pyg": [Row("GATConv", "conv", "wrong", "0.5"), Row("HANConv", "conv", "refused", "class HANConv")],
    }
    out.write_text(page.write(old))
    assert page.read(out.read_text()) == old and page.read("# something else") == {}
    assert "| timm's vision_transformer.py and deit.py | 1 | 1 (100 %) | 0 | 0 | 0 |" in out.read_text()
    assert main(["report", "coverage", "only=pyg", "names=HAN*", f"out={out}"]) == 1  # GATConv is wrong still
    assert page.read(out.read_text())["timm"] == old["timm"]
    assert main(["report", "coverage", "only=pyg", "names=GATConv", f"out={out}"]) == 0
    found = page.read(out.read_text())
    assert [row.result for row in found["pyg"]] == ["converted", "refused"] and found["timm"] == old["timm"]


@pytest.mark.parametrize("word", ["only=tim", "names", "depth=2"])
def test_other_words_are_refused(word, capsys):
    assert main(["report", "coverage", word]) == 2
    assert "error:" in capsys.readouterr().err


def test_the_page_says_what_the_code_knows():
    """docs/coverage.md was written of all names, none of them wrong, with the bars held (the figures are of `-m slow`)."""
    rows = page.read(PAGE.read_text(encoding="utf-8"))
    assert set(rows) == set(LIBRARIES)
    assert {row.name for row in rows["transformers"]} == set(causal())
    assert {row.name for row in rows["transformers_pairs"]} == set(encoder_decoders())
    holds(rows)


def holds(rows):
    assert not [row for each in rows.values() for row in each if row.result in ("wrong", "not built")]
    assert {row.name for row in rows["transformers"] if row.result == "converted"} >= set(FAMILIES)
    both = {row.name for row in rows["transformers_pairs"] if row.result == "converted"}
    assert both >= {"MarianMTModel", "BartForConditionalGeneration"}
    plain = [row.result == "converted" for row in rows["timm"] if row.kind in page.PLAIN_VITS]
    assert len(plain) >= 179 and sum(plain) / len(plain) >= 0.85


@pytest.mark.slow
@pytest.mark.parametrize("library", LIBRARIES)
def test_every_name(library):
    """Every name again: what the page says is what is found."""
    said = page.read(PAGE.read_text(encoding="utf-8"))[library]
    found = sorted(look(library), key=lambda row: row.name)
    assert [row[:3] for row in found] == [row[:3] for row in said]


def test_a_model_without_memory_is_converted_too():
    """What a giant is refused for is known before its weights are had."""
    import timm

    with torch.device("meta"):
        ours = zoo.convert(timm.create_model("vit_giant_patch14_dinov2", depth=1))
    assert next(ours.parameters()).is_meta
