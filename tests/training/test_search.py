"""A search repeats, tries nothing twice, gives every trial of a rung as much, and outlives a trial that fails."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import BenchError
from bench.training.search import SHARED, Rung, better, draws, halve, rungs, said

PRESENT: dict[str, Any] = {"learning_rate": 0.002, "dropout": 0.0, "weight_decay": 0.01}


def test_rungs_halve_to_one_trial_with_everything() -> None:
    assert rungs(1) == [Rung(1, 1.0)]
    assert rungs(2) == [Rung(2, 0.5), Rung(1, 1.0)]
    assert rungs(8) == [Rung(8, 0.125), Rung(4, 0.25), Rung(2, 0.5), Rung(1, 1.0)]
    assert rungs(20) == [Rung(20, 1 / 16), Rung(8, 0.125), Rung(4, 0.25), Rung(2, 0.5), Rung(1, 1.0)]


@given(st.integers(1, 300))
def test_a_rung_costs_no_more_than_the_whole_budget_but_for_the_first(trials: int) -> None:
    found = rungs(trials)
    assert found[0].trials == trials
    assert all(rung.trials * rung.fraction <= 1 for rung in found[1:])
    assert all(one.trials > other.trials for one, other in pairwise(found))


def test_a_longer_search_begins_with_a_shorter_one_and_that_with_the_settings_as_they_are() -> None:
    assert draws(SHARED, PRESENT, 9, seed=3)[:4] == draws(SHARED, PRESENT, 4, seed=3)
    assert draws(SHARED, PRESENT, 9, seed=3) != draws(SHARED, PRESENT, 9, seed=4)
    assert draws(SHARED, PRESENT, 500, seed=4)[0] == PRESENT
    assert len({str(found) for found in draws(SHARED, PRESENT, 500, seed=4)}) == 6 * 5 * 3 + 1
    assert draws({}, {}, 5, seed=0) == []


def test_the_better_half_goes_on_with_twice_as_much() -> None:
    asked: list[tuple[int, float]] = []
    scores = [0.1, 0.3, 0.2, 0.3, 0.0, 0.25]

    def attempt(number: int, fraction: float) -> dict[str, Any]:
        asked.append((number, fraction))
        return {"best_validation": scores[number] - (fraction == 0.5 and number == 1), "steps": 8, "seconds": fraction}

    found = halve(6, attempt)
    assert asked == [*((number, 0.125) for number in range(6)), *((n, 0.25) for n in (1, 3, 5, 2)), (1, 0.5), (3, 0.5)]
    assert found.chosen == 3
    assert [len(records) for records in found.records] == [1, 3, 2, 3, 1, 2]
    assert found.total("seconds") == 6 / 8 + 4 / 4 + 2 / 2
    assert found.total("unknown") is None
    trials = [{"k": number} for number in range(6)]
    assert found.summary(trials, 7)["trials"][3]["settings"] == {"k": 3}
    assert said(found, trials, "ndcg@10") == (
        "trial 4 of 6 chosen, with k=3: ndcg@10 0.3000 on validation after 8 steps"
    )


def test_a_failure_is_recorded_and_never_chosen() -> None:
    def attempt(number: int, fraction: float) -> dict[str, Any]:
        return {"failed": "nan"} if number < 2 else {"best_validation": 0.0, "steps": 1}

    found = halve(3, attempt)
    assert found.chosen == 2
    assert found.records[0] == ({"failed": "nan"},)
    assert said(found, [{}, {}, {}], "hit@1").endswith("; 2 of the trials failed")
    with pytest.raises(BenchError, match="all 2 trials of the search failed, the first with nan"):
        better([0, 1], [{"failed": "nan"}, {"failed": "x"}])
