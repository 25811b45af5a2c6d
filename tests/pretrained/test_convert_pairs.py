"""zoo.convert and zoo.load of transformers' MarianMTModel and BartForConditionalGeneration: the same logits and tokens
(C14), on random weights and a padded source, or refused by name."""

import copy

import pytest
import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BartForSequenceClassification,
    BartModel,
    MarianConfig,
    MarianModel,
    MarianMTModel,
    MBartConfig,
    MBartForConditionalGeneration,
    T5Config,
    T5ForConditionalGeneration,
)

import zoo
from tests.pretrained.test_hugging_face import change
from zoo.models.pairs.transformer import Transformer2017
from zoo.pretrained.transformers_names import linear_names

V, W, B, S, T = 23, 19, 3, 7, 6
MARIAN, BART = (MarianMTModel, MarianConfig), (BartForConditionalGeneration, BartConfig)
SIZES = dict(
    vocab_size=V, d_model=8, encoder_layers=1, decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=4,
    encoder_ffn_dim=12, decoder_ffn_dim=20, max_position_embeddings=32, pad_token_id=V - 4, decoder_start_token_id=V - 4,
    eos_token_id=0, bos_token_id=1, forced_eos_token_id=None,
)  # fmt: skip
APART = {
    "share_encoder_decoder_embeddings": False,
    "decoder_vocab_size": W,
    "pad_token_id": 4,
    "decoder_start_token_id": 4,
}
SAME = {
    "marian": (MARIAN, {}),
    "marian, scaled, silu": (MARIAN, {"scale_embedding": True, "activation_function": "swish"}),
    "marian, separate, relu": (MARIAN, {**APART, "activation_function": "relu"}),
    "marian, untied": (MARIAN, {"tie_word_embeddings": False, "decoder_layers": 1}),
    "marian, separate, untied": (MARIAN, {**APART, "tie_word_embeddings": False, "scale_embedding": True}),
    "bart": (BART, {}),
    "bart, scaled, relu": (BART, {"scale_embedding": True, "activation_function": "relu", "encoder_layers": 2}),
    "bart, untied": (BART, {"tie_word_embeddings": False}),
}  # fmt: skip


def make(kind, **options):
    """Random numbers everywhere, final_logits_bias too; no end of a text."""
    model, config = kind
    made = model(config(**{**SIZES, **options})).eval()
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in {**dict(made.named_parameters()), "bias": made.final_logits_bias}.items():
            if "Marian" in model.__name__ and "embed_positions" in name:
                continue
            scale = tensor.shape[-1] ** -0.5 if "layers" in name and tensor.ndim > 1 else 0.5
            norm = "norm" in name and name.endswith("weight")
            tensor.copy_(scale * torch.randn(tensor.shape, generator=draw) + norm)
    return made


DEFAULT = "marian, scaled, silu", "marian, separate, untied", "bart, scaled, relu"


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=() if name in DEFAULT else pytest.mark.slow) for name in SAME],
    ids=lambda name: name.replace(", ", "-").replace(" ", "-"),
)
def theirs(request):
    return make(SAME[request.param][0], **SAME[request.param][1])


def sides(theirs):
    draw = torch.Generator().manual_seed(1)
    source = torch.randint(5, V - 5, (B, S), generator=draw)
    lengths = torch.tensor([S, 2, 5])
    return source, torch.randint(5, W - 1, (B, T), generator=draw), lengths, torch.arange(S) < lengths[:, None]


@torch.no_grad()
def test_same_logits(theirs, tmp_path):
    """C14: converted, read from the folder that transformers writes, and from ours."""
    source, target, lengths, mask = sides(theirs)
    want = theirs(input_ids=source, attention_mask=mask.long(), decoder_input_ids=target).logits
    ours = zoo.convert(theirs)
    theirs.save_pretrained(tmp_path / "theirs")
    for each in (ours, zoo.load(tmp_path / "theirs"), zoo.load(zoo.save(ours, tmp_path / "ours"))):
        assert (each(source, target, lengths) - want).abs().max() <= 1e-4
        assert (each.begin_tokens, each.end_tokens) == ((theirs.config.decoder_start_token_id,), (0,))


