"""A report as Markdown: bold the best, underlined the second."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.console import visible
from bench.report import layout
from bench.report.again import TITLE
from bench.report.table import Cell, Chapter, Note, Table, pieces

# What CommonMark and GitHub read as markup inside a line. An underscore between two letters is none, nor is an
# ampersand that begins no entity, nor a number sign that neither begins nor ends a heading.
MARKUP = re.compile(r"[\\`*|<$~\[]|&(?=#?\w+;)|(?<![^\W_])_|_(?![^\W_])|(?<!\S)#|#$")


def markdown(chapters: Sequence[Chapter], request: str = "") -> str:
    """The whole report; ``request`` is the file that makes its rows again."""
    parts = (_chapter(found, chapters) for found in chapters)
    end = (*_common(chapters), *_legend(chapters), *_again(request))
    return "\n".join(["# Item identifiers compared", *parts, *end, ""])


def _chapter(found: Chapter, chapters: Sequence[Chapter]) -> str:
    banner = [f"\n> **{escaped(found.banner)}.**"] if found.banner else []
    answer = [f"\n{emphasised(paragraph)}" for paragraph in found.answer]
    tables = [_table(table, layout.own(found, table)) for table in found.tables]
    parts = [f"\n## {escaped(found.title)}", *banner, *answer, *tables]
    return "\n".join([*parts, "\n### Conditions\n", *_notes(layout.conditions(found, chapters))])


def _table(table: Table, notes: Sequence[Note]) -> str:
    beneath = ["", *_notes(notes)] if notes else []
    return "\n".join(["", f"### {escaped(table.title)}", "", *table_lines(table), *beneath])


def table_lines(table: Table) -> list[str]:
    """A table alone, without its title and notes."""
    return [
        _line([escaped(column.title) for column in (table.head, *table.columns)]),
        _line(["---:" if column.numeric else "---" for column in (table.head, *table.columns)]),
        *(_line([_cell(cell) for cell in row]) for row in table.rows),
    ]


def _common(chapters: Sequence[Chapter]) -> list[str]:
    found = layout.common(chapters)
    return ["\n## Conditions of all data sets\n", *_notes(found)] if found else []


def _legend(chapters: Sequence[Chapter]) -> list[str]:
    found = layout.legend(chapters)
    lines = [f"- **{escaped(title)}**: {_reading(notes)}" for title, notes in found]
    return ["\n## How to read the tables\n", *lines] if lines else []


def _again(request: str) -> list[str]:
    """A block of code, fenced by more backticks than it holds."""
    if not request:
        return []
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", request)), default=0))
    return [f"\n## {TITLE}\n", f"{fence}toml", request, fence]


def _reading(notes: Sequence[Note]) -> str:
    return ". ".join(f"*{escaped(note.title)}*: {emphasised(note.text)}" for note in notes)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    text = escaped(cell.text) + escaped(cell.mark)
    value = {"best": f"**{text}**", "second": f"<u>{text}</u>", "": text}[cell.highlight]
    return " ".join(part for part in (value, cell.spread, f"[{cell.interval}]" if cell.interval else "") if part)


def _notes(found: Sequence[Note]) -> list[str]:
    return [f"- *{escaped(note.title)}*: {emphasised(note.text)}" for note in found]


def emphasised(text: str) -> str:
    """A text of a report, with what it emphasises in bold."""
    return "".join(f"**{escaped(piece)}**" if strong else escaped(piece) for piece, strong in pieces(text))


def escaped(text: str) -> str:
    """Text in which no character is markup."""
    return MARKUP.sub(r"\\\g<0>", visible(text))
