"""Tables of a report: for each data set one, with the contract beneath it; as Markdown, on a terminal, as a frame."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import pandas as pd
from rich.console import Console
from rich.rule import Rule
from rich.table import Table as RichTable
from rich.text import Text

from bench.evaluation.statistics import interval
from bench.report.columns import HEADLINES, Cell, Column, cost, quality
from bench.report.contracts import contracts
from bench.report.notes import Note, notes
from bench.report.results import Result
from bench.report.rows import Row, Section, sections

LONGEST_LABEL, LEAST_LABEL = 30, 10  # characters of a scheme's name on a terminal before it is folded
GAP = 2  # spaces between two columns


@dataclass(frozen=True, eq=False)
class Table:
    """All that is printed about one data set; ``quality`` and ``cost`` columns have one cell for each row."""

    title: str
    rows: tuple[Row, ...]
    quality: tuple[Column, ...]
    cost: tuple[Column, ...]
    notes: tuple[Note, ...]


def tables(results: Sequence[Result]) -> list[Table]:
    """One table for each data set, in order of their names."""
    return [_table(section) for section in sections(results)]


def _table(section: Section) -> Table:
    rows, found = section.rows, contracts(section.rows)
    beneath = notes(section.dataset, rows, found)
    return Table(section.title, rows, tuple(quality(rows, found)), tuple(cost(rows)), tuple(beneath))


def markdown(results: Sequence[Result]) -> str:
    """The whole report as Markdown."""
    return "\n".join(["# Item identifiers compared", *(_markdown_table(table) for table in tables(results)), ""])


def _markdown_table(table: Table) -> str:
    columns = (*table.quality, *table.cost)
    lines = [
        _markdown_row(["scheme", *(column.title for column in columns)]),
        _markdown_row(["---", *["---:"] * len(columns)]),
        *(
            _markdown_row([_escaped(row.label), *(_markdown_cell(column.cells[at]) for column in columns)])
            for at, row in enumerate(table.rows)
        ),
    ]
    beneath = [f"- *{note.title}*: {_escaped(note.text)}" for note in table.notes]
    return "\n".join(["", f"## {table.title}", "", *lines, "", *beneath])


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_cell(cell: Cell) -> str:
    value = f"**{cell.value}**" if cell.best else cell.value
    return " ".join(part for part in (value, cell.spread, f"[{cell.interval}]" if cell.interval else "") if part)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "\\<")


def console(results: Sequence[Result], out: Console) -> None:
    """The report on a terminal: columns go into as many tables as its width asks for; no number is cut."""
    for table in tables(results):
        out.print(Rule(Text(table.title, style="bold"), align="left"))
        for columns in (table.quality, table.cost):
            for part in _balanced(table.rows, columns, out.width):
                out.print(_rich(table.rows, part, out.width), "")
        out.print(_beneath(table.notes), "")


def _lines(cell: Cell) -> list[str]:
    return [line for line in (cell.value, cell.spread, cell.interval) if line]


def _width(column: Column) -> int:
    """Characters of the widest line; a title is wrapped between its words."""
    return max(len(part) for part in [*column.title.split(), *(line for cell in column.cells for line in _lines(cell))])


def _label_width(rows: Sequence[Row], columns: Sequence[Column], width: int) -> int:
    room = width - max(_width(column) for column in columns) - GAP
    return min(max(LEAST_LABEL, min(LONGEST_LABEL, room)), max(len("scheme"), *(len(row.label) for row in rows)))


def _balanced(rows: Sequence[Row], columns: Sequence[Column], width: int) -> list[list[Column]]:
    """Columns in order, in the fewest tables that fit next to the labels, and these about equally wide."""
    room = width - _label_width(rows, columns, width)
    fewest = _packed(columns, room)
    narrower = (_packed(columns, limit) for limit in range(1, room))
    return next((packed for packed in narrower if len(packed) == len(fewest)), fewest)


def _packed(columns: Sequence[Column], room: int) -> list[list[Column]]:
    packed: list[list[Column]] = [[]]
    free = room
    for column in columns:
        needed = _width(column) + GAP
        if needed > free and packed[-1]:
            packed.append([])
            free = room
        packed[-1].append(column)
        free -= needed
    return packed


def _rich(rows: Sequence[Row], columns: Sequence[Column], width: int) -> RichTable:
    made = RichTable(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="dim")
    made.add_column("scheme", width=_label_width(rows, columns, width), overflow="fold")
    for column in columns:
        made.add_column(column.title, width=_width(column), justify="right")
    for at, row in enumerate(rows):
        label = Text(row.label, style="dim" if row.baseline else "")
        made.add_row(label, *(_rich_cell(column.cells[at]) for column in columns))
    return made


def _rich_cell(cell: Cell) -> Text:
    value, *rest = _lines(cell)
    return Text("\n").join(
        [Text(value, style="bold" if cell.best else ""), *(Text(line, style="dim") for line in rest)]
    )


def _beneath(found: Sequence[Note]) -> RichTable:
    grid = RichTable.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for note in found:
        pieces = note.text.split("**")  # odd pieces are emphasised
        grid.add_row(note.title, Text.assemble(*((piece, "bold" if at % 2 else "") for at, piece in enumerate(pieces))))
    return grid


def frame(results: Sequence[Result]) -> pd.DataFrame:
    """One line for each cell, all that its result.json holds in flat columns, and 95 % intervals of the headlines."""
    return pd.DataFrame([_flat(result) for result in results])


def _flat(result: Result) -> dict[str, object]:
    scheme = result.scheme
    ends = {name: interval(result.values(name)) for name in HEADLINES}
    return {
        "dataset": result.dataset.name,
        "scheme": scheme.name,
        "version": scheme.version,
        "kind": scheme.kind,
        "settings": json.dumps(scheme.settings, sort_keys=True),
        "contract_id": result.contract_id,
        "preset": result.preset,
        "seed": result.seed,
        **{f"{reading}.{name}": value for reading, held in result.metrics.items() for name, value in held.items()},
        **{f"strict.{name}.{end}": ends[name][at] for name in HEADLINES for at, end in enumerate(("low", "high"))},
        **_prefixed("identifiers", asdict(result.identifiers) if result.identifiers else {}),
        **_prefixed("costs", asdict(result.costs)),
        **_prefixed("dataset", {key: value for key, value in asdict(result.dataset).items() if key != "name"}),
        **_prefixed("split", result.split),
        **_prefixed("contract", result.contract),
        **_prefixed("environment", result.environment),
        "bench": result.bench,
        "created": result.created,
    }


def _prefixed(prefix: str, values: Mapping[str, object]) -> dict[str, object]:
    return {f"{prefix}.{key}": value for key, value in values.items()}
