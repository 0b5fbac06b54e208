"""What was known of identifiers before training, and how well each figure orders schemes as their scores do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.evaluation.rank_correlation import LEAST, rank_correlation
from bench.report.contracts import comparable
from bench.report.numbers import metric_title, plain
from bench.report.quality import stored
from bench.report.rows import HEADLINE, Row
from bench.report.table import DASH, Cell, Column, Note, Source, Table

KEY = "forecast"  # under which a result keeps the figures
FIGURES = {
    "neighbor_lift": "neighbor lift",
    "text_recall": "text recall",
    "prefix_lift": "prefix lift, first code",
    "capacity_head": "capacity, head",
    "capacity_middle": "capacity, middle",
    "capacity_tail": "capacity, tail",
    "gini": "Gini, mean",
    "perplexity": "perplexity, mean",
    "dead_codes": "dead codes, mean",
}
FACTS = {"collision_rate": "collision rate", "tokens_mean": "mean tokens", "vocabulary": "vocabulary"}
FIRST = ("prefix_lift",)  # of which the first level is read; of other lists the mean

NOTE = (
    "neighbor lift: how many of the ten items that most often stand next to an item in training histories are among "
    "the ten with the most similar identifiers, as a multiple of chance; text recall: the share of the ten nearest by "
    "text that are; prefix lift: how much oftener neighbors share the first code than in random groups of these sizes; "
    "capacity: items told apart by more than a last token, among the most popular ones that make a third of "
    "interactions (head), the next third and the rest; Gini and perplexity: of the use of codes. Nothing of it knows "
    "validation or test"
)
ORDER_NOTE = (
    "Spearman's rank correlation over rows under one contract, with a 95 % interval (Fisher's z, variance 1.06 / "
    "(n - 3)); near +1 or -1 the figure orders schemes as {} does, around 0 it says nothing. With so few rows "
    "intervals are wide, and the largest of many correlations is large by chance"
)


def figure(row: Row, name: str) -> float | None:
    """Mean over seeds of a figure, of each list as ``FIRST`` says; None where no result has it."""
    if name in FACTS:
        return row.identifier(name)
    found = [run.identifiers.further.get(KEY) for run in row.runs if run.identifiers]
    values = [one[name] for one in found if isinstance(one, dict) and name in one]
    lists = [value if isinstance(value, list) else [value] for value in values]
    read = [float(value[0] if name in FIRST else np.mean(value)) for value in lists if value]
    return float(np.mean(read)) if read else None


def figures(rows: Sequence[Row]) -> list[Column]:
    """A column for each figure that a row has; none at all where results are older than these figures."""
    columns = []
    for name, title in FIGURES.items():
        values = [figure(row, name) for row in rows]
        cells = (
            Cell(DASH if value is None else plain(value), stored(row, f"identifiers.{KEY}"), value)
            for row, value in zip(rows, values, strict=True)
        )
        if any(value is not None for value in values):
            columns.append(Column(title, tuple(cells)))
    return columns


def together(rows: Sequence[Row]) -> list[Row]:
    """The most rows with identifiers that may all be compared with one of them."""
    having = [row for row in rows if row.identifier("tokens_mean") is not None]
    groups = [[other for other in having if comparable(row, other)] for row in having if not row.first.scheme.leaks]
    return max(groups, key=len, default=[])


def order(rows: Sequence[Row]) -> Table | None:
    """How well each figure orders schemes, the best first; None where there are too few rows, or none differ."""
    rows = together(rows)
    found = [line for name, title in (FIGURES | FACTS).items() for line in _line(rows, name, title)]
    if not found:
        return None
    found.sort(key=lambda line: -abs(float(line[1].value or 0)))
    names, correlations, counts = zip(*found, strict=True)
    columns = (Column("rank correlation", correlations), Column("rows", counts))
    score = metric_title(HEADLINE)
    notes = (Note("rank correlation", ORDER_NOTE.format(score), legend=True),)
    title, head = f"Before training: what orders schemes as {score} does", Column("figure", names, numeric=False)
    return Table("forecast-order", title, head, columns, notes)


def _line(rows: Sequence[Row], name: str, title: str) -> list[tuple[Cell, Cell, Cell]]:
    pairs = [(row, value) for row in rows if (value := figure(row, name)) is not None]
    values = np.array([value for _, value in pairs])
    scores = np.array([row.metric(HEADLINE)[0] for row, _ in pairs])
    if len(pairs) < LEAST or not varies(values) or not varies(scores):
        return []
    found, ends = rank_correlation(values, scores)
    field = name if name in FACTS else KEY
    fields = (f"result.json:identifiers.{field}", f"result.json:metrics.strict.{HEADLINE}")
    source = Source(tuple(run.path for row, _ in pairs for run in row.runs), fields)
    cell = Cell(f"{found:+.2f}", source, found, ends=ends, signed=True)
    return [(Cell(title, source, title), cell, Cell(str(len(pairs)), source, len(pairs)))]


def varies(values: NDArray[np.float64]) -> bool:
    return len(np.unique(values)) > 1
