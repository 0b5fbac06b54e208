"""How sure a mean over users is: bootstrap intervals over users. What seeds add is in ``seed_noise``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError

Floats = NDArray[np.float64]

RESAMPLES = 2000
COUNTS_AT_ONCE = 1 << 22  # how often a user was drawn, kept for as many resamples as fit: 32 MB


def ends(means: Floats, level: float = 0.95) -> tuple[float, float]:
    """The middle ``level`` of resampled means ``[resamples]``: the percentile bootstrap interval of a mean over users.

    Where all users have the same value (no hit at all, or a single user) both ends coincide and say nothing.
    """
    if not 0 < level < 1:
        raise BenchError(f"the confidence level must lie between 0 and 1, such as 0.95; got {level}")
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def resampled_means(columns: Floats, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """``columns [users, k]`` to ``[resamples, k]``: the mean of every column over users drawn with replacement.

    A resample draws the same users for all columns, and which it draws depends on the number of users and ``seed``
    alone. So columns of the same users, in the same order, may be subtracted afterwards, in this call or from
    another: what comes out are resampled paired differences. Time and memory grow with resamples x users, hardly
    with the columns.
    """
    users, generator = len(columns), np.random.default_rng(seed)
    first = columns[:1]  # taken off and put on again, so that a constant column stays one to the last bit
    varying = np.flatnonzero((columns != first).any(axis=1))  # most users have no hit and need no product
    deviations, chunk = columns[varying] - first, max(1, COUNTS_AT_ONCE // users)
    parts = []
    for start in range(0, resamples, chunk):
        drawn = (
            np.bincount(generator.integers(users, size=users, dtype=np.uint32), minlength=users)
            for _ in range(min(chunk, resamples - start))
        )
        counts = np.stack([found[varying] for found in drawn])
        parts.append(counts.astype(np.float64) @ deviations / users + first)
    return np.concatenate(parts)


def mean_and_sd(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean over seeds and the sample standard deviation (n - 1), which one seed does not have."""
    if not len(values):
        raise BenchError("a mean over seeds needs at least one finished run; got none")
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None
