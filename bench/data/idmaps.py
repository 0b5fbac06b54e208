"""Files that say which id a number stands for: ``.item2id``, JSON maps, nested or not, lists of ids."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.data.characters import require_whole
from bench.errors import BenchError

HEADS = ("item", "item_id", "item_id:token")  # a first line that begins so names columns
ORIGINALS = ("item", "item_id", "itemid", "asin", "org_id", "org_item_id", "original", "original_id", "raw_id", "iid")
NUMBERS = ("id", "number", "index", "idx", "remap_id", "new_id", "mapped_id", "item_idx", "item_index", "row")
EXACT = 2**53  # a float holds every whole number up to here
BESIDE = (".ids.txt", ".ids.json", ".item2id", ".items.txt", ".item")  # what may name the rows of a file beside it
LISTED = tuple(ending for ending in BESIDE if ending != ".item")  # an item table has an order of its own, not of rows
SPECIAL = re.compile(r"\[[A-Za-z_]+\]\s*[\n\t]")
FORWARD, BACKWARD = "{}2id", "id2{}"  # the maps in MTGRec's id_mapping.json and P5's datamaps.json


def beside(path: Path, endings: Sequence[str] = BESIDE) -> Path | None:
    """The file beside ``path``, under its name without its last ending or up to the first dot, that says which item
    each of its numbers is.
    """
    stems = dict.fromkeys([path.stem, path.name.partition(".")[0]])
    files = (path.with_name(stem + ending) for stem in stems for ending in endings)
    return next((file for file in files if file.is_file() and file != path), None)


def numbers(path: Path, of: str = "item") -> dict[str, str]:
    """Original ids by number: of an ``.item2id`` (``id<TAB>number``), of a JSON map from ids to numbers, or from a file
    that names the items in order, whose first has the number 0. A JSON of several maps is asked for ``item2id``.

    ``[PAD]``, which holds number 0 in some, is a name like any other. BenchError where one number has two ids.
    """
    text = text_of(path)
    if _is_json(path, text):
        return _turned(path, _pairs(path, parsed(path, text), of))
    lines = lines_of(text)
    columns = _named_columns(lines[0])
    if columns:
        item, number, between = columns
        rows = [line.strip().split(between) for line in lines[1:]]
        return _turned(path, ((row[item].strip(), row[number].strip()) for row in _of_two(path, rows)))
    cells = [line.split("\t") for line in lines]
    if cells[0][0] in HEADS:
        return _turned(path, ((line[0], str(row)) for row, line in enumerate(cells[1:])))
    return _turned(path, _without_head(path, cells))


def _named_columns(line: str) -> tuple[int, int, str] | None:
    """Which column has ids and which numbers, and what is between, where a first line names both."""
    for between in ("\t", ",", ";", " "):
        names = [name.partition(":")[0].strip().lower() for name in line.strip().split(between)]
        for item, number in ((0, 1), (1, 0)):
            if len(names) == 2 and names[item] in ORIGINALS and names[number] in NUMBERS:
                return item, number, between
    return None


def _of_two(path: Path, rows: Sequence[list[str]]) -> Sequence[list[str]]:
    wrong = next((row for row in rows if len(row) != 2), None)
    if wrong is not None:
        raise BenchError(f"'{path}' must have an id and a number on each line; got {' '.join(wrong)[:80]!r}")
    return rows


def _without_head(path: Path, lines: Sequence[list[str]]) -> Iterable[tuple[str, str]]:
    """Ids with their numbers: those beside them, on either side, or else those of the lines."""
    unlike = [line for line in lines if not (len(line) == 2 and line[1].strip().isdecimal())]
    if not unlike:
        return [(item, number.strip()) for item, number in lines]
    counted = {str(number) for number in range(len(lines) + 1)}
    listed = path.name.endswith((".items.txt", ".ids.txt", ".item"))  # whose second column, if any, is a title
    if not listed and len(lines) > 1 and all(len(line) == 2 and line[0].strip() in counted for line in lines):
        return [(item, number.strip()) for number, item in lines]
    if len(unlike) <= len(lines) / 2:
        raise BenchError(
            f"'{path}' has {len(lines) - len(unlike):,} lines of an id, a tab and a number and {len(unlike):,} others; "
            f"the first is {chr(9).join(unlike[0])[:80]!r}; give every id its number, or none"
        )
    return [(line[0].strip(), str(row)) for row, line in enumerate(lines)]


def has_users(path: Path) -> bool:
    """Whether a file has a map of users beside that of items."""
    text = text_of(path)
    content = parsed(path, text) if _is_json(path, text) else None
    return isinstance(content, Mapping) and any(name.format("user") in content for name in (FORWARD, BACKWARD))


def text_of(path: Path) -> str:
    """The text of a file, of which there must be some, in UTF-8."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise BenchError(f"cannot read '{path}': {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise BenchError(f"'{path}' is not text in UTF-8; give a map or a list of ids") from error
    if not text.strip():
        raise BenchError(f"'{path}' is empty; give a map or a list of ids")
    if "\0" in text:
        raise BenchError(f"'{path}' holds a NUL character; it is corrupt, or not text in UTF-8")
    if "\r" in text and "\n" not in text.strip():
        raise BenchError(f"the lines of '{path}' end in carriage returns alone; save it with line feeds")
    return text


def lines_of(text: str) -> list[str]:
    """The lines that say something. Only line ends part them: words may hold what else Unicode calls a line break."""
    return [line.rstrip("\r") for line in text.split("\n") if line.strip()]


def parsed(path: Path, text: str) -> Any:
    """The value of a JSON text, in which no key may stand twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
        if twice:
            raise BenchError(f"'{path}' names {len(twice):,} items twice, the first is '{twice[0]}'; keep one of each")
        return dict(pairs)

    try:
        return require_whole(text, json.loads(text, object_pairs_hook=unique))
    except (ValueError, RecursionError) as error:
        raise BenchError(f"'{path}' is not valid JSON: {error}") from error


def _is_json(path: Path, text: str) -> bool:
    """Whatever is called so, also where its beginning is lost. A list of ids may begin with "[PAD]"."""
    return path.suffix == ".json" or (text.lstrip().startswith(("{", "[")) and not SPECIAL.match(text.lstrip()))


def _pairs(path: Path, content: Any, of: str) -> Iterable[tuple[str, str]]:
    """Ids with their numbers."""
    forward, backward = FORWARD.format(of), BACKWARD.format(of)
    if isinstance(content, Mapping) and isinstance(content.get(forward), Mapping):
        content = content[forward]
    elif isinstance(content, Mapping) and isinstance(content.get(backward), Mapping):
        return [(_id(path, name), _number(path, number)) for number, name in content[backward].items()]
    elif isinstance(content, Mapping) and isinstance(content.get(backward), list):
        content = content[backward]
    if isinstance(content, Mapping):
        nested = [key for key, value in content.items() if isinstance(value, Mapping | list)]
        if nested:
            raise BenchError(
                f"'{path}' holds several maps ({', '.join(content)}) and none is {forward} or {backward}; "
                "call the map so, or give a file with that one alone"
            )
        if content and all(name.isdecimal() for name in content) and not _numbers_alone(content.values()):
            return [(_id(path, name), number) for number, name in content.items()]
        return [(str(name), _number(path, number)) for name, number in content.items()]
    if not isinstance(content, list):
        raise BenchError(f"'{path}' must hold a map of ids or a list of them; got {content!r}")
    return [(_id(path, name), str(row)) for row, name in enumerate(content)]


def _numbers_alone(values: Iterable[Any]) -> bool:
    return all(not isinstance(value, str) or value.strip().isdecimal() for value in values)


def _id(path: Path, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BenchError(f"an id in '{path}' must be a text or a whole number; got {str(value)[:80]!r}")
    return str(value)


def _number(path: Path, value: Any) -> str:
    """A whole number as text, however it is written: 3, 3.0, "3"."""
    whole = int(value) if isinstance(value, float) and value.is_integer() and abs(value) < EXACT else value
    text = "" if isinstance(whole, bool) or not isinstance(whole, str | int) else str(whole).strip()
    if not text.isdecimal():
        raise BenchError(f"the number of an id in '{path}' must be whole, from 0 on; got {str(value)[:80]!r}")
    return text


def _turned(path: Path, pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, number in pairs:
        if number in found:
            raise BenchError(f"'{path}' gives the number {number} to both '{found[number]}' and '{name}'")
        found[number] = name
    return found
