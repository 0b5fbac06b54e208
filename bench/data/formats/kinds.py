"""What a file is, told by its content: interactions, histories, a catalogue, a map of ids, or nothing that is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from bench.data.formats import columns, delimited, pickled, records, sequences
from bench.data.formats.catalogue import Table
from bench.data.formats.columns import Roles
from bench.data.formats.delimited import Delimited
from bench.data.formats.opening import NUMPY, PARQUET, Source, look
from bench.errors import BenchError

NOBODY = Roles()
Kind = Literal["interactions", "lists", "histories", "catalogue", "ids", "nothing"]
HINT = "name its columns with --user, --item and --time of bench data import"
NO_TABLE = "it is no table parted by commas, tabs, semicolons or bars, no JSON and no list of histories"
MAPS = ("user2id", "item2id", "id2user", "id2item")
TITLES = ("id2title", "title_maps")  # of SETRec's maps


@dataclass(frozen=True)
class Part:
    """A file and what it is. A table has ``roles``; what is no table is ``content``, as it was read, and so is a
    catalogue under numbers, which may be those of rows or items. Of nothing that is read, ``reason`` says why. One that
    is not ``named`` was found beside another. ``lines`` list ids, of which the first is the user's.
    """

    source: Source
    kind: Kind
    table: Table | None = None
    roles: Roles = NOBODY
    content: Any = None
    reason: str = ""
    named: bool = True
    lines: bool = False

    @property
    def name(self) -> str:
        return self.source.name


def recognize(path: Path, asked: Roles, encoding: str = "", catalogue: bool = False) -> Part:
    """What a file is. BenchError where it is broken; ``catalogue`` where it is said to be one."""
    source = look(path, encoding)
    if source.head.startswith(NUMPY):
        return _of_value(source, pickled.read(source), asked)
    if source.head.startswith(PARQUET):
        return _of_table(source, records.parquet(source), asked, catalogue)
    start = source.head.lstrip()[:1]
    if start in (b"{", b"["):
        if records.is_lines(source):
            return _of_table(source, records.of_lines(source), asked, catalogue)
        return _of_value(source, records.parsed(source), asked, catalogue)
    table = delimited.delimited(source)
    if table is not None:
        return _of_table(source, table, asked, catalogue)
    if sequences.is_p5(source):
        return Part(source, "histories", content=sequences.p5(source), lines=True)
    return Part(source, "nothing", reason=NO_TABLE)


def _of_table(source: Source, table: Table, asked: Roles, catalogue: bool) -> Part:
    if isinstance(table, Delimited) and sequences.has_lists(table):
        return Part(source, "lists", table)
    roles = columns.guess(table.columns, asked, source.name)
    if roles.user and roles.item and not catalogue:
        return Part(source, "interactions", table, roles)
    key = roles.item or columns.key_of(table.columns, asked.item, source.name)
    if key:
        return Part(source, "catalogue", table, Roles(item=key))
    lacking = "items" if roles.user else "users or items"
    reason = f"no column of {lacking} among {', '.join(table.columns)}; {HINT}"
    unsure = isinstance(table, Delimited) and table.header and not columns.told(table.columns)
    return Part(source, "nothing", table, reason=f"{reason}, or add a header if that is a row" if unsure else reason)


def _of_value(source: Source, content: Any, asked: Roles, catalogue: bool = False) -> Part:
    """A JSON value, or what NumPy has pickled."""
    if isinstance(content, list) and content and all(isinstance(record, Mapping) for record in content):
        return _of_table(source, records.of_list(source, content), asked, catalogue)
    if isinstance(content, Mapping) and (found := records.unfolded(content)) is not None:
        part = _of_table(source, records.of_list(source, found), asked, catalogue)
        return replace(part, content=content) if part.kind == "catalogue" and "0" in content else part
    if isinstance(content, Mapping) and content:
        records.require_one_table(source, content)
        if any(isinstance(content.get(name), Mapping | list) for name in MAPS):
            return Part(source, "ids", content=content)
        content = next((content[name] for name in TITLES if isinstance(content.get(name), Mapping)), content)
        values = list(content.values())
        if all(isinstance(value, list | tuple) for value in values):
            return Part(source, "histories", content=sequences.of_map(source, content))
        if all(isinstance(value, str | Mapping) or value is None for value in values):
            return Part(source, "catalogue", content=content)
    return Part(source, "nothing", reason="it holds no records, no map of users to items and none of items to text")


def check_used(part: Part) -> Part:
    """BenchError where a file that was named is nothing that is read."""
    if part.kind == "nothing":
        raise BenchError(f"'{part.source.path}' is not read: {part.reason}")
    return part
