"""Schemes over data sets: average ranks and their critical difference, where there are five data sets or more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.evaluation.critical_difference import (
    LEAST_DATASETS,
    LEAST_SCHEMES,
    CriticalDifference,
    critical_difference,
)
from bench.report.contracts import comparable, settings
from bench.report.numbers import metric_title, number
from bench.report.rows import HEADLINE, Row, Section
from bench.report.table import Cell, Chapter, Column, Note, Source, Table

NEEDED = (
    f"a rank diagram needs {LEAST_SCHEMES} or more schemes under one contract on each of {LEAST_DATASETS} or more "
    "data sets; got {}"
)


@dataclass(frozen=True, eq=False)
class Overall:
    """Rows that are on every data set under one contract: ``rows [schemes][data sets]``, and what their ranks say."""

    labels: tuple[str, ...]
    datasets: tuple[str, ...]
    rows: tuple[tuple[Row, ...], ...]
    found: CriticalDifference


def ranked(sections: Sequence[Section]) -> Overall | None:
    """None where there are fewer than five data sets, or fewer than three schemes that are on all of them.

    Data sets of one name but different content count as none, nor do joined ones: their ranks would not be independent.
    """
    names = Counter(section.dataset.name for section in sections)
    sections = [section for section in sections if names[section.dataset.name] == 1 and not section.dataset.joined]
    if len(sections) < LEAST_DATASETS:
        return None
    groups = [_with(row, sections) for row in sections[0].rows]
    lines = max(groups, key=len)
    if len(lines) < LEAST_SCHEMES:
        return None
    scores = np.array([[row.metric(HEADLINE)[0] for row in line] for line in lines]).T
    datasets = tuple(section.title for section in sections)
    return Overall(tuple(line[0].label for line in lines), datasets, tuple(lines), critical_difference(scores))


def _with(first: Row, sections: Sequence[Section]) -> list[tuple[Row, ...]]:
    """The given row and others that may all be compared with one another, each with its likes on all data sets."""
    lines: list[tuple[Row, ...]] = []
    for row in (first, *(other for other in sections[0].rows if other is not first)):
        found = [_like(row, section) for section in sections]
        if all(found) and all(comparable(row, line[0]) for line in lines):
            lines.append(tuple(like for like in found if like is not None))
    return lines


def _like(row: Row, section: Section) -> Row | None:
    key = (row.label, row.first.contract)
    return next((other for other in section.rows if (other.label, other.first.contract) == key), None)


def overall(sections: Sequence[Section]) -> list[Chapter]:
    """The chapter over data sets, where one can be made."""
    made = ranked(sections)
    if made is None:
        return []
    best_first = np.argsort(made.found.average_ranks, kind="stable").tolist()
    names, ranks = [], []
    for at in best_first:
        source, rank = _source(made.rows[at]), made.found.average_ranks[at]
        names.append(Cell(made.labels[at], source, made.labels[at]))
        ranks.append(Cell(number(rank, 2), source, rank))
    head, column = Column("scheme", tuple(names), numeric=False), Column("average rank", tuple(ranks))
    table = Table("ranks", f"Average ranks by {metric_title(HEADLINE)}", head, (column,), tuple(_notes(made)))
    return [Chapter("over data sets", None, (table,), (Note("data", ", ".join(made.datasets)),))]


def _source(rows: Sequence[Row]) -> Source:
    runs = (run.path for row in rows for run in row.runs)
    return Source(tuple(runs), (f"result.json:metrics.strict.{HEADLINE}",))


def _notes(made: Overall) -> list[Note]:
    found, runs = made.found, [run for line in made.rows for row in line for run in row.runs]
    machines = {settings(run.environment, without=["command"]) for run in runs}
    holder = next((run for run in runs if run.scheme.kind != "baseline"), runs[0])
    cliques = "; ".join(", ".join(made.labels[at] for at in clique) for clique in found.cliques)
    test = (
        f"Friedman over {found.datasets} data sets: p {found.p:.4f}; critical difference {found.difference:.2f} "
        "(Nemenyi, 0.05): ranks that lie closer do not differ significantly"
    )
    return [
        Note("contract", f"{holder.contract_id}: {settings(holder.contract)}"),
        Note("environment", "; ".join(sorted(machines))),
        Note("test", test),
        Note("not significantly different", cliques or "none"),
    ]
