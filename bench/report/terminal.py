"""A report on a terminal: columns go into as many tables as its width asks for; no number is cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from rich.rule import Rule
from rich.table import Table as RichTable
from rich.text import Text

from bench.console import Console, visible
from bench.report.table import Cell, Chapter, Column, Note, Table

LONGEST_LABEL, LEAST_LABEL = 30, 10  # characters of a row's name before it is folded
GAP = 2  # spaces between two columns
STYLES = {"best": "bold", "second": "underline", "": ""}


def show(chapters: Sequence[Chapter], out: Console) -> None:
    """Print all chapters. What stands under several tables is printed once, at the end of the chapter."""
    for chapter in chapters:
        out.print(Rule(_text(chapter.title, "bold"), align="left"))
        counts = Counter(note for table in chapter.tables for note in dict.fromkeys(table.notes))
        shared = [note for note, count in counts.items() if count > 1]
        for table in chapter.tables:
            show_table(table, out, shared)
        said = {note.title for note in chapter.notes}  # at more length
        out.print(_beneath([*(note for note in shared if note.title not in said), *chapter.notes]), "")


def show_table(table: Table, out: Console, without: Collection[Note] = ()) -> None:
    """One table, in parts where it is too wide, and its notes, ``without`` those that stand elsewhere."""
    out.print(_text(table.title, "bold"))
    label = _label_width(table.head, table.columns, out.width)
    for part in _balanced(table.columns, out.width - label - GAP):
        out.print(_rich(table.head, part, label), "")
    out.print(_beneath([note for note in table.notes if note not in without]), "")


def _lines(cell: Cell) -> list[str]:
    return [line for line in (cell.text + cell.mark, cell.spread, cell.interval) if line]


def _width(column: Column) -> int:
    """Characters of the widest line; a title is wrapped between its words, and so is text."""
    texts = (line for cell in column.cells for line in _lines(cell))
    parts = texts if column.numeric else (word for text in texts for word in text.split())
    return max(len(part) for part in [*column.title.split(), *parts])


def _label_width(head: Column, columns: Sequence[Column], width: int) -> int:
    room = width - max(_width(column) for column in columns) - 2 * GAP
    texts = [head.title, *(cell.text for cell in head.cells)]
    word = max(len(word) for text in texts for word in [*text.split(), ""])  # which is not to be broken
    return min(max(LEAST_LABEL, min(max(LONGEST_LABEL, word), room)), max(map(len, texts)))


def _balanced(columns: Sequence[Column], room: int) -> list[list[Column]]:
    """Columns in order, in the fewest tables that fit next to the labels, and these about equally wide."""
    widths = [_width(column) + GAP for column in columns]
    fewest = _packed(widths, room)
    narrower = (_packed(widths, limit) for limit in range(1, room))
    packed = next((found for found in narrower if len(found) == len(fewest)), fewest)
    return [[columns[at] for at in part] for part in packed]


def _packed(widths: Sequence[int], room: int) -> list[list[int]]:
    packed: list[list[int]] = [[]]
    free = room
    for at, needed in enumerate(widths):
        if needed > free and packed[-1]:
            packed.append([])
            free = room
        packed[-1].append(at)
        free -= needed
    return packed


def _rich(head: Column, columns: Sequence[Column], label: int) -> RichTable:
    made = RichTable(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="dim")
    made.add_column(_text(head.title), width=label, overflow="fold")
    for column in columns:
        made.add_column(_text(column.title), width=_width(column), justify="right" if column.numeric else "left")
    for at, cell in enumerate(head.cells):
        made.add_row(_text(cell.text), *(_rich_cell(column.cells[at]) for column in columns))
    return made


def _rich_cell(cell: Cell) -> Text:
    value, *rest = _lines(cell)
    return Text("\n").join([_text(value, STYLES[cell.highlight]), *(_text(line, "dim") for line in rest)])


def _beneath(found: Sequence[Note]) -> RichTable:
    grid = RichTable.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for note in found:
        pieces = (_text(piece, "bold" if strong else "") for piece, strong in note.pieces)
        grid.add_row(_text(note.title), Text.assemble(*pieces))
    return grid


def _text(text: str, style: str = "") -> Text:
    """Never a bare string: rich would read markup in it."""
    return Text(visible(text), style=style)
