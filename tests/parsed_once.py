"""A config's files and interpolations are parsed once a process: for each config, anew, that is half of its time."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import omegaconf
import pytest
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.plugins.config_source import ConfigResult
from omegaconf import grammar_parser

_parse = cache(grammar_parser.parse)
_read = cache(FileConfigSource.load_config)
_sources: dict[tuple, FileConfigSource] = {}


@contextmanager
def parsed_once() -> Iterator[None]:
    """Within it, Hydra and OmegaConf remember what they have parsed; a file that has changed is read again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FileConfigSource, "load_config", _load)
        for module in (grammar_parser, omegaconf._utils, omegaconf.base):
            patch.setattr(module, "parse", _parse)
        yield


def _load(source: FileConfigSource, config_path: str) -> ConfigResult:
    file = Path(source.path, source._normalize_file_name(config_path))
    about = file.stat() if file.is_file() else None
    known = (source.provider, source.path, about and (about.st_mtime_ns, about.st_ino, about.st_size))
    return copy.deepcopy(_read(_sources.setdefault(known, source), config_path))
