"""A table as plain text, ready for whatever prints it: a page, Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bench.report.table import DASH, Cell, Note, Table

NUMBER = re.compile(r"[<>]?\s*([-+\N{MINUS SIGN}]?\d[\d,]*\.?\d*)\s*([kMB%]?)(?![\w-]|\s+\d)")
UNDER = "\N{LOW LINE}" * 2  # stands around what is underlined
UNITS = {"": 1.0, "%": 0.01, "k": 1e3, "M": 1e6, "B": 1e9}


@dataclass(frozen=True)
class Sheet:
    """Cells as they are read, the first of each row names it; what stands between ``**`` is emphasised."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[Note, ...] = ()


def from_table(table: Table) -> Sheet:
    """Its cells with their spread and interval; the best is emphasised, the second underlined."""
    header = (table.head.title, *(column.title for column in table.columns))
    return Sheet(table.title, header, tuple(tuple(_text(cell) for cell in row) for row in table.rows), table.notes)


def _text(cell: Cell) -> str:
    text = cell.text + cell.mark
    value = {"best": f"**{text}**", "second": f"{UNDER}{text}{UNDER}", "": text}[cell.place]
    return " ".join(part for part in (value, cell.spread, f"[{cell.interval}]" if cell.interval else "") if part)


def number(text: str) -> float | None:
    """The number that a cell begins with, for sorting: ``1,136``, ``< 0.01``, ``58.3 M``, ``0.2%``; None for words."""
    found = NUMBER.match(text.replace("*", "").replace(UNDER, "").strip())
    if found is None:
        return None
    return float(found[1].replace(",", "").replace("\N{MINUS SIGN}", "-")) * UNITS[found[2]]


def numeric(sheet: Sheet, column: int) -> bool:
    """Whether a column holds numbers, apart from dashes and empty cells."""
    said = [row[column] for row in sheet.rows if row[column] not in ("", DASH)]
    return bool(said) and all(number(text) is not None for text in said)


def markdown(sheet: Sheet, before: str = "") -> str:
    """The sheet with its notes beneath; ``before`` begins its title."""
    lines = [_line(sheet.header), _line(["---"] * len(sheet.header)), *(_line(row) for row in sheet.rows)]
    beneath = [f"- *{note.title}*: {_escaped(note.text)}" for note in sheet.notes]
    return "\n".join([f"## {before}{sheet.title}", "", *lines, "", *beneath, ""])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_escaped(cell) for cell in cells)} |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "\\<")
