"""Items that nobody chose, whose vectors mean nothing."""

from __future__ import annotations

import numpy as np

from bench.data.dataset import ItemTable, Sequences, TrainView
from bench.ids.collaborative import settled, trained_items

ITEMS = ItemTable(("a", "b", "c"), {})
TRAINED = np.array([True, True, False])
VECTORS = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], np.float32)


def test_items_that_nobody_chose_follow_the_policy() -> None:
    scale = np.sqrt(np.square(VECTORS[:2]).mean())
    for cold, last, known in (("zero", [0, 0], True), ("mean", [2, 3] / scale, True), ("semantic", [0, 0], False)):
        vectors, found = settled(VECTORS, TRAINED, cold)  # type: ignore[arg-type]
        assert np.allclose(vectors[:2], VECTORS[:2] / scale)
        assert np.allclose(vectors[2], last)
        assert found.tolist() == [True, True, known]
    raw, _ = settled(VECTORS, TRAINED, "mean", "raw")
    assert raw.tolist() == [[1, 2], [3, 4], [2, 3]]
    assert VECTORS[2].tolist() == [5, 6]  # what is given is left alone
    view = TrainView("t", ITEMS, Sequences.from_rows([[0, 1], [1]]), seed=0)
    assert trained_items(view).tolist() == TRAINED.tolist()
