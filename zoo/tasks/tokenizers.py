"""Whether a checkpoint's weights are for the tokens that a model is fed with."""

from collections.abc import Mapping
from typing import Any

from zoo.errors import ZooError
from zoo.models.base import Model
from zoo.models.fit import tokenizers_of
from zoo.text import Tokenizer, from_text
from zoo.text.base import ROLES


def check_tokenizers(model: Model, checkpoint: Mapping[str, Any]) -> None:
    """Raise ZooError where a checkpoint was trained with other tokens: what its rows of the embedding stand for, nothing else
    tells. Of a checkpoint that says of none, and a model that has none, nothing is known."""
    for role, tokenizer in tokenizers_of(model).items():
        kept = checkpoint.get(role)
        if isinstance(kept, Mapping) and not _same(kept, tokenizer, f"the {role} of the checkpoint"):
            raise ZooError(
                f"The checkpoint was trained with another {role} than the data's, {tokenizer.kind} of {tokenizer.vocab_size:,} "
                "tokens: its ids mean other tokens. Go on with the data and settings that it was trained on, or begin with its "
                "weights and tokenizer (init=)."
            )


def _same(kept: Mapping[str, Any], tokenizer: Tokenizer, called: str) -> bool:
    text, roles = kept.get("json"), kept.get("roles")
    if not isinstance(text, str) or not isinstance(roles, Mapping):
        raise ZooError(f"{called} is no text and roles; go on from another checkpoint.")
    wanted = {role: getattr(tokenizer, role) for role in ROLES}
    if {role: roles.get(role) for role in ROLES} != wanted:
        return False
    if text == tokenizer.to_json():
        return True
    if '"_target_"' in text[:20]:  # of a class of one's own, which is not called for this
        return False
    return from_text(text, called, **wanted) == tokenizer  # another version of the library may write it otherwise
