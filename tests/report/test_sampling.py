"""Columns that are resampled together get what each gets alone."""

from __future__ import annotations

import numpy as np

from bench.evaluation.statistics import resampled_means
from bench.report.sampling import means_of


def test_columns_of_as_many_users_share_their_draws_and_nothing_else() -> None:
    generator = np.random.default_rng(0)
    columns = [generator.random(users) * (generator.random(users) < 0.3) for users in (40, 25, 40, 1, 25, 40)]
    columns[2][:] = 0.25  # a constant stays one to the last bit
    together = means_of(columns)
    for column, found in zip(columns, together, strict=True):
        assert np.allclose(found, resampled_means(column[:, None])[:, 0], rtol=1e-12, atol=0)
    assert (together[2] == 0.25).all()
    assert means_of([]) == []
