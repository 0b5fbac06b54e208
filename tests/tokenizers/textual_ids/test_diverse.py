"""Diverse beam search in groups of one, against the same without cache and batch."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from textual_ids.diverse import Found, Search, diverse_beams
from textual_ids.generator import Writer, padded, unwritable

SEARCHES = [Search(1.0, 1, 11, 6), Search(9.0, 1, 7, 5), Search(2.0, 5, 8, 4), Search(0.0, 1, 6, 3)]


def found(writer: Writer, search: Search, rows: slice = slice(None)) -> Found:
    tokens, mask = padded(writer.sources[rows], writer.vocabulary.pad, "cpu")
    cache = writer.model.start(writer.model.encode(tokens, mask), mask)
    forbidden = unwritable(writer.vocabulary, writer.model)
    return diverse_beams(writer.model, cache, search, writer.vocabulary.pad, writer.vocabulary.eos, forbidden)


@pytest.mark.parametrize("search", SEARCHES)
def test_it_finds_what_the_definition_says(
    writer: Callable[..., Writer], oracle: SimpleNamespace, search: Search
) -> None:
    made = writer()
    got = found(made, search)
    for text, source in enumerate(made.sources):
        expected = oracle.beams(made.model, source, search, made.vocabulary)
        assert len(expected) == search.groups
        for place, prefix in enumerate(expected):
            length = int(got.lengths[text, place])
            assert got.tokens[text, place, :length].tolist() == prefix.tokens
            assert bool(got.ended[text, place]) == prefix.ended
            assert float(got.scores[text, place]) == pytest.approx(prefix.score, rel=1e-4, abs=1e-4)
    assert got.ended.any()
    assert not got.ended.all()


def test_a_high_penalty_makes_groups_differ(writer: Callable[..., Writer]) -> None:
    """With none, groups are copies of one another, but for what ends."""
    made = writer()
    same, apart = (found(made, Search(penalty, 12, 12, 5)).tokens for penalty in (0.0, 50.0))
    for text, (one, other) in itertools.product(range(len(same)), itertools.combinations(range(5), 2)):
        assert torch.equal(same[text, one], same[text, other])
        assert not (apart[text, one] == apart[text, other]).any()


def test_nothing_ends_before_the_shortest_length_or_is_longer_than_the_longest(writer: Callable[..., Writer]) -> None:
    got = found(writer(), Search(1.0, 5, 8, 6))
    assert got.lengths[got.ended].min() >= 4  # and the start token
    assert (got.lengths[~got.ended] == 7).all()
    assert not torch.isin(got.tokens, torch.tensor([0, 2])).logical_and(lengthwise(got)).any()


def lengthwise(got: Found) -> torch.Tensor:
    """Which tokens count."""
    return torch.arange(got.tokens.shape[-1]) < got.lengths[..., None]
