"""The rows of a section as points: quality with its interval, cost, look and label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from bench.report.contracts import contracts
from bench.report.figures.style import Look, Looks, folded
from bench.report.labels import labels
from bench.report.leaders import leaders
from bench.report.quality import marked
from bench.report.rows import HEADLINE, Estimate, Row, Section


@dataclass(frozen=True)
class Point:
    """One row of a section, ready to be drawn. ``contracts`` holds the letters of those that it stands under.

    ``leaks`` says that it is beyond compare. What is ``aside``, a leak or a probe, does not set the scale. One that
    ``leads`` is named where there is no room to name all.
    """

    label: str
    estimate: Estimate
    seconds: float | None
    look: Look
    contracts: tuple[str, ...]
    leaks: bool = False
    aside: bool = False
    leads: bool = True

    @property
    def lines(self) -> int:
        """Of its label."""
        return self.label.count("\n") + 1

    @property
    def ends(self) -> tuple[float, float]:
        return self.estimate.interval or (self.estimate.value, self.estimate.value)


def leading(section: Section) -> list[tuple[Row, str]]:
    """The rows of a picture that has room for few lines, with their labels; nothing that leaks is among them."""
    kept = leaders(section.rows)
    return [(row, folded(label)) for row, label in zip(section.rows, labels(section), strict=True) if row in kept]


def points(section: Section, looks: Looks) -> list[Point]:
    """Best first."""
    named = zip(section.rows, labels(section), contracts(section.rows).letters, strict=True)
    first = leaders(section.rows)
    found = [_point(row, label, letters, looks[row.label], row in first) for row, label, letters in named]
    return sorted(found, key=lambda point: -point.estimate.value)


def _point(row: Row, label: str, letters: str, look: Look, leads: bool) -> Point:
    leaks, seconds = row.first.scheme.leaks, row.cost("inference_seconds_per_1000_users")
    of_row = tuple(letters.split(", "))
    return Point(
        folded(marked(row, name=label)), _headline(row), seconds, look, of_row, leaks, leaks or row.probe, leads
    )


@lru_cache(maxsize=64)
def _headline(row: Row) -> Estimate:
    """Two pictures of one page ask for it."""
    return row.estimate(HEADLINE)


def beyond(found: Sequence[Point], factor: float) -> float:
    """The end of a value axis, where what is aside does not count unless there is nothing else; an axis needs an end
    even where nothing was hit.
    """
    scale = [point for point in found if not point.aside and point.estimate.value > 0] or found
    return max(point.ends[1] for point in scale) * factor or 0.01


def front(found: Sequence[Point]) -> list[Point]:
    """Points that no other beats in quality without taking longer, cheapest first; one without a time is out, and so is
    one that leaks: it would stand before all others.
    """
    best: list[Point] = []
    timed = [point for point in found if point.seconds and not point.leaks]
    for point in sorted(timed, key=lambda point: (point.seconds or 0.0, -point.estimate.value)):
        if not best or point.estimate.value > best[-1].estimate.value:
            best.append(point)
    return best
