"""How a test target stands to the newest item, against looking at every user."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from bench.data.dataset import Dataset
from bench.data.global_time import global_time
from bench.data.joined import join, part_range, restricted
from bench.data.splits import Split, leave_one_out
from bench.data.steps import leave_one_step_out
from bench.evaluation.metrics import Ranks
from bench.results.write import per_user_table
from bench.runs.described import described


@pytest.mark.parametrize("shown", [True, False])
def test_each_user_by_hand(dated: Dataset, shown: bool) -> None:
    split = leave_one_out(dated, max_history=2, validation_in_test_history=shown)
    found = described(dated, split)
    trained = {pair for user in range(60) for pair in pairwise(dated.sequences[user].tolist()[:-2])}
    for row, user in enumerate(split.test.users):
        sequence, times = dated.sequences[user].tolist(), dated.times[dated.sequences.offsets[user] :][:10]
        newest = -2 if shown else -3
        assert found["ascends"][row] == (sequence[-1] > sequence[newest])
        assert found["tied"][row] == (times[-1] == times[newest])
        assert found["transition_seen"][row] == ((sequence[newest], sequence[-1]) in trained)


def test_positions_do_not_tie(toy: Dataset) -> None:
    assert list(described(toy, leave_one_out(toy))) == ["ascends", "transition_seen"]


def test_where_a_user_has_several_targets_none_is_the_next(dated: Dataset) -> None:
    assert described(dated, global_time(dated)) == {}
    assert described(dated, leave_one_step_out(dated)) == {}


def test_a_part_of_a_joined_data_set_is_described_as_alone(dated: Dataset, toy: Dataset) -> None:
    both = join([toy, dated])
    at = part_range(both, dated)
    assert at is not None
    part, alone = described(dated, restricted(leave_one_out(both), dated, at)), described(dated, leave_one_out(dated))
    for name, values in alone.items():
        assert part[name].tolist() == values.tolist()


def test_the_table_holds_it_beside_all_that_came_before(dated: Dataset) -> None:
    split: Split = leave_one_out(dated, max_history=2)
    ranks = Ranks.of_items(np.ones(len(split.test)))
    table = per_user_table(dated, split, ranks, described=described(dated, split))
    assert set(table["history_length"]) == {2}
    assert table["interactions_before"].tolist() == [len(dated.sequences[user]) - 1 for user in split.test.users]
    assert table["tied"].tolist() == described(dated, split)["tied"].tolist()
