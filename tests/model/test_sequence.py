"""The autoregressive head: its loss against Transformers', and ranking of items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import T5ForConditionalGeneration

from bench.backbone.t5 import T5
from bench.data.dataset import Sequences
from bench.errors import BenchError
from bench.ids.identifiers import Template, TokenIds
from bench.model.beam import Scoring
from bench.model.recommender import Decoding, Recommender, TopK, recommender_for
from bench.model.sequence import IGNORED, SequenceRecommender, shifted
from bench.model.trie import with_eos
from bench.vocabulary import Vocabulary

MakeT5 = Callable[..., T5]
MakePeer = Callable[[T5], T5ForConditionalGeneration]

VOCABULARY = Vocabulary.private([*"abcdefgh", ";", "?"])
CODES = {
    "ragged": [[3], [3, 4], [5, 6, 7, 8], [5, 6], [9, 3, 3], [4], [10, 10], [6, 5, 4]],
    "fixed": [[3, 4], [3, 5], [4, 4], [9, 10], [10, 9], [7, 7], [8, 3], [5, 5]],
    "collisions": [[3, 4], [5, 6, 7], [3, 4], [8], [5, 6, 7], [3, 4], [9], [10, 3]],
}
HISTORIES = Sequences.from_rows([[0, 1, 2, 3, 4, 5], [6], [2, 2], [7, 0, 3]])
TARGETS = np.array([6, 2, 0, 5], np.int32)
BEAM, EXACT = Decoding("beam", 20, Scoring()), Decoding("exact", 20, Scoring())


def make(t5: MakeT5, name: str = "ragged", objective: str = "vocabulary", **changes: Any) -> SequenceRecommender:
    ids = TokenIds.from_lists(CODES[name], VOCABULARY, Template("", ";", "?"))
    found = recommender_for(ids, t5(vocabulary=VOCABULARY.size, **changes), objective=objective)
    assert isinstance(found, SequenceRecommender)
    return found.eval()


def agree(one: TopK, other: TopK) -> None:
    """The same valid slots; filler may differ in number."""
    count = min(one.items.shape[1], other.items.shape[1])
    assert (one.valid[:, :count] == other.valid[:, :count]).all()
    assert not one.valid[:, count:].any()
    assert not other.valid[:, count:].any()
    valid = one.valid[:, :count]
    assert one.items[:, :count][valid].tolist() == other.items[:, :count][valid].tolist()
    np.testing.assert_allclose(one.scores[:, :count][valid], other.scores[:, :count][valid], atol=1e-5)


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("tied", [True, False])
def test_the_loss_is_the_cross_entropy_of_transformers(t5: MakeT5, peer: MakePeer, name: str, tied: bool) -> None:
    """Where an identifier has ended the peer's label is -100: padding never trains."""
    model = make(t5, name, tied=tied)
    batch = model.collate(HISTORIES, TARGETS)
    tokens, mask, labels = batch["tokens"], batch["mask"], batch["labels"]
    assert tokens is not None
    assert mask is not None
    assert labels is not None
    other = peer(model.backbone)
    expected = other(
        input_ids=tokens, attention_mask=mask.long(), labels=labels.long().masked_fill(labels == IGNORED, -100)
    ).loss * model.targets(TARGETS)
    loss = model(batch)
    torch.testing.assert_close(loss, expected, atol=1e-4, rtol=1e-5)
    loss.backward()
    expected.backward()
    gradient, other_gradient = model.backbone.embedding.weight.grad, other.shared.weight.grad
    assert gradient is not None
    torch.testing.assert_close(gradient, other_gradient, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("objective", ["vocabulary", "prefix"])
@pytest.mark.parametrize("name", CODES)
def test_a_batch_costs_what_its_examples_cost_alone(t5: MakeT5, name: str, objective: str) -> None:
    model = make(t5, name, objective)
    single = [
        model(model.collate(HISTORIES.rows(np.array([row])), TARGETS[row : row + 1])) for row in range(len(TARGETS))
    ]
    torch.testing.assert_close(model(model.collate(HISTORIES, TARGETS)), torch.stack(single).sum())


@pytest.mark.parametrize("objective", ["vocabulary", "prefix"])
def test_a_temperature_sharpens_the_loss_and_no_score(t5: MakeT5, objective: str) -> None:
    """The head's weights divided by it have the same effect on the loss."""
    model = make(t5, "ragged", objective, tied=False)
    ids, backbone = model.ids, model.backbone
    cooled = recommender_for(ids, backbone, objective=objective, temperature=0.5).eval()
    batch = model.collate(HISTORIES, TARGETS)
    found = cooled(batch)
    agree(cooled.rank(HISTORIES, 8, EXACT), model.rank(HISTORIES, 8, EXACT))
    assert float(found.detach()) != pytest.approx(float(model(batch).detach()))
    with torch.no_grad():
        assert backbone.head is not None
        backbone.head.weight /= 0.5
    torch.testing.assert_close(found, model(batch))


@pytest.mark.parametrize("name", CODES)
def test_targets_are_the_predictions_that_are_summed(t5: MakeT5, name: str) -> None:
    model = make(t5, name)
    batch = model.collate(HISTORIES, TARGETS)
    assert batch["labels"] is not None
    ends = int(name != "fixed")
    assert model.targets(TARGETS) == sum(len(CODES[name][item]) + ends for item in TARGETS)
    assert model.targets(TARGETS) == int((batch["labels"] != IGNORED).sum())
    with torch.no_grad():  # a T5 that knows nothing pays log(vocabulary) for each
        model.backbone.decoder.norm.weight.zero_()
        assert float(model(batch)) == pytest.approx(model.targets(TARGETS) * np.log(VOCABULARY.size), rel=1e-5)


@pytest.mark.parametrize("objective", ["vocabulary", "prefix"])
@pytest.mark.parametrize("name", CODES)
def test_the_loss_is_what_the_item_scores_under_the_same_normalization(t5: MakeT5, name: str, objective: str) -> None:
    model = make(t5, name, objective)
    exact = model.rank(HISTORIES, 8, Decoding("exact", 20, Scoring(objective)))
    first = {code: item for item, code in reversed(list(enumerate(map(tuple, CODES[name]))))}
    slots = [exact.items[row].tolist().index(first[tuple(CODES[name][item])]) for row, item in enumerate(TARGETS)]
    expected = -exact.scores[np.arange(4), slots].sum()
    assert float(model(model.collate(HISTORIES, TARGETS)).detach()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", CODES)
def test_by_prefix_only_choices_are_predictions(t5: MakeT5, name: str) -> None:
    model = make(t5, name, "prefix")
    whole = [tuple(code) + ((1,) if name != "fixed" else ()) for code in CODES[name]]
    choices = [
        [len({other[position] for other in whole if other[:position] == code[:position] and len(other) > position})
         for position in range(len(code))]
        for code in whole
    ]  # fmt: skip
    forked = [sum(count > 1 for count in counts) for counts in choices]
    assert [model.targets(np.array([item])) for item in range(8)] == forked
    assert sum(forked) < sum(map(len, whole))
    with torch.no_grad():  # a T5 that knows nothing pays the logarithm of the number of choices
        model.backbone.decoder.norm.weight.zero_()
        expected = sum(np.log(choices[item]).sum() for item in TARGETS)
        assert float(model(model.collate(HISTORIES, TARGETS))) == pytest.approx(expected, rel=1e-5)


def test_by_prefix_tokens_that_cannot_follow_are_not_trained(t5: MakeT5) -> None:
    """Their output rows get no gradient; over the vocabulary they are pushed down."""
    touched = {}
    for objective in ("vocabulary", "prefix"):
        model = make(t5, "fixed", objective, tied=False)
        model(model.collate(HISTORIES, TARGETS)).backward()
        assert model.backbone.head is not None
        gradient = model.backbone.head.weight.grad
        assert gradient is not None
        touched[objective] = set(gradient.abs().sum(1).nonzero().flatten().tolist())
        assert gradient.isfinite().all()
    assert touched["vocabulary"] == set(range(VOCABULARY.size))
    assert touched["prefix"] == {3, 4, 5, 7, 8, 9, 10}


def test_labels_are_the_identifiers_and_the_longest_sets_the_width(t5: MakeT5) -> None:
    model = make(t5)
    labels = model.collate(HISTORIES, np.array([0, 6, 0, 0], np.int32))["labels"]
    assert labels is not None
    assert labels.tolist() == [[3, 1, -1], [10, 10, 1], [3, 1, -1], [3, 1, -1]]


def test_input_lengths_are_those_of_the_collated_tokens(t5: MakeT5) -> None:
    model = make(t5)
    mask = model.collate(HISTORIES, TARGETS)["mask"]
    assert mask is not None
    assert model.input_lengths(HISTORIES).tolist() == mask.sum(1).tolist()


def test_the_decoder_reads_the_labels_one_step_late() -> None:
    labels = torch.tensor([[5, 6, 1], [7, 1, IGNORED], [1, IGNORED, IGNORED]])
    assert shifted(labels, 0).tolist() == [[0, 5, 6], [0, 7, 1], [0, 1, 0]]
    assert labels.tolist()[0] == [5, 6, 1], "the labels are left as they are"


def best_items(model: SequenceRecommender, row: int) -> list[int]:
    """Items by their loss as the only target, one each: the lowest index of every identifier."""
    first = np.unique(model.ids.groups, return_index=True)[1]
    history = HISTORIES.rows(np.array([row]))
    with torch.no_grad():
        losses = {int(item): float(model(model.collate(history, np.array([item])))) for item in first}
    return sorted(losses, key=lambda item: losses[item])


@pytest.mark.parametrize("decoding", [BEAM, EXACT], ids=["beam", "exact"])
@pytest.mark.parametrize("name", CODES)
def test_items_are_ranked_by_their_loss(t5: MakeT5, name: str, decoding: Decoding) -> None:
    model = make(t5, name)
    found = model.rank(HISTORIES, 8, decoding)
    for row in range(4):
        assert found.items[row][found.valid[row]].tolist() == best_items(model, row)
        assert (np.diff(found.scores[row][found.valid[row]]) <= 0).all()
    assert found.valid.sum(1).tolist() == [len(set(map(tuple, CODES[name])))] * 4


def test_a_slot_of_a_collision_is_its_lowest_index(t5: MakeT5) -> None:
    found = make(t5, "collisions").rank(HISTORIES, 8, EXACT)
    assert {int(item) for item in found.items[found.valid]} == {0, 1, 3, 6, 7}


@pytest.mark.parametrize("name", CODES)
def test_what_a_user_has_is_not_recommended_where_he_has_all_of_it(t5: MakeT5, name: str) -> None:
    model = make(t5, name)
    excluding = [Decoding(decoder, 20, Scoring(), exclude_history=True) for decoder in ("beam", "exact")]
    beam, exact = (model.rank(HISTORIES, 8, decoding) for decoding in excluding)
    agree(beam, exact)
    codes = CODES[name]
    for row in range(4):
        history = set(HISTORIES[row].tolist())
        kept = [
            item
            for item in best_items(model, row)
            if any(other not in history for other in range(8) if codes[other] == codes[item])
        ]
        assert beam.items[row][beam.valid[row]].tolist() == kept
    assert len(kept) < len(best_items(model, 3))


@pytest.mark.parametrize("name", CODES)
def test_what_a_user_has_is_not_recommended_though_it_is_not_shown(t5: MakeT5, name: str) -> None:
    model, codes = make(t5, name), CODES[name]
    seen = Sequences.from_rows([[0, 1, 2, 3, 4, 5], [0, 2, 5, 6], [4, 2, 2], [1, 4, 7, 0, 3]])
    shown = seen.newest(2)
    everything = model.rank(shown, 8, EXACT)
    for decoder in ("beam", "exact"):
        found = model.rank(shown, 8, Decoding(decoder, 20, Scoring(), exclude_history=True), seen=seen)
        for row in range(4):
            kept = [
                item
                for item in everything.items[row][everything.valid[row]]
                if any(codes[other] == codes[item] for other in range(8) if other not in seen[row])
            ]
            assert found.items[row][found.valid[row]].tolist() == kept
        agree(model.rank(shown, 8, Decoding(decoder, 20, Scoring()), seen=seen), everything)


def test_a_user_without_history_is_excluded_nothing(t5: MakeT5) -> None:
    model, nobody = make(t5), Sequences.from_rows([[], []])
    for decoder in ("beam", "exact"):
        found = model.rank(nobody, 8, Decoding(decoder, 20, Scoring(), exclude_history=True))
        agree(found, model.rank(nobody, 8, Decoding(decoder, 20, Scoring())))
        assert found.valid.all()


@pytest.mark.parametrize("decoding", [BEAM, EXACT], ids=["beam", "exact"])
def test_a_user_alone_is_ranked_as_among_others(t5: MakeT5, decoding: Decoding) -> None:
    model = make(t5)
    together = model.rank(HISTORIES, 5, decoding)
    for row in range(4):
        alone = model.rank(HISTORIES.rows(np.array([row])), 5, decoding)
        assert alone.items[0].tolist() == together.items[row].tolist()
        np.testing.assert_allclose(alone.scores[0], together.scores[row], atol=1e-5)


CANDIDATES = np.array([False, True, True, False, True, False, True, False])


@pytest.mark.parametrize("decoding", [BEAM, EXACT], ids=["beam", "exact"])
@pytest.mark.parametrize("name", CODES)
def test_only_candidates_are_ranked_in_the_order_they_have_among_all(t5: MakeT5, name: str, decoding: Decoding) -> None:
    """A collision is ranked where any of its items is a candidate, and shown by the lowest of those."""
    model, codes, allowed = make(t5, name), CODES[name], np.flatnonzero(CANDIDATES).tolist()
    found, whole = model.rank(HISTORIES, 8, decoding, CANDIDATES), model.rank(HISTORIES, 8, decoding)
    for row in range(4):
        expected = [
            min(other for other in allowed if codes[other] == codes[item])
            for item in whole.items[row][whole.valid[row]]
            if any(codes[other] == codes[item] for other in allowed)
        ]
        assert found.items[row][found.valid[row]].tolist() == expected
    agree(model.rank(HISTORIES, 8, decoding), whole)


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("normalize", ["vocabulary", "catalogue", "prefix"])
def test_candidates_are_scored_as_a_catalogue_of_their_own(t5: MakeT5, name: str, normalize: str) -> None:
    """Beam and exact ranking agree; after each prefix probability is shared out among the candidates alone."""
    model, scoring = make(t5, name), Scoring(normalize)
    exact = model.rank(HISTORIES, 8, Decoding("exact", 20, scoring), CANDIDATES)
    agree(model.rank(HISTORIES, 8, Decoding("beam", 20, scoring), CANDIDATES), exact)
    whole = model.rank(HISTORIES, 8, Decoding("exact", 20, scoring))
    total = np.where(exact.valid, np.exp(exact.scores), 0).sum(1)
    if normalize == "prefix":
        np.testing.assert_allclose(total, 1, atol=1e-5)
    if normalize == "vocabulary":
        assert (total < np.where(whole.valid, np.exp(whole.scores), 0).sum(1)).all()


def test_candidates_of_the_history_are_excluded_where_nothing_else_shares_their_slot(t5: MakeT5) -> None:
    """Items 0, 2 and 5 share an identifier, and a user has 0, 1, 2, 3: 5 is left of it, unless it is no candidate."""
    model, history = make(t5, "collisions"), Sequences.from_rows([[0, 1, 2, 3]])
    some, fewer = np.ones(8, bool), np.arange(8) != 5
    for decoder in ("beam", "exact"):
        excluding = Decoding(decoder, 20, Scoring(), exclude_history=True)
        found = [model.rank(history, 8, excluding, candidates) for candidates in (some, fewer)]
        kept = [{int(item) for item in one.items[one.valid]} for one in found]
        assert kept == [{0, 1, 6, 7}, {1, 6, 7}]


@pytest.mark.parametrize("masks", [[CANDIDATES, ~CANDIDATES, CANDIDATES]])
def test_every_mask_has_its_own_tree(t5: MakeT5, masks: list[np.ndarray]) -> None:
    model = make(t5)
    for mask in masks:
        found = model.rank(HISTORIES, 8, BEAM, mask)
        assert {int(item) for item in found.items[found.valid]} == set(np.flatnonzero(mask).tolist())


def test_a_ranking_is_complete_only_if_every_identifier_is_in_it(t5: MakeT5) -> None:
    model = make(t5, "collisions")
    assert [model.rank(HISTORIES, slots, EXACT).complete for slots in (4, 5, 8)] == [False, True, True]
    assert not model.rank(HISTORIES, 8, BEAM).complete


@pytest.mark.parametrize("decoding", [BEAM, EXACT], ids=["beam", "exact"])
def test_fewer_items_than_slots_leave_slots_empty(t5: MakeT5, decoding: Decoding) -> None:
    found = make(t5).rank(HISTORIES, 30, decoding)
    assert found.valid.sum(1).tolist() == [8] * 4
    assert found.items.shape == found.scores.shape == found.valid.shape
    assert ((found.items >= 0) & (found.items < 8)).all()


def test_a_beam_is_never_narrower_than_its_slots(t5: MakeT5) -> None:
    model = make(t5)
    narrow = model.rank(HISTORIES, 6, Decoding("beam", 1, Scoring()))
    agree(narrow, model.rank(HISTORIES, 6, Decoding("beam", 6, Scoring())))
    assert narrow.valid.all()


def test_the_tree_is_that_of_the_identifiers(t5: MakeT5) -> None:
    model = make(t5)
    assert len(model.trie.item_of_leaf) == 8
    assert model.trie is model.trie
    assert model.labels.tolist() == [with_eos(model.ids).tolist()]


@pytest.mark.parametrize("objective", ["vocabulary", "prefix"])
def test_every_example_is_read_and_written_in_its_variant(t5: MakeT5, objective: str) -> None:
    """A batch of two variants has the loss of two models, each with one; ranking is in variant 0."""
    one, two = (TokenIds.from_lists(CODES[name], VOCABULARY, Template("", ";", "?")) for name in ("ragged", "fixed"))
    width = max(one.tokens.shape[2], two.tokens.shape[2])
    tokens = np.stack([np.pad(ids.tokens[0], ((0, 0), (0, width - ids.tokens.shape[2]))) for ids in (one, two)])
    lengths = np.concatenate([one.lengths, two.lengths])
    body = t5(vocabulary=VOCABULARY.size)
    both = recommender_for(TokenIds(tokens, lengths, VOCABULARY, one.template), body, objective=objective).eval()
    alone = [recommender_for(both.ids.only(variant), body, objective=objective).eval() for variant in (0, 1)]  # type: ignore[attr-defined]
    variants = np.array([0, 1, 1, 0])
    expected = torch.zeros(())
    for row, variant in enumerate(variants):
        history, target = HISTORIES.rows(np.array([row])), TARGETS[[row]]
        single = both.collate(history, target, np.array([variant]))
        expected = expected + both(single)
        torch.testing.assert_close(both(single), alone[variant](alone[variant].collate(history, target)))
    batch = both.collate(HISTORIES, TARGETS, variants)
    torch.testing.assert_close(both(batch), expected, atol=1e-4, rtol=1e-5)
    assert both.targets(TARGETS, variants) == sum(
        both.targets(TARGETS[[row]], np.array([variant])) for row, variant in enumerate(variants)
    )
    agree(both.rank(HISTORIES, 8, BEAM), alone[0].rank(HISTORIES, 8, BEAM))


@pytest.mark.parametrize("objective", ["vocabulary", "prefix"])
@pytest.mark.parametrize("codes", sorted(CODES))
def test_a_table_wider_than_its_identifiers_changes_nothing(t5: MakeT5, objective: str, codes: str) -> None:
    ids, body = TokenIds.from_lists(CODES[codes], VOCABULARY, Template("", ";", "?")), t5(vocabulary=VOCABULARY.size)
    wide = replace(ids, tokens=np.pad(ids.tokens, ((0, 0), (0, 0), (0, 3))))
    one, other = (recommender_for(seen, body, objective=objective).eval() for seen in (ids, wide))
    batches = [model.collate(HISTORIES, TARGETS) for model in (one, other)]
    assert torch.equal(one(batches[0]), other(batches[1]))
    agree(one.rank(HISTORIES, 8, BEAM), other.rank(HISTORIES, 8, BEAM))


def test_other_kinds_of_identifiers_have_no_recommender_yet(t5: MakeT5) -> None:
    with pytest.raises(BenchError, match="no recommender for identifiers of kind list; known: TokenIds"):
        recommender_for([[3]], t5())


def test_a_recommender_is_a_module_with_the_t5s_weights(t5: MakeT5) -> None:
    model = make(t5)
    assert isinstance(model, Recommender)
    names = {name for name, _ in model.named_parameters()}
    assert names == {f"backbone.{name}" for name, _ in model.backbone.named_parameters()}
    weight: Tensor = model.backbone.embedding.weight
    assert model.device == weight.device


def test_the_tree_of_candidates_goes_where_the_model_goes(t5: MakeT5) -> None:
    model = make(t5)
    model.rank(HISTORIES, 2, BEAM, CANDIDATES)
    assert model.to("meta")._among(CANDIDATES).token.device.type == "meta"
