"""Resampled means of many runs in one pass: drawing users is what costs, and all runs can share the draws."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from bench.evaluation.statistics import resampled_means
from bench.results.read import Result


def resample(runs: Sequence[Result], names: Sequence[str]) -> None:
    """Fill ``run.resampled[name]``, ``[resamples]`` means over resampled users, wherever it is not there yet.

    What a run gets does not depend on the others: draws follow from the number of users alone.
    """
    missing = [(run, name) for run in runs for name in names if name not in run.resampled]
    missing.sort(key=lambda pair: len(pair[0].table))
    for _, pairs in groupby(missing, lambda pair: len(pair[0].table)):
        group = list(pairs)
        means = resampled_means(np.stack([run.values(name) for run, name in group], axis=1))
        for (run, name), found in zip(group, means.T, strict=True):
            run.resampled[name] = found
