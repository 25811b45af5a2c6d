"""transformers' InformerForPrediction as ours: parameters and draws equal where nothing is left to chance (C14)."""

import pytest
import torch
from transformers import InformerConfig, InformerForPrediction

import zoo
from zoo.attention import Causal, ProbSparse
from zoo.errors import ZooError
from zoo.models.series.lagged import LaggedInformer

H, L = 6, 12


def theirs(**options) -> InformerForPrediction:
    """A random one, every weight moved: what starts at 0 or 1 would hide faults."""
    torch.manual_seed(0)
    sizes = dict(
        prediction_length=H,
        context_length=L,
        d_model=16,
        encoder_ffn_dim=24,
        decoder_ffn_dim=20,
        lags_sequence=[1, 2, 5],
    )
    model = InformerForPrediction(InformerConfig(**{**sizes, "attention_type": "full", **options})).eval()
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and "embed_positions" not in name:
            moved = tensor + 0.1 * torch.randn_like(tensor)
            tensor.copy_(moved.abs() if "running_var" in name else moved)
    return model


def window(config: InformerConfig, seed: int = 1, future: bool = True) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    past, horizon = config.context_length + max(config.lags_sequence), config.prediction_length
    more = () if config.input_size == 1 else (config.input_size,)
    features = config.num_time_features + config.num_dynamic_real_features
    given = {
        "past_values": 2 * torch.randn(3, past, *more, generator=draw) + 1,
        "past_time_features": torch.randn(3, past, features, generator=draw),
        "past_observed_mask": (torch.rand(3, past, *more, generator=draw) > 0.2).float(),
        "future_time_features": torch.randn(3, horizon, features, generator=draw),
    }
    if config.num_static_categorical_features:
        codes = [torch.randint(n, (3, 1), generator=draw) for n in config.cardinality]
        given["static_categorical_features"] = torch.cat(codes, 1)
    if config.num_static_real_features:
        given["static_real_features"] = torch.randn(3, config.num_static_real_features, generator=draw)
    if future:
        given["future_values"] = 2 * torch.randn(3, horizon, *more, generator=draw)
    if config.distribution_output == "negative_binomial":  # of counts
        given = {name: x.abs().round() if name.endswith("_values") else x for name, x in given.items()}
    return given


OPTIONS = {
    "as it comes": dict(),
    "no distilling": dict(distil=False, encoder_layers=3),
    "distilled twice": dict(encoder_layers=3, decoder_layers=1, context_length=13),
    "one layer": dict(encoder_layers=1, decoder_layers=1),
    "heads of their own": dict(encoder_attention_heads=4, decoder_attention_heads=1),
    "odd width": dict(d_model=15, encoder_attention_heads=3, decoder_attention_heads=5),
    "normal": dict(distribution_output="normal", scaling="std"),
    "negative binomial": dict(distribution_output="negative_binomial"),
    "negative binomials": dict(distribution_output="negative_binomial", input_size=2),
    "no scaling": dict(scaling=None),
    "scaling by true": dict(scaling=True),
    "several channels": dict(input_size=3),
    "several channels, normal": dict(input_size=2, distribution_output="normal", scaling="std"),
    "calendar": dict(num_time_features=3, num_dynamic_real_features=1),
    "static": dict(
        num_static_categorical_features=2, cardinality=[4, 7], embedding_dimension=[2, 3], num_static_real_features=2
    ),
    "one category": dict(num_static_categorical_features=1, cardinality=[5]),
    "relu": dict(activation_function="relu"),
    "lags": dict(lags_sequence=[3, 1, 24, 7]),
    "context as long as the horizon": dict(context_length=None),
    "sparse, every query answered": dict(attention_type="prob", sampling_factor=12),
    "sparse, 20 steps": dict(attention_type="prob", sampling_factor=5, prediction_length=20, context_length=20),
}


@pytest.mark.parametrize("name", OPTIONS)
@torch.no_grad()
def test_the_same_distributions(name):
    model = theirs(**OPTIONS[name])
    ours = zoo.convert(model)
    assert isinstance(ours, LaggedInformer) and not ours.training
    given = window(model.config)
    for found, wanted in zip(ours(**given).params, model(**given).params, strict=True):
        assert found.shape == wanted.shape
        assert ((found - wanted).abs() <= 1e-4 * wanted.abs().clamp(min=1)).all()


