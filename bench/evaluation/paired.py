"""Whether one model is better than another on the same users: permutation test, correction, size of the effect.

All of it speaks of differences ``[users]`` between two models' values of one metric. The test's null hypothesis is that
a user's two values might as well have been swapped; it asks nothing of their distribution. Users are the sample, so it
says how a comparison would come out for other users, of these trained models.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.evaluation.statistics import Floats

PERMUTATIONS = 9999  # a p of 1 in 10,000 can be reached
EXACT = 13  # users who differ: with as few or fewer, all 2^13 = 8,192 permutations are gone through
FLIPS_AT_ONCE = 1 << 23  # signs held at once: 64 MB as floats
TIED = 1e-10  # sums this close, as a part of the largest possible one, are the same but for rounding


def sign_flip(differences: Floats, permutations: int = PERMUTATIONS, seed: int = 0) -> Floats:
    """Two-sided paired permutation test of the mean: ``differences [users, comparisons]`` to p ``[comparisons]``.

    Swapping a user's two values flips the sign of the difference, so the null distribution is that of the sum under
    random signs. Where at most ``EXACT`` users differ, p is exact: the share of all sign patterns with a sum as far
    from 0. Else it is (b + 1) / (permutations + 1), with b of the drawn sums as far: never 0, and never too small
    on average (Phipson and Smyth 2010). A comparison's signs depend on the number of users and ``seed`` alone, not
    on what else is in the call. Users who do not differ change nothing.
    """
    if not len(differences) or not np.isfinite(differences).all():
        raise BenchError(f"a test needs finite differences of at least one user; found {len(differences):,} users")
    differing = (differences != 0).sum(axis=0)
    few = differing <= EXACT
    found = np.empty(differences.shape[1])
    for column in np.flatnonzero(few):
        values = differences[:, column]
        found[column] = _exact(values[values != 0])
    if not few.all():
        found[~few] = _drawn(differences[:, ~few], permutations, seed)
    return found


def _exact(values: Floats) -> float:
    patterns = np.arange(1 << len(values))[:, None] >> np.arange(len(values)) & 1
    return float(_as_far((2 * patterns - 1) @ values, values.sum(), np.abs(values).sum()).mean())


def _drawn(differences: Floats, permutations: int, seed: int) -> Floats:
    """One bit for each user and permutation; users who differ nowhere have theirs drawn and left unused."""
    users, generator = len(differences), np.random.default_rng(seed)
    differing = np.flatnonzero(differences.any(axis=1))
    values = differences[differing]
    observed, reach = values.sum(axis=0), np.abs(values).sum(axis=0)
    width, held = -(-users // 8), max(1, FLIPS_AT_ONCE // users)
    as_far = np.zeros(differences.shape[1])
    for start in range(0, permutations, held):
        rows = min(held, permutations - start)
        bits = np.frombuffer(generator.bytes(rows * width), np.uint8).reshape(rows, width)
        swapped = np.unpackbits(bits, axis=1)[:, differing].astype(np.float64)
        as_far += _as_far(observed - 2 * (swapped @ values), observed, reach).sum(axis=0)
    return np.asarray((as_far + 1) / (permutations + 1), np.float64)


def _as_far(sums: Floats, observed: Floats | float, reach: Floats | float) -> NDArray[np.bool_]:
    return np.asarray(np.abs(sums) >= np.abs(observed) - TIED * reach, np.bool_)


def holm(p: Floats) -> Floats:
    """``[comparisons]``: p values corrected for all of them (Holm 1979): the chance of any false finding stays below
    the level at which they are read.
    """
    order = np.argsort(p, kind="stable")
    scaled = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(scaled, 1)
    return corrected


def effect_size(differences: Floats) -> float | None:
    """Standardised mean of paired differences ``[users]`` (Cohen's d_z): mean over standard deviation (n - 1).

    None where it does not exist: all users differ by the same, or there is one user.
    """
    if len(differences) < 2:
        return None
    deviation = float(np.std(differences, ddof=1))
    return float(differences.mean()) / deviation if deviation > 0 else None


def lift(mean: float, reference: float) -> float | None:
    """By which part of the reference a mean is higher; None for a reference of 0."""
    return mean / reference - 1 if reference else None
