"""Labels beside a picture keep their distance."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report.figures.cost import draw, spread
from bench.report.figures.style import looks
from bench.report.rows import sections
from bench.results.read import load

Store = Callable[..., Path]


@given(st.lists(st.floats(0, 1), max_size=12).map(sorted), st.floats(0.01, 0.08))
def test_labels_keep_their_distance_and_their_order(heights: list[float], gap: float) -> None:
    found = spread(np.array(heights), gap)
    assert all(after - before >= gap - 1e-9 for before, after in itertools.pairwise(found))
    assert len(found) == len(heights)
    assert all(-1e-9 <= height <= 1 + 1e-9 for height in found)
    if all(after - before >= gap for before, after in itertools.pairwise(heights)):
        assert found == pytest.approx(heights)


def test_fronts_that_begin_at_one_point_have_one_name(store: Store, tmp_path: Path) -> None:
    """A baseline is fastest under both contracts."""
    costs = {"parameters": 7, "id_construction_seconds": 1.0, "training_seconds": 9.0, "peak_memory_mb": 10.0}
    store("pop", kind="baseline", quality=0.1, costs={**costs, "inference_seconds_per_1000_users": 0.01})
    for beam in (20, 50):
        store("one", quality=0.2, contract={"beam": beam}, costs={**costs, "inference_seconds_per_1000_users": beam})
    found = sections(load(tmp_path))
    figure = draw(found, looks(found), 8.0)
    assert figure is not None
    said = [text.get_text() for axes in figure.axes for text in axes.texts if "Pareto" in text.get_text()]
    assert said == ["Pareto front [A, B]"]
