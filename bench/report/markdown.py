"""A report as Markdown: bold the best, underlined the second."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.console import visible
from bench.report.table import Cell, Chapter, Note, Table

# What CommonMark and GitHub read as markup inside a line. An underscore between two letters is none, nor is an
# ampersand that begins no entity, nor a number sign that neither begins nor ends a heading.
MARKUP = re.compile(r"[\\`*|<$~\[]|&(?=#?\w+;)|(?<![^\W_])_|_(?![^\W_])|(?<!\S)#|#$")


def markdown(chapters: Sequence[Chapter]) -> str:
    """The whole report."""
    return "\n".join(["# Item identifiers compared", *(_chapter(found) for found in chapters), ""])


def _chapter(found: Chapter) -> str:
    parts = [f"\n## {escaped(found.title)}", *(_table(table) for table in found.tables)]
    return "\n".join([*parts, "\n### Conditions\n", *_notes(found.notes)])


def _table(table: Table) -> str:
    rules = ("---:" if column.numeric else "---" for column in (table.head, *table.columns))
    lines = [
        _line([escaped(column.title) for column in (table.head, *table.columns)]),
        _line(list(rules)),
        *(_line([_cell(cell) for cell in row]) for row in table.rows),
    ]
    return "\n".join(["", f"### {escaped(table.title)}", "", *lines, "", *_notes(table.notes)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    text = escaped(cell.text) + cell.mark
    value = {"best": f"**{text}**", "second": f"<u>{text}</u>", "": text}[cell.highlight]
    return " ".join(part for part in (value, cell.spread, f"[{cell.interval}]" if cell.interval else "") if part)


def _notes(found: Sequence[Note]) -> list[str]:
    return [f"- *{escaped(note.title)}*: {_pieces(note)}" for note in found]


def _pieces(note: Note) -> str:
    return "".join(f"**{escaped(piece)}**" if strong else escaped(piece) for piece, strong in note.pieces)


def escaped(text: str) -> str:
    """Text in which no character is markup."""
    return MARKUP.sub(r"\\\g<0>", visible(text))
