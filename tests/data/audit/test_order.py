"""What is said of the order of interactions, against counting by hand."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bench.data.audit.order import order, time_notes
from bench.data.dataset import Dataset, ItemTable, Sequences
from bench.data.formats import read_atomic
from bench.data.ties import arranged


def dataset_of(times: list[list[float]]) -> Dataset:
    rows = [[(user + position) % 5 for position in range(len(row))] for user, row in enumerate(times)]
    users = tuple(f"u{user}" for user in range(len(times)))
    return Dataset("d", users, ItemTable(tuple("abcde"), {}), Sequences.from_rows(rows), np.concatenate(times))


def test_ids_inside_ties_ascend_as_the_rule_has_them(bundles: Dataset) -> None:
    by_id, by_digest = order(arranged(bundles, "id")), order(arranged(bundles, "digest"))
    assert by_id.tied == by_digest.tied == 1.0
    assert not by_id.timeless
    assert by_id.ascending_in_ties == 1.0
    assert by_digest.ascending_in_ties == pytest.approx(0.5, abs=0.05)
    assert math.isnan(by_id.ascending_in_ties_of_file)


def test_neighbors_by_hand(dated: Dataset) -> None:
    pairs, tied_up, ties = [], [], []
    for user in range(len(dated.users)):
        begin = dated.sequences.offsets[user]
        for at, (one, other) in enumerate(pairwise(dated.sequences[user].tolist())):
            same = dated.times[begin + at] == dated.times[begin + at + 1]
            ties.append(same)
            if one != other:
                pairs.append(other > one)
                tied_up += [other > one] if same else []
    found = order(dated)
    assert found.ascending == pytest.approx(np.mean(pairs))
    assert found.ascending_in_ties == pytest.approx(np.mean(tied_up))
    assert not found.positional


def test_the_order_of_the_file_is_seen_through_that_of_the_reader(tmp_path: Path) -> None:
    """Ties are read in digest order; a file sorted by item stays known as one."""
    random = np.random.default_rng(0)
    taken = sorted((f"i{random.integers(900):03d}", f"u{n % 40:02d}", n % 3) for n in range(800))
    lines = ["user_id:token\titem_id:token\ttimestamp:float", *(f"{u}\t{i}\t{t}" for i, u, t in taken)]
    (tmp_path / "shop.inter").write_text("\n".join(lines) + "\n")
    found = order(read_atomic(tmp_path))
    assert found.ascending_in_ties_of_file == 1.0
    assert found.ascending_in_ties == pytest.approx(0.5, abs=0.1)


def test_every_run_says_where_time_stamps_say_nothing() -> None:
    """All equal; years, of which each holds several; and a third in ties, which is nothing to speak of."""
    zeros, years = dataset_of([[0.0] * 8] * 3), dataset_of([[2014.0] * 4 + [2015.0] * 4] * 3)
    for dataset in (zeros, years):
        (note,) = time_notes(dataset)
        assert note.startswith("100 % of the interactions have the same time stamp as a neighbor")
        assert "nothing sequential can be learned or measured" in note
    assert order(zeros).timeless
    assert not order(years).timeless
    (note,) = time_notes(dataset_of([[0.0, 0.0, 1.0, 2.0, 2.0]] * 3))
    assert note.startswith("80 % of the interactions")
    assert time_notes(dataset_of([[0.0, 1.0, 1.0, 2.0, 3.0, 4.0]] * 3)) == ()
