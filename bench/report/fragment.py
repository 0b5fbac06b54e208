"""Tables as a piece of a page, for notebooks: everything inside is escaped, and nothing outside is touched."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup

from bench.console import visible
from bench.report.table import Cell, Column, Note, Table

RIGHT = Markup(' style="text-align: right"')
LEFT = Markup(' style="text-align: left"')


def html(tables: Iterable[Table], banner: str = "") -> str:
    """The tables one below the other, with their notes, below a ``banner`` where there is one."""
    head = [Markup("<p><strong>{}</strong></p>").format(visible(banner))] if banner else []
    return str(Markup("<div>{}</div>").format(Markup().join([*head, *map(_table, tables)])))


def _table(table: Table) -> Markup:
    columns = (table.head, *table.columns)
    head = Markup().join(_tagged("th", column.title, column) for column in columns)
    body = Markup().join(Markup("<tr>{}</tr>").format(Markup().join(map(_cell, row, columns))) for row in table.rows)
    notes = Markup("<br>").join(map(_note, table.notes))
    return Markup(
        "<table><caption>{}</caption><thead><tr>{}</tr></thead><tbody>{}</tbody></table><p><small>{}</small></p>"
    ).format(visible(table.title), head, body, notes)


def _cell(cell: Cell, column: Column) -> Markup:
    rest = " ".join(part for part in (cell.spread, f"[{cell.interval}]" if cell.interval else "") if part)
    return _tagged("td", " ".join(filter(None, (cell.text + cell.mark, rest))), column)


def _tagged(tag: str, text: str, column: Column) -> Markup:
    align = RIGHT if column.numeric else LEFT
    return Markup("<{}{}>{}</{}>").format(Markup(tag), align, visible(text), Markup(tag))


def _note(note: Note) -> Markup:
    pieces = (Markup("<strong>{}</strong>" if strong else "{}").format(visible(text)) for text, strong in note.pieces)
    return Markup("<em>{}</em> {}").format(visible(note.title), Markup().join(pieces))
