"""Slices by popularity: every user is in exactly one, and their values are those of the table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report.figures.slices import BUCKETS, Bucket, buckets, by_user
from bench.report.results import load
from bench.report.rows import sections

Store = Callable[..., Path]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=200))
def test_every_user_is_in_one_bucket(popularity: list[int]) -> None:
    found = buckets(np.array(popularity))
    inside = [[bucket.low <= times <= bucket.high for bucket in found].count(True) for times in popularity]
    assert inside == [1] * len(popularity)
    assert sum(bucket.users for bucket in found) == len(popularity)
    assert all(bucket.users for bucket in found)
    assert len(found) <= BUCKETS + 1


def test_cold_targets_are_apart_and_others_in_quarters() -> None:
    found = buckets(np.array([0, 0, *range(1, 9)]))
    assert found == [Bucket(0, 0, 2), Bucket(1, 2, 2), Bucket(3, 4, 2), Bucket(5, 6, 2), Bucket(7, 8, 2)]
    assert found[0].title == "0\n2 users"


def test_slices_together_are_the_whole(store: Store, tmp_path: Path) -> None:
    for seed in (0, 1):
        store(seed=seed, quality=0.5)
    (row,) = sections(load(tmp_path))[0].rows
    popularity, values = by_user(row)
    assert len(popularity) == len(values) == 400
    assert values.mean() == pytest.approx(row.metric("ndcg@10")[0])
    first = row.cells[0].table
    assert sorted(popularity) == sorted(first.popularity)