@pytest.mark.parametrize("beams", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_same_tokens(theirs, beams):
    """C6: 20 of them, ours from the token that theirs start with; what is never said, and what is said first, taken over."""
    theirs = copy.deepcopy(theirs)  # its settings change
    source, _, lengths, mask = sides(theirs)
    settings = theirs.generation_config
    settings.bad_words_ids, settings.forced_bos_token_id = [[7]], 3
    how = dict(
        do_sample=False,
        num_beams=beams,
        length_penalty=1.0,
        max_new_tokens=21,
        early_stopping="never",
        eos_token_id=None,
    )
    want = theirs.generate(source, attention_mask=mask.long(), **how)
    settings.eos_token_id = 0
    ours = zoo.convert(theirs)
    assert ours.begin_tokens == (theirs.config.decoder_start_token_id, 3) and ours.suppress_tokens == (7,)
    assert torch.equal(ours.generate(source, lengths, max_new_tokens=20, stop=[], num_beams=beams).ids, want[:, 2:])


def test_what_comes_with_the_model():
    theirs = make(MARIAN, dropout=0.3, attention_dropout=0.2, activation_dropout=0.1).train()
    ours = zoo.convert(theirs)
    block = ours.decoder.blocks[0]
    rates = ours.drop.p, block.mlp.drop.p, block.mlp.hidden_drop.p, block.attn.dropout, block.cross.output.drop.p
    assert ours.training and rates == (0.3, 0.3, 0.1, 0.2, 0.3) and ours.converted_from == "MarianMTModel"
    own = {name for name, p in theirs.named_parameters() if "embed_positions" not in name}
    count = (
        sum(p.numel() for name, p in theirs.named_parameters() if name in own) + V
    )  # final_logits_bias is a buffer there
    assert sum(p.numel() for p in ours.parameters()) == count
    assert zoo.convert(make(MARIAN).double()).embed.weight.dtype == torch.float64


def test_learned_places_end():
    ours = zoo.convert(make(BART, max_position_embeddings=8))
    source = torch.ones(1, 8, dtype=torch.long)
    assert ours.generate(source, max_new_tokens=8, stop=[]).ids.shape == (1, 8)
    for call in (
        lambda: ours.generate(source, max_new_tokens=9),
        lambda: ours(source, torch.ones(1, 9, dtype=torch.long)),
    ):
        with pytest.raises(zoo.ZooError, match="9 tokens, and this Transformer2017 has 8 learned places"):
            call()


@pytest.mark.parametrize("kind", [MARIAN, BART])
def test_linear_names_are_where_the_rows_are(kind):
    """For adapters: each map of theirs, put together from rows of ours, is theirs."""
    theirs = make(kind)
    ours, maps = zoo.convert(theirs), dict(theirs.named_modules())
    found = linear_names(ours)
    assert {name for name, *_ in found} == {name for name, m in maps.items() if isinstance(m, torch.nn.Linear)}
    for name, _, pieces in found:
        rows = [ours.get_submodule(own).weight[first : first + count] for own, first, _, count in pieces]
        assert torch.equal(torch.cat(rows), maps[name].weight)


REFUSED = {
    "normalize_before=True": (MARIAN, {"normalize_before": True}),
    "encoder_layerdrop=0.5": (BART, {"encoder_layerdrop": 0.5}),
    "activation_function='gelu_10'": (MARIAN, {"activation_function": "gelu_10"}),
    "decoder_vocab_size=21": (MARIAN, {"decoder_vocab_size": 21}),
    "normalize_embedding=False": (BART, {"normalize_embedding": False}),
    "my_own_option=3": (BART, {"my_own_option": 3}),
    "is_encoder_decoder=False": (MARIAN, {"is_encoder_decoder": False}),
}  # fmt: skip


@pytest.mark.parametrize("said", REFUSED)
def test_what_ours_has_not_is_refused_by_class_option_and_value(said):
    kind, options = REFUSED[said]
    theirs = make(kind)
    for key, value in options.items():
        setattr(theirs.config, key, value)
    with pytest.raises(zoo.ZooError) as refusal:
        zoo.convert(theirs)
    assert said in str(refusal.value) and kind[0].__name__ in str(refusal.value)


T5 = dict(vocab_size=V, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)


@pytest.mark.parametrize(
    "make_other",
    [
        lambda: T5ForConditionalGeneration(T5Config(**T5)),
        lambda: MarianModel(MarianConfig(**SIZES)),
        lambda: BartModel(BartConfig(**SIZES)),
        lambda: BartForSequenceClassification(BartConfig(**SIZES)),
        lambda: MBartForConditionalGeneration(MBartConfig(**SIZES)),
        lambda: type("MarianMTModel", (MarianMTModel,), {})(MarianConfig(**SIZES)),
    ],
    ids=["t5", "marian", "bart", "classifier", "mbart", "somebodys"],
)
def test_other_classes_are_refused_by_name(make_other, tmp_path):
    """T5 has one table of relative places for all layers; other heads are other functions."""
    theirs = make_other()
    with pytest.raises(zoo.ZooError, match=type(theirs).__name__):
        zoo.convert(theirs)
    theirs.save_pretrained(tmp_path)
    if type(theirs).__module__.startswith("transformers"):
        with pytest.raises(zoo.ZooError, match=type(theirs).__name__):
            zoo.load(tmp_path)


def test_folders_of_old_versions(tmp_path, caplog):
    """config.json as the hub's old ones are; Marian's sentencepiece files are no tokenizer of ours."""
    theirs = make(MARIAN, scale_embedding=True)
    theirs.save_pretrained(tmp_path)
    (tmp_path / "generation_config.json").unlink()
    (tmp_path / "source.spm").write_bytes(b"")
    old = dict(
        classif_dropout=0.0, add_bias_logits=False, add_final_layer_norm=False, normalize_before=False, num_beams=4
    )
    old |= dict(normalize_embedding=False, static_position_embeddings=True, extra_pos_embeddings=V, num_hidden_layers=1)
    change(tmp_path, **old, bad_words_ids=[[5]], forced_bos_token_id=None)
    ours = zoo.load(tmp_path)
    assert isinstance(ours, Transformer2017) and ours.begin_tokens == (V - 4,) and ours.suppress_tokens == (5,)
    assert ours.tokenizer is None and "source.spm and no tokenizer.json" in caplog.text
    change(tmp_path, decoder_start_token_id=V)
    with pytest.raises(zoo.ZooError, match=f"decoder_start_token_id has {V}, which is no token of this vocabulary"):
        zoo.load(tmp_path)
