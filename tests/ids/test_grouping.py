"""Equal rows by 64-bit keys, against NumPy's sort of whole rows."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.ids.grouping import equal_rows


def by_whole_rows(rows: NDArray[np.integer]) -> NDArray[np.int64]:
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)


@settings(max_examples=200)
@given(
    st.integers(1, 60),
    st.integers(1, 40),
    st.sampled_from([1, 2, 300, 2**31 - 1, 2**62]),
    st.sampled_from([np.int32, np.int64]),
    st.integers(0, 999),
)
def test_rows_are_numbered_in_lexicographic_order(rows: int, columns: int, most: int, kind: type, seed: int) -> None:
    random = np.random.default_rng(seed)
    most = min(most, int(np.iinfo(kind).max))
    values = random.integers(-most, most, (rows, columns)).astype(kind)
    values = values[random.integers(0, rows, rows)]
    assert np.array_equal(equal_rows(values), by_whole_rows(values))


def test_columns_that_fill_a_key_are_told_apart_by_the_last() -> None:
    values = np.random.default_rng(0).integers(0, 256, (500, 32), dtype=np.int32)
    values[1] = values[0]
    values[2] = values[0]
    values[2, -1] ^= 1
    found = equal_rows(values)
    assert found[0] == found[1] != found[2]
    assert np.array_equal(found, by_whole_rows(values))


def test_of_no_rows_there_are_no_groups() -> None:
    assert len(equal_rows(np.zeros((0, 3), np.int32))) == 0
