"""Ragged sequences against lists, and content hashes that notice every change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.dataset import Dataset, ItemTable, Sequences, TrainView

ROWS = st.lists(st.lists(st.integers(0, 50), max_size=6), max_size=8)
ITEMS = ItemTable(("a", "b", "c"), {"title": ("one", "two", "")})
SEQUENCES = Sequences.from_rows([[0, 1], [2]])


def lists(sequences: Sequences) -> list[list[int]]:
    return [sequences[row].tolist() for row in range(len(sequences))]


@given(ROWS)
def test_rows_come_back_as_they_went_in(rows: list[list[int]]) -> None:
    sequences = Sequences.from_rows(rows)
    assert lists(sequences) == rows
    assert sequences.lengths.tolist() == [len(row) for row in rows]
    assert sequences.values.dtype == np.int32
    assert sequences.offsets.dtype == np.int64


@given(ROWS, st.integers(0, 7))
def test_newest_is_the_tail_of_each_list(rows: list[list[int]], count: int) -> None:
    newest = Sequences.from_rows(rows).newest(count)
    assert lists(newest) == [row[max(0, len(row) - count) :] for row in rows]


@given(ROWS.filter(len), st.data())
def test_rows_and_slices_equal_list_indexing(rows: list[list[int]], data: st.DataObject) -> None:
    sequences = Sequences.from_rows(rows)
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1)))
    assert lists(sequences.rows(np.array(chosen, np.int64))) == [rows[row] for row in chosen]
    cuts = [sorted(data.draw(st.tuples(*[st.integers(0, len(row))] * 2))) for row in rows]
    starts, stops = sequences.offsets[:-1] + np.array(cuts).T
    assert lists(sequences.slice(starts, stops)) == [row[a:b] for row, (a, b) in zip(rows, cuts, strict=True)]


def test_rows_keep_their_owners_and_slices_are_told() -> None:
    sequences = Sequences.from_rows([[0, 1], [], [2]]).owned()
    assert sequences.newest(1).user_rows is not None
    assert sequences.newest(1).user_rows.tolist() == [0, 1, 2]
    chosen = sequences.rows(np.array([2, 0, 2]))
    assert chosen.user_rows is not None
    assert chosen.user_rows.tolist() == [2, 0, 2]
    assert sequences.slice(sequences.offsets[:-1], sequences.offsets[1:]).user_rows is None
    assert SEQUENCES.rows(np.array([1])).user_rows is None
    assert SEQUENCES.newest(1).user_rows is None


def test_a_slice_is_a_copy() -> None:
    """A view would reach what was cut off, through its ``base``."""
    part = SEQUENCES.slice(SEQUENCES.offsets[:-1], SEQUENCES.offsets[1:] - 1)
    assert part.values.base is None
    assert not np.shares_memory(part.values, SEQUENCES.values)


DATASET = Dataset("tiny", ("u", "v"), ITEMS, SEQUENCES, np.arange(3.0))


@pytest.mark.parametrize(
    "change",
    [
        {"users": ("u", "w")},
        {"users": ("uv", "")},
        {"items": ItemTable(("a", "b", "d"), ITEMS.text)},
        {"items": ItemTable(ITEMS.ids, {"title": ("one", "", "two")})},
        {"items": ItemTable(ITEMS.ids, {"name": ITEMS.text["title"]})},
        {"items": ItemTable(ITEMS.ids, {})},
        {"sequences": Sequences.from_rows([[1, 0], [2]])},
        {"sequences": Sequences.from_rows([[0], [1, 2]])},
    ],
)
def test_the_fingerprint_notices(change: dict[str, object]) -> None:
    assert replace(DATASET, **change).fingerprint != DATASET.fingerprint  # type: ignore[arg-type]


def test_the_fingerprint_is_the_same_in_every_process_and_version() -> None:
    """Written down once: a change here throws away everybody's cached artifacts, and must be meant."""
    assert replace(DATASET, name="other", notes=("a remark",)).fingerprint == DATASET.fingerprint == "1e8f286ad23c208b"


def test_a_training_view_is_keyed_by_content_and_seed() -> None:
    view = TrainView("tiny", ITEMS, SEQUENCES, seed=0)
    assert view.fingerprint == TrainView("renamed", ITEMS, Sequences.from_rows([[0, 1], [2]]), seed=0).fingerprint
    assert view.fingerprint != replace(view, seed=1).fingerprint
    assert view.fingerprint != replace(view, sequences=Sequences.from_rows([[0, 1], [1]])).fingerprint


def test_a_training_view_gives_the_same_randomness_each_time_it_is_asked() -> None:
    view = TrainView("tiny", ITEMS, SEQUENCES, seed=7)
    assert view.random().random() == view.random().random() != replace(view, seed=8).random().random()
