"""A report on a terminal: columns go into as many tables as its width asks for; no number is cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rich.rule import Rule
from rich.table import Table as RichTable
from rich.text import Text

from bench.console import Console, visible
from bench.report import layout, pairs
from bench.report.numbers import metric_title
from bench.report.rows import HEADLINE
from bench.report.table import Cell, Chapter, Column, Note, Table
from bench.report.table import pieces as pieces_of

LONGEST_LABEL, LEAST_LABEL = 30, 10  # characters of a row's name before it is folded
GAP = 2  # spaces between two columns
SHORT = ("datasets", "quality", pairs.NAME)  # tables that are always printed
MARKS = {
    "quality": "bold: the best and all not told apart from it; underlined: the next; \N{DAGGER}: above all baselines",
    pairs.NAME: "*: told apart, p (Holm) below 0.05 with the noise of training; the others may differ by luck",
}
LEAST_COLUMNS = 3  # of the main table, however narrow the terminal is: a score, its interval, another score
SIGNS = "> row is ahead, < behind, . not told apart, \N{EN DASH} not tested"
STYLES = {"best": "bold", "second": "underline", "": ""}


def show(chapters: Sequence[Chapter], out: Console, full: bool = False) -> None:
    """Print all chapters: what they say, the main table and the pairs; with ``full`` every table and every remark."""
    for chapter in chapters:
        out.print(Rule(_text(chapter.title, "bold"), align="left"))
        if chapter.banner:
            out.print(_text(f"{chapter.banner}.", "bold red"), end="\n\n")
        for paragraph in chapter.answer:
            out.print(_paragraph(paragraph), end="\n\n")
        if full:
            _show_full(chapter, chapters, out)
        else:
            _show_short(chapter, out)
    if not full:
        hidden = dict.fromkeys(
            table.name for chapter in chapters for table in chapter.tables if table.name not in SHORT
        )
        out.print(_text(f"More tables in the files, and here with --full: {', '.join(hidden)}.", "dim"))
    else:
        if everywhere := layout.common(chapters):
            out.print(_text("All data sets", "bold"), _beneath(everywhere), "")
        for title, notes in layout.legend(chapters):
            out.print(_text(f"How to read: {title}", "bold"), _beneath(notes), "")


def _show_full(chapter: Chapter, chapters: Sequence[Chapter], out: Console) -> None:
    for table in chapter.tables:
        show_table(table, out, layout.own(chapter, table))
    out.print(_beneath(layout.conditions(chapter, chapters)), "")


def _show_short(chapter: Chapter, out: Console) -> None:
    """The main table with a line for each row, the pairs, and what warns of rows."""
    for name in SHORT:
        table = chapter.table(name)
        if table is not None:
            shown = compact(table, out.width)
            out.print(_text(shown.title, "bold"))
            _parts(shown, out)
            if name in MARKS and SIGNS not in shown.title:
                out.print(_text(MARKS[name], "dim"), end="\n\n")
    out.print(_beneath(chapter.brief), "")


def compact(table: Table, width: int) -> Table:
    """The same in few columns: an interval has one of its own, and pairs that do not fit become signs."""
    if table.name != pairs.NAME:
        columns = [part for column in table.columns for part in _aside(column)]
        while len(columns) > LEAST_COLUMNS and not _fits(table.head, columns, width):
            columns.pop()
        return replace(table, columns=tuple(columns))
    short = [Column(column.title, tuple(map(_short, column.cells))) for column in table.columns]
    for tried in (table.columns, tuple(short)):
        if _fits(table.head, tried, width):
            return replace(table, columns=tried)
    signs = [Column(column.title, tuple(map(_sign, column.cells))) for column in table.columns]
    return replace(table, columns=tuple(signs), title=f"{table.title} ({SIGNS})")


def _fits(head: Column, columns: Sequence[Column], width: int) -> bool:
    return _label_width(head, columns, width) + GAP + sum(_width(column) + GAP for column in columns) <= width


def _aside(column: Column) -> list[Column]:
    """A column, and its intervals beside it: those of the first headline only, or a line would not fit."""
    if not any(cell.ends for cell in column.cells):
        return [column]
    bare = Column(column.title, tuple(replace(cell, sd=None, ends=None) for cell in column.cells))
    if column.title != metric_title(HEADLINE):
        return [bare]
    ends = tuple(Cell(cell.interval, cell.source) for cell in column.cells)
    return [bare, Column("95 % interval", ends)]


def _short(cell: Cell) -> Cell:
    """``+.0108*``: what every difference of scores begins with says nothing."""
    return replace(cell, text=cell.text.replace("0.", ".", 1) if cell.text[1:3] == "0." else cell.text)


def _sign(cell: Cell) -> Cell:
    if not isinstance(cell.value, float):
        return replace(cell, text=cell.text or "")
    told = cell.mark == pairs.STAR
    return replace(cell, text="." if not told else ">" if cell.value > 0 else "<", mark="")


def show_table(table: Table, out: Console, notes: Sequence[Note] | None = None) -> None:
    """One table, in parts where it is too wide, and what stands below it: ``notes``, or all of its own."""
    out.print(_text(table.title, "bold"))
    _parts(table, out)
    beneath = table.notes if notes is None else notes
    if beneath:
        out.print(_beneath(beneath), "")


def _parts(table: Table, out: Console) -> None:
    label = _label_width(table.head, table.columns, out.width)
    for part in _balanced(table.columns, out.width - label - GAP):
        out.print(_rich(table.head, part, label), "")


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
    value, *rest = _lines(cell) or [""]
    return Text("\n").join([_text(value, STYLES[cell.highlight]), *(_text(line, "dim") for line in rest)])


def _beneath(found: Sequence[Note]) -> RichTable:
    grid = RichTable.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for note in found:
        grid.add_row(_text(note.title), _paragraph(note.text))
    return grid


def _paragraph(text: str) -> Text:
    return Text.assemble(*(_text(piece, "bold" if strong else "") for piece, strong in pieces_of(text)))


def _text(text: str, style: str = "") -> Text:
    """Never a bare string: rich would read markup in it."""
    return Text(visible(text), style=style)
