"""Which rows stand for a data set where there is no room for all: the best of each family and the best baselines."""

from __future__ import annotations

from collections.abc import Sequence

from bench.errors import unknown
from bench.report.rows import HEADLINE, Row

MOST = 12  # rows of a table in a paper
BASELINES = 4  # of them where there are many


def family(row: Row) -> str:
    """``semantic`` of ``semantic/rqkmeans``; a baseline of one word is its own family."""
    return row.first.scheme.name.partition("/")[0]


def leaders(rows: Sequence[Row]) -> list[Row]:
    """All rows that do not leak where they are few; else the best scheme of each family and the best baselines.

    In the order of ``rows``.
    """
    honest = [row for row in rows if not row.first.scheme.leaks]
    if len(honest) <= MOST:
        return honest
    best_first = sorted(honest, key=lambda row: -row.metric(HEADLINE)[0])
    firsts: dict[str, Row] = {}
    for row in best_first:
        if not row.baseline:
            firsts.setdefault(family(row), row)
    baselines = [row for row in best_first if row.baseline][:BASELINES]
    kept = {*list(firsts.values())[: MOST - len(baselines)], *baselines}
    return [row for row in rows if row in kept]


def chosen(rows: Sequence[Row], asked: Sequence[str]) -> list[Row]:
    """The rows that are asked for, each by its label, its scheme's name or its family; ``leaders`` where none is.

    Rows of other data sets may be asked for as well, so that nothing is found here is no error.
    """
    if not asked:
        return leaders(rows)
    return [row for row in rows if any(name in known(row) for name in asked)]


def known(row: Row) -> tuple[str, ...]:
    """What a row may be asked for by."""
    return row.label, row.first.scheme.name, family(row)


def check(rows: Sequence[Row], asked: Sequence[str]) -> None:
    """BenchError for a name that no row of the report has."""
    names = {name for row in rows for name in known(row)}
    for name in asked:
        if name not in names:
            raise unknown("row of the report", name, names)
