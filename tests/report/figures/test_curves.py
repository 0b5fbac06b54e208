"""Curves of training as they were logged, stage after stage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.errors import BenchError
from bench.report.figures.curves import WINDOWS, course, smooth
from bench.results.read import load

Store = Callable[..., Path]


def training(*curve: Any) -> dict[str, Any]:
    return {"steps": 9, "selection": "ndcg@10", "curve": list(curve)}


def test_stages_are_laid_end_to_end(store: Store, tmp_path: Path) -> None:
    first = [{"step": 10, "loss": 4.0}, {"step": 20, "loss": 3.0}, {"step": 20, "ndcg@10": 0.1}]
    second = [{"step": 10, "loss": 2.0}, {"step": 30, "loss": 1.0}, {"step": 30, "ndcg@10": 0.2}]
    store(training=training(*first, *second, {"step": 5, "loss": 0.5}))
    made = course(load(tmp_path)[0])
    assert made is not None
    assert (made.steps.tolist(), made.loss.tolist()) == ([10, 20, 30, 50, 55], [4.0, 3.0, 2.0, 1.0, 0.5])
    assert (made.validated.tolist(), made.validation.tolist()) == ([20, 50], [0.1, 0.2])
    assert made.name == "ndcg@10"


def test_parts_are_those_that_every_validation_has(store: Store, tmp_path: Path) -> None:
    first = {"step": 10, "ndcg@10": 0.1, "ndcg@10/toys": 0.2, "ndcg@10/beauty": 0.0, "hit@5/toys": 1.0}
    store(training=training({"step": 5, "loss": 1.0}, first, {"step": 20, "ndcg@10": 0.2, "ndcg@10/toys": 0.3}))
    made = course(load(tmp_path)[0])
    assert made is not None
    assert {name: scores.tolist() for name, scores in made.parts.items()} == {"toys": [0.2, 0.3]}
    assert made.validation.tolist() == [0.1, 0.2]


@pytest.mark.parametrize("said", [None, {}, {"curve": []}, {"curve": None}, training({"step": 3})])
def test_what_was_not_trained_has_no_course(store: Store, tmp_path: Path, said: dict[str, Any] | None) -> None:
    store(training=said)
    assert course(load(tmp_path)[0]) is None


@pytest.mark.parametrize("point", [{"loss": 1.0}, {"step": "x"}, 3, {"step": 1, "loss": "low"}])
def test_a_corrupt_curve_is_named_when_it_is_read(store: Store, tmp_path: Path, point: object) -> None:
    store(training=training(point))
    with pytest.raises(BenchError, match=r"'.*result\.json' is corrupt \("):
        load(tmp_path)


def test_a_corrupt_part_of_a_curve_is_named_in_one_line(store: Store, tmp_path: Path) -> None:
    store(training=training({"step": 1, "ndcg@10": 0.1, "ndcg@10/toys": "low"}))
    with pytest.raises(BenchError, match=r"the training curve in '.*result\.json' is corrupt"):
        course(load(tmp_path)[0])


@pytest.mark.parametrize("count", [1, 5, WINDOWS, WINDOWS + 1, 1000])
def test_smoothing_keeps_the_mean_of_equal_stretches(count: int) -> None:
    values = np.random.default_rng(0).random(count)
    found = smooth(values)
    assert len(found) == min(count, WINDOWS)
    if count <= WINDOWS:
        assert found.tolist() == values.tolist()
    assert values.min() <= found.min() <= found.max() <= values.max()
    assert found[0] == pytest.approx(values[: -(-count // WINDOWS)].mean())
