"""Resampled means of many runs in one pass: drawing users is what costs, and all runs can share the draws."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.evaluation.metrics import Floats
from bench.evaluation.statistics import resampled_means
from bench.results.read import Result


def resample(runs: Sequence[Result], names: Sequence[str]) -> None:
    """Fill ``run.resampled[name]``, ``[resamples]`` means over resampled users, wherever it is not there yet.

    What a run gets does not depend on the others: draws follow from the number of users alone.
    """
    missing = [(run, name) for run in runs for name in names if name not in run.resampled]
    for (run, name), found in zip(missing, means_of([run.values(name) for run, name in missing]), strict=True):
        run.resampled[name] = found


def means_of(columns: Sequence[Floats]) -> list[Floats]:
    """For each column ``[users]`` the ``[resamples]`` means; columns of as many users share their draws."""
    found: dict[int, Floats] = {}
    for users in {len(column) for column in columns}:
        alike = [at for at, column in enumerate(columns) if len(column) == users]
        means = resampled_means(np.stack([columns[at] for at in alike], axis=1))
        found |= dict(zip(alike, means.T, strict=True))
    return [found[at] for at in range(len(columns))]
