"""A trained model back from where it lies."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from zoo import packages
from zoo.checked import model as checked
from zoo.errors import ZooError
from zoo.models.factory import with_config
from zoo.pretrained import facts, folder, sources, weights
from zoo.text import Tokenizer


def load(
    source: str | Path, trust: Sequence[str] = (), *, tokenizer: str | Path | Tokenizer | None = None
) -> nn.Module:
    """A trained model, ready to predict: in eval mode, with config, preprocess and classes, or its tokenizer.

    Args:
        source: a run folder, a model folder, a .safetensors file with config.json beside it, or a run's .ckpt file; a folder
            of the Hugging Face hub's form (config.json, weights whole or in shards, tokenizer.json) of the classes that
            `zoo.convert` takes; llama2.c's .bin, or a folder of it and its tokenizer.
        tokenizer: of a model of text, in place of the source's own: a tokenizer.json or tokenizer.bin, or a Tokenizer.
        trust: packages of your own, whose code the model's config may name beside what this project declares. Name none
            that you do not know: the file decides which of its classes is called, with which arguments.

    What its config names is looked up among what declares itself (`zoo.declared`), its sizes are compared with the weights
    before the model takes memory, and nothing of it runs (docs/criteria.md, A7, A8).

    Raises: ZooError for what holds no model, a truncated file, tensors that do not fit, NaN among them, a config that
        names what may not be instantiated.
    """
    path = Path(source)
    if not path.exists():
        folder.find(path)  # says what there is instead
    found = sources.open_source(str(path), tokenizer)
    if found.config is None:
        raise ZooError(f"{str(path)!r} holds weights, and no config to build a model from; take it as init={path}.")
    model: Any = with_config(
        checked.build_for(found.config, found.state, found.described, packages.checked(trust)), found.config
    )
    floats = {tensor.dtype for tensor in found.state.values() if tensor.is_floating_point()}
    if len(floats) == 1:  # saved in half precision: stay there
        model.to(floats.pop())
    weights.fill(model, found.state, found.weights)
    facts.check_agree(model, found.preprocess, found.classes, found.described)
    model.preprocess, model.classes, model.targets = found.preprocess, found.classes, found.targets
    model.converted_from = found.converted_from
    facts.give_tokenizer(model, found.tokenizer, str(path))
    return model.eval()
