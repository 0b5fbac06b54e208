"""How much a score moves when a model is trained again under another seed, and what that does to intervals and p.

A score has two sources of chance: which users were tested, and which seed the training had. Users are many, and their
part is known well. Seeds are few, so their part is known badly, and a t quantile with few degrees of freedom says how
badly. The two parts are independent; each gets the quantile that is right for it, and the half-widths are added in
quadrature (variance estimates recovery, Zou and Donner 2008). For two to five seeds this covers what it promises or
a little more, where one t quantile for both parts together (Satterthwaite) covers as little as 88 %.

The deviation over seeds is taken relative to the score: it is the number that scores of very different height may
share. It holds what is peculiar to a user under a seed as well, which the users' part counts too; so both parts
together err on the wide side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from bench.errors import BenchError
from bench.evaluation.statistics import Floats

BISECTIONS = 60  # of the logarithm of p: more digits than a float has
SMALLEST = -690.0  # logarithm of the smallest p that is told apart from 0
UNIT = (0.0, 1.0)  # the ends of what a metric can be
EVERYWHERE = (-np.inf, np.inf)


@dataclass(frozen=True)
class SeedNoise:
    """The standard deviation over seeds as a part of the score, and the degrees of freedom it was estimated with.

    ``degrees`` is infinite for what is assumed and not estimated.
    """

    relative: float
    degrees: float = np.inf

    def of_mean(self, score: float, seeds: int) -> SeedsPart:
        """What it is worth for a mean over ``seeds``."""
        return SeedsPart((self.relative * score) ** 2 / seeds, self.degrees)


@dataclass(frozen=True)
class SeedsPart:
    """The part of a mean's variance, or of a difference's, that comes from the seeds."""

    variance: float
    degrees: float

    def __add__(self, other: SeedsPart) -> SeedsPart:
        """Of a difference of two runs, whose seeds are independent; the fewer degrees of freedom are the safe ones."""
        degrees = [part.degrees for part in (self, other) if part.variance > 0]
        return SeedsPart(self.variance + other.variance, min(degrees, default=np.inf))

    def half_width(self) -> float:
        """How far chance in the seeds alone takes the mean in 95 of 100 cases, to either side."""
        return float(_quantile((1 - 0.95) / 2, self.degrees)) * float(np.sqrt(self.variance))


NONE = SeedNoise(0.0)  # of what trains no weights
# Where nobody has a second seed. Six models of 0.02 to 0.04 NDCG@10 on 19,412 users of Amazon Toys, trained three
# times each (results/toys-cpu), have deviations of 7 %, 4 %, 4 %, 3 %, 3 % and 2 % of their score; this is the largest.
ASSUMED = SeedNoise(0.07)


def pooled(scores: Sequence[Sequence[float]]) -> SeedNoise | None:
    """The noise that rows share: ``scores [rows][seeds]``. None where no row has two seeds and a score above 0.

    Root of the mean squared deviation over the mean squared score, each row weighted by its seeds less one. So rows
    with hardly a hit, whose relative deviation is mere luck, have little say. The degrees of freedom are those that
    the unequal weights leave (Satterthwaite 1946).
    """
    repeated = [np.asarray(row, np.float64) for row in scores if len(row) > 1]
    weights = np.array([(len(row) - 1) * row.mean() ** 2 for row in repeated])
    if not weights.sum() > 0:
        return None
    squares = sum(float(np.square(row - row.mean()).sum()) for row in repeated)
    of_each = sum(float(weight**2) / (len(row) - 1) for weight, row in zip(weights, repeated, strict=True))
    return SeedNoise(float(np.sqrt(squares / weights.sum())), float(weights.sum() ** 2 / of_each))


def at_least(shared: SeedNoise, scores: Sequence[float]) -> SeedNoise:
    """What a row takes: the shared noise, or its own where its seeds differ by more, so that no unruly row hides.

    The degrees of freedom stay those of the pool: taking the larger of two is safe enough (simulated with one row six
    times as unsteady as the others), and with its own alone, 1 for two seeds, no difference would ever be found. What
    a row of one seed borrows is right only if it is about as steady as the rows that it borrows from.
    """
    own = pooled([scores])
    return shared if own is None else SeedNoise(max(shared.relative, own.relative), shared.degrees)


def widened(
    ends: tuple[float, float],
    mean: float,
    seeds: SeedsPart,
    limits: tuple[float, float] = EVERYWHERE,
) -> tuple[float, float]:
    """A 95 % interval over users with the seeds' part added, cut off at ``limits``, beyond which there is no value."""
    reach = seeds.half_width()
    low = mean - np.hypot(max(0.0, mean - ends[0]), reach) if reach else ends[0]
    high = mean + np.hypot(max(0.0, ends[1] - mean), reach) if reach else ends[1]
    return float(max(limits[0], low)), float(min(limits[1], high))


def p_with_seeds(differences: Floats, p: Floats, seeds: Sequence[SeedsPart]) -> Floats:
    """Two-sided p ``[n]`` of tests over users to p over users and seeds, so that test and interval say the same.

    The users' p stands for a variance: the one under which a normal difference has that p. The result is the level at
    which the interval of both parts begins to hold 0. Without a seeds' part p stays as it is; else it never falls.
    """
    if not len(differences) == len(p) == len(seeds):
        counts = f"{len(differences)}, {len(p)} and {len(seeds)}"
        raise BenchError(f"differences, p and seeds' parts must have one length; got {counts}")
    variance = np.array([part.variance for part in seeds])
    found: Floats = np.array(p, np.float64)
    wide = (variance > 0) & (found < 1)
    if not wide.any():
        return found
    squared, of_seeds = np.square(np.asarray(differences, np.float64)[wide]), variance[wide]
    of_users = squared / np.square(stats.norm.isf(np.maximum(found[wide], np.exp(SMALLEST)) / 2))
    degrees = np.array([part.degrees for part in seeds])[wide]
    low, high = np.full(len(squared), SMALLEST), np.zeros(len(squared))
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        tail = np.exp(middle) / 2
        reach = np.square(stats.norm.isf(tail)) * of_users + np.square(_quantile(tail, degrees)) * of_seeds
        low, high = np.where(reach > squared, middle, low), np.where(reach > squared, high, middle)
    found[wide] = np.maximum(found[wide], np.exp(high))
    return found


def _quantile(tail: Floats | float, degrees: Floats | float) -> Floats:
    """Of Student's t; beyond what a float holds it is far enough."""
    with np.errstate(over="ignore"):
        return np.asarray(np.minimum(stats.t.isf(tail, degrees), 1e150), np.float64)
