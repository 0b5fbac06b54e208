"""The main table: the strict metrics that are tested, with intervals, what is best, what beats every baseline."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from bench.report.budget_notes import searched_more
from bench.report.contracts import Contracts
from bench.report.numbers import metric_title
from bench.report.rows import Row
from bench.report.table import DAGGER, Cell, Column, Source

HEADLINES = ("ndcg@10", "hit@10")  # the metrics that carry an interval, and are compared
FURTHER = ("ndcg@5", "hit@5", "hit@1", "mrr@20")

Highlight = Literal["", "best", "second"]


def stored(row: Row, *fields: str) -> Source:
    """Fields of all runs of a row; a bare name is one of result.json."""
    named = (field if ":" in field else f"result.json:{field}" for field in fields)
    return Source(tuple(run.path for run in row.runs), tuple(named))


def labels(rows: Sequence[Row]) -> Column:
    """The head of every table whose lines are rows of a section."""
    more = searched_more(rows)
    return Column("scheme", tuple(label(row, row in more) for row in rows), numeric=False)


def label(row: Row, searched: bool) -> Cell:
    """What a row is called and ``marked``."""
    return Cell(marked(row, searched), stored(row, "scheme.name", "scheme.version", "scheme.settings"), row.label)


def marked(row: Row, searched: bool = False, name: str = "") -> str:
    """The label, or another ``name``, and that the row is a probe, leaks or was ``searched`` more than others: a reader
    must not take it for a model, for an honest one, or for as good under the same settings.
    """
    marks = (("probe", row.probe), ("leaks", row.first.scheme.leaks), ("searched", searched))
    said = ", ".join(mark for mark, holds in marks if holds)
    return (name or row.label) + (f" ({said})" if said else "")


def letters(rows: Sequence[Row], found: Contracts) -> list[Column]:
    """A column of contract letters where there are several contracts, so that no table hides it."""
    if not found.mixed:
        return []
    cells = (Cell(letter, stored(row, "contract"), letter) for row, letter in zip(rows, found.letters, strict=True))
    return [Column("contract", tuple(cells), numeric=False)]


def quality(
    rows: Sequence[Row], beating: Mapping[str, Collection[Row]], highlights: Mapping[str, Sequence[Highlight]]
) -> list[Column]:
    """The headlines. ``beating[metric]`` are the rows that get a †; ``highlights[metric]`` has one for each row."""
    return [_headline(rows, name, beating[name], highlights[name]) for name in HEADLINES]


def further(rows: Sequence[Row]) -> list[Column]:
    """Strict metrics that are not tested."""
    return [metric(rows, name) for name in FURTHER]


def _headline(rows: Sequence[Row], name: str, beating: Collection[Row], highlights: Sequence[Highlight]) -> Column:
    estimates = [row.estimate(name) for row in rows]
    cells = (
        Cell(
            f"{estimate.value:.4f}",
            stored(row, f"metrics.strict.{name}", "per_user.parquet:rank"),
            estimate.value,
            estimate.sd,
            estimate.interval,
            highlight=highlight,
            mark=DAGGER if row in beating else "",
        )
        for row, estimate, highlight in zip(rows, estimates, highlights, strict=True)
    )
    return Column(metric_title(name), tuple(cells))


def metric(rows: Sequence[Row], name: str, reading: str = "strict") -> Column:
    """A metric that is not tested: without an interval, and nobody is called the best."""
    found = [row.metric(name, reading) for row in rows]
    cells = (
        Cell(f"{value:.4f}", stored(row, f"metrics.{reading}.{name}"), value, sd)
        for row, (value, sd) in zip(rows, found, strict=True)
    )
    return Column(metric_title(name) + ("" if reading == "strict" else f" {reading}"), tuple(cells))
