"""Constrained decoding against teacher forcing of every item, a literal beam search over lists, and Transformers'."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers import T5ForConditionalGeneration

from bench.backbone.t5 import T5, Cache
from bench.ids.identifiers import TokenIds
from bench.model import beam
from bench.model.beam import Scoring, TokenScores, beam_search, score_all
from bench.model.trie import Trie, with_eos
from bench.vocabulary import Vocabulary

MakeT5 = Callable[..., T5]
MakePeer = Callable[[T5], T5ForConditionalGeneration]
Code = tuple[int, ...]

VOCABULARY = Vocabulary.private("abcdefghij")  # 13 rows, of which the catalogues below use 3..8
LENGTHS = (8, 5, 1)  # tokens that each user's history has
SOURCE = torch.randint(3, 13, (3, 8), generator=torch.Generator().manual_seed(1))
MASK = torch.arange(8) < torch.tensor(LENGTHS)[:, None]


def draw(seed: int, lengths: Sequence[int]) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(3, 9, (length,), generator=generator).tolist() for length in lengths]


CATALOGUES = {
    "fixed": draw(0, [3] * 40),
    "ragged": [*draw(1, [1, 2, 3, 4] * 10), [3, 4], [3, 4, 5], [3, 4, 5, 6], [3]],
    "collisions": draw(2, [2] * 30) + draw(2, [2] * 30),
    "chain": [[5] * length for length in range(1, 7)],
    "one": [[4, 7, 3]],
}
SCORINGS = [Scoring("vocabulary", 0.0), Scoring("catalogue", 0.5), Scoring("prefix", 1.0), Scoring("prefix", 0.0)]

every_catalogue = pytest.mark.parametrize("name", CATALOGUES)
every_scoring = pytest.mark.parametrize("scoring", SCORINGS, ids=str)


def ids_of(name: str) -> TokenIds:
    return TokenIds.from_lists(CATALOGUES[name], VOCABULARY)


def leaves_of(ids: TokenIds) -> list[Code]:
    """The distinct identifiers as they are written, in the order of the leaves."""
    return sorted({tuple(token for token in row if token >= 0) for row in with_eos(ids).tolist()})


def model_of(t5: MakeT5, seed: int = 0) -> T5:
    # as many layers on both sides: the cache of Transformers' generate has as many as the encoder
    return t5(seed, vocabulary=VOCABULARY.size, layers=2, decoder_layers=2)


@torch.no_grad()
def read(model: T5, rows: slice = slice(None)) -> Cache:
    return model.start(model.encode(SOURCE[rows], MASK[rows]), MASK[rows])


class Oracle:
    """One user's log-probabilities and searches: everything from the beginning each time, one prefix at a time."""

    def __init__(self, model: T5, user: int, ids: TokenIds, scoring: Scoring) -> None:
        self.model, self.source, self.scoring = model, SOURCE[user : user + 1, : LENGTHS[user]], scoring
        self.codes = leaves_of(ids)
        self.known = {token for code in self.codes for token in code}
        self.next = functools.cache(self._next)

    @torch.no_grad()
    def _next(self, prefix: Code) -> list[float]:
        logits = self.model(self.source, None, torch.tensor([[VOCABULARY.pad, *prefix]]))[0, -1].double()
        going_on = {code[len(prefix)] for code in self.codes if code[: len(prefix)] == prefix}
        over = {"vocabulary": set(range(VOCABULARY.size)), "catalogue": self.known, "prefix": going_on}
        return (logits - logits[sorted(over[self.scoring.normalize])].logsumexp(0)).tolist()

    def final(self, code: Code) -> float:
        total = sum(self.next(code[:position])[token] for position, token in enumerate(code))
        return total / len(code) ** self.scoring.length_penalty

    def ranking(self, excluded: Sequence[int] = ()) -> list[tuple[float, int]]:
        """Every leaf that is allowed with its score, best first."""
        found = [(self.final(code), leaf) for leaf, code in enumerate(self.codes) if leaf not in excluded]
        return sorted(found, reverse=True)

    def beam(self, width: int, slots: int, excluded: Sequence[int] = ()) -> list[tuple[float, int]]:
        """What ``beam_search`` promises, with lists, and without ever stopping early."""
        codes = {code: leaf for leaf, code in enumerate(self.codes) if leaf not in excluded}
        prefixes = {code[:position] for code in codes for position in range(1, len(code) + 1)}
        alive: list[tuple[float, Code]] = [(0.0, ())]
        done: list[tuple[float, int]] = []
        while alive:
            longer = [
                (score + self.next(prefix)[token], (*prefix, token))
                for score, prefix in alive
                for token in range(VOCABULARY.size)
                if (*prefix, token) in prefixes
            ]
            longer.sort(reverse=True)
            penalized = [(score / len(code) ** self.scoring.length_penalty, code) for score, code in longer[:width]]
            done += [(score, codes[code]) for score, code in penalized if code in codes]
            alive = [(score, code) for score, code in longer if code not in codes][:width]
        return sorted(done, reverse=True)[:slots]


