"""Tensors out of files without pickle's code, without memory for more than the file holds, each a plain tensor (A7).

Both kinds of file are mapped, not read: a tensor costs memory once it is looked at.
"""

import re
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.errors import ZooError, printable

HEADER, PICKLE, ENTRIES = 2_000_000, 2_000_000, 20_000  # of a ViT-Large: 0.03 MB, 0.3 MB, 900
DIRECTORY = 500  # bytes of an entry of an archive's directory; of ours some 80
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
DTYPES = (*FLOATS, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)


def read(path: Path) -> dict[str, Any]:
    """What a .safetensors file, or one that torch.save wrote, holds: tensors, and plain values beside them.

    Raises: ZooError for a file that is missing, truncated, packed, or would need pickle to run code; for a header that is
        larger than those of models, and tensors that show more than the file holds (views that repeat it, sparse ones).
    """
    if not path.is_file():
        raise ZooError(f"There is no file {str(path)!r}; give the path of a .safetensors or .ckpt file.")
    size = path.stat().st_size
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            _check_header(path, size)
            content = load_file(path)
        else:
            check_archive(path)
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # each library, and each way in which a file can be broken, has an error of its own
        raise ZooError(
            f"{str(path)!r} ({size} bytes) cannot be read: it is truncated, or holds more than tensors and plain values "
            f"({why(error)}). Copy it again, or take another file."
        ) from error
    if not isinstance(content, dict):
        raise ZooError(f"{str(path)!r} holds a {type(content).__name__}, no names with tensors; take another file.")
    for part in (content, *content.values()):
        if isinstance(part, dict):
            _check_plain_tensors(part, str(path), size)
    return content


def why(error: Exception) -> str:
    """What torch says of a file that it does not read, without its advice to run the code in it."""
    if named := re.search(r"GLOBAL (\S+)", str(error)):
        return f"it names {printable(named[1])[:200]}, which is code of its own and was not run"
    return printable((str(error).partition("Re-running")[0].splitlines() or [type(error).__name__])[0][:300])


def _check_plain_tensors(state: Mapping[Any, Any], where: str, size: int) -> None:
    """Refuse what is no plain tensor of numbers under a name, or shows more numbers than are stored for it."""
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor):
            continue
        if not isinstance(name, str) or len(name) > 500:
            raise ZooError(f"{where}: a tensor's name is {str(name)[:80]!r}, no name of a module's.")
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta or tensor.dtype not in DTYPES:
            kind = "meta" if tensor.is_meta else str(tensor.layout).removeprefix("torch.")
            raise ZooError(
                f"{where}: {name} is a {kind} tensor of {tensor.dtype}; weights are plain tensors of numbers."
            )
        if tensor.numel() * tensor.element_size() > min(tensor.untyped_storage().nbytes(), size):
            raise ZooError(f"{where}: {name} {list(tensor.shape)} shows more numbers than are stored for it.")


def check_numbers(state: Mapping[str, Any], where: str) -> None:
    """Refuse NaN and infinities among weights; the first tensors that hold some are named."""
    wrong = {
        name: int((~tensor.isfinite()).sum())
        for name, tensor in state.items()
        if isinstance(tensor, Tensor) and tensor.is_floating_point() and not _finite(tensor)
    }
    if wrong:
        first = ", ".join(f"{name} ({count})" for name, count in list(wrong.items())[:6])
        more = f" and {len(wrong) - 6} more tensors" if len(wrong) > 6 else ""
        raise ZooError(
            f"{where}: numbers that are NaN or infinite in {first}{more}; the training failed, take another checkpoint."
        )


def _finite(tensor: Tensor) -> bool:
    if tensor.is_meta:  # of a model without memory: it has no numbers, and no file holds one
        return True
    return bool(tensor.detach().sum(dtype=torch.float64).isfinite()) or bool(tensor.isfinite().all())


def _check_header(path: Path, size: int) -> None:
    """safetensors: 8 bytes with the header's length, the header (JSON), the numbers."""
    with open(path, "rb") as file:
        start = file.read(8)
    if len(start) < 8 or struct.unpack("<Q", start)[0] > min(size - 8, HEADER):
        raise ValueError(f"its header is longer than the file, or than {HEADER / 1e6:g} MB")


def check_archive(path: Path) -> None:
    """torch.save's zip archive: nothing packed, nothing said twice, and a directory that every reader finds at one place.

    Raises: ValueError that says what is wrong.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        file.seek(max(size - 98, 0))
        tail = file.read(98)
    wide, end = tail[:56], tail[-22:]
    if (
        len(tail) < 98
        or end[:4] != b"PK\5\6"
        or end[20:] != b"\0\0"
        or wide[:4] != b"PK\6\6"
        or tail[56:60] != b"PK\6\7"
    ):
        raise ValueError(
            "it is not an archive of torch.save, or one of before torch 1.6; save it again with torch.save"
        )
    # The end is told twice, in 64 and in 32 bits: where the two differ, or the directory does not lie before them, one
    # reader sees other entries than another.
    told, short = struct.unpack("<24xQQQQ", wide)[1:], struct.unpack("<10xHLL2x", end)
    same = all(b in (a, most) for a, b, most in zip(told, short, (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF), strict=True))
    if not same or told[1] + told[2] != size - 98 or struct.unpack("<8xQ4x", tail[56:76])[0] != size - 98:
        raise ValueError("its directory is not where the archive says")
    if told[1] > ENTRIES * DIRECTORY:  # zipfile reads it whole
        raise ValueError(f"its directory is larger than {ENTRIES * DIRECTORY / 1e6:g} MB")
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if len(entries) > ENTRIES or len({entry.filename for entry in entries}) < len(entries):
            raise ValueError("its directory names too many entries, or one twice")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("its entries are packed, which torch.save never does")
        if sum(entry.file_size for entry in entries) > size:
            raise ValueError("its entries are larger than the file")
        if any(entry.file_size > PICKLE for entry in entries if entry.filename.endswith(".pkl")):
            raise ValueError(f"the part beside its tensors is larger than {PICKLE / 1e6:g} MB")
