"""A trained model back from where it lies."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from zoo import packages
from zoo.adapters.record import join, shapes
from zoo.checked import model as checked
from zoo.errors import ZooError
from zoo.models.base import Origin
from zoo.models.factory import with_config
from zoo.models.fit import tokenizers_of
from zoo.pretrained import facts, sources, weights
from zoo.pretrained.kinds.base import Joined, Source
from zoo.text import Tokenizer


def load(
    source: str | Path,
    trust: Sequence[str] = (),
    *,
    tokenizer: str | Path | Tokenizer | None = None,
    base: str | Path | None = None,
) -> nn.Module:
    """A trained model, ready to predict: in eval mode, with config, preprocess and classes, or its tokenizer.

    Args:
        source: a name of a zoo (`gat.cora`, see `zoo.list_pretrained`); https://... or hf://owner/name[@revision], fetched into
            the cache; a run folder, a model folder, a .safetensors file with config.json beside it, or a run's .ckpt file;
            timm://name[.tag][@file]; a folder of transformers' form (config.json, weights whole or in shards,
            tokenizer.json) of the classes that `zoo.convert` takes, or of timm's; llama2.c's .bin, or a folder of it and its
            tokenizer. A folder that has a card.json is verified by it.
        tokenizer: of a model of text, in place of the source's own: a tokenizer.json or tokenizer.bin, or a Tokenizer; of a
            model of pairs the one of what it says, and of what it reads where that has no other.
        trust: packages of your own, whose code the model's config may name beside what this project declares. Name none
            that you do not know: the file decides which of its classes is called, with which arguments.
        base: of a run or folder that holds an adapter, where the model lies that it was trained on; default: where it says
            that it lay, or beside it. The two are joined, if its hash is the one that the adapter was trained on.

    What its config names is looked up among what declares itself (`zoo.declared`), its sizes are compared with the weights
    before the model takes memory, and nothing of it runs (docs/criteria.md, A7, A8).

    Raises: ZooError for an unknown name (the nearest is told), what cannot be fetched or is not what its card says, what holds
        no model, a truncated file, tensors that do not fit, NaN among them, a config that names what may not be instantiated.
    """
    own = packages.checked(trust)
    found = sources.open_source(source, tokenizer, base, own)
    if found.config is None:
        raise ZooError(f"{str(source)!r} holds weights, and no config to build a model from; take it as init={source}.")
    state = found.state if found.adapter is None else _joined(found, found.adapter, own)
    model: Any = with_config(checked.build_for(found.config, state, found.described, own, drawn=False), found.config)
    floats = {tensor.dtype for tensor in state.values() if tensor.is_floating_point()}
    if len(floats) == 1:  # saved in half precision: stay there
        model.to(floats.pop())
    weights.fill(model, state, found.weights)
    facts.check_agree(model, found.preprocess, found.classes, found.described)
    model.preprocess, model.classes, model.targets = found.preprocess, found.classes, found.targets
    model.converted_from = found.converted_from
    facts.give_tokenizers(model, tokenizers_of(found), str(source))
    model.origin = Origin(found.origin)
    if (adapter := found.adapter) is not None:
        record = adapter.record
        shapes(model, record.adapter, adapter.where)
        join(model, record.adapter, adapter.parts(model), adapter.own, adapter.where, record.base)
        model.origin = None if adapter.source is None else Origin(adapter.source, frozenset(adapter.own))
    return model.eval()


def _joined(found: Source, adapter: Joined, trust: tuple[str, ...]) -> weights.State:
    """Of the base's tensors those that the adapter's model has too, and in place of some the adapter's own."""
    every = {**found.state, **adapter.own}
    most = checked.Most.of(every)
    tree = checked.resolve(found.config, found.described, most, trust=trust)
    names = checked.sketch(tree, found.described, most).state_dict()
    return {name: tensor for name, tensor in every.items() if name in names}
