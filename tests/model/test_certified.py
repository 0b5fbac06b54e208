"""The certified list is that of scoring every identifier, and little more is decoded than that takes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.backbone.t5 import T5, Cache
from bench.ids.identifiers import TokenIds
from bench.model import certified
from bench.model.beam import NEVER, Scoring, beam_search, score_all
from bench.model.branches import Branches
from bench.model.certified import certified_search
from bench.model.trie import Trie
from bench.vocabulary import Vocabulary

MakeT5 = Callable[..., T5]

VOCABULARY = Vocabulary.private("abcdefghij")
SOURCE = torch.randint(3, 13, (4, 8), generator=torch.Generator().manual_seed(1))
MASK = torch.arange(8) < torch.tensor([8, 5, 1, 3])[:, None]
SCORINGS = [Scoring("vocabulary", 0.0), Scoring("catalogue", 0.5), Scoring("prefix", 1.0), Scoring("prefix", 0.0)]
K = 6

codes = st.lists(st.lists(st.integers(3, 12), min_size=1, max_size=4), min_size=1, max_size=60)


@torch.no_grad()
def read(model: T5) -> Cache:
    return model.start(model.encode(SOURCE, MASK), MASK)


def made(t5: MakeT5, seed: int = 0) -> T5:
    return t5(seed, vocabulary=VOCABULARY.size, layers=2, decoder_layers=2)


def draw(count: int, lengths: tuple[int, ...], seed: int = 0) -> TokenIds:
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randint(3, 13, (lengths[n % len(lengths)],), generator=generator).tolist() for n in range(count)]
    return TokenIds.from_lists(rows, VOCABULARY)


def exact(model: T5, trie: Trie, scoring: Scoring, excluded: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The best of all identifiers, by scoring every one of them."""
    scores = score_all(model, read(model), trie, scoring)
    if excluded is not None:
        scores = scores.scatter(1, excluded, NEVER)
    scores, leaves = scores.sort(dim=1, descending=True, stable=True)
    leaves, scores = leaves[:, :K], scores[:, :K]
    lacking = K - leaves.shape[1]
    leaves = torch.nn.functional.pad(leaves.masked_fill(scores == NEVER, -1), (0, lacking), value=-1)
    return leaves, torch.nn.functional.pad(scores, (0, lacking), value=NEVER)


def agree(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> None:
    torch.testing.assert_close(found[1], expected[1], atol=1e-5, rtol=1e-5)
    differs = found[0] != expected[0]
    if differs.any():  # only where two scores are equal but for rounding
        later, earlier = expected[1][:, 1:], expected[1][:, :-1]
        tied = torch.zeros_like(differs)
        tied[:, 1:] |= earlier - later < 1e-5
        tied[:, :-1] |= earlier - later < 1e-5
        tied[:, -1] |= True  # what stands behind it is not in the list
        assert (tied | ~differs).all()


@pytest.mark.parametrize("at_once", [1, 5, 64])
@pytest.mark.parametrize("room", [0, 4, 1000])
@pytest.mark.parametrize("scoring", SCORINGS, ids=str)
@pytest.mark.parametrize("lengths", [(3,), (1, 2, 3, 4)])
def test_the_list_is_exact_in_whatever_steps(
    t5: MakeT5, lengths: tuple[int, ...], scoring: Scoring, room: int, at_once: int
) -> None:
    model, trie = made(t5), Trie.of(draw(200, lengths))
    found = certified_search(model, read(model), trie, K, scoring, None, at_once, room)
    agree(found, exact(model, trie, scoring))


def test_a_narrow_beam_is_not_exact(t5: MakeT5) -> None:
    """So the tests above say something."""
    model, trie = made(t5), Trie.of(draw(200, (3,)))
    expected, _ = exact(model, trie, Scoring())
    leaves, _ = beam_search(model, read(model), trie, K, K, Scoring())
    assert (leaves != expected).any()


@pytest.mark.parametrize("scoring", SCORINGS, ids=str)
def test_what_may_not_be_written_is_not(t5: MakeT5, scoring: Scoring) -> None:
    model, trie = made(t5, 1), Trie.of(draw(120, (1, 2, 3)))
    best, _ = exact(model, trie, scoring)
    excluded = best[:, [4, 0, 2]]
    found = certified_search(model, read(model), trie, K, scoring, excluded)
    agree(found, exact(model, trie, scoring, excluded))
    assert not (found[0][..., None] == excluded[:, None]).any()


@settings(max_examples=60)
@given(codes=codes, seed=st.integers(0, 5), at_once=st.integers(1, 9), scoring=st.sampled_from(SCORINGS))
def test_any_catalogue(t5: MakeT5, codes: list[list[int]], seed: int, at_once: int, scoring: Scoring) -> None:
    model, trie = made(t5, seed), Trie.of(TokenIds.from_lists(codes, VOCABULARY))
    found = certified_search(model, read(model), trie, K, scoring, None, at_once, room=4 * at_once)
    agree(found, exact(model, trie, scoring))


def decoding(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Branches, Tensor, Tensor]]:
    """What is decoded from now on: for which users, after which nodes."""
    calls, decode = list[tuple[Branches, Tensor, Tensor]](), Branches.decode

    def counted(self: Branches, users: Tensor, nodes: Tensor, parents: Tensor, length: int) -> Tensor:
        calls.append((self, users, nodes))
        return decode(self, users, nodes, parents, length)

    monkeypatch.setattr(Branches, "decode", counted)
    return calls


