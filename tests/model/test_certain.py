"""Prefixes after which nothing is open any more: not decoded where scores are normalized by prefix."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.backbone.t5 import T5, Cache
from bench.ids.identifiers import TokenIds
from bench.model.beam import Scoring, beam_search, score_all
from bench.model.branches import Branches
from bench.model.certified import certified_search
from bench.model.trie import Trie
from bench.vocabulary import Vocabulary

MakeT5 = Callable[..., T5]
VOCABULARY = Vocabulary.private("abcdefgh")
CODES = [[3, 4, 5, 6], [3, 4, 5, 7], [3, 5, 5, 5], [4, 4, 4, 4], [5, 6, 7, 8], [5, 6, 8, 8]]
OPEN = [(), (3,), (3, 4), (3, 4, 5), (5,), (5, 6)]  # more than one identifier goes on from each
SEARCHES = [partial(beam_search, width=8), certified_search]


def exact(model: T5, cache: Cache, trie: Trie, k: int, scoring: Scoring) -> Tensor:
    return score_all(model, cache, trie, scoring)


def searched(t5: MakeT5, monkeypatch: pytest.MonkeyPatch, search: Callable[..., object], normalize: str) -> list[int]:
    """Prefixes that are decoded at a time, for one user and a beam that holds the whole catalogue."""
    model, calls = t5(vocabulary=VOCABULARY.size), list[int]()
    kind: Any = Branches if search is certified_search else T5  # whose rows are padded
    decode = kind.decode

    def counting(self: Any, prefixes: Tensor, *more: Any, **named: Any) -> Tensor:
        calls.append(prefixes.numel())
        found: Tensor = decode(self, prefixes, *more, **named)
        return found

    monkeypatch.setattr(kind, "decode", counting)
    with torch.no_grad():
        cache = model.start(model.encode(torch.tensor([[3, 4, 5]])))
    search(model, cache, Trie.of(TokenIds.from_lists(CODES, VOCABULARY)), k=6, scoring=Scoring(normalize))
    return calls


@pytest.mark.parametrize("search", [*SEARCHES, exact])
def test_only_open_prefixes_are_decoded(
    t5: MakeT5, monkeypatch: pytest.MonkeyPatch, search: Callable[..., object]
) -> None:
    by_length = [sum(len(prefix) == length for prefix in OPEN) for length in range(4)]
    assert searched(t5, monkeypatch, search, "prefix") == by_length


@pytest.mark.parametrize("search", [*SEARCHES, exact])
def test_all_are_decoded_where_certain_tokens_have_a_price(
    t5: MakeT5, monkeypatch: pytest.MonkeyPatch, search: Callable[..., object]
) -> None:
    every = [len({tuple(code[:length]) for code in CODES}) for length in range(4)]
    assert searched(t5, monkeypatch, search, "vocabulary") == every


@pytest.mark.parametrize("search", SEARCHES)
def test_an_only_identifier_is_certain_without_a_decoder(
    t5: MakeT5, monkeypatch: pytest.MonkeyPatch, search: Callable[..., object]
) -> None:
    model = t5(vocabulary=VOCABULARY.size)
    with torch.no_grad():
        cache = model.start(model.encode(torch.tensor([[3, 4, 5], [5, 4, 3]])))
    monkeypatch.setattr(T5, "decode", None)
    trie = Trie.of(TokenIds.from_lists([[4, 7, 3]], VOCABULARY))
    leaves, scores = search(model, cache, trie, k=2, scoring=Scoring("prefix"))  # type: ignore[misc]
    assert leaves.tolist() == [[0, -1]] * 2
    assert scores[:, 0].tolist() == [0.0, 0.0]


def test_an_only_identifier_that_may_not_be_written_is_not(t5: MakeT5) -> None:
    model = t5(vocabulary=VOCABULARY.size)
    with torch.no_grad():
        cache = model.start(model.encode(torch.tensor([[3, 4, 5], [5, 4, 3]])))
    trie, excluded = Trie.of(TokenIds.from_lists([[4, 7, 3]], VOCABULARY)), torch.tensor([[0], [1]])
    leaves, _ = certified_search(model, cache, trie, 2, Scoring("prefix"), excluded)
    assert leaves.tolist() == [[-1, -1], [0, -1]]
