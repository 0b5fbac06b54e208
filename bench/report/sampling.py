"""Resampled means of many cells in one pass: drawing users is what costs, and all cells can share the draws."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from bench.evaluation.statistics import resampled_means
from bench.results.read import Result


def resample(cells: Sequence[Result], names: Sequence[str]) -> None:
    """Fill ``cell.resampled[name]``, ``[resamples]`` means over resampled users, wherever it is not there yet.

    What a cell gets does not depend on the others: draws follow from the number of users alone.
    """
    missing = [(cell, name) for cell in cells for name in names if name not in cell.resampled]
    missing.sort(key=lambda pair: len(pair[0].table))
    for _, pairs in groupby(missing, lambda pair: len(pair[0].table)):
        group = list(pairs)
        means = resampled_means(np.stack([cell.values(name) for cell, name in group], axis=1))
        for (cell, name), found in zip(group, means.T, strict=True):
            cell.resampled[name] = found
