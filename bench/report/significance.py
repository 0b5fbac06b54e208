"""The table of comparisons: each scheme against the best baseline, each row against the best row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.report.comparisons import Comparison, Family, Pair, every, family, references
from bench.report.contracts import comparable
from bench.report.numbers import change, metric_title, probability, signed
from bench.report.quality import HEADLINES, Highlight, stored
from bench.report.rows import HEADLINE, Row
from bench.report.table import Cell, Column, Source


@dataclass(frozen=True, eq=False)
class Line:
    """One pair with its comparisons by metric; ``kind`` says what the other row is: ``best baseline`` or ``best``."""

    pair: Pair
    kind: str
    found: Mapping[str, Comparison]

    def source(self, *fields: str) -> Source:
        runs = (*self.pair.one.runs, *self.pair.other.runs)
        return Source(tuple(run.path for run in runs), tuple(f"per_user.parquet:{field}" for field in fields))


@dataclass(frozen=True, eq=False)
class Tested:
    """The comparisons of a section: ``lines`` are shown, ``apart`` have no user in common, ``family`` holds all."""

    family: Family
    lines: tuple[Line, ...]
    apart: tuple[Pair, ...]


def tested(rows: Sequence[Row]) -> Tested:
    """All rows that may be compared against one another; those with the best baseline and the best row are shown."""
    found = family(every(rows), HEADLINES)
    pairs = [(Pair(one, other), kind) for one, other, kind in references(rows)]
    lines = tuple(Line(pair, kind, found.compare(pair)) for pair, kind in pairs if pair.users)
    return Tested(found, lines, tuple(pair for pair, _ in pairs if not pair.users))


def beating(rows: Sequence[Row], found: Family) -> dict[str, set[Row]]:
    """By metric, the schemes that are better than every baseline that they may be compared with, and not by luck."""
    rivals = {
        row: [other for other in rows if other.baseline and comparable(row, other)] for row in rows if not row.baseline
    }
    return {
        name: {row for row, others in rivals.items() if others and all(found.better(row, o, name) for o in others)}
        for name in HEADLINES
    }


def highlights(rows: Sequence[Row], found: Family, name: str) -> list[Highlight]:
    """Best and second by one metric, each with the rows that are not told apart from it; nothing where it is 0.

    Asked for each row among those that it may be compared with. A row without a user in common with the best is not
    ranked. Where no row is told apart from the best there is no best, and so with the second; nor is there where one is
    better on the users that both tested.
    """
    return [_highlight(row, [other for other in rows if comparable(row, other)], found, name) for row in rows]


def _highlight(row: Row, rivals: Sequence[Row], found: Family, name: str) -> Highlight:
    tiers: tuple[Highlight, ...] = ("best", "second")
    left = list(rivals)
    for tier in tiers:
        top = max(left, key=lambda other: other.metric(name)[0])
        below = [other for other in left if found.better(top, other, name)]
        if not below or any(found.better(other, top, name) for other in left):
            return ""
        if row not in below:
            tested = row is top or found.holds(row, top)
            return tier if tested and row.metric(name)[0] > 0 else ""
        left = below
    return ""


def head(made: Sequence[Line]) -> Column:
    """``textual/title against pop``: the first minus the second."""
    return Column("scheme", tuple(_named(line.pair) for line in made), numeric=False)


def _named(pair: Pair) -> Cell:
    text = f"{pair.one.label} against {pair.other.label}"
    source = stored(pair.one, "scheme.name", "scheme.version", "scheme.settings")
    return Cell(text, Source((*source.folders, *stored(pair.other).folders), source.fields), text)


def columns(made: Sequence[Line]) -> list[Column]:
    """What the reference, the second row, is; for each headline metric the test; users won and lost by the first."""
    others = (Cell(line.kind, line.source("rank"), line.kind) for line in made)
    tests = [column for name in HEADLINES for column in _tests(made, name)]
    counts = [_counts(made, field) for field in ("won", "lost", "tied")]
    return [Column("reference", tuple(others), numeric=False), *tests, *counts]


def _tests(made: Sequence[Line], name: str) -> list[Column]:
    title = metric_title(name)
    return [
        Column(f"{title} difference", tuple(difference_cell(line.found[name], line.source("rank")) for line in made)),
        _columns(made, f"{title} relative difference", name, lambda found: found.relative, change),
        _columns(made, f"{title} effect", name, lambda found: found.effect, lambda value: signed(value, 3)),
        _columns(made, f"{title} p", name, lambda found: found.p, probability),
        _columns(made, f"{title} p (Holm)", name, lambda found: found.corrected, probability),
    ]


def difference_cell(found: Comparison, source: Source) -> Cell:
    """A difference with its interval."""
    return Cell(signed(found.difference), source, found.difference, ends=found.interval, signed=True)


def _columns(
    made: Sequence[Line],
    title: str,
    name: str,
    read: Callable[[Comparison], float | None],
    written: Callable[[float | None], str],
) -> Column:
    values = [read(line.found[name]) for line in made]
    cells = (Cell(written(value), line.source("rank"), value) for line, value in zip(made, values, strict=True))
    return Column(title, tuple(cells))


def _counts(made: Sequence[Line], field: str) -> Column:
    values = [getattr(line.found[HEADLINE], field) for line in made]
    cells = (Cell(f"{value:,}", line.source("rank"), float(value)) for line, value in zip(made, values, strict=True))
    return Column(field, tuple(cells))
