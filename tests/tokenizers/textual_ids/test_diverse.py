"""Diverse beam search in groups of one, against what Transformers 4.26 found."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from textual_ids.diverse import Found, Search, diverse_beams
from textual_ids.generator import Writer, padded, unwritable

from bench.backbone import huggingface


def found(writer: Writer, search: Search, rows: slice = slice(None)) -> Found:
    tokens, mask = padded(writer.sources[rows], writer.vocabulary.pad, "cpu")
    cache = writer.model.start(writer.model.encode(tokens, mask), mask)
    forbidden = unwritable(writer.vocabulary, writer.model)
    return diverse_beams(writer.model, cache, search, writer.vocabulary.pad, writer.vocabulary.eos, forbidden)


RECORDED = Path(__file__).parent / "diverse_beams"
LISTS = json.loads((RECORDED / "lists.json").read_text())


@pytest.mark.parametrize("recorded", LISTS["found"], ids=lambda recorded: f"search={recorded['search']}")
@pytest.mark.parametrize("at_once", [1, 40])
def test_it_finds_what_transformers_finds(recorded: dict[str, Any], at_once: int) -> None:
    """Their 4.26, recorded by ``diverse_beams/record.py``: every list in full, texts one by one or together."""
    model = huggingface.load(RECORDED).eval()
    forbidden = torch.zeros(model.config.vocabulary, dtype=torch.bool)
    forbidden[[0, 2]] = True
    for start in range(0, 40, at_once):
        tokens, mask = padded(LISTS["sources"][start : start + at_once], 0, "cpu")
        with torch.no_grad():
            cache = model.start(model.encode(tokens, mask), mask)
        got = diverse_beams(model, cache, Search(*recorded["search"]), 0, 1, forbidden)
        for text, expected in enumerate(recorded["lists"][start : start + at_once]):
            written = zip(got.tokens[text].tolist(), got.lengths[text], strict=True)
            assert [tokens[:length] for tokens, length in written] == [tokens for *_, tokens in expected]
            assert got.ended[text].tolist() == [ended for _, ended, _ in expected]
            assert got.scores[text].tolist() == pytest.approx([score for score, *_ in expected], abs=1e-3)


def test_what_was_recorded_ends_early_and_is_cut() -> None:
    """Else it would not tell one stopping rule from another."""
    assert LISTS["transformers"].startswith("4.26.")
    assert len(LISTS["sources"]) == 40
    found = [entry for recorded in LISTS["found"] for entries in recorded["lists"] for entry in entries]
    ended = np.array([ended for _, ended, _ in found])
    lengths = np.array([len(tokens) for *_, tokens in found])
    assert 0.4 < ended.mean() < 1
    assert (lengths[ended] < 5).mean() > 0.2


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
