"""Pairs of rows on the same users: difference, interval, permutation test, effect, users won and lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.evaluation.metrics import Floats
from bench.evaluation.paired import effect_size, holm, lift, sign_flip
from bench.evaluation.statistics import ends, resampled_means, resampled_over_seeds
from bench.report.contracts import comparable
from bench.report.results import UserTable
from bench.report.rows import HEADLINE, Row

LEVEL = 0.05  # of the corrected p below which a difference is called one
ROUNDED = 12  # decimals kept of a user's difference: means over seeds carry rounding errors

Lines = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Pair:
    """Two rows, and the lines of their user tables that hold the same user and the same target."""

    one: Row
    other: Row

    @cached_property
    def lines(self) -> tuple[Lines, Lines]:
        return _common(self.one.first.table, self.other.first.table)

    @property
    def users(self) -> int:
        return len(self.lines[0])

    @property
    def complete(self) -> bool:
        """Whether both tested the same users."""
        return self.users == len(self.one.first.table) == len(self.other.first.table)

    def values(self, name: str) -> tuple[Floats, Floats]:
        """``[seeds, common users]`` of both rows."""
        return self.one.values(name)[:, self.lines[0]], self.other.values(name)[:, self.lines[1]]

    def resampled(self, name: str) -> Floats:
        """``[resamples]`` differences: the same users are drawn for both rows, seeds for each on its own."""
        if self.complete:
            return self.one.resampled(name, 0) - self.other.resampled(name, 1)
        means = [resampled_means(values.T) for values in self.values(name)]
        return resampled_over_seeds(means[0], 0) - resampled_over_seeds(means[1], 1)


def _common(one: UserTable, other: UserTable) -> tuple[Lines, Lines]:
    if np.array_equal(one.users, other.users) and np.array_equal(one.targets, other.targets):
        return np.arange(len(one)), np.arange(len(one))
    _, first, second = np.intersect1d(one.users, other.users, return_indices=True)
    same = one.targets[first] == other.targets[second]
    return first[same], second[same]


@dataclass(frozen=True)
class Comparison:
    """The strict ``metric`` of one row less that of another, over ``users`` that both tested.

    Values are means over users and seeds. ``interval`` is the 95 % bootstrap interval of the difference, None where
    every user differs by the same; ``lift`` is relative to the other row. ``p`` is that of the paired permutation
    test of per-user means over seeds, ``corrected`` the same after Holm's correction for all comparisons made
    together. A user is ``won`` where the value of the one is higher.
    """

    metric: str
    users: int
    one: float
    other: float
    interval: tuple[float, float] | None
    lift: float | None
    effect: float | None
    p: float
    corrected: float
    won: int
    lost: int
    tied: int

    @property
    def difference(self) -> float:
        return self.one - self.other

    @property
    def significant(self) -> bool:
        return self.corrected < LEVEL


def compare(pairs: Sequence[Pair], metrics: Sequence[str]) -> list[dict[str, Comparison]]:
    """For each pair its comparisons by metric, corrected for all of them; every pair needs a user in common."""
    jobs = [(at, name) for at in range(len(pairs)) for name in metrics]
    differences = [_differences(pairs[at], name) for at, name in jobs]
    p = _tested(differences)
    corrected = holm(p)
    found: list[dict[str, Comparison]] = [{} for _ in pairs]
    for (at, name), difference, raw, mended in zip(jobs, differences, p, corrected, strict=True):
        found[at][name] = replace(_comparison(pairs[at], name, difference), p=float(raw), corrected=float(mended))
    return found


def _differences(pair: Pair, name: str) -> Floats:
    one, other = pair.values(name)
    return np.asarray(np.round(one.mean(axis=0) - other.mean(axis=0), ROUNDED), np.float64)


def _tested(differences: Sequence[Floats]) -> Floats:
    """All comparisons over equally many users in one go."""
    p = np.empty(len(differences))
    lengths = np.array([len(difference) for difference in differences])
    for users in np.unique(lengths):
        members = np.flatnonzero(lengths == users).tolist()
        p[members] = sign_flip(np.stack([differences[at] for at in members], axis=1))
    return p


def _comparison(pair: Pair, name: str, difference: Floats) -> Comparison:
    one, other = (float(values.mean()) for values in pair.values(name))
    won, lost = int((difference > 0).sum()), int((difference < 0).sum())
    return Comparison(
        metric=name,
        users=pair.users,
        one=one,
        other=other,
        interval=ends(pair.resampled(name)) if np.ptp(difference) > 0 else None,
        lift=lift(one, other),
        effect=effect_size(difference),
        p=1.0,
        corrected=1.0,
        won=won,
        lost=lost,
        tied=len(difference) - won - lost,
    )


def references(rows: Sequence[Row]) -> list[tuple[Row, Row, str]]:
    """What a table compares: each scheme with the best baseline, each row with the best row; no pair twice.

    Only with rows that may be compared. The third entry says what the second row is: ``best baseline``, ``best``.
    """
    found: dict[frozenset[int], tuple[Row, Row, str]] = {}
    for kind, against in (("best baseline", best_baseline), ("best", best_row)):
        for row in rows:
            other = against(row, rows)
            if other is not None and other is not row:
                found.setdefault(frozenset((id(row), id(other))), (row, other, kind))
    return list(found.values())


def best_baseline(row: Row, rows: Sequence[Row]) -> Row | None:
    """The baseline that a scheme is measured against; None for a baseline, or where there is none."""
    rivals = [other for other in rows if other.baseline and comparable(row, other)]
    return None if row.baseline else max(rivals, key=_headline, default=None)


def best_row(row: Row, rows: Sequence[Row]) -> Row | None:
    """The best of those that the row may be compared with, itself included."""
    return max((other for other in rows if comparable(row, other)), key=_headline, default=None)


def _headline(row: Row) -> float:
    return row.metric(HEADLINE)[0]


def as_json(found: Comparison) -> dict[str, Any]:
    """Plain values by name, the difference among them."""
    return {"difference": found.difference, **found.__dict__}
