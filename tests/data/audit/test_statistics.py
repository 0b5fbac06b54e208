"""Statistics against plain loops and against the published figures."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from statistics import mean, median

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.audit import order_notes, rows, statistics
from bench.data.audit.statistics import Statistics
from bench.data.dataset import Dataset, ItemTable, Sequences
from bench.data.formats import read_atomic

Log = list[list[tuple[int, int]]]  # (item, time) of each user
TEXT = {"title": ("A", "", " ", "D"), "brand": ("", "", "", "d")}
LOGS = st.lists(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=26), min_size=1, max_size=5
)


def dataset_of(log: Log) -> Dataset:
    log = [sorted(row, key=lambda pair: pair[1]) for row in log]
    sequences = Sequences.from_rows([[item for item, _ in row] for row in log])
    times = np.array([time for row in log for _, time in row], float)
    return Dataset("d", tuple(f"u{user}" for user in range(len(log))), ItemTable(tuple("abcd"), TEXT), sequences, times)


def slow(dataset: Dataset) -> Statistics:
    sequences = [dataset.sequences[user].tolist() for user in range(len(dataset.users))]
    times = [part.tolist() for part in np.split(dataset.times, dataset.sequences.offsets[1:-1])]
    lengths = [len(row) for row in sequences]
    total = sum(lengths)
    tied = sum(row[at] in row[max(0, at - 1) : at] + row[at + 1 : at + 2] for row in times for at in range(len(row)))
    steps = [b - a for row in sequences for a, b in pairwise(row) if a != b]
    training = [row[:-2] if len(row) >= 3 else row for row in sequences]
    tested = [row for row in sequences if len(row) >= 3]
    seen = {item for row in training for item in row}
    return Statistics(
        users=len(lengths),
        items=4,
        interactions=total,
        density=total / (4 * len(lengths)),
        mean_per_user=mean(lengths),
        median_per_user=median(lengths),
        fewest_per_user=min(lengths),
        most_per_user=max(lengths),
        mean_per_item=total / 4,
        long_users=mean(length > 20 for length in lengths),
        short_users=sum(length < 3 for length in lengths),
        tied_in_time=tied / total,
        repeated_pairs=total - len({(user, item) for user, row in enumerate(sequences) for item in row}),
        ascending=mean(step > 0 for step in steps) if steps else math.nan,
        items_without_text=2,
        text_columns=("title", "brand"),
        training_examples=sum(at > 0 for row in training for at in range(len(row))),
        unseen_targets=mean(row[-1] not in seen for row in tested) if tested else math.nan,
        repeated_targets=mean(row[-1] in row[:-1] for row in tested) if tested else math.nan,
    )


@given(LOGS)
def test_equals_plain_loops(log: Log) -> None:
    dataset = dataset_of(log)
    found, expected = vars(statistics(dataset)), vars(slow(dataset))
    assert found.pop("text_columns") == expected.pop("text_columns")
    assert found == pytest.approx(expected, nan_ok=True)


def test_rows_are_labeled_text() -> None:
    found = dict(rows(dataset_of([[(0, 0), (1, 0), (2, 1), (1, 2)], [(3, 0)]])))
    assert found["users"] == "2"
    assert found["sparsity"] == "37.50 %"
    assert found["interactions per user: mean, median"] == "2.50, 2.5"
    assert found["interactions tied in time with a neighbor"] == "40.00 %"
    assert found["text columns"] == "title, brand"
    assert found["leave-one-out: training examples (sliding window)"] == "1"
    assert found["leave-one-out: test targets repeated from the history"] == "100.00 %"


def test_shares_of_nothing_are_none() -> None:
    found = dict(rows(dataset_of([[(0, 0), (1, 1)]])))
    assert found["leave-one-out: test targets unseen in training"] == "none"
    assert found["neighbors in ascending order of item id"] == "100.00 %"


def test_items_without_any_text_column_have_no_text() -> None:
    bare = Dataset("d", ("u",), ItemTable(("a", "b"), {}), Sequences.from_rows([[0, 1]]), np.arange(2.0))
    assert statistics(bare).items_without_text == 2
    assert dict(rows(bare))["text columns"] == "none"


def test_sequences_sorted_by_item_id_are_noticed(tmp_path: Path) -> None:
    ascending = [[1, 2, 2, 3, 9]] * 40
    assert order_notes(Sequences.from_rows(ascending))[0].startswith("100.00 % of neighboring interactions")
    assert order_notes(Sequences.from_rows(ascending[:30])) == ()  # too few to tell
    assert "sorted by id" not in order_notes(Sequences.from_rows([*ascending, [4, 3, 2]]))[0]  # 120 of 122 pairs
    log = "".join(f"u{user}\ti{at}\t{at}\n" for user in range(30) for at in range(5))
    (tmp_path / "d.inter").write_text(f"user_id:token\titem_id:token\ttimestamp:float\n{log}")
    assert "sorted by id instead of time" in read_atomic(tmp_path).notes[-1]


def test_ties_that_were_broken_by_item_id_are_noticed() -> None:
    random = np.random.default_rng(0)
    days = [np.sort(random.choice(1000, (2, 3), replace=False)).ravel() for _ in range(400)]  # two days of three items
    (note,) = order_notes(Sequences.from_rows(days))
    share = np.mean(np.concatenate([np.diff(row) > 0 for row in days]))
    assert 0.8 < share < 0.99
    assert note.startswith(f"{100 * share:.2f} % of neighboring interactions are in ascending order of item id, where ")
    assert "ties in time may have been broken by item id" in note
    assert order_notes(Sequences.from_rows([random.permutation(row) for row in days])) == ()


@pytest.mark.parametrize(
    ("name", "figures"),
    [("toys", (19_412, 11_924, 167_597, 109_361, 0.0144)), ("beauty", (22_363, 12_101, 198_502, 131_413, 0.0062))],
)
def test_published_figures_of_real_data(real_data: Path, name: str, figures: tuple[int, int, int, int, float]) -> None:
    dataset = read_atomic(real_data / name)
    found = statistics(dataset)
    assert (found.users, found.items, found.interactions, found.training_examples) == figures[:4]
    assert found.unseen_targets == pytest.approx(figures[4], abs=5e-5)
    assert (found.repeated_targets, found.repeated_pairs, found.tied_in_time, found.short_users) == (0, 0, 0, 0)
    assert 0.69 < found.ascending < 0.73
    assert 0.04 < found.long_users < 0.08
    assert order_notes(dataset.sequences)[0] in dataset.notes
