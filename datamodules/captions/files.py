"""Files of captions: COCO's JSON, Flickr's tables; what is wrong is told by name or line."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.errors import ZooError, one_line

#: Captions by name of their image, in the order of the file.
Captions = dict[str, list[str]]
FORMS = (
    'COCO\'s captions_*.json ({"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}), Flickr8k\'s '
    "captions.txt (lines image,caption) or *.token (lines name#number<TAB>caption)"
)
PARTS = {"train": "train", "restval": "train", "val": "val", "test": "test"}  # of Karpathy's files


def read_captions(path: Path) -> Captions:
    """The captions of a file, by the names that it has for images. Raises: ZooError for what is none of `FORMS`."""
    text = read_text(path)
    found: Captions = {}
    for name, caption in _coco(path, text) if path.suffix.lower() == ".json" else _lines(path, text):
        found.setdefault(name, []).append(" ".join(caption.split()))
    if not found:
        raise ZooError(f"{path} has no caption; give {FORMS}.")
    return found


def read_text(path: Path) -> str:
    """A file of UTF-8. Raises: ZooError for what is none."""
    if not path.is_file():
        raise ZooError(f"{path} is no file.")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ZooError(f"{path} is no UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}.") from None
    except OSError as error:
        raise ZooError(f"{path} cannot be read ({one_line(error, 200)}).") from None


def _parsed(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ZooError(f"{path} is no JSON: line {error.lineno}, {one_line(error.msg, 100)}.") from None
    except RecursionError:
        raise ZooError(f"{path} is nested too deep; give {FORMS}.") from None
    except ValueError as error:  # a number of more digits than Python reads
        raise ZooError(f"{path} cannot be read ({one_line(error, 100)}); give {FORMS}.") from None


def _rows(path: Path, content: Any, key: str, form: Mapping[str, type | tuple[type, ...]]) -> list[Any]:
    """The objects in the list under a key. Raises: ZooError where some are not of that form, with their numbers."""
    rows = content.get(key) if isinstance(content, Mapping) else None
    if not isinstance(rows, list):
        raise ZooError(f"{path} has no list {key!r}; give {FORMS}.")

    def right(row: Any) -> bool:
        return isinstance(row, Mapping) and all(isinstance(row.get(name), kind) for name, kind in form.items())

    if wrong := [i for i, row in enumerate(rows) if not right(row)]:
        raise ZooError(
            f"{path}: {listed('row', wrong)} without {' and '.join(form)}, or has others, among {key} (from 0 on)."
        )
    return rows


def _coco(path: Path, text: str) -> Iterator[tuple[str, str]]:
    content = _parsed(path, text)
    names: dict[Any, str] = {}
    for row in _rows(path, content, "images", {"id": (int, str), "file_name": str}):
        if (other := names.setdefault(row["id"], row["file_name"])) != row["file_name"]:
            raise ZooError(
                f"{path}: the id {one_line(row['id'], 40)} stands at two images, {one_line(other, 80)!r} and "
                f"{one_line(row['file_name'], 80)!r}: which its captions are of is not told; give each its own."
            )
    rows = _rows(path, content, "annotations", {"image_id": (int, str), "caption": str})
    if unknown := [row["image_id"] for row in rows if row["image_id"] not in names]:
        raise ZooError(
            f"{path}: {len(unknown)} captions are of images that the file does not list, of ids "
            f'{_some(list(dict.fromkeys(unknown)))}; add them to "images", or remove these captions.'
        )
    if empty := [i for i, row in enumerate(rows) if not row["caption"].strip()]:
        raise ZooError(f"{path}: {listed('caption', empty)} empty, among annotations (from 0 on); remove or mend them.")
    for row in rows:
        yield names[row["image_id"]], row["caption"]


def _lines(path: Path, text: str) -> Iterator[tuple[str, str]]:
    """Lines image,caption below these two words, or lines name#number<TAB>caption."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    table = [part.strip().lower() for part in first.split(",")] == ["image", "caption"]
    wrong, found = list[int](), list[tuple[str, str]]()
    for number, parts in _commas(path, text) if table else _tabs(text):
        name, caption = parts if len(parts) == 2 else ("", "")
        if not name.strip() or not caption.strip():
            wrong.append(number)
        else:
            found.append((name.strip(), caption))
    if wrong:
        form = "an image, a comma and its caption" if table else "name#number, a tab and a caption"
        raise ZooError(f"{path}: {listed('line', wrong)} not {form}; give {FORMS}.")
    yield from found


def _commas(path: Path, text: str) -> Iterator[tuple[int, Sequence[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = True
        for row in reader:
            if not header and row:
                yield reader.line_num, row if len(row) < 2 else (row[0], ",".join(row[1:]))  # commas that nobody quoted
            header = header and not row
    except csv.Error as error:
        raise ZooError(f"{path}, line {reader.line_num}: {one_line(error, 200)}; mend the line.") from None


def _tabs(text: str) -> Iterator[tuple[int, Sequence[str]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            name, _, caption = line.rstrip("\r").partition("\t")
            yield number, (re.sub(r"#\d+$", "", name), caption) if re.search(r"#\d+$", name) else ()


def read_parts(path: Path) -> dict[str, str]:
    """The part of each image by its name, of a file as Karpathy's dataset_*.json: {"images": [{"filename", "split"}]}.

    Raises: ZooError for another file, or a part that is none of train, restval (which is training), val and test.
    """
    rows = _rows(path, _parsed(path, read_text(path)), "images", {"filename": str, "split": str})
    if unknown := sorted({row["split"] for row in rows} - PARTS.keys()):
        raise ZooError(f"{path}: split {unknown[0]!r} is none of {', '.join(PARTS)}.")
    return {row["filename"]: PARTS[row["split"]] for row in rows}


def locate(names: Sequence[str], files: Sequence[Path], folder: Path, said: Callable[[str], str]) -> list[Path]:
    """The file of each name: by its path in the folder, else by its own name alone.

    Args:
        names: as the captions have them.
        files: of images in the folder.
        said: the sentence's beginning, given how many and which names have no image.

    Raises: ZooError for names without an image (how many, which), or that several images have.
    """
    whole = {file.relative_to(folder).as_posix(): file for file in files}
    alone: dict[str, list[Path]] = {}
    for file in files:
        alone.setdefault(file.name, []).append(file)
    found, missing = list[Path](), list[str]()
    for name in names:
        several = alone.get(Path(name).name, [])
        if name in whole:
            found.append(whole[name])
        elif len(several) == 1:
            found.append(several[0])
        elif several:
            raise ZooError(
                f"{folder} holds {len(several)} images called {Path(name).name}, such as {several[0]} and {several[1]}: which "
                "the captions are of is not told; give data.images=<the one folder>."
            )
        else:
            missing.append(name)
    if missing:
        raise ZooError(said(f"{len(missing)} of {len(names)} images, such as {_some(missing)}"))
    return found


def _some(names: Sequence[Any], most: int = 3) -> str:
    return ", ".join(one_line(name, 80) or repr(name) for name in names[:most]) + (", ..." if len(names) > most else "")


def listed(what: str, numbers: Sequence[int], most: int = 5) -> str:
    """line 3 is; lines 3, 7 and 12 more are."""
    shown = ", ".join(map(str, numbers[:most])) + (f" and {len(numbers) - most} more" if len(numbers) > most else "")
    return f"{what} {shown} is" if len(numbers) == 1 else f"{what}s {shown} are"
