"""The figures of identifiers against counts over lists."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.ids.diagnostics import figures
from bench.ids.scheme import TokenIds
from bench.ids.vocabulary import Vocabulary

VOCABULARY = Vocabulary.private("abcd")
CODES = st.lists(st.lists(st.integers(3, 6), min_size=1, max_size=3), min_size=1, max_size=15)


@given(CODES, st.data())
def test_figures_are_the_counts(codes: list[list[int]], data: st.DataObject) -> None:
    tested = data.draw(st.lists(st.integers(0, len(codes) - 1), min_size=1, max_size=20))
    found = figures(TokenIds.from_lists(codes, VOCABULARY), np.array(tested, np.int32))
    ragged = len({len(code) for code in codes}) > 1
    lengths = [len(code) + ragged for code in codes]
    group = [codes.count(code) for code in codes]
    assert found == {
        "tokens_mean": pytest.approx(sum(lengths) / len(codes)),
        "tokens_max": max(lengths),
        "vocabulary": 7,
        "collision_rate": pytest.approx(sum(size > 1 for size in group) / len(codes)),
        "collision_rate_test": pytest.approx(sum(group[item] > 1 for item in tested) / len(tested)),
        "largest_group": max(group),
        "template": {"before": "", "separator": "", "after": ""},
    }


def test_collisions_weigh_as_often_as_they_are_tested() -> None:
    ids = TokenIds.from_lists([[3, 4], [3, 4], [5, 5], [6, 6]], VOCABULARY)
    found = figures(ids, np.array([0, 2, 2, 2], np.int32))
    assert (found["collision_rate"], found["collision_rate_test"], found["largest_group"]) == (0.5, 0.25, 2)


def test_the_end_counts_only_where_it_is_written() -> None:
    tested = np.array([0], np.int32)
    fixed = figures(TokenIds.from_lists([[3, 4], [5, 6]], VOCABULARY), tested)
    ragged = figures(TokenIds.from_lists([[3, 4], [5]], VOCABULARY), tested)
    assert (fixed["tokens_mean"], fixed["tokens_max"]) == (2, 2)
    assert (ragged["tokens_mean"], ragged["tokens_max"]) == (2.5, 3)


def test_a_prefix_is_no_collision() -> None:
    found = figures(TokenIds.from_lists([[3], [3, 4]], VOCABULARY), np.array([0, 1], np.int32))
    assert (found["collision_rate"], found["largest_group"]) == (0.0, 1)
