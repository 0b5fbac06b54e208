"""The table of what identifiers are like: collisions, invalid lists, other readings, and all else that is stored."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report.numbers import number, plain, share
from bench.report.quality import metric, stored
from bench.report.rows import HEADLINE, Row
from bench.report.table import DASH, Cell, Column

CONSTRAINED = ("beam", "certified", "exact")  # decoders that walk the tree of identifiers and can write nothing else
OWN_COLUMN = ("invalid_rate", "decode_steps")  # statistics that have a column of their own, here or among the costs
SHARES = ("_rate", "_use", "_share")  # ends of the names of statistics between 0 and 1


def diagnostics(rows: Sequence[Row]) -> list[Column]:
    """Only for rows with identifiers. Whatever a scheme's result holds beyond the common statistics gets a column."""
    return [
        _column(rows, "collision rate", "collision_rate"),
        _column(rows, "test-weighted collision rate", "collision_rate_test"),
        Column("largest group", tuple(_count(row, "largest_group") for row in rows)),
        Column("invalid lists", tuple(_invalid(row) for row in rows)),
        *(metric(rows, HEADLINE, reading) for reading in ("strict", "expected", "optimistic")),
        Column("vocabulary", tuple(_count(row, "vocabulary") for row in rows)),
        Column("max tokens", tuple(_count(row, "tokens_max") for row in rows)),
        *_further(rows),
    ]


def _column(rows: Sequence[Row], title: str, field: str) -> Column:
    found = [(row, row.identifier(field)) for row in rows]
    return Column(title, tuple(Cell(share(value), stored(row, f"identifiers.{field}"), value) for row, value in found))


def _count(row: Row, field: str) -> Cell:
    value = row.identifier(field)
    return Cell(number(value, 0), stored(row, f"identifiers.{field}"), value)


def _invalid(row: Row) -> Cell:
    """The stored share of written lists that name no item; a constrained decoder has none to store."""
    found = row.further("invalid_rate")
    if found:
        return Cell(share(found[0]), stored(row, "identifiers.invalid_rate"), found[0])
    constrained = row.first.contract.get("decoder") in CONSTRAINED
    return Cell(share(0.0) if constrained else DASH, stored(row, "contract.decoder"), 0.0 if constrained else None)


def _further(rows: Sequence[Row]) -> list[Column]:
    keys = dict.fromkeys(
        key for row in rows for run in row.runs if run.identifiers is not None for key in run.identifiers.further
    )
    columns = (Column(key.replace("_", " "), tuple(_stat(row, key) for row in rows)) for key in keys)
    return [
        column
        for key, column in zip(keys, columns, strict=True)
        if key not in OWN_COLUMN and any(cell.value is not None for cell in column.cells)
    ]


def _stat(row: Row, key: str) -> Cell:
    """A number, or one for each level of the identifier, best read side by side."""
    found = row.further(key)
    written = share if key.endswith(SHARES) and all(0 <= value <= 1 for value in found) else plain
    text = " / ".join(written(value) for value in found) or DASH
    value = found[0] if len(found) == 1 else text if found else None
    return Cell(text, stored(row, f"identifiers.{key}"), value)