def agree(leaves: Tensor, scores: Tensor, expected: list[tuple[float, int]]) -> None:
    """One user's slots are those expected, and empty beyond them."""
    found = len(expected)
    assert leaves[:found].tolist() == [leaf for _, leaf in expected]
    torch.testing.assert_close(scores[:found], torch.tensor([score for score, _ in expected]), atol=1e-5, rtol=1e-5)
    assert (leaves[found:] == -1).all()
    assert (scores[found:] == float("-inf")).all()


@every_scoring
@every_catalogue
def test_exact_scores_equal_teacher_forcing_of_every_item(t5: MakeT5, name: str, scoring: Scoring) -> None:
    model, ids = model_of(t5), ids_of(name)
    scores = score_all(model, read(model), Trie.of(ids), scoring)
    for user in range(3):
        oracle = Oracle(model, user, ids, scoring)
        expected = torch.tensor([oracle.final(code) for code in oracle.codes])
        torch.testing.assert_close(scores[user], expected, atol=1e-5, rtol=1e-5)


@every_scoring
@every_catalogue
def test_a_beam_as_wide_as_the_catalogue_is_exact(t5: MakeT5, name: str, scoring: Scoring) -> None:
    model, trie = model_of(t5, seed=1), Trie.of(ids_of(name))
    count = len(trie.item_of_leaf)
    exact, order = score_all(model, read(model), trie, scoring).sort(dim=1, descending=True, stable=True)
    leaves, scores = beam_search(model, read(model), trie, count, count, scoring)
    assert torch.equal(leaves, order)
    torch.testing.assert_close(scores, exact, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("width", "slots"), [(1, 1), (2, 2), (3, 1), (4, 4), (7, 5)])
@every_scoring
@every_catalogue
def test_narrow_beams_equal_a_literal_beam_search(
    t5: MakeT5, name: str, scoring: Scoring, width: int, slots: int
) -> None:
    ids = ids_of(name)
    for seed in range(3):
        model = model_of(t5, seed)
        leaves, scores = beam_search(model, read(model), Trie.of(ids), width, slots, scoring)
        for user in range(3):
            agree(leaves[user], scores[user], Oracle(model, user, ids, scoring).beam(width, slots))


@torch.no_grad()
def generate(peer: T5ForConditionalGeneration, ids: TokenIds, width: int, early: Any) -> tuple[Tensor, Tensor]:
    """Transformers' beams under the same constraint: ``[users, width, 1 + length]`` and their scores."""
    following: dict[Code, set[int]] = {}
    for code in leaves_of(ids):
        for position, token in enumerate(code):
            following.setdefault(code[:position], set()).add(token)

    def allowed(_: int, prefix: Tensor) -> list[int]:
        return sorted(following.get(tuple(prefix.tolist()[1:]), {VOCABULARY.eos}))

    found = peer.generate(
        input_ids=SOURCE,
        attention_mask=MASK.long(),
        num_beams=width,
        num_return_sequences=width,
        max_new_tokens=with_eos(ids).shape[1],
        prefix_allowed_tokens_fn=allowed,
        early_stopping=early,
        length_penalty=1.0,
        return_dict_in_generate=True,
        output_scores=True,
    )
    return found.sequences.view(3, width, -1), found.sequences_scores.view(3, width)


