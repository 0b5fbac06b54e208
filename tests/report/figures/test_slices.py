"""The picture of slices by popularity shows what their table says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.report.figures.slices import points
from bench.report.rows import sections
from bench.report.slices import sliced, slicings
from bench.results.read import load

Store = Callable[..., Path]


def test_points_are_the_cells_of_the_table(store: Store, tmp_path: Path) -> None:
    for seed in (0, 1):
        store(seed=seed, quality=0.5)
    (row,) = sections(load(tmp_path))[0].rows
    slicing = slicings([row.first.table])[0]
    positions, means, lows, highs = points(row, slicing)
    assert positions.tolist() == list(range(len(slicing.labels)))
    cells = [column.cells[0] for column in sliced([row], slicing)]
    assert means.tolist() == [pytest.approx(cell.value) for cell in cells]
    for mean, low, high, cell in zip(means, lows, highs, cells, strict=True):
        assert low < mean < high
        assert (low, high) == cell.ends
