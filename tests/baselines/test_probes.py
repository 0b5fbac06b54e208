"""Probes: counting on finds the test item only in numbers that know it, and repeating finds nothing new."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from trivial_baselines import MaxPlusOne, MaxPlusOneLeak, Repeat
from trivial_baselines.probes import MaxPlusOneSettings, RepeatSettings, numbers

from bench.data.dataset import Dataset, ItemTable, LeakedView, Sequences, TrainView
from bench.data.formats import read_atomic
from bench.data.splits import leave_one_out
from bench.errors import BenchError
from bench.evaluation.baseline import Baseline
from bench.evaluation.metrics import per_user
from bench.runs import subjects
from bench.training.ranking import score_targets

HISTORIES = Sequences.from_rows([[0, 1], [], [2], [1, 0, 1, 2]])


def view(rows: list[list[int]], items: int = 6) -> TrainView:
    table = ItemTable(tuple(f"i{item}" for item in range(items)), {"category": ("A",) * items})
    return TrainView("lists", table, Sequences.from_rows(rows), seed=0)


def best_first(scores: NDArray[np.float32]) -> list[list[int]]:
    return np.argsort(-scores, axis=1, kind="stable").tolist()  # type: ignore[no-any-return]


def hit_at_1(baseline: Baseline, train: TrainView, dataset: Dataset) -> float:
    baseline.fit(train)
    users = leave_one_out(dataset).test.parted(5000, seed=0)[0]
    ranks = score_targets(baseline, users, len(dataset.items), False, lambda _: None)
    return float(per_user(ranks.strict, "hit@1").mean())


def test_after_the_largest_number_come_the_next_ones() -> None:
    probe = MaxPlusOne()
    probe.fit(view([[4, 2, 0], [1, 3, 5]]))  # numbered in this order
    assert best_first(probe.score(HISTORIES)) == [
        [3, 5, 4, 2, 0, 1],
        [4, 2, 0, 1, 3, 5],
        [0, 1, 3, 5, 4, 2],
        [3, 5, 4, 2, 0, 1],
    ]


def test_what_is_numbered_is_a_setting() -> None:
    train = view([[4, 2, 0], [1, 3, 5]])
    probe = MaxPlusOne(MaxPlusOneSettings(numbering="numeric/random"))
    probe.fit(train)
    order = np.argsort(numbers(subjects.load_scheme("numeric/random")().fit(train), ""))
    assert best_first(probe.score(Sequences.from_rows([[]]))) == [order.tolist()]
    with pytest.raises(BenchError, match="needs a scheme that writes numbers; numeric/category writes '#0'"):
        MaxPlusOne(MaxPlusOneSettings(numbering="numeric/category")).fit(view([[0]], items=1))
    with pytest.raises(BenchError, match="unknown identifier scheme 'numeric/sequntial'; did you mean"):
        MaxPlusOne(MaxPlusOneSettings(numbering="numeric/sequntial")).fit(train)


def test_a_leak_is_probed_under_a_name_that_says_so() -> None:
    with pytest.raises(BenchError, match=r"numeric/p5-leak, .*; probe it with .* --baseline max\+1-leak"):
        MaxPlusOne(MaxPlusOneSettings(numbering="numeric/p5-leak")).fit(view([[0]]))
    assert MaxPlusOneLeak.leaks
    assert not MaxPlusOne.leaks
    assert not Repeat.leaks


def test_on_real_toys_the_leak_shows_and_training_histories_alone_do_not(real_toys: Dataset) -> None:
    """P5's first published Hit@5 on Toys, 0.0648, is about what this finds."""
    train = leave_one_out(real_toys).train
    assert 0.055 < hit_at_1(MaxPlusOneLeak(), LeakedView.of(train, real_toys), real_toys) < 0.07
    assert hit_at_1(MaxPlusOne(), train, real_toys) < 0.004
    assert hit_at_1(MaxPlusOneLeak(), train, real_toys) < 0.004  # without the leaked view there is no leak


@pytest.fixture(scope="module")
def real_toys(request: pytest.FixtureRequest) -> Dataset:
    return read_atomic(request.getfixturevalue("real_data") / "toys")


def test_own_items_come_before_popular_ones() -> None:
    rows = [[3, 4, 3], [3, 5, 4], [3]]
    recent, frequent = Repeat(), Repeat(RepeatSettings(by="frequent"))
    for baseline in (recent, frequent):
        baseline.fit(view(rows))
    popular = [3, 4, 5]
    assert best_first(recent.score(HISTORIES)) == [
        [1, 0, *popular, 2],
        [*popular, 0, 1, 2],
        [2, *popular, 0, 1],
        [2, 1, 0, *popular],
    ]
    assert best_first(frequent.score(HISTORIES))[3] == [1, 2, 0, *popular]
    assert best_first(frequent.score(HISTORIES))[:3] == best_first(recent.score(HISTORIES))[:3]


def test_scores_are_single_finite_and_row_by_row() -> None:
    for baseline in (MaxPlusOne(), MaxPlusOneLeak(), Repeat()):
        baseline.fit(view([[4, 2, 0], [1, 3, 5]]))
        scores = baseline.score(HISTORIES)
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()
        parts = [baseline.score(HISTORIES.rows(np.array([row]))) for row in range(len(HISTORIES))]
        assert np.array_equal(np.concatenate(parts), scores)
        assert baseline.score(Sequences.from_rows([])).shape == (0, 6)