# Transformers' default stops by a guess: it takes the present length for the final one, so a longer identifier that
# would have won under the length penalty can be missed. "never" is the search itself; at equal lengths the two agree.
@pytest.mark.parametrize(
    ("name", "early"), [("fixed", False), ("fixed", "never"), ("ragged", "never"), ("chain", "never")]
)
@pytest.mark.parametrize("width", [2, 3, 6])
@pytest.mark.parametrize("seed", range(4))
def test_beams_equal_those_of_transformers(
    t5: MakeT5, peer: MakePeer, name: str, early: Any, width: int, seed: int
) -> None:
    model, ids = model_of(t5, seed), ids_of(name)
    leaves, scores = beam_search(model, read(model), Trie.of(ids), width, width, Scoring(length_penalty=1.0))
    sequences, expected = generate(peer(model), ids, width, early)
    codes = leaves_of(ids)
    real = expected > -1e6  # Transformers fills up beams that don't exist with a very low score
    assert torch.equal(real, leaves >= 0)
    torch.testing.assert_close(scores[real], expected[real], atol=1e-5, rtol=1e-5)
    for user, slot in real.nonzero().tolist():
        code = codes[leaves[user, slot]]
        assert tuple(sequences[user, slot].tolist()[1 : len(code) + 1]) == code


@pytest.mark.parametrize("name", ["fixed", "ragged"])
@pytest.mark.parametrize("block", [1, 3, 256])
def test_exact_scores_do_not_depend_on_the_block(t5: MakeT5, name: str, block: int) -> None:
    model, trie = model_of(t5), Trie.of(ids_of(name))
    expected = score_all(model, read(model), trie, Scoring(), block=10_000)
    torch.testing.assert_close(score_all(model, read(model), trie, Scoring(), block), expected, atol=1e-5, rtol=1e-5)


