"""The floors: popularity counts training interactions alone, chance is fair and repeatable."""

from __future__ import annotations

import numpy as np
import pytest
from trivial_baselines import Popularity, Random

from bench.data.dataset import ItemTable, Sequences, TrainView
from bench.evaluation.baseline import Baseline

HISTORIES = Sequences.from_rows([[0, 1], [], [2], [1, 0]])


def fitted(baseline: Baseline, seed: int = 0, items: int = 50) -> Baseline:
    table = ItemTable(tuple(f"i{item}" for item in range(items)), {})
    baseline.fit(TrainView("lists", table, Sequences.from_rows([[2, 0, 2], [], [2, 1]]), seed))
    return baseline


def test_popularity_counts_training_interactions() -> None:
    scores = fitted(Popularity()).score(HISTORIES)
    assert scores.shape == (4, 50)
    assert scores[:, :3].tolist() == [[1, 1, 3]] * 4
    assert not scores[:, 3:].any()  # items that nobody took are tied at zero


def test_scores_may_be_masked_without_touching_other_rows() -> None:
    for baseline in (fitted(Popularity()), fitted(Random())):
        scores = baseline.score(HISTORIES)
        scores[0] = -np.inf
        assert np.isfinite(baseline.score(HISTORIES)).all()
        assert np.isfinite(scores[1:]).all()


def test_random_gives_each_history_an_order_without_ties() -> None:
    scores = fitted(Random()).score(HISTORIES)
    assert (np.sort(scores, axis=1) == np.arange(50)).all()
    assert len(np.unique(scores, axis=0)) == 4


def test_random_is_the_same_for_a_seed_and_in_any_batch() -> None:
    whole = fitted(Random(), seed=1).score(HISTORIES)
    parts = [fitted(Random(), seed=1).score(HISTORIES.rows(np.array([row]))) for row in range(4)]
    assert np.array_equal(whole, np.concatenate(parts))
    assert not np.array_equal(whole, fitted(Random(), seed=2).score(HISTORIES))


def test_random_favors_no_place() -> None:
    histories = Sequences.from_rows([[row] for row in range(4000)])
    means = fitted(Random(), items=20).score(histories).mean(axis=0)
    assert means == pytest.approx(np.full(20, 9.5), abs=0.5)  # five standard errors


@pytest.mark.parametrize("baseline", [Popularity, Random])
def test_scores_are_single_precision(baseline: type[Baseline]) -> None:
    assert fitted(baseline()).score(HISTORIES).dtype == np.float32
    assert fitted(baseline()).score(Sequences.from_rows([])).shape == (0, 50)
