"""The interval of a mean over users as a report has it, made from the values themselves."""

from __future__ import annotations

from bench.evaluation.statistics import RESAMPLES, Floats, ends, resampled_means


def interval(values: Floats, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of ``values [users]``: users are drawn with replacement."""
    return ends(resampled_means(values[:, None], resamples, seed)[:, 0], level)
