"""Statistics of identifiers against counts over lists."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.ids.diagnostics import by_position, drift, nearest, siblings, stats
from bench.ids.identifiers import TokenIds
from bench.vocabulary import Vocabulary

VOCABULARY = Vocabulary.private("abcd")
CODES = st.lists(st.lists(st.integers(3, 6), min_size=1, max_size=3), min_size=1, max_size=15)


@given(CODES, st.data())
def test_figures_are_the_counts(codes: list[list[int]], data: st.DataObject) -> None:
    tested = data.draw(st.lists(st.integers(0, len(codes) - 1), min_size=1, max_size=20))
    found = stats(TokenIds.from_lists(codes, VOCABULARY), np.array(tested, np.int32))
    ragged = len({len(code) for code in codes}) > 1
    lengths = [len(code) + ragged for code in codes]
    group = [codes.count(code) for code in codes]
    assert found == by_position(TokenIds.from_lists(codes, VOCABULARY)) | {
        "tokens_mean": pytest.approx(sum(lengths) / len(codes)),
        "tokens_max": max(lengths),
        "vocabulary": 7,
        "collision_rate": pytest.approx(sum(size > 1 for size in group) / len(codes)),
        "collision_rate_test": pytest.approx(sum(group[item] > 1 for item in tested) / len(tested)),
        "largest_group": max(group),
    }


def test_collisions_weigh_as_often_as_they_are_tested() -> None:
    ids = TokenIds.from_lists([[3, 4], [3, 4], [5, 5], [6, 6]], VOCABULARY)
    found = stats(ids, np.array([0, 2, 2, 2], np.int32))
    assert (found["collision_rate"], found["collision_rate_test"], found["largest_group"]) == (0.5, 0.25, 2)


def test_the_end_counts_only_where_it_is_written() -> None:
    tested = np.array([0], np.int32)
    fixed = stats(TokenIds.from_lists([[3, 4], [5, 6]], VOCABULARY), tested)
    ragged = stats(TokenIds.from_lists([[3, 4], [5]], VOCABULARY), tested)
    assert (fixed["tokens_mean"], fixed["tokens_max"]) == (2, 2)
    assert (ragged["tokens_mean"], ragged["tokens_max"]) == (2.5, 3)


def test_a_prefix_is_no_collision() -> None:
    found = stats(TokenIds.from_lists([[3], [3, 4]], VOCABULARY), np.array([0, 1], np.int32))
    assert (found["collision_rate"], found["largest_group"]) == (0.0, 1)


@given(CODES)
def test_places_are_counts_over_lists(codes: list[list[int]]) -> None:
    found = by_position(TokenIds.from_lists(codes, VOCABULARY))
    for position in range(max(map(len, codes))):
        there = [code[position] for code in codes if len(code) > position]
        shares = [there.count(token) / len(there) for token in set(there)]
        prefixes = [tuple(code[: position + 1]) for code in codes]
        assert found["distinct_tokens"][position] == len(shares)
        assert found["entropy_bits"][position] == pytest.approx(-sum(share * math.log2(share) for share in shares))
        alike = sum(prefixes.count(prefix) > 1 for prefix in prefixes) / len(codes)
        assert found["shared_prefix"][position] == pytest.approx(alike)
    assert "codebook_use" not in found


def test_codebooks_are_used_in_part() -> None:
    ids = TokenIds.from_lists([[3, 5], [3, 6], [4, 6]], VOCABULARY)
    known = TokenIds(ids.tokens, ids.lengths, VOCABULARY, codebooks=(4, 2))
    assert by_position(known)["codebook_use"] == [0.5, 1.0]


@given(st.integers(1, 5), st.integers(1, 6), st.randoms(use_true_random=False))
def test_drift_is_the_mean_over_all_pairs_at_a_distance(variants: int, items: int, random: Random) -> None:
    tokens = np.array([[[random.randint(3, 5) for _ in range(2)] for _ in range(items)] for _ in range(variants)])
    ids = TokenIds(tokens.astype(np.int32), np.full((variants, items), 2, np.int32), VOCABULARY)
    found = drift(ids)
    for distance in range(1, variants):
        pairs = [
            (tokens[one, item].tolist(), tokens[one + distance, item].tolist())
            for one in range(variants - distance)
            for item in range(items)
        ]
        assert found["any"][distance - 1] == pytest.approx(sum(a != b for a, b in pairs) / len(pairs))
        assert found["first"][distance - 1] == pytest.approx(sum(a[0] != b[0] for a, b in pairs) / len(pairs))
    assert len(found["any"]) == len(found["first"]) == variants - 1


@given(CODES, st.data())
def test_siblings_share_most_first_tokens(codes: list[list[int]], data: st.DataObject) -> None:
    item = data.draw(st.integers(0, len(codes) - 1))
    ids = TokenIds.from_lists(codes, VOCABULARY)

    def shared(other: list[int]) -> int:
        return next(
            (n for n, (a, b) in enumerate(zip(codes[item], other, strict=False)) if a != b),
            min(len(codes[item]), len(other)),
        )

    expected = sorted((-shared(code), other) for other, code in enumerate(codes) if other != item)
    assert siblings(ids, item, 4) == [(other, {"shared": -negative}) for negative, other in expected[:4] if negative]


@given(st.lists(st.integers(0, 6), min_size=2, max_size=30), st.integers(0, 10**6))
def test_the_last_bits_of_a_likeness_decide_nothing(grades: list[int], seed: int) -> None:
    """Equal cosines come in catalogue order, whatever the machine makes of their last digits."""
    exact = np.array(grades) / 8 + 0.01
    computed = exact + np.random.default_rng(seed).uniform(-1e-6, 1e-6, len(exact))
    item = seed % len(exact)
    expected = sorted((other for other in range(len(exact)) if other != item), key=lambda other: -exact[other])
    assert nearest(computed, item, 5) == expected[:5]