@every_scoring
def test_exact_scores_are_made_in_parts_that_fit(t5: MakeT5, scoring: Scoring, monkeypatch: pytest.MonkeyPatch) -> None:
    """One first token leads to most items: the others were scored in as many columns as it, all of them together."""
    rows = [[3, *pair] for pair in itertools.product(range(3, 13), repeat=2)] + [[token, 5] for token in range(4, 13)]
    model, trie = model_of(t5), Trie.of(TokenIds.from_lists(rows, VOCABULARY))
    whole, sizes = score_all(model, read(model), trie, scoring), list[int]()
    logits, score = T5.logits, TokenScores.__call__

    def counted(call: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def counting(*given: Any) -> Tensor:
            found = call(*given)
            sizes.append(found.numel())
            return found

        return counting

    monkeypatch.setattr(T5, "logits", counted(logits))
    monkeypatch.setattr(TokenScores, "__call__", counted(score))
    score_all(model, read(model), trie, scoring)
    largest = max(sizes)
    for at_once in (1, 100):
        monkeypatch.setattr(beam, "SCORED_AT_ONCE", at_once)
        sizes.clear()
        torch.testing.assert_close(score_all(model, read(model), trie, scoring), whole, atol=1e-5, rtol=1e-5)
        assert max(sizes) <= max(at_once, 3 * VOCABULARY.size) < largest


def test_probabilities_over_a_full_catalogue_sum_to_one(t5: MakeT5) -> None:
    """Every pair of two tokens is an item: under ``catalogue`` nothing else can be written, not even padding."""
    model = model_of(t5)
    trie = Trie.of(TokenIds.from_lists(list(itertools.product([5, 6], repeat=2)), VOCABULARY))
    summed = score_all(model, read(model), trie, Scoring("catalogue")).exp().sum(1)
    torch.testing.assert_close(summed, torch.ones(3), atol=1e-5, rtol=1e-5)
    assert (score_all(model, read(model), trie, Scoring("vocabulary")).exp().sum(1) < 0.9).all()


@every_catalogue
def test_probabilities_by_prefix_sum_to_one_over_any_catalogue(t5: MakeT5, name: str) -> None:
    model, trie = model_of(t5), Trie.of(ids_of(name))
    summed = score_all(model, read(model), trie, Scoring("prefix")).exp().sum(1)
    torch.testing.assert_close(summed, torch.ones(3), atol=1e-5, rtol=1e-5)


def excluded_of(count: int) -> tuple[list[list[int]], Tensor]:
    """Leaves kept from each of three users, as lists and as ``beam_search`` takes them: unsorted, filled up."""
    rows = [[0, *range(3, count, 2)], [], list(range(count // 2))]
    padded = [row[::-1] + [count] * (count - len(row)) for row in rows]
    return rows, torch.tensor(padded)


@pytest.mark.parametrize("scoring", SCORINGS[1:3], ids=str)
@every_catalogue
def test_excluded_leaves_are_never_written_and_the_others_keep_their_order(
    t5: MakeT5, name: str, scoring: Scoring
) -> None:
    model, ids = model_of(t5, seed=2), ids_of(name)
    trie = Trie.of(ids)
    rows, excluded = excluded_of(len(trie.item_of_leaf))
    width = len(trie.item_of_leaf)
    leaves, scores = beam_search(model, read(model), trie, width, width, scoring, excluded)
    for user in range(3):
        assert not set(rows[user]) & set(leaves[user].tolist())
        agree(leaves[user], scores[user], Oracle(model, user, ids, scoring).ranking(rows[user]))


@pytest.mark.parametrize("width", [1, 2, 5])
@every_catalogue
def test_narrow_beams_do_not_waste_themselves_on_excluded_leaves(t5: MakeT5, name: str, width: int) -> None:
    model, ids = model_of(t5), ids_of(name)
    trie = Trie.of(ids)
    rows, excluded = excluded_of(len(trie.item_of_leaf))
    leaves, scores = beam_search(model, read(model), trie, width, width, Scoring(), excluded)
    for user in range(3):
        expected = Oracle(model, user, ids, Scoring()).beam(width, width, rows[user])
        agree(leaves[user], scores[user], expected)


def test_a_user_who_has_everything_gets_nothing(t5: MakeT5) -> None:
    model, trie = model_of(t5), Trie.of(ids_of("ragged"))
    everything = torch.arange(len(trie.item_of_leaf)).expand(3, -1)
    leaves, scores = beam_search(model, read(model), trie, 4, 4, Scoring(), everything)
    assert (leaves == -1).all()
    assert (scores == float("-inf")).all()


def test_items_with_one_identifier_share_one_slot(t5: MakeT5) -> None:
    model, trie = model_of(t5), Trie.of(ids_of("collisions"))
    distinct = len({tuple(code) for code in CATALOGUES["collisions"]})
    leaves, _ = beam_search(model, read(model), trie, 60, 60, Scoring())
    for row in leaves.tolist():
        found = [leaf for leaf in row if leaf >= 0]
        assert len(found) == len(set(found)) == distinct < 60


@pytest.mark.parametrize("name", ["fixed", "ragged"])
@pytest.mark.parametrize("exact", [False, True])
def test_a_user_alone_gets_what_he_gets_among_others(t5: MakeT5, name: str, exact: bool) -> None:
    model, trie = model_of(t5, seed=3), Trie.of(ids_of(name))

    def run(cache: Cache) -> tuple[Tensor, Tensor]:
        if exact:
            scores, leaves = score_all(model, cache, trie, Scoring()).sort(dim=1, descending=True)
            return leaves, scores
        return beam_search(model, cache, trie, 5, 5, Scoring("vocabulary", 1.0))

    leaves, scores = run(read(model))
    for user, length in enumerate(LENGTHS):
        with torch.no_grad():
            alone = run(model.start(model.encode(SOURCE[user : user + 1, :length])))
        assert torch.equal(alone[0][0], leaves[user])
        torch.testing.assert_close(alone[1][0], scores[user], atol=1e-5, rtol=1e-5)


def test_the_same_search_has_the_same_result_bit_for_bit(t5: MakeT5) -> None:
    model, trie = model_of(t5), Trie.of(ids_of("ragged"))
    first, second = (beam_search(model, read(model), trie, 6, 6, Scoring()) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


@given(st.floats(-50, -1e-3), st.floats(-50, 0), st.integers(1, 6), st.integers(0, 5), st.floats(-1, 2))
def test_no_continuation_beats_the_bound(score: float, more: float, length: int, further: int, penalty: float) -> None:
    scoring = Scoring(length_penalty=penalty)
    bound = scoring.bound(torch.tensor(score), length, 12)
    assert scoring.final(torch.tensor(score + more), length + further) <= bound + 1e-4
