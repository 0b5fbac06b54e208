"""Data with an effect that an audit has to find again."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data.dataset import Dataset, ItemTable, Sequences

BUNDLE = 4  # items that are bought on one day


@pytest.fixture(scope="session")
def bundles() -> Dataset:
    """500 users buy on three days, each day one of 60 bundles of four items, in the order of a file sorted by item.

    Nothing leads from one day to the next, so all that can be learnt about the next item is its bundle; and inside a
    bundle the order is that of ids, as in reviews that a source keeps item by item and dates by the day.
    """
    random = np.random.default_rng(7)
    members = random.permutation(60 * BUNDLE).reshape(60, BUNDLE)
    rows = [np.sort(members[random.choice(60, 3, replace=False)], axis=1).ravel() for _ in range(500)]
    ids = tuple(f"B{number:05d}" for number in np.sort(random.choice(100_000, 60 * BUNDLE, replace=False)))
    times = np.tile(np.repeat([16000.0, 16003.0, 16010.0], BUNDLE), 500)
    users = tuple(f"u{user:03d}" for user in range(500))
    titles = {"title": tuple(f"thing {number} for the house" for number in range(60 * BUNDLE))}
    times = times + np.repeat(np.arange(500.0), 3 * BUNDLE)  # everybody begins on a day of their own
    return Dataset("bundles", users, ItemTable(ids, titles), Sequences.from_rows(rows), times)
