"""Prefix trees against counting over Python tuples."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report.figures.tree import SEAM, _merged, levels
from bench.report.identifiers import END, Identifiers

codes = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=5), min_size=1, max_size=40)


def identifiers(seen: list[list[int]]) -> Identifiers:
    tokens = np.full((len(seen), max(map(len, seen))), END, np.int64)
    for row, code in enumerate(seen):
        tokens[row, : len(code)] = code
    names = tuple(map(str, range(len(seen))))
    return Identifiers(names, names, names, tokens)


@given(codes, st.integers(1, 6))
def test_levels_hold_every_prefix_with_its_share(seen: list[list[int]], depth: int) -> None:
    found = levels(identifiers(seen), depth)
    assert len(found) == min(depth, max(map(len, seen)))
    for length, level in enumerate(found, 1):
        counts = Counter(tuple(code[:length]) for code in seen if len(code) >= length)
        assert sorted(level.sizes) == pytest.approx(sorted(count / len(seen) for count in counts.values()))


@given(codes)
def test_children_lie_below_their_parent_and_beside_each_other(seen: list[list[int]]) -> None:
    found = levels(identifiers(seen))
    above = [(0.0, 1.0)]
    for level in found:
        blocks = sorted(zip(level.starts, level.starts + level.sizes, strict=True))
        assert all(before[1] <= after[0] + 1e-9 for before, after in pairwise(blocks))
        for start, end in blocks:
            assert any(low - 1e-9 <= start and end <= high + 1e-9 for low, high in above)
        above = blocks


def test_the_largest_subtree_comes_first() -> None:
    first, second = levels(identifiers([[1, 1], [2, 1], [2, 2], [2, 2]]))
    assert first.sizes.tolist() == [0.75, 0.25]
    assert second.sizes.tolist() == [0.5, 0.25, 0.25]
    assert second.starts.tolist() == [0, 0.5, 0.75]


def test_stretches_are_merged_where_they_touch() -> None:
    starts, sizes = _merged(np.array([0.5, 0.0, 0.1]), np.array([0.1, 0.1, 0.1]))
    assert (starts.tolist(), sizes.tolist()) == ([0.0, 0.5], pytest.approx([0.2, 0.1]))
    assert _merged(np.array([0.0, 0.1 + SEAM / 2]), np.array([0.1, 0.1]))[0].tolist() == [0.0]
    assert [len(part) for part in _merged(np.array([]), np.array([]))] == [0, 0]
