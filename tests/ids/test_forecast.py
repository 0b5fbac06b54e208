"""Figures before training against loops over pairs, items and codes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy

from bench.data.dataset import ItemTable, Sequences
from bench.ids import forecast as module
from bench.ids.forecast import adjacency, apart, capacity, churn, expected, forecast, gini, perplexity, prefixes, recall
from bench.ids.identifiers import Feature, SlotIds, Template, TokenIds, VectorIds
from bench.vocabulary import Vocabulary

VOCABULARY = Vocabulary.private("abcdef")
ROWS = st.lists(st.lists(st.integers(0, 7), max_size=6), min_size=1, max_size=6)


def tokens(*codes: str) -> TokenIds:
    return TokenIds.from_lists([[3 + "abcdef".index(letter) for letter in code] for code in codes], VOCABULARY)


@given(ROWS)
def test_neighbors_are_counted_in_both_directions_and_never_across_users(rows: list[list[int]]) -> None:
    found = adjacency(Sequences.from_rows(rows), 8).toarray()
    oracle = np.zeros((8, 8))
    for row in rows:
        for one, other in itertools.pairwise(row):
            if one != other:
                oracle[one, other] += 1
                oracle[other, one] += 1
    assert np.array_equal(found, oracle)


@given(st.lists(st.integers(0, 3), min_size=2, max_size=12), st.integers(0, 99))
def test_recall_and_lift_are_shares_of_pairs(groups: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    one, other = random.integers(0, len(groups), (2, 20))
    weights = random.integers(1, 5, 20).astype(float)
    share, lift = recall(np.array(groups), one, other, weights)
    same = [float(w) for a, b, w in zip(one, other, weights, strict=True) if groups[a] == groups[b]]
    assert share == pytest.approx(sum(same) / weights.sum())
    every = list(itertools.permutations(range(len(groups)), 2))
    chance = sum(groups[a] == groups[b] for a, b in every) / len(every)
    assert lift == pytest.approx(share / chance if chance else 1.0)


@given(st.lists(st.integers(0, 3), min_size=2, max_size=9), st.integers(1, 4), st.integers(0, 99))
def test_ties_are_drawn_at_random(alike: list[int], count: int, seed: int) -> None:
    """Against many orders in which equal ones come at random."""
    random = np.random.default_rng(seed)
    item = int(random.integers(len(alike)))
    found = expected(np.array(alike, float), item, count)
    hits = np.zeros(len(alike))
    others = [other for other in range(len(alike)) if other != item]
    for _ in range(400):
        shuffled = random.permutation(others).tolist()
        hits[sorted(shuffled, key=lambda other: -alike[other])[:count]] += 1
    assert found.sum() == pytest.approx(min(count, len(others)))
    np.testing.assert_allclose(found, hits / 400, atol=0.17)


def test_a_prefix_that_follows_what_is_chosen_together_is_worth_more_than_a_category() -> None:
    """Items 0..3 and 4..7 are chosen together; the first code says so, the category does not."""
    random = np.random.default_rng(0)
    rows = [random.permutation(4) + 4 * (user % 2) for user in range(40)]
    ids = tokens("aa", "ab", "ac", "ad", "ba", "bb", "bc", "bd")
    items = ItemTable(tuple("01234567"), {"title": tuple("stuvwxyz"), "categories": tuple("PQPQPQPQ")})
    found = forecast(ids, items, Sequences.from_rows(rows))
    assert found["prefix_recall"] == [1.0]
    assert found["prefix_lift"] == [pytest.approx(56 / 24)]  # of 56 ordered pairs 24 are in a group
    assert found["category_lift"] == pytest.approx(found["category_recall"] * 56 / 24)
    assert found["category_recall"] < 0.6
    assert "text_recall" not in found


def test_neighbors_by_identifier_are_looked_for_in_every_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs of items are chosen together and have like identifiers; ten of eight items would be all of them."""
    monkeypatch.setattr(module, "NEAR", 1)
    rows = [[0, 1], [2, 3], [4, 5], [6, 7]]
    numbers = np.arange(8)
    marks = Vocabulary.private(["x"])
    codes = np.column_stack([numbers // 2, numbers % 2]).astype(np.int32)
    vectors = np.eye(4, dtype=np.float32)[numbers // 2]
    kinds = (
        tokens("aa", "ab", "ba", "bb", "ca", "cb", "da", "db"),
        SlotIds(codes * np.int32([1, 0]) + np.int32([0, 1]), (4, 2), marks, Template("x")),
        VectorIds((Feature("text", vectors, np.ones(8, bool)),), marks, Template("x")),
    )
    items = ItemTable(tuple("01234567"), {"title": tuple("stuvwxyz")})
    for ids in kinds:
        found = forecast(ids, items, Sequences.from_rows(rows), vectors)
        assert (found["neighbor_recall"], found["neighbor_lift"], found["text_recall"]) == (1.0, 7.0, 1.0)
    assert "prefix_recall" not in forecast(kinds[1], items, Sequences.from_rows(rows))
    assert "gini" not in forecast(kinds[2], items, Sequences.from_rows(rows))
    apart_from_it = tokens("aa", "ba", "ab", "bb", "ca", "da", "cb", "db")
    assert forecast(apart_from_it, items, Sequences.from_rows(rows), vectors)["neighbor_recall"] == 0.0


def test_prefixes_end_before_the_last_token() -> None:
    first, second = prefixes(tokens("aab", "aac", "ab", "b"))
    assert [len(set(groups.tolist())) for groups in (first, second)] == [2, 3]
    assert second[0] == second[1] != second[2]
    assert prefixes(tokens("a", "b")) == []


def test_capacity_is_of_thirds_of_the_interactions() -> None:
    """Item 0 makes half of them, items 1 and 2 what leads to two thirds, and the others the rest."""
    ids = tokens("aa", "ab", "ac", "ba", "ca", "cb", "cc", "cd")
    found = capacity(ids, np.array([12, 3, 3, 3, 1, 1, 1, 0]))
    assert found == {"capacity_head": 1.0, "capacity_middle": 1 / 2, "capacity_tail": 2 / 5}
    assert capacity(tokens("a", "b"), np.array([1, 1])) == {"capacity_head": 1.0, "capacity_middle": 1.0}


@given(st.lists(st.integers(1, 30), min_size=1, max_size=12))
def test_evenness_is_as_defined(counts: list[int]) -> None:
    mean_difference = np.mean([abs(a - b) for a in counts for b in counts])
    assert gini(np.array(counts)) == pytest.approx(mean_difference / (2 * np.mean(counts)))
    assert perplexity(np.array(counts)) == pytest.approx(np.exp(entropy(counts)))


def test_dead_codes_are_a_share_of_those_there_are() -> None:
    marks = Vocabulary.private(["x"])
    ids = SlotIds(np.array([[0, 0], [1, 0], [1, 0]], np.int32), (4, 2), marks, Template("x"))
    found = module.evenness(ids)
    assert found["dead_codes"] == [0.5, 0.5]
    assert found["perplexity"] == [pytest.approx(np.exp(entropy([1, 2]))), 1.0]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=10))
def test_two_fits_are_as_far_apart_as_their_pairs(rows: list[tuple[int, int]]) -> None:
    one, other = (np.array(column) for column in zip(*rows, strict=True))
    pairs = [
        {(a, b) for a, b in itertools.combinations(range(len(rows)), 2) if groups[a] == groups[b]}
        for groups in (one, other)
    ]
    union = pairs[0] | pairs[1]
    assert apart(one, other) == pytest.approx(1 - len(pairs[0] & pairs[1]) / len(union) if union else 0.0)


def test_what_codes_are_called_does_not_count() -> None:
    assert churn(tokens("aa", "ab", "ba"), tokens("ca", "cb", "da")) == 0.0
    assert churn(tokens("aa", "ab", "ba"), tokens("ca", "da", "db")) == 1.0