def test_one_at_a_time_only_what_no_proof_can_do_without_is_decoded(
    t5: MakeT5, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prefixes as likely as the last of the best; each user's own, and after its last one it is done."""
    model, trie, calls = made(t5), Trie.of(draw(600, (4,))), decoding(monkeypatch)
    with torch.no_grad():
        model.embedding.weight *= 3  # the output layer is tied to it: a model that is rather sure
    leaves = score_all(model, read(model), trie, Scoring("prefix")).double().exp()
    below = torch.nn.functional.pad(leaves.cumsum(1), (1, 0))
    nodes = below[:, trie.high] - below[:, trie.low]  # by prefix, scores are a distribution over the identifiers
    _, scores = certified_search(model, read(model), trie, K, Scoring("prefix"), at_once=1)
    several = trie.high - trie.low > 1
    likely = scores[:, -1:].double().exp()
    surely, perhaps = ((nodes > likely * (1 + sign * 2e-4)) & several for sign in (1, -1))
    done = torch.zeros_like(surely)
    for _, users, taken in calls:
        assert not done[users, taken].any()
        done[users, taken] = True
    assert (surely <= done).all()
    assert (done <= perhaps).all()
    assert done.sum() < several.sum() * len(done) / 2
    assert done.sum(1).unique().numel() > 1


def test_memory_is_bounded_where_nothing_can_be_ruled_out(t5: MakeT5, monkeypatch: pytest.MonkeyPatch) -> None:
    """All identifiers are asked for, and so all prefixes are decoded, but few are kept at a time."""
    model, trie, calls = made(t5), Trie.of(draw(300, (4,))), decoding(monkeypatch)
    certified_search(model, read(model), trie, 300, Scoring(), at_once=3, room=8)
    assert sum(len(users) for _, users, _ in calls) > 4 * 300
    assert len(calls[-1][0].past[0]) < 4 * len(SOURCE) * (8 + 3 * trie.depth) < len(SOURCE) * len(trie) / 2


@pytest.mark.parametrize("scoring", SCORINGS[1:3], ids=str)
def test_logits_are_made_in_parts_that_fit(t5: MakeT5, scoring: Scoring, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many prefixes are decoded at a time, and whatever the number of tokens."""
    model, trie, sizes = made(t5), Trie.of(draw(300, (1, 2, 3, 4))), list[int]()
    expected, logits = exact(model, trie, scoring), T5.logits

    def counted(self: T5, hidden: Tensor, rows: Tensor | None = None) -> Tensor:
        found = logits(self, hidden, rows)
        sizes.append(found.numel())
        return found

    monkeypatch.setattr(T5, "logits", counted)
    certified_search(model, read(model), trie, K, scoring)
    largest, limit = max(sizes), 4 * VOCABULARY.size
    monkeypatch.setattr(certified, "SCORED_AT_ONCE", limit)
    sizes.clear()
    agree(certified_search(model, read(model), trie, K, scoring), expected)
    assert max(sizes) <= limit < largest / 4
