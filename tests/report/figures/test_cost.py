"""Labels beside a picture keep their distance."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report.figures.cost import spread


@given(st.lists(st.floats(0, 1), max_size=12).map(sorted), st.floats(0.01, 0.08))
def test_labels_keep_their_distance_and_their_order(heights: list[float], gap: float) -> None:
    found = spread(np.array(heights), gap)
    assert all(after - before >= gap - 1e-9 for before, after in itertools.pairwise(found))
    assert len(found) == len(heights)
    assert all(-1e-9 <= height <= 1 + 1e-9 for height in found)
    if all(after - before >= gap for before, after in itertools.pairwise(heights)):
        assert found == pytest.approx(heights)
