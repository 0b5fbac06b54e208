"""The validation metric of each data set that was joined, against a mean written out for each."""

from __future__ import annotations

import numpy as np
import pytest

from bench.evaluation.by_part import Parts, at_step, is_of_part


def test_each_part_has_the_mean_of_its_users() -> None:
    parts = Parts(("toys", "beauty", "yelp"), (3, 2, 4))
    users = np.array([0, 2, 3, 4, 4, 1])  # nobody of yelp is validated
    gains = np.array([1.0, 0.5, 0.25, 0.75, 0.5, 0.0])
    found = parts.scores("ndcg@10", gains, users)
    assert list(found) == ["ndcg@10", "ndcg@10/toys", "ndcg@10/beauty"]
    assert list(found.values()) == pytest.approx([3.0 / 6, (1 + 0.5 + 0) / 3, (0.25 + 0.75 + 0.5) / 3])
    weighted = found["ndcg@10/toys"] * 3 + found["ndcg@10/beauty"] * 3
    assert weighted / 6 == pytest.approx(found["ndcg@10"])


@pytest.mark.parametrize("parts", [Parts(), Parts(("toys",), (9,))])
def test_one_data_set_has_no_parts(parts: Parts) -> None:
    assert parts.scores("hit@5", np.array([0.0, 1.0]), np.array([0, 8])) == {"hit@5": 0.5}


def test_a_name_may_hold_anything() -> None:
    found = Parts(("a/b", "c"), (1, 1)).scores("ndcg@10", np.array([1.0, 0.0]), np.array([0, 1]))
    assert [name for name in found if is_of_part(name)] == ["ndcg@10/a/b", "ndcg@10/c"]
    assert at_step([{"step": 4, **found}], 4) == {"best_validation_parts": {"a/b": 1.0, "c": 0.0}}


def test_what_is_stored_is_that_of_the_weights_that_were_kept() -> None:
    curve = [
        {"stage": "train", "step": 4, "ndcg@10": 0.2, "ndcg@10/toys": 0.3, "ndcg@10/beauty": 0.1},
        {"step": 8, "loss": 1.0},
        {"step": 8, "ndcg@10": 0.1, "ndcg@10/toys": 0.2, "ndcg@10/beauty": 0.0},
    ]
    assert at_step(curve, 4) == {"best_validation_parts": {"toys": 0.3, "beauty": 0.1}}
    assert at_step(curve, 8) == {"best_validation_parts": {"toys": 0.2, "beauty": 0.0}}
    assert at_step([{"step": 4, "ndcg@10": 0.2}], 4) == {}
