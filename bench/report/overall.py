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
from bench.evaluation.statistics import Floats
from bench.report.contracts import comparable, settings
from bench.report.numbers import metric_title, number, probability
from bench.report.rows import HEADLINE, Row, Section
from bench.report.table import Cell, Column, Note, Source, Table

NEEDED = (
    f"a rank diagram needs {LEAST_SCHEMES} or more schemes under one contract on each of {LEAST_DATASETS} or more "
    "data sets; got {}"
)


@dataclass(frozen=True, eq=False)
class Common:
    """Rows that are on every independent data set and may all be compared: ``rows [schemes][data sets]``."""

    datasets: tuple[str, ...]
    rows: tuple[tuple[Row, ...], ...]

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(line[0].label for line in self.rows)

    @property
    def scores(self) -> Floats:
        """``[data sets, schemes]``"""
        lines = ([row.metric(HEADLINE)[0] for row in line] for line in self.rows)
        return np.asarray(np.transpose(list(lines)), np.float64)


@dataclass(frozen=True, eq=False)
class Overall(Common):
    """The same, and what their ranks say."""

    found: CriticalDifference


def common(sections: Sequence[Section]) -> Common:
    """Data sets of one name but different content count as none, nor do joined ones: their ranks would not be
    independent.
    """
    names = Counter(section.dataset.name for section in sections)
    kept = [section for section in sections if names[section.dataset.name] == 1 and not section.dataset.joined]
    groups = [_with(row, kept) for row in kept[0].rows] if kept else []
    lines = max(groups, key=len, default=[])
    return Common(tuple(section.title for section in kept), tuple(lines))


def ranked(sections: Sequence[Section]) -> Overall | None:
    """None where there are fewer than five data sets, or fewer than three schemes that are on all of them."""
    made = common(sections)
    if len(made.datasets) < LEAST_DATASETS or len(made.rows) < LEAST_SCHEMES:
        return None
    return Overall(made.datasets, made.rows, critical_difference(made.scores))


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


def rank_table(sections: Sequence[Section]) -> tuple[list[Table], list[Note]]:
    """The table of ranks with what it rests on; nothing where there are too few data sets or schemes."""
    made = ranked(sections)
    if made is None:
        return [], []
    best_first = np.argsort(made.found.average_ranks, kind="stable").tolist()
    names, ranks = [], []
    for at in best_first:
        source, rank = source_of(made.rows[at]), made.found.average_ranks[at]
        names.append(Cell(made.labels[at], source, made.labels[at]))
        ranks.append(Cell(number(rank, 2), source, rank))
    head, column = Column("scheme", tuple(names), numeric=False), Column("average rank", tuple(ranks))
    table = Table("ranks", f"Average ranks by {metric_title(HEADLINE)}", head, (column,), tuple(_tests(made)))
    return [table], [Note("data", ", ".join(made.datasets)), *_conditions(made)]


def source_of(rows: Sequence[Row]) -> Source:
    """Where the scores of rows stand."""
    runs = (run.path for row in rows for run in row.runs)
    return Source(tuple(runs), (f"result.json:metrics.strict.{HEADLINE}",))


def _tests(made: Overall) -> list[Note]:
    found = made.found
    cliques = "; ".join(", ".join(made.labels[at] for at in clique) for clique in found.cliques)
    test = (
        f"Friedman over {found.datasets} data sets: p {probability(found.p)}; critical difference "
        f"{found.difference:.2f} (Nemenyi, 0.05): ranks that lie closer do not differ significantly"
    )
    return [Note("test", test), Note("not significantly different", cliques or "none")]


def _conditions(made: Overall) -> list[Note]:
    runs = [run for line in made.rows for row in line for run in row.runs]
    machines = {settings(run.environment, without=["command"]) for run in runs}
    holder = next((run for run in runs if run.scheme.kind != "baseline"), runs[0])
    return [
        Note("contract", f"{holder.contract_id}: {settings(holder.contract)}"),
        Note("environment", "; ".join(sorted(machines))),
    ]
