"""Pairs of rows on the same users: difference, interval, permutation test, effect, users won and lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.evaluation.metrics import Floats
from bench.evaluation.paired import effect_size, holm, pairwise, relative_difference, sign_flip
from bench.evaluation.seed_noise import SeedsPart, p_with_seeds, widened
from bench.evaluation.statistics import ends, resampled_means
from bench.report.contracts import comparable
from bench.report.rows import HEADLINE, Row
from bench.report.sampling import resample
from bench.results.table import UserTable

LEVEL = 0.05  # of the corrected p below which a difference is called one
ROUNDED = 12  # decimals kept of a user's value: means over seeds carry rounding errors

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
        """``[resamples]`` differences: the same users are drawn for both rows."""
        if self.complete:
            return self.one.resampled(name) - self.other.resampled(name)
        return resampled_means(_differences(self, name)[:, None])[:, 0]

    def seeds_part(self, name: str) -> SeedsPart:
        """The part of the difference's variance that comes from the seeds, which each row has drawn for itself."""
        return self.one.seeds_part(name) + self.other.seeds_part(name)


def _same(one: UserTable, other: UserTable) -> bool:
    return np.array_equal(one.users, other.users) and np.array_equal(one.targets, other.targets)


def _common(one: UserTable, other: UserTable) -> tuple[Lines, Lines]:
    if _same(one, other):
        return np.arange(len(one)), np.arange(len(one))
    _, first, second = np.intersect1d(one.users, other.users, return_indices=True)
    same = one.targets[first] == other.targets[second]
    return first[same], second[same]


@dataclass(frozen=True)
class Comparison:
    """The strict ``metric`` of one row minus that of another, over ``users`` that both tested.

    Values are means over users and seeds. ``interval`` is the 95 % interval of the difference, None where every user
    differs by the same; ``relative`` is the difference as a part of the other row. ``p`` is that of the paired
    permutation test of per-user means over seeds, with the seeds' part added; ``corrected`` is the same after Holm's
    correction for all comparisons tested together. ``noise`` is how far another training alone takes the difference
    in 95 of 100 cases. A user is ``won`` where the value of the one is higher.
    """

    metric: str
    users: int
    one: float
    other: float
    interval: tuple[float, float] | None
    relative: float | None
    effect: float | None
    p: float
    corrected: float
    noise: float
    won: int
    lost: int
    tied: int

    @property
    def difference(self) -> float:
        return self.one - self.other


@dataclass(frozen=True, eq=False)
class Family:
    """Pairs tested together, over users and seeds: ``p``, ``corrected`` for all of them (Holm), and ``differences``,
    ``[pairs, metrics]``.

    Whichever of the pairs are looked at afterwards, be they picked for what came out: the chance that luck alone takes
    any corrected p below a level stays below that level.
    """

    pairs: tuple[Pair, ...]
    metrics: tuple[str, ...]
    p: Floats
    corrected: Floats
    differences: Floats

    @cached_property
    def pair_index(self) -> dict[frozenset[Row], int]:
        return {frozenset((pair.one, pair.other)): at for at, pair in enumerate(self.pairs)}

    def compare(self, pair: Pair) -> dict[str, Comparison]:
        """Everything about one of the pairs, by metric."""
        index = self.pair_index[frozenset((pair.one, pair.other))]
        p, corrected = self.p[index].tolist(), self.corrected[index].tolist()
        return {
            name: _comparison(pair, name, raw, corrected_p)
            for name, raw, corrected_p in zip(self.metrics, p, corrected, strict=True)
        }

    def holds(self, one: Row, other: Row) -> bool:
        """Whether the two were tested against one another."""
        return frozenset((one, other)) in self.pair_index

    def better(self, one: Row, other: Row, name: str) -> bool:
        """Whether ``one`` has the higher value, and not by luck; never so for a pair that was not tested."""
        index, at = self.pair_index.get(frozenset((one, other))), self.metrics.index(name)
        if index is None or self.corrected[index, at] >= LEVEL:
            return False
        return bool(self.differences[index, at] > 0) is (self.pairs[index].one is one)


def compare(pairs: Sequence[Pair], metrics: Sequence[str]) -> list[dict[str, Comparison]]:
    """For each pair its comparisons by metric, corrected for all of them; every pair needs a user in common."""
    found = family(pairs, metrics)
    resample([run for row in _rows([pair for pair in pairs if pair.complete]) for run in row.runs], metrics)
    return [found.compare(pair) for pair in pairs]


