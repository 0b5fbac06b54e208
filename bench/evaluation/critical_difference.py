"""Schemes compared over several data sets by their ranks (Demšar 2006): Friedman's test, Nemenyi's critical difference.

Only for five or more data sets: with fewer, the test can hardly find anything, and a diagram of it would mislead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from bench.errors import BenchError
from bench.evaluation.statistics import Floats

LEAST_DATASETS, LEAST_SCHEMES = 5, 3
LEVEL = 0.95


@dataclass(frozen=True)
class CriticalDifference:
    """``average_ranks [schemes]``, 1 the best; schemes closer than ``difference`` are not told apart.

    ``p`` is that of Friedman's test: whether any scheme differs. ``cliques`` are the largest groups of schemes, as
    indices from best to worst, within which no two are told apart.
    """

    average_ranks: tuple[float, ...]
    difference: float
    p: float
    cliques: tuple[tuple[int, ...], ...]
    datasets: int


def critical_difference(scores: Floats) -> CriticalDifference:
    """``scores [data sets, schemes]``, higher is better; ties share their ranks, where scores that are equal to 12
    decimals are equal.
    """
    datasets, schemes = scores.shape
    if datasets < LEAST_DATASETS or schemes < LEAST_SCHEMES:
        raise BenchError(
            f"a critical difference needs {LEAST_SCHEMES} or more schemes on {LEAST_DATASETS} or more data sets; "
            f"got {schemes} on {datasets}"
        )
    if not np.isfinite(scores).all():
        raise BenchError("a critical difference needs a score of every scheme on every data set; got gaps")
    scores = np.round(scores, 12)
    ranks = stats.rankdata(-scores, axis=1)
    average = ranks.mean(axis=0)
    p = 1.0 if np.ptp(ranks) == 0 else float(stats.friedmanchisquare(*scores.T).pvalue)
    # Nemenyi: the studentised range for infinitely many degrees of freedom, for ranks instead of means
    quantile = float(stats.studentized_range.ppf(LEVEL, schemes, np.inf)) / np.sqrt(2)
    difference = float(quantile * np.sqrt(schemes * (schemes + 1) / (6 * datasets)))
    return CriticalDifference(tuple(average.tolist()), difference, p, _cliques(average, difference), datasets)


def _cliques(average: Floats, difference: float) -> tuple[tuple[int, ...], ...]:
    order = np.argsort(average, kind="stable")
    found: list[tuple[int, ...]] = []
    last = 0
    for start in range(len(order)):
        end = int(np.searchsorted(average[order], average[order[start]] + difference, side="right"))
        if end > last and end - start > 1:
            found.append(tuple(order[start:end].tolist()))
        last = max(last, end)
    return tuple(found)
