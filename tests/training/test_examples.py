"""What an epoch trains on, against plain Python: every example once, in batches of like size and like length."""

from __future__ import annotations

import itertools
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bench.contract import Contract
from bench.data.dataset import Sequences
from bench.data.splits import Targets
from bench.training.examples import (
    Examples,
    bucketed_batches,
    draw_prompts,
    of_epoch,
    of_targets,
    one_of_each,
    rows_by_part,
    sliding_windows,
)

rows = st.lists(st.lists(st.integers(0, 50), max_size=9), max_size=8)


def pairs(examples: Examples) -> list[tuple[list[int], int]]:
    histories, items = examples.histories(), examples.items()
    return [(histories[row].tolist(), int(items[row])) for row in range(len(examples))]


@given(rows, st.integers(1, 6))
def test_every_prefix_predicts_what_came_next(sequences: list[list[int]], max_history: int) -> None:
    expected = [
        (row[max(0, position - max_history) : position], row[position])
        for row in sequences
        for position in range(1, len(row))
    ]
    assert pairs(sliding_windows(Sequences.from_rows(sequences), max_history)) == expected


@given(rows, st.integers(0, 3), st.integers(0, 5))
def test_one_window_of_every_user_who_has_one(sequences: list[list[int]], seed: int, epoch: int) -> None:
    tagged = [[100 * user + item for item in row] for user, row in enumerate(sequences)]
    windows = sliding_windows(Sequences.from_rows(tagged), 20)
    chosen = one_of_each(windows, seed, epoch)
    assert [item // 100 for item in chosen.items()] == [user for user, row in enumerate(tagged) if len(row) > 1]
    every = pairs(windows)
    assert all(pair in every for pair in pairs(chosen))


@given(rows, st.integers(1, 6))
def test_every_example_belongs_to_the_user_of_its_items(sequences: list[list[int]], max_history: int) -> None:
    tagged = [[100 * user + item for item in row] for user, row in enumerate(sequences)]
    windows = sliding_windows(Sequences.from_rows(tagged).owned(), max_history)
    expected = [item // 100 for item in windows.items().tolist()]
    user_rows = windows.histories().user_rows
    assert user_rows is not None
    assert user_rows.tolist() == expected
    some = np.arange(len(windows))[::-2]
    part = windows.histories(some).user_rows
    assert part is not None
    assert part.tolist() == [expected[position] for position in some]
    assert sliding_windows(Sequences.from_rows(tagged), max_history).histories().user_rows is None


def test_examples_of_targets_belong_to_the_users_of_the_targets() -> None:
    histories = Sequences(np.array([4, 5, 6], np.int32), np.array([0, 2, 3]), np.array([7, 3]))
    examples = of_targets(Targets(np.array([7, 3]), histories, np.array([1, 2, 0], np.int32), np.array([2, 1])))
    assert pairs(examples) == [([4, 5], 1), ([4, 5], 2), ([6], 0)]
    user_rows = examples.histories().user_rows
    assert user_rows is not None
    assert user_rows.tolist() == [7, 7, 3]


def test_the_windows_are_drawn_anew_each_epoch_and_repeat_for_a_seed() -> None:
    windows = sliding_windows(Sequences.from_rows([range(9)] * 50), 20)
    drawn = [one_of_each(windows, seed, epoch).targets.tolist() for seed, epoch in [(0, 0), (0, 0), (0, 1), (1, 0)]]
    assert drawn[0] == drawn[1]
    assert len({tuple(targets) for targets in drawn}) == 3
    positions = np.concatenate([one_of_each(windows, 0, epoch).targets % 9 for epoch in range(40)])
    assert np.bincount(positions, minlength=9)[1:].min() > 0.8 * 40 * 50 / 8  # and every window as often as another


def test_prompts_are_drawn_anew_each_epoch_all_as_often_and_repeat_for_a_seed() -> None:
    drawn = [draw_prompts(6000, range(1, 11), *key).tolist() for key in [(0, 0), (0, 0), (0, 1), (1, 0)]]
    assert drawn[0] == drawn[1]
    assert len({tuple(prompts) for prompts in drawn}) == 3
    counts = np.bincount(drawn[0], minlength=11)
    assert counts[0] == 0
    assert counts[1:].min() > 0.8 * 600
    assert draw_prompts(3, (0,), 0, 0).tolist() == [0, 0, 0]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=80), st.integers(1, 20), st.integers(0, 3))
