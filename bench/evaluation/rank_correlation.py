"""How well one number orders things as another does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from bench.errors import BenchError

LEVEL = 0.95  # of the interval
LEAST = 5  # things, below which an interval says nothing
VARIANCE = 1.06  # of Fisher's z of a rank correlation, times n - 3 (Fieller, Hartley and Pearson, 1957)

Floats = NDArray[np.float64]


def rank_correlation(one: Floats, other: Floats) -> tuple[float, tuple[float, float]]:
    """Spearman's rank correlation of ``one [n]`` and ``other [n]``, and its 95 % interval by Fisher's z. Ties share
    ranks.

    Where both orders are the same, z is infinite: the lower end is then that of orders with one adjacent swap, and the
    upper end 1. BenchError where there are fewer than ``LEAST`` values, or all are equal.
    """
    count = len(one)
    if count != len(other) or count < LEAST or np.ptp(one) == 0 or np.ptp(other) == 0:
        raise BenchError(f"a rank correlation needs {LEAST} or more pairs that differ; got {count} and {len(other)}")
    ranks = np.stack([rankdata(one), rankdata(other)])
    found = float(np.clip(np.corrcoef(ranks)[0, 1], -1, 1))
    most = 1 - 12 / (count * (count**2 - 1))
    reach = float(norm.ppf((1 + LEVEL) / 2)) * np.sqrt(VARIANCE / (count - 3))
    z = np.arctanh(np.clip(found, -most, most))
    low, high = float(np.tanh(z - reach)), float(np.tanh(z + reach))
    return found, (-1.0 if found < -most else low, 1.0 if found > most else high)
