"""The pair matrix: each scheme against each other, with what is told apart marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.report.comparisons import LEVEL, Family, best_baseline
from bench.report.contracts import Contracts
from bench.report.labels import lettered
from bench.report.numbers import metric_title, signed
from bench.report.quality import marked, stored
from bench.report.rows import HEADLINE, Row
from bench.report.table import DASH, Cell, Column, Note, Source, Table

NAME = "pairs"
STAR = "*"
READING = (
    "row minus column, over the users that both tested; * is told apart: p (Holm) is below 0.05, corrected for all "
    "comparisons of any two rows that may be compared, with the noise of training included; the others may differ by "
    f"luck alone; {DASH} was not tested: two rows under different contracts, or of different code"
)
BESIDE = "the best baseline stands beside the schemes: "


@dataclass(frozen=True)
class Gap:
    """What is known of one row minus another: the difference, and its p with Holm's correction."""

    difference: float
    p: float

    @property
    def told_apart(self) -> bool:
        return self.p < LEVEL


def gap(family: Family, one: Row, other: Row) -> Gap | None:
    """By the headline metric; None for two rows that were not tested against one another."""
    index = family.pair_index.get(frozenset((one, other)))
    if index is None or one is other:
        return None
    at = family.metrics.index(HEADLINE)
    sign = 1 if family.pairs[index].one is one else -1
    difference = sign * float(family.differences[index, at]) + 0.0  # of nothing there is no negative
    return Gap(difference, float(family.corrected[index, at]))


def members(rows: Sequence[Row]) -> list[Row]:
    """The schemes and the best baseline of each, best first; where no scheme is, the baselines. Nothing that leaks."""
    honest = [row for row in rows if not row.first.scheme.leaks]
    schemes = [row for row in honest if not row.baseline]
    rivals = {rival for row in schemes if (rival := best_baseline(row, rows)) is not None}
    chosen = [row for row in honest if not row.baseline or row in rivals] if schemes else honest
    return sorted(chosen, key=lambda row: -row.metric(HEADLINE)[0])


def pair_table(rows: Sequence[Row], found: Contracts, family: Family) -> Table | None:
    """Columns are numbered as the rows are; None where no two rows of the matrix were tested."""
    shown = members(rows)
    if not any(family.holds(one, other) for one in shown for other in shown if one is not other):
        return None
    named = dict(zip(rows, lettered(rows, found), strict=True))
    head = tuple(
        Cell(f"{at} {marked(row, name=named[row])}", stored(row, "scheme.name"), named[row])
        for at, row in enumerate(shown, start=1)
    )
    columns = tuple(
        Column(str(at), tuple(_cell(family, row, column) for row in shown)) for at, column in enumerate(shown, start=1)
    )
    beside = [named[row] for row in shown if row.baseline] if any(not row.baseline for row in shown) else []
    notes = [Note("pairs", READING, legend=True), *([Note("pairs", BESIDE + ", ".join(beside))] if beside else [])]
    which = "Schemes" if any(not row.baseline for row in shown) else "Baselines"
    title = f"{which} in pairs, {metric_title(HEADLINE)}"
    return Table(NAME, title, Column("row minus column", head, numeric=False), columns, tuple(notes))


def _cell(family: Family, row: Row, column: Row) -> Cell:
    runs = dict.fromkeys(run.path for run in (*row.runs, *column.runs))
    source = Source(tuple(runs), ("per_user.parquet:rank",))
    found = gap(family, row, column)
    if found is None:
        return Cell("" if row is column else DASH, source)
    return Cell(signed(found.difference), source, found.difference, mark=STAR if found.told_apart else "", p=found.p)
