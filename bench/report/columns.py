"""The columns of a table as text: quality with what it may be compared with, then costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.report.contracts import Contracts, comparable
from bench.report.rows import Row

HEADLINES = ("ndcg@10", "hit@10")  # the metrics that carry an interval
FURTHER = ("ndcg@5", "hit@5", "hit@1", "mrr@20")
DASH = "\N{EN DASH}"  # between the ends of an interval, and alone for what does not exist


@dataclass(frozen=True)
class Cell:
    """One value as text, with its deviation over seeds and its interval where there are such."""

    value: str
    spread: str = ""
    interval: str = ""
    best: bool = False


@dataclass(frozen=True)
class Column:
    title: str
    cells: tuple[Cell, ...]


def quality(rows: Sequence[Row], found: Contracts) -> list[Column]:
    """Strict metrics; the letter of the contract where there are several, other readings where identifiers collide."""
    columns = [_headline(rows, name) for name in HEADLINES] + [_metric(rows, name) for name in FURTHER]
    if any(row.collides for row in rows):
        columns += [_metric(rows, "ndcg@10", reading) for reading in ("expected", "optimistic")]
    return _letters(found) + columns


def cost(rows: Sequence[Row]) -> list[Column]:
    """What identifiers and runs cost, and how many seeds stand behind the row."""
    return [Column(title, tuple(Cell(text(row)) for row in rows)) for title, text in COSTS]


def _letters(found: Contracts) -> list[Column]:
    return [Column("contract", tuple(Cell(letter) for letter in found.letters))] if found.several else []


def _title(metric: str) -> str:
    kind, _, cutoff = metric.partition("@")
    return f"{'Hit' if kind == 'hit' else kind.upper()}@{cutoff}"


def _headline(rows: Sequence[Row], name: str) -> Column:
    estimates = [row.estimate(name) for row in rows]
    best = _best(rows, [found.value for found in estimates])
    cells = [
        Cell(
            f"{found.value:.4f}",
            _spread(found.sd),
            f"{found.interval[0]:.4f}{DASH}{found.interval[1]:.4f}" if found.interval else "",
            is_best,
        )
        for found, is_best in zip(estimates, best, strict=True)
    ]
    return Column(_title(name), tuple(cells))


def _metric(rows: Sequence[Row], name: str, reading: str = "strict") -> Column:
    found = [row.metric(name, reading) for row in rows]
    best = _best(rows, [value for value, _ in found]) if reading == "strict" else [False] * len(rows)
    cells = [Cell(f"{value:.4f}", _spread(sd), best=is_best) for (value, sd), is_best in zip(found, best, strict=True)]
    return Column(_title(name) + ("" if reading == "strict" else f" {reading}"), tuple(cells))


def _spread(sd: float | None) -> str:
    return "" if sd is None else f"± {sd:.4f}"


def _best(rows: Sequence[Row], values: Sequence[float]) -> list[bool]:
    """Whether no row that may be compared is better; where there is none to compare with, nothing is best.

    What leaks is never best, and never keeps another from being so.
    """
    honest = [at for at, row in enumerate(rows) if not row.first.scheme.leaks]
    marks = []
    for at, row in enumerate(rows):
        rivals = [values[other] for other in honest if other != at and comparable(row, rows[other])]
        marks.append(at in honest and bool(rivals) and values[at] >= max(rivals) and values[at] > 0)
    return marks


def _number(value: float | None, digits: int = 1) -> str:
    return DASH if value is None else f"{value:,.{digits}f}"


def _share(value: float | None) -> str:
    return DASH if value is None else "0%" if not value else f"{value:.1%}" if value >= 0.001 else "< 0.1%"


def _weights(value: float | None) -> str:
    """``58.3 M``: a number of parameters."""
    if value is None:
        return DASH
    size, unit = next(
        ((size, unit) for size, unit in ((1e9, " B"), (1e6, " M"), (1e3, " k")) if value >= size), (1, "")
    )
    return f"{value / size:,.1f}{unit}" if unit else f"{value:,.0f}"


def _seconds(value: float | None) -> str:
    """Three figures where seconds are few, whole seconds where they are many; what took time is never 0."""
    if value is not None and value < 0.005:
        return "< 0.01" if value else "0"
    return _number(value, 0 if value is None or value >= 100 else 1 if value >= 10 else 2)


COSTS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("tokens per item", lambda row: _number(row.identifier("tokens_mean"))),
    ("colliding items", lambda row: _share(row.identifier("collision_rate"))),
    ("parameters", lambda row: _weights(row.cost("parameters"))),
    ("fit s", lambda row: _seconds(row.cost("fit_seconds"))),
    ("train s", lambda row: _seconds(row.cost("train_seconds"))),
    ("inference s per 1,000 users", lambda row: _seconds(row.cost("inference_seconds_per_1000_users"))),
    ("peak MB", lambda row: _number(row.cost("peak_memory_mb"), 0)),
    ("seeds", lambda row: str(len(row.cells))),
)
