"""The text of items: tables, maps and records become columns of one line each, cleaned by rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from bench.data import markup
from bench.data.formats.columns import KEY, USER, normalized
from bench.data.formats.delimited import Delimited
from bench.data.formats.mending import mended, says_nothing
from bench.data.formats.records import Parquet, Records, written
from bench.errors import BenchError, unknown

Table = Delimited | Records | Parquet
TEXT = "text"  # the column of a map from items to sentences
LISTS = ("categories", "category", "genres", "genre", "tags")  # whose parts may stand between bars
NEVER = ("image", "images", "imurl", "image_url", "url", "videos", "also_buy", "also_bought", "also_view", "related")


@dataclass
class Catalogue:
    """Text columns by item; ``there`` are all columns, asked for or not. ``again`` counts items that came twice with
    another text: the first is kept.
    """

    text: dict[str, dict[str, str]] = field(default_factory=dict)
    columns: dict[str, None] = field(default_factory=dict)
    there: dict[str, None] = field(default_factory=dict)
    again: int = 0
    marked: int = 0

    def add(self, item: str, cells: Mapping[str, str]) -> None:
        """What one line says of an item; what an earlier one has left empty is filled in."""
        texts = self.text.setdefault(item, {})
        clean = {name: self._cleaned(name, cell) for name, cell in cells.items()}
        self.again += any(texts.get(name, text) != text for name, text in clean.items() if text)
        self.columns.update(dict.fromkeys(clean))
        texts.update({name: text for name, text in clean.items() if text and not texts.get(name)})

    def column(self, name: str, items: Sequence[str]) -> tuple[str, ...]:
        """The text of these items, "" where there is none."""
        return tuple(self.text.get(item, {}).get(name, "") for item in items)

    def mend(self, items: Sequence[str], were: Mapping[str, str], where: str) -> list[str]:
        """Ids as they were before a program changed all of them, where that finds more of the ``items``, and cells
        empty that several items have and that say there is nothing. Notes on both. An item that was mended is found
        by what it ``were`` as well.
        """
        names, notes = mended(list(self.text), f"in {where}, item")
        mine = set(items)
        if notes and len(mine & set(names)) > len(mine & self.text.keys()):
            self.text = dict(zip(names, self.text.values(), strict=True))
        else:
            notes = []
        for item, before in were.items():
            if item not in self.text and before in self.text:
                self.text[item] = self.text.pop(before)
        nothing = Counter[str]()
        for name in self.columns:
            counts = Counter(text for texts in self.text.values() if says_nothing(text := texts.get(name, "")))
            for texts in self.text.values():
                if counts[texts.get(name, "")] > 1:
                    nothing[texts.pop(name)] += 1
        if nothing:
            words = ", ".join(f"'{word}'" for word in nothing)
            notes.append(f"{nothing.total():,} texts in {where} are {words}: read as none")
        return notes

    def _cleaned(self, name: str, cell: str) -> str:
        self.marked += markup.is_marked_up(cell)
        text = markup.plain(cell)
        return text.replace("|", ", ") if name in LISTS and "|" in text and "," not in text else text


def of_table(found: Catalogue, table: Table, key: str, fields: Sequence[str]) -> None:
    """Add a table's text columns: those asked for, or all that hold words."""
    found.there.update(dict.fromkeys(_name(column) for column in table.columns if column != key))
    wanted = [column for column in table.columns if column != key and (not fields or _name(column) in fields)]
    wanted = [column for column in wanted if fields or normalized(column) not in (*NEVER, *KEY.split(), *USER.split())]
    cells: dict[str, list[str]] = {name: [] for name in (key, *wanted)}
    for batch in table.batches([key, *wanted], ids=(key,)):
        for name, column in cells.items():
            column += [text or "" for text in batch[name].cast(pa.string()).to_pylist()]
    kept = [name for name in wanted if fields or any(map(_has_words, cells[name]))]
    for row, item in enumerate(cells[key]):
        if item.strip():
            found.add(item, {_name(name): cells[name][row] for name in kept})


def of_map(found: Catalogue, text_by_item: Mapping[str, Any], fields: Sequence[str]) -> None:
    """Add ``{item: sentence}`` or ``{item: {field: text}}``."""
    for item, value in text_by_item.items():
        cells = value if isinstance(value, Mapping) else {TEXT: value}
        found.there.update(dict.fromkeys(map(_name, cells)))
        kept = {_name(name): written(cell) or "" for name, cell in cells.items() if not fields or _name(name) in fields}
        found.add(str(item), {name: cell for name, cell in kept.items() if fields or name.lower() not in NEVER})
    if fields:
        return
    for name in [
        name for name in found.columns if not any(_has_words(texts.get(name, "")) for texts in found.text.values())
    ]:
        del found.columns[name]


def by_keys(content: Any, column: str, items: Sequence[str]) -> bool:
    """Whether the keys of a JSON object are items, and not numbers of rows that name an item in a ``column`` within."""
    if not isinstance(content, Mapping) or not all(isinstance(row, Mapping) for row in content.values()):
        return False
    mine, within = set(items), {written(row.get(column)) for row in content.values()}
    return len(mine & content.keys()) > len(mine & within)


def require_fields(found: Catalogue, fields: Sequence[str], where: str) -> None:
    """BenchError for a field that no file of items has."""
    for name in fields:
        if name not in found.columns:
            raise BenchError(f"{unknown('text field', name, found.there)} in {where}")


def _name(column: str) -> str:
    """A column as it is called in a data set: without a type, a tab or a colon."""
    return " ".join(column.partition(":")[0].split()) or "column"


def _has_words(cell: str) -> bool:
    """Whether a cell says anything: a number, a price, a link or a truth value says nothing of an item."""
    text = cell.strip().lower()
    if not any(letter.isalpha() for letter in text) or text.startswith(("http://", "https://", "data:image")):
        return False
    return text not in ("true", "false") and not says_nothing(text)
