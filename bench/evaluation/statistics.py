"""How sure a mean over users is: bootstrap intervals and the spread over seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError

Floats = NDArray[np.float64]

DRAWS_AT_ONCE = 1 << 22  # counts drawn in one call: 32 MB whatever the number of distinct values


def interval(values: Floats, level: float = 0.95, resamples: int = 2000, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of ``values [users]``.

    Users are resampled with replacement. Rank metrics take few distinct values, and how often each value occurs in
    a resample is multinomial, so drawing these counts is the user bootstrap in distribution at a fraction of its cost.
    Where all users have the same value (no hit at all, or a single user) both ends coincide and say nothing.
    """
    if not len(values) or not np.isfinite(values).all():
        raise BenchError(f"an interval needs finite values of at least one user; found {len(values):,} values")
    if not 0 < level < 1:
        raise BenchError(f"confidence level {level} is impossible; it lies between 0 and 1, such as 0.95")
    means = _resampled_means(values, resamples, np.random.default_rng(seed))
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def _resampled_means(values: Floats, resamples: int, generator: np.random.Generator) -> Floats:
    distinct, counts = np.unique(values, return_counts=True)
    shares = counts / len(values)
    rows = max(1, DRAWS_AT_ONCE // len(distinct))
    parts = [
        generator.multinomial(len(values), shares, size=min(rows, resamples - start)) @ distinct
        for start in range(0, resamples, rows)
    ]
    return np.asarray(np.concatenate(parts) / len(values), np.float64)


def over_seeds(values: Sequence[Floats]) -> Floats:
    """``[users]``: each user's value averaged over runs that differ only in their seed.

    An interval of these means is over users, for the average of these runs; it holds nothing about how a further
    seed would come out. That is what ``mean_and_sd`` of the runs' own means is for.
    """
    if len({len(run) for run in values}) != 1:
        raise BenchError(f"runs to be averaged need the same users; found {[len(run) for run in values]} values")
    return np.asarray(np.mean(np.stack(values), axis=0), np.float64)


def mean_and_sd(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean over seeds and the sample standard deviation (n - 1), which one seed does not have."""
    if not len(values):
        raise BenchError("a mean over seeds was asked for over no runs; at least one finished run is needed")
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None