def test_batches_hold_every_example_once_and_next_to_no_padding(lengths: list[int], size: int, epoch: int) -> None:
    batches = bucketed_batches(np.array(lengths), size, seed=0, epoch=epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    sizes = [len(batch) for batch in batches]
    assert len(sizes) == math.ceil(len(lengths) / size)
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1
    ranges = sorted((min(found), max(found)) for found in ([lengths[row] for row in batch] for batch in batches))
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(ranges))


def test_batches_come_in_an_order_of_their_own_each_epoch() -> None:
    lengths = np.repeat(np.arange(1, 9), 8)
    plans = [bucketed_batches(lengths, 8, *key) for key in [(0, 0), (0, 0), (0, 1), (1, 0)]]
    flat = [np.concatenate(plan).tolist() for plan in plans]
    assert flat[0] == flat[1]
    assert flat[0] != flat[2]
    assert flat[0] != flat[3]
    order = [int(lengths[batch[0]]) for batch in plans[0]]
    assert sorted(order) == list(range(1, 9))
    assert order != sorted(order)  # short histories first would be a curriculum


OWNERS = np.repeat([0, 1, 2, 3, 4], [10, 30, 40, 600, 760])  # of data sets of 40, 40 and 1,360 rows


@given(st.floats(0, 1), st.integers(0, 99))
def test_data_sets_are_drawn_by_size_to_a_power(power: float, epoch: int) -> None:
    rows = rows_by_part(OWNERS, (2, 1, 2), power, 0, epoch)
    assert len(set(rows.tolist())) == len(rows)
    assert (np.diff(rows) > 0).all()
    counts = np.bincount(np.digitize(OWNERS[rows], [2, 3]))
    assert counts[:2].tolist() == [40, 40]  # the smallest are whole
    assert abs(counts[2] - 40 * (1360 / 40) ** power) <= 0.5
    again = rows_by_part(OWNERS, (2, 1, 2), power, 0, epoch)
    assert np.array_equal(rows, again)


def test_every_epoch_draws_others_of_the_large() -> None:
    first, second = (set(rows_by_part(OWNERS, (2, 1, 2), 0.0, 0, epoch).tolist()) for epoch in (0, 1))
    assert len(first) == len(second) == 120
    assert first != second
    seen = set().union(*(rows_by_part(OWNERS, (2, 1, 2), 0.5, 0, epoch).tolist() for epoch in range(60)))
    assert seen == set(range(len(OWNERS)))


def test_a_power_of_one_is_every_example_and_one_data_set_has_no_parts() -> None:
    windows = sliding_windows(Sequences.from_rows([[1, 2, 3], [4, 5], [6, 7, 8, 9]]), 5)
    assert of_epoch(windows, Contract(), (2, 1), 0, 0) is windows
    assert of_epoch(windows, Contract(part_power=0.0), (), 0, 0) is windows
    drawn = of_epoch(windows, Contract(part_power=0.0), (1, 2), 0, 3)
    assert sorted(target < 4 for _, target in pairs(drawn)) == [False, False, True, True]
    one = of_epoch(windows, Contract(part_power=0.0, examples="one"), (1, 2), 0, 3)
    assert len(one) == 2
    assert all(pair in pairs(windows) for pair in pairs(drawn) + pairs(one))


def test_a_part_without_examples_is_none() -> None:
    rows = rows_by_part(np.array([0, 0, 3, 3, 3]), (1, 2, 1), 0.0, 0, 0)
    assert np.bincount(rows < 2).tolist() == [2, 2]
