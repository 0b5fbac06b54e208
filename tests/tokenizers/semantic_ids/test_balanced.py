"""Clusters of exactly equal size, at the least total distance there is, against SciPy's assignment."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from semantic_ids.balanced import (
    PRECISION,
    Auction,
    assigned,
    balanced_kmeans,
    capacities,
    distances_in_brief,
    means,
    residual_balanced,
)
from semantic_ids.quantizers import Vectors, residual_kmeans

from bench.errors import BenchError


def test_capacities_differ_by_one_at_most() -> None:
    assert capacities(10, 4).tolist() == [3, 3, 2, 2]
    assert capacities(12, 4).tolist() == [3] * 4


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 60), st.integers(1, 7), st.booleans(), st.integers(0, 999))
def test_the_total_distance_is_the_least_up_to_epsilon(items: int, size: int, skewed: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    size = min(size, items)
    vectors, centroids = (random.normal(size=(count, 3)).astype(np.float32) for count in (items, size))
    if skewed:
        vectors = vectors * 0.1 + centroids[0]  # all are nearest to one
    room = capacities(items, size)
    code, _ = assigned(vectors, centroids, room)
    assert np.bincount(code, minlength=size).tolist() == room.tolist()
    cost = ((vectors[:, None].astype(float) - centroids) ** 2).sum(2)
    places = np.repeat(np.arange(size), room)
    rows, best = linear_sum_assignment(cost[:, places])
    least = cost[rows, places[best]].sum()
    nearest, mean = distances_in_brief(vectors, centroids)
    slack = items * PRECISION * max(nearest, 1e-6 * mean)
    assert least - 1e-4 <= cost[np.arange(items), code].sum() <= least + slack + 1e-3


def test_prices_to_begin_at_do_not_change_what_it_comes_to() -> None:
    random = np.random.default_rng(1)
    vectors, centroids = (random.normal(size=(count, 4)).astype(np.float32) for count in (90, 6))
    room = capacities(90, 6)
    first, price = assigned(vectors, centroids, room)
    again, _ = assigned(vectors, centroids, room, price)
    far, _ = assigned(vectors, centroids, room, random.normal(size=6) * 5)
    cost = ((vectors[:, None] - centroids) ** 2).sum(2)
    totals = [cost[np.arange(90), code].sum() for code in (first, again, far)]
    assert max(totals) - min(totals) <= 90 * PRECISION * distances_in_brief(vectors, centroids)[0] + 1e-3


def test_whoever_is_left_without_a_cluster_gets_the_nearest_with_room() -> None:
    auction = Auction(np.array([1, 2]), np.zeros(2), 3, 1e-3)
    auction.settle(lambda rows: np.array([[0.0, 1.0]] * 3, np.float32)[rows])
    assert auction.code.tolist() == [0, 1, 1]


def test_means_are_of_what_is_in_each_cluster() -> None:
    vectors = np.array([[0, 2], [4, 4], [2, 0]], np.float32)
    assert means(vectors, np.array([1, 0, 1]), 2).tolist() == [[4, 4], [1, 1]]


@pytest.mark.parametrize("size", [7, 20])
def test_every_level_has_codes_of_equal_use(size: int, vectors: Vectors) -> None:
    """Ten vectors of the 300 are there twice."""
    found = residual_balanced(vectors, 3, size, 5)
    again = residual_balanced(vectors, 3, size, 5)
    for level in found.codes.T:
        assert sorted(np.bincount(level, minlength=size)) == sorted(capacities(300, size))
    np.testing.assert_array_equal(found.codes, again.codes)
    assert found.size == size
    plain = residual_kmeans(vectors, 3, size, 5)
    assert np.bincount(plain.codes[:, 0]).max() > -(-300 // size)
    assert found.error < 1.6 * plain.error + 0.05
    built = found.residual - found.codebook[found.codes[:, -1]]
    assert found.error == pytest.approx((built**2).sum() / ((vectors - vectors.mean(0)) ** 2).sum(), rel=1e-3)


def test_fewer_vectors_than_clusters_and_none() -> None:
    code, centroids = balanced_kmeans(np.eye(4, dtype=np.float32), 9, 0)
    assert sorted(code) == [0, 1, 2, 3]
    assert len(centroids) == 4
    with pytest.raises(BenchError, match="no items to quantize"):
        residual_balanced(np.zeros((0, 3), np.float32), 2, 4, 0)
