"""Generation: tokens one after another, from any causal language model."""

from zoo.generation.beams import beam_search
from zoo.generation.generated import Generated, Stream
from zoo.generation.loop import generate
from zoo.generation.texts import text
from zoo.generation.translations import translate

__all__ = ["Generated", "Stream", "beam_search", "generate", "text", "translate"]