def family(pairs: Sequence[Pair], metrics: Sequence[str]) -> Family:
    """All pairs tested by all metrics; every pair needs a user in common."""
    alike = _alike(_rows(pairs))
    p, differences = np.empty((2, len(pairs), len(metrics)))
    same_users: dict[int, list[int]] = {}
    for at, pair in enumerate(pairs):
        if alike[pair.one] == alike[pair.other]:
            same_users.setdefault(alike[pair.one], []).append(at)
        else:
            found = np.stack([_differences(pair, name) for name in metrics], axis=1)
            p[at], differences[at] = sign_flip(found), found.mean(axis=0)
    for members in same_users.values():
        p[members], differences[members] = _on_the_same_users([pairs[at] for at in members], metrics)
    p = _with_seeds(pairs, metrics, differences, p)
    return Family(tuple(pairs), tuple(metrics), p, holm(p.ravel()).reshape(p.shape), differences)


def _on_the_same_users(pairs: Sequence[Pair], metrics: Sequence[str]) -> tuple[Floats, Floats]:
    """p over users and differences, both ``[pairs, metrics]``, of pairs whose rows all tested the same users.

    One table serves all pairs: a column for each metric and row, those of the first metric first.
    """
    rows = _rows(pairs)
    position = {row: at for at, row in enumerate(rows)}
    of_first = np.array([(position[pair.one], position[pair.other]) for pair in pairs])
    columns = np.concatenate([of_first + at * len(rows) for at in range(len(metrics))])
    values = np.stack([_user_means(row, name) for name in metrics for row in rows], axis=1)
    p, means, shape = pairwise(values, columns), values.mean(axis=0), (len(metrics), len(pairs))
    return p.reshape(shape).T, (means[columns[:, 0]] - means[columns[:, 1]]).reshape(shape).T


def _rows(pairs: Sequence[Pair]) -> list[Row]:
    """Each row once, as they come."""
    return list(dict.fromkeys(row for pair in pairs for row in (pair.one, pair.other)))


def _with_seeds(pairs: Sequence[Pair], metrics: Sequence[str], differences: Floats, p: Floats) -> Floats:
    """``p [pairs, metrics]`` of tests over users, with what the seeds add."""
    seed_parts = {(row, name): row.seeds_part(name) for row in _rows(pairs) for name in metrics}
    parts = [seed_parts[pair.one, name] + seed_parts[pair.other, name] for pair in pairs for name in metrics]
    return p_with_seeds(differences.ravel(), p.ravel(), parts).reshape(p.shape)


def _alike(rows: Sequence[Row]) -> dict[Row, int]:
    """Rows that tested the same users on the same targets have the same number."""
    first: list[UserTable] = []
    found = {}
    for row in rows:
        table = row.first.table
        number = next((at for at, other in enumerate(first) if _same(table, other)), len(first))
        first += [table] if number == len(first) else []
        found[row] = number
    return found


def _user_means(row: Row, name: str) -> Floats:
    """``[users]``: means over seeds."""
    return np.asarray(np.round(row.values(name).mean(axis=0), ROUNDED), np.float64)


def _differences(pair: Pair, name: str) -> Floats:
    return _user_means(pair.one, name)[pair.lines[0]] - _user_means(pair.other, name)[pair.lines[1]]


def _comparison(pair: Pair, name: str, p: float, corrected: float) -> Comparison:
    one, other = (float(values.mean()) for values in pair.values(name))
    difference = _differences(pair, name)
    won, lost = int((difference > 0).sum()), int((difference < 0).sum())
    seeds = pair.seeds_part(name)
    interval = widened(ends(pair.resampled(name)), one - other, seeds, limits=(-1, 1)) if np.ptp(difference) else None
    return Comparison(
        metric=name,
        users=pair.users,
        one=one,
        other=other,
        interval=interval,
        relative=relative_difference(one, other),
        effect=effect_size(difference),
        p=p,
        corrected=corrected,
        noise=seeds.half_width(),
        won=won,
        lost=lost,
        tied=len(difference) - won - lost,
    )


def every(rows: Sequence[Row]) -> list[Pair]:
    """All pairs of rows that may be compared and have a user in common."""
    alike = _alike(rows)
    pairs = [Pair(one, other) for one, other in combinations(rows, 2) if comparable(one, other)]
    return [pair for pair in pairs if alike[pair.one] == alike[pair.other] or pair.users]


def references(rows: Sequence[Row]) -> list[tuple[Row, Row, str]]:
    """What a table compares: each scheme with the best baseline, each row with the best row; no pair twice.

    Only with rows that may be compared. The best are picked on the users they are tested on, so p has to be corrected
    for ``every`` pair. The third entry says what the second row is: ``best baseline``, ``best``.
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