@pytest.mark.parametrize(
    "name", ["as it comes", "normal", "negative binomial", "several channels", "calendar", "static", "lags"]
)
def test_the_same_draws_from_a_seed(name):
    """generate(seed=) is what theirs draws after torch.manual_seed; the global generator is left alone."""
    model = theirs(**OPTIONS[name], num_parallel_samples=4)
    ours, given = zoo.convert(model), window(model.config, future=False)
    torch.manual_seed(5)
    wanted = model.generate(**given).sequences
    before = torch.get_rng_state()
    found = ours.generate(**given, seed=5).sequences
    assert torch.equal(torch.get_rng_state(), before)
    assert found.shape == wanted.shape
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)
    assert torch.equal(ours.generate(**given, seed=5).sequences, found)
    assert ours.generate(**given, num_parallel_samples=2).sequences.shape[1] == 2


def test_gradients_and_a_folder(tmp_path):
    """It trains as theirs does, and is kept and loaded."""
    model = theirs(num_time_features=2)
    ours, given = zoo.convert(model), window(model.config)
    for each in (model, ours):
        sum(x.sum() for x in each(**given).params).backward()
    torch.testing.assert_close(
        ours.embed.weight.grad, model.model.encoder.value_embedding.value_projection.weight.grad, rtol=1e-3, atol=1e-3
    )
    zoo.save(ours, tmp_path / "kept")
    with torch.no_grad():
        kept = zoo.load(tmp_path / "kept")(**given).params
        assert all(torch.equal(a, b) for a, b in zip(kept, ours(**given).params, strict=True))


def test_lazy_queries():
    """Cumulated sums where they are asked for (bug 8), and no chance in evaluation (bug 5)."""
    model = theirs(attention_type="prob", sampling_factor=1, prediction_length=16, context_length=24)
    for lazy in ("mean", "sum"):
        ours = zoo.convert(model, lazy=lazy)
        assert ours.decoder[0].self_attn.pattern == ProbSparse(1, lazy=lazy) & Causal()
        assert ours.encoder[0].attn.pattern == ProbSparse(1)
        given = window(model.config)
        first = ours(**given).params
        assert all(torch.equal(a, b) for a, b in zip(first, ours(**given).params, strict=True))
    assert not torch.equal(first[1], zoo.convert(model)(**given).params[1])


def test_a_step_sees_none_after_it():
    """Teacher forcing lets a step see those before it alone: a lag is at least 1, the decoder causal (bugs 9 and 17)."""
    model = theirs(attention_type="prob", sampling_factor=1, prediction_length=16)
    ours, given = zoo.convert(model), window(model.config)
    base = ours(**given).params[1]
    for step in range(16):
        other = given["future_values"].clone()
        other[:, step] += 5
        moved = (ours(**{**given, "future_values": other}).params[1] - base).abs().amax(0) > 1e-6
        assert not moved[: step + 1].any() and (step == 15 or moved[step + 1])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (dict(lags_sequence=[0, 1]), "lags_sequence"),
        (dict(activation_function="softmax"), "activation_function='softmax'"),
    ],
)
def test_what_ours_has_not_is_named(options, words):
    with pytest.raises(ZooError, match=words):
        model = theirs()
        for key, value in options.items():
            setattr(model.config, key, value)
        zoo.convert(model)


def test_options_of_convert():
    with pytest.raises(ZooError, match="lazy='all' is neither"):
        zoo.convert(theirs(), lazy="all")
    with pytest.raises(ZooError, match=r"seed=1 is no option .* its options are lazy"):
        zoo.convert(theirs(), seed=1)
    from transformers import GPT2Config, GPT2LMHeadModel

    with pytest.raises(ZooError, match=r"lazy='sum' is no option .*; it has none"):
        zoo.convert(GPT2LMHeadModel(GPT2Config(n_layer=1, n_embd=8, n_head=1, vocab_size=9)), lazy="sum")


@pytest.mark.parametrize("name", ["past_values", "future_values", "past_time_features", "static_real_features"])
def test_tensors_of_other_sizes_are_sentences(name):
    model = theirs(num_time_features=2, num_static_real_features=1)
    ours, given = zoo.convert(model), window(model.config)
    with pytest.raises(ZooError, match=name):
        ours(**{**given, name: given[name][:, :-1]})
    with pytest.raises(ZooError, match=r"generate\(\.\.\.\)"):
        ours(**{**given, "future_values": None})
