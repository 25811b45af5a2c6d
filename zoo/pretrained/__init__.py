"""Trained models: kept in folders, converted from other libraries, taken as a start.

    zoo.save(model, folder)       zoo.load(folder)       zoo.convert(timm_model)
    model, changes = initialise(config, "timm://vit_tiny_patch16_224.augreg_in21k", facts)

Other libraries are imported only where something of theirs is handed over.
"""

# Imported here, not on first use: the functions must stand before the modules of the same names.
from zoo.pretrained.adapters import load_adapter, save_adapter
from zoo.pretrained.convert import convert
from zoo.pretrained.folder import save
from zoo.pretrained.initialise import Change, encodings, initialise, peek, untrained
from zoo.pretrained.loading import load
from zoo.pretrained.sources import described, tokenizer_of, tokenizers_in

__all__ = [
    "Change", "convert", "described", "encodings", "initialise", "load", "load_adapter", "peek", "save", "save_adapter",
    "tokenizer_of", "tokenizers_in", "untrained",
]  # fmt: skip
