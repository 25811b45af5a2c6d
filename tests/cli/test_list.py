"""`python -m zoo list`."""

from zoo.attention import KERNELS
from zoo.models import list_models


def test_everything_is_listed(zoo, root):
    code, out, _ = zoo("list")
    names = {line.split()[0] for line in out.splitlines() if line.startswith("  ")}
    groups = [root / "conf" / group for group in ("data", "score", "pattern", "position", "tokenizer")]
    files = {path.stem for group in groups for path in group.glob("*.yaml")}
    assert code == 0
    assert names >= files | set(list_models()) | {kernel.name for kernel in KERNELS} | {"vit", "cnn"}


def test_each_has_a_description(zoo):
    lines = [line for line in zoo("list")[1].splitlines() if line.startswith("  ")]
    assert [line for line in lines if len(line.split()) < 2] == []


def test_what_they_say_of_themselves(zoo):
    def said(kind: str, name: str) -> str:
        return zoo("list", kind, name)[1].splitlines()[1].split(maxsplit=1)[1].strip()

    assert said("models", "gat_pubmed").startswith("2 layers, 8 heads of 8, 500 features a node, 3 classes")
    assert said("scores", "gat") == "LeakyReLU(a_q . q_i + a_k . k_j + a_e . e_ij), vectors a for each head."
    assert said("data", "ppi").endswith("a protein has any of 121 functions.")  # a sentence goes on in the next line
    assert said("experiments", "gat_cora") == "GAT on Cora, the paper's recipe and stop rule."  # not its command
    assert said("experiments", "bert_stories").endswith("who is where at the end?")  # nor the table below
    assert "(Sutskever et al. 2014), lower-case words" in said("experiments", "seq2seq_multi30k")


def test_a_kind_and_a_pattern(zoo):
    out = zoo("list", "models", "vit_tiny*")[1]
    assert "vit_tiny_patch16_224" in out and "vit_small" not in out
    assert zoo("list", "model", "vit_tiny*")[1] == out
    out = zoo("list", "rope")[1]
    assert out.splitlines()[0].startswith("positions") and "turned by pos" in out


def test_a_yaml_of_ones_own_is_listed(zoo, own_conf):
    (own_conf / "pattern" / "mine.yaml").write_text("# Only what I like.\n_target_: zoo.attention.Window\nsize: 3\n")
    assert "Only what I like." in zoo("list", "patterns", "mine")[1]


def test_what_matches_nothing(refused):
    assert "did you mean 'rope'?" in refused("list", "ropee")
    assert "did you mean 'window'?" in refused("list", "patterns", "windw")
    assert "quote" in refused("list", "models", "vit_a", "vit_b")
