"""Whether one model is better than another on the same users: permutation test, correction, size of the effect.

All of it speaks of differences ``[users]`` between two models' values of one metric. The test's null hypothesis is that
a user's two values might as well have been swapped; it asks nothing of their distribution. Users are the sample, so it
says how a comparison would come out for other users, of these trained models. Training again under another seed is the
second source of chance, and ``seed_noise.p_with_seeds`` adds it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.evaluation.statistics import Floats

PERMUTATIONS = 9999  # p down to 1 in 10,000 is drawn
EXACT = 13  # users who differ: with as few or fewer, all 2^13 = 8,192 permutations are gone through
FLIPS_AT_ONCE = 1 << 23  # signs in memory at once: 64 MB as floats
DIFFERENCES_AT_ONCE = 1 << 22  # of signed sums, one for each pair and permutation: 32 MB as floats
LEAST = float(np.finfo(np.float64).tiny)  # no p is 0
TIED = 1e-10  # sums this close, as a part of the largest possible one, are the same but for rounding


def sign_flip(differences: Floats, permutations: int = PERMUTATIONS, seed: int = 0) -> Floats:
    """Two-sided paired permutation test of the mean: ``differences [users, comparisons]`` to p ``[comparisons]``.

    Swapping a user's two values flips the sign of the difference, so the null distribution is that of the sum under
    random signs. Where at most ``EXACT`` users differ, p is exact: the share of all sign patterns with a sum as far
    from 0. Else it is (b + 1) / (permutations + 1), with b of the drawn sums as far: never too small on average
    (Phipson and Smyth 2010). Where b is 0, drawing says no more, and p is the bound that holds for all sign patterns
    (Hoeffding 1963) if that is lower. A comparison's signs depend on the number of users and ``seed`` alone, not on
    what else is in the call. Users who do not differ change nothing.
    """
    nothing = np.zeros((len(differences), 1))
    columns = np.arange(differences.shape[1])
    pairs = np.stack([columns, np.full_like(columns, len(columns))], axis=1)
    return pairwise(np.concatenate([differences, nothing], axis=1), pairs, permutations, seed)


def pairwise(
    values: Floats, pairs: NDArray[np.intp], permutations: int = PERMUTATIONS, seed: int = 0
) -> NDArray[np.float64]:
    """The test of ``sign_flip`` for pairs of columns: ``values [users, columns]``, ``pairs [n, 2]`` to p ``[n]``.

    A signed sum of differences is the difference of two signed sums, so all pairs of k columns take the products of
    k columns.
    """
    if not len(values) or not np.isfinite(values).all():
        raise BenchError(f"a test needs finite values of at least one user; got {len(values):,} users")
    columns = np.asfortranarray(values)
    p, drawn = np.empty(len(pairs)), []
    for at, (one, other) in enumerate(pairs):
        difference = columns[:, one] - columns[:, other]
        if np.count_nonzero(difference) <= EXACT:
            p[at] = _exact(difference[difference != 0])
        else:
            drawn.append((at, difference.sum(), np.abs(difference).sum(), difference @ difference))
    if drawn:
        found, observed, reach, squares = (np.array(part) for part in zip(*drawn, strict=True))
        as_far, block = np.zeros(len(found)), max(1, DIFFERENCES_AT_ONCE // len(found))
        for sums in _signed_sums(columns, permutations, seed):
            for start in range(0, len(sums), block):
                some = sums[start : start + block]
                as_far += _as_far(some[:, pairs[found, 0]] - some[:, pairs[found, 1]], observed, reach).sum(axis=0)
        bound = np.where(as_far == 0, np.maximum(2 * np.exp(-np.square(observed) / (2 * squares)), LEAST), 1)
        p[found] = np.minimum((as_far + 1) / (permutations + 1), bound)
    return p


def _exact(values: Floats) -> float:
    patterns = np.arange(1 << len(values))[:, None] >> np.arange(len(values)) & 1
    return float(_as_far((2 * patterns - 1) @ values, values.sum(), np.abs(values).sum()).mean())


def _signed_sums(columns: Floats, permutations: int, seed: int) -> Iterator[Floats]:
    """``[some permutations, columns]`` at a time: sums with one random sign for each user.

    One bit for each user and permutation; users who are 0 everywhere have theirs drawn and left unused.
    """
    users, generator = len(columns), np.random.default_rng(seed)
    informative = np.flatnonzero(columns.any(axis=1))
    values = columns[informative]
    whole = values.sum(axis=0)
    width, chunk = -(-users // 8), max(1, FLIPS_AT_ONCE // users)
    for start in range(0, permutations, chunk):
        rows = min(chunk, permutations - start)
        bits = np.frombuffer(generator.bytes(rows * width), np.uint8).reshape(rows, width)
        swapped = np.unpackbits(bits, axis=1)[:, informative].astype(np.float64)
        yield whole - 2 * (swapped @ values)


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
    """Standardized mean of paired differences ``[users]`` (Cohen's d_z): mean over standard deviation (n - 1).

    None where it does not exist: all users differ by the same, or there is one user.
    """
    if len(differences) < 2 or np.ptp(differences) == 0:
        return None
    return float(differences.mean()) / float(np.std(differences, ddof=1))


def relative_difference(mean: float, reference: float) -> float | None:
    """By which part of the reference a mean is higher; None for a reference of 0."""
    return mean / reference - 1 if reference else None
