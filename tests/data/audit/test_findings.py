"""What an audit says in words, and that machines can read it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.data import sources
from bench.data.audit.conclusion import _ids
from bench.data.audit.findings import VERSION, audit
from bench.data.audit.order import Order
from bench.data.dataset import Dataset, ItemTable, Sequences
from bench.data.ties import arranged


def test_a_planted_order_of_ids_is_named_and_measured(bundles: Dataset) -> None:
    by_id = audit(arranged(bundles, "id"))
    assert "inside ties, as the data set has them, 100 % of neighbors ascend in item id" in by_id.conclusion.lower()
    assert "an id tells of the next item" in by_id.conclusion
    assert "rests on ties" in by_id.summary
    by_digest = audit(arranged(bundles, "digest"))
    assert "ids don't tell the next item" in by_digest.conclusion
    assert "ascend in item id: ties follow" not in by_digest.conclusion


def test_toys_in_one_sentence_and_yelp_that_it_does_not_hold(real_data: Path) -> None:
    toys = audit(sources.find("toys", real_data), draws=1)
    assert toys.core
    assert toys.merged_users == 50
    assert (
        "75 % of test items have a higher id than the item before them, and 93 % of those that a Markov chain hits, "
        "where chance is about 50 %: an id tells of the next item."
    ) in toys.conclusion
    assert "at most .02" in toys.summary
    if (real_data / "yelp").exists():
        yelp = audit(sources.find("yelp", real_data), draws=1)
        assert (
            "49 % of test items have a higher id than the item before them, and 38 % of those that a Markov chain "
            "hits: chance is about 50 %, and ids don't tell the next item."
        ) in yelp.conclusion


def test_time_stamps_that_say_nothing_are_the_first_thing_said(toy: Dataset) -> None:
    found = audit(replace(toy, times=np.zeros(len(toy.times))))
    assert found.conclusion.startswith(
        "toy: 100 % of the interactions tie in time with another of their user: the order "
    )
    assert "nothing sequential can be learned or measured" in found.conclusion
    assert found.summary.startswith("100 % tied in time")


def test_positions_are_named(toy: Dataset) -> None:
    assert audit(toy).conclusion.startswith("toy: The time stamps are positions, not times")
    assert "at least" in audit(toy).summary


def test_users_who_lost_rows_are_said(toy: Dataset) -> None:
    times = toy.times.copy()
    times[toy.sequences.offsets[3] : toy.sequences.offsets[4]] += 1  # begins at 1, as after a lost first row
    found = audit(replace(toy, times=times))
    assert found.conclusion.startswith(
        "toy: The time stamps are positions, not times (of all but 1 users, who have lost"
    )
    assert found.order.unnumbered == 1


def test_plain_values_are_json_and_repeat(toy: Dataset) -> None:
    found = audit(toy).plain()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found == audit(toy).plain()
    assert found["version"] == VERSION
    assert found["order"]["ascending_in_ties"] is None  # NaN: nothing ties
    assert found["core"] is (min(found["fewest"]) >= 5)
    taken = np.bincount(toy.sequences.values, minlength=30)
    assert found["fewest"] == [min(toy.sequences.lengths.tolist()), min(taken.tolist())]


@pytest.mark.parametrize("rows", [[[0]], [[0, 1], [1]], [[0, 0, 0]]])
def test_the_smallest_data_have_an_audit(rows: list[list[int]]) -> None:
    sequences = Sequences.from_rows(rows)
    users = tuple(map(str, range(len(rows))))
    found = audit(Dataset("d", users, ItemTable(("a", "b"), {}), sequences, np.zeros(len(sequences.values))))
    json.dumps(found.plain(), allow_nan=False)
    assert ("nobody has the three" in found.conclusion.lower()) == (len(rows[0]) < 3)


def test_few_ties_say_nothing_of_ids() -> None:
    """Nine of fifteen ascend: chance has that, and more, in three of ten data sets."""
    few = Order(False, 0, False, 0.03, 0.5, 0.6, 0.6, 15)
    many = replace(few, pairs_in_ties=5000)
    assert not _ids(few, None)
    assert len(_ids(many, None)) == 2


def test_what_is_odd_about_users_and_items_is_said_under_every_table(toy: Dataset) -> None:
    texts = ("", "one", "one", *(f"thing {item}" for item in range(3, 30)))
    odd = audit(replace(toy, items=ItemTable(toy.items.ids, {"title": texts})))
    assert odd.summary.endswith("; 1 items have no text; 2 items have the text of another item")
    assert odd.conclusion.endswith(" 1 items have no text. 2 items have the text of another item.")
    assert audit(replace(toy, items=ItemTable(toy.items.ids, {}))).summary.endswith("; no item has text")
    assert "text" not in audit(toy).summary
