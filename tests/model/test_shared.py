"""One reading for all targets of a user: against each target alone, against Transformers, and against the future."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import T5ForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

from bench.backbone.t5 import T5
from bench.contract import Contract
from bench.data.dataset import Sequences
from bench.ids.identifiers import Feature, SlotIds, Template, TokenIds, VectorIds
from bench.ids.users import UserIds
from bench.model import packed
from bench.model.beam import Scoring
from bench.model.packed import Segments, SharedReader
from bench.model.recommender import Decoding, recommender_for
from bench.model.shared_sequence import SharedSequenceRecommender
from bench.training.examples import sliding_windows
from bench.training.segments import cut
from bench.vocabulary import Vocabulary

MakeT5 = Callable[..., T5]
MakePeer = Callable[[T5], T5ForConditionalGeneration]

VOCABULARY = Vocabulary.private([*"abcdefgh", ";", "?"])
CODES = [[3], [3, 4], [5, 6, 7, 8], [5, 6], [9, 3, 3], [4], [10, 10], [6, 5, 4], [7, 7, 3]]
ITEMS = len(CODES)
SEQUENCES = Sequences.from_rows([[0, 1, 2, 3, 4, 5], [6, 7], [2, 2, 8], [7, 0, 3, 1, 5], [4], [1, 6, 8, 2]]).owned()
LONG = Sequences.from_rows(np.random.default_rng(0).integers(0, ITEMS, (3, 23)).tolist()).owned()
KINDS = (
    *("ragged", "fixed", "variants", "words", "users", "items"),
    *("paper", "repo", "unknown", "vector items", "slots", "slots and words"),
)


def tokens(kind: str) -> TokenIds:
    template = Template("a b", ";", "?")
    codes = [code[:1] * 2 if kind == "fixed" else code for code in CODES]
    ids = TokenIds.from_lists(codes, VOCABULARY, template)
    if kind == "variants":
        lists = [CODES, CODES[::-1], CODES[3:] + CODES[:3]]
        parts = [TokenIds.from_lists(each, VOCABULARY) for each in lists]
        ids = replace(
            ids, tokens=np.concatenate([p.tokens for p in parts]), lengths=np.concatenate([p.lengths for p in parts])
        )
    if kind == "users":
        names = np.array([[3, 4, 5], [6, 0, 0], [7, 8, 0], [9, 0, 0], [4, 4, 0], [5, 3, 0]], np.int32)
        ids = replace(ids, users=UserIds(names, np.array([3, 1, 2, 1, 2, 2], np.int32)))
    return ids


def vectors(kind: str) -> VectorIds:
    random = np.random.default_rng(1)
    known = np.arange(ITEMS) % 3 > 0 if kind == "unknown" else np.ones(ITEMS, bool)
    own = Feature("own", random.standard_normal((ITEMS, 5)).astype(np.float32), known)
    text = random.standard_normal((ITEMS, 7)).astype(np.float32)
    features = own, Feature("text", text, np.ones(ITEMS, bool), slots=2, hidden=(6,), reconstruction=0.7)
    attention: Any = "repo" if kind == "repo" else "paper"
    return VectorIds(features, VOCABULARY, Template("a b", after="c"), attention)


def slots() -> SlotIds:
    codes = np.stack(np.meshgrid(range(4), range(3), range(5)), -1).reshape(-1, 3)
    some = np.random.default_rng(2).permutation(codes)[:ITEMS].astype(np.int32)
    return SlotIds(some, (4, 3, 5), VOCABULARY, Template("a b", after="c"), 0.2)


def made(kind: str) -> TokenIds | VectorIds | SlotIds:
    if kind.startswith("slots"):
        return slots()
    return vectors(kind) if kind in ("paper", "repo", "unknown", "vector items") else tokens(kind)


def make(t5: MakeT5, kind: str, objective: str = "vocabulary", **options: Any) -> SharedReader:
    ids = made(kind)
    model = t5(vocabulary=VOCABULARY.size, whole_words=24 if kind.endswith("words") else 0)
    history = "items" if kind.endswith("items") else "tokens"
    options = {"template": "scheme", "training": "shared", "history": history, "objective": objective, **options}
    found = recommender_for(ids, model, **options)
    assert isinstance(found, SharedReader)
    with torch.no_grad():
        for name, parameter in found.named_parameters():
            if "whole_words" in name or "pooling" in name or name.endswith("bias") or name in ("queries", "query"):
                nn.init.normal_(parameter)
    return found.eval()


def segments(
    model: SharedReader, sequences: Sequences = SEQUENCES, max_history: int = 20, batch_size: int = 256
) -> Segments:
    """All targets of the sequences, the variant of user ``u`` being ``u`` modulo how many there are."""
    contract = replace(Contract(), max_history=max_history, batch_size=batch_size)
    examples = sliding_windows(sequences, max_history)
    variants = np.arange(len(sequences)) % model.ids.variants
    cuts = cut(model, examples, contract, variants, np.zeros_like(variants))
    return cuts.segments(np.random.default_rng(5).permutation(len(cuts)))


def loss(model: SharedReader, found: Segments) -> Tensor:
    return model(model.collate_segments(found))


def apart(found: Segments) -> Segments:
    """Every target from a reading of its own of the same segment."""
    own = found.owners
    each = np.arange(len(own))
    return Segments(
        found.histories.rows(own), found.items, each, found.first, found.last, found.variants[own], found.prompts[own]
    )


@pytest.mark.parametrize("objective", ["vocabulary", "prefix"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_packed_loss_is_that_of_every_target_alone(t5: MakeT5, kind: str, objective: str) -> None:
    """Alone: its history as it would be ranked, and nothing else; gradients are equal as well."""
    model = make(t5, kind, objective)
    found = segments(model)
    assert len(found.items) == int(SEQUENCES.lengths.sum()) - len(SEQUENCES)
    whole = loss(model, found)
    whole.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    total = 0.0
    for target in range(len(found.items)):
        row = found.owners[target : target + 1]
        start, whose = found.histories.offsets[row], found.histories.user_rows
        assert whose is not None
        history = found.histories.slice(start, start + found.last[target], whose[row])
        batch = model.collate(history, found.items[target : target + 1], found.variants[row], found.prompts[row])
        one = model(batch)
        one.backward()
        total += float(one.detach())
    assert float(whole.detach()) == pytest.approx(total, rel=1e-5)
    for name, parameter in model.named_parameters():
        if name in gradients:
            torch.testing.assert_close(gradients[name], parameter.grad, atol=3e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("objective", ["vocabulary", "prefix"])
@pytest.mark.parametrize("kind", ["ragged", "variants", "items"])
def test_a_temperature_sharpens_the_packed_loss(t5: MakeT5, kind: str, objective: str) -> None:
    """The head's weights divided by it have the same effect."""

    def untied(**options: Any) -> T5:
        return t5(tied=False, **options)

    cooled, model = (make(untied, kind, objective, temperature=degree) for degree in (0.5, 1.0))
    model.load_state_dict(cooled.state_dict())
    found = loss(cooled, segments(cooled))
    assert float(found.detach()) != pytest.approx(float(loss(model, segments(model)).detach()))
    with torch.no_grad():
        assert model.backbone.head is not None
        model.backbone.head.weight /= 0.5
    torch.testing.assert_close(found, loss(model, segments(model)))


def read(model: SharedReader, histories: list[list[int]]) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """The states of two histories read in one row, the loss of a target each, and the batch. Each of the targets is
    shown all but the newest items: three, and two.
    """
    states: list[Tensor] = []
    encode = model.backbone.encode

    def watched(*given: Any, **named: Any) -> Tensor:
        states.append(encode(*given, **named))
        return states[-1]

    ones, none = np.ones(2, np.int64), np.zeros(2, np.int64)
    sequences = Sequences.from_rows(histories)
    batch = model.collate_segments(Segments(sequences, none, np.arange(2), ones, np.array([3, 2]), none, none))
    with mock.patch.object(model.backbone, "encode", watched):
        loss = model(batch)
    return states[0], loss, dict(batch)


@pytest.mark.parametrize("kind", KINDS)
def test_a_newer_item_changes_no_bit_of_what_is_older(t5: MakeT5, kind: str) -> None:
    model = make(t5, kind)
    with torch.no_grad():
        one, before, batch = read(model, [[1, 2, 3, 0], [4, 6, 0, 7]])
        other, after, _ = read(model, [[1, 2, 3, 5], [4, 6, 5, 7]])  # items 0 and 5 have one token each
    numbers = batch.get("numbers", batch["item_position_ids"])
    older = torch.zeros(batch["segments"].shape, dtype=torch.bool)
    for segment, newest in enumerate((4, 3)):
        older |= (batch["segments"] == segment) & (numbers < newest)
    newer = ~older & (batch["segments"] >= 0)
    assert older.sum() >= 7
    assert torch.equal(one[older], other[older])
    assert not torch.equal(one[newer], other[newer])
    if not isinstance(model.ids, VectorIds):  # their loss has a part of every item that is read
        assert torch.equal(before, after)


def test_the_same_weights_in_transformers_give_the_same_logits(t5: MakeT5, peer: MakePeer) -> None:
    """Its encoder under a 4-D additive mask, and its decoder given those outputs."""
    model = make(t5, "ragged")
    assert isinstance(model, SharedSequenceRecommender)
    theirs, eos, separator = peer(model.backbone), VOCABULARY.eos, VOCABULARY.ids([";"])  # type: ignore[arg-type]
    before = VOCABULARY.encode("a b")
    expected = 0.0
    for user in range(len(SEQUENCES)):
        items = SEQUENCES[user].tolist()
        read, number = [eos, *before], [0] * (1 + len(before))
        for position, item in enumerate(items[:-1]):
            read += [*CODES[item], *separator]
            number += [position + 1] * (len(CODES[item]) + 1)
        at = torch.tensor(number)
        mask = torch.where(at[None, :] <= at[:, None], 0.0, torch.finfo(torch.float32).min)[None, None]
        states = theirs.encoder(input_ids=torch.tensor([read]), attention_mask=mask).last_hidden_state
        for position, item in enumerate(items[1:]):
            labels = torch.tensor([[*CODES[item], eos]])
            given = BaseModelOutput(last_hidden_state=states)
            seen = (at <= position + 1)[None].long()
            expected += float(
                theirs(encoder_outputs=given, attention_mask=seen, labels=labels).loss.detach() * labels.numel()
            )
    assert float(loss(model, segments(model)).detach()) == pytest.approx(expected, rel=1e-5)


def test_ranking_reads_as_training_did(t5: MakeT5, peer: MakePeer) -> None:
    """The score of every item is what the loss says of it, whatever else is ranked beside it."""
    for kind in ("ragged", "users", "words", "items", "slots"):
        model = make(t5, kind)
        histories = SEQUENCES.newest(4)
        ranked = model.rank(histories, ITEMS, Decoding("exact", 20, Scoring()))
        for user in range(len(histories)):
            row = np.array([user])
            for item in range(ITEMS):
                alone = -model(model.collate(histories.rows(row), np.array([item], np.int32))).item()
                score = ranked.scores[user][list(ranked.items[user]).index(item)]
                assert score == pytest.approx(alone, rel=1e-5), kind


# -- histories longer than the contract shows -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ragged", "variants", "words", "items", "paper", "unknown", "vector items", "slots"])
@pytest.mark.parametrize(("max_history", "batch_size"), [(20, 256), (5, 256), (1, 256), (4, 3)])
def test_every_target_is_shown_its_newest_items(t5: MakeT5, kind: str, max_history: int, batch_size: int) -> None:
    """As many as the contract says, in segments no longer than its double and with no more targets than a batch; and
    what else is read beside it changes no target's loss.
    """
    model = make(t5, kind)
    found = segments(model, LONG, max_history, batch_size)
    user = found.histories.user_rows
    assert user is not None
    seen = []
    for target in range(len(found.items)):
        row = found.owners[target]
        shown = found.histories[row][found.first[target] - 1 : found.last[target]].tolist()
        seen.append((int(user[row]), shown, int(found.items[target])))
    expected = [
        (row, LONG[row][max(0, at - max_history) : at].tolist(), int(LONG[row][at]))
        for row in range(len(LONG))
        for at in range(1, 23)
    ]
    assert sorted(seen) == sorted(expected)
    assert found.histories.lengths.max() <= packed.SPAN * max_history
    assert np.bincount(found.owners).max() <= batch_size
    with torch.no_grad():
        assert float(loss(model, found)) == pytest.approx(float(loss(model, apart(found))), rel=1e-5)


def test_what_the_encoder_has_no_room_for_is_not_shown(t5: MakeT5) -> None:
    """The head takes 3 tokens, so that 12 are left for items and their separators."""
    model = make(t5, "ragged", max_tokens=15)
    found = segments(model, LONG)
    lengths = [len(code) + 1 for code in CODES]
    assert (model.segment_lengths(found) <= 15).all()
    for target in range(len(found.items)):
        row = found.owners[target]
        history = found.histories[row].tolist()
        shown = history[found.first[target] - 1 : found.last[target]]
        assert sum(lengths[item] for item in shown) <= 12
    windows = sliding_windows(LONG, 20)
    assert sorted(found.last - found.first + 1) == sorted(
        max(n for n in range(1, len(row) + 1) if sum(lengths[item] for item in row[len(row) - n :]) <= 12)
        for row in (windows.histories(np.array([e]))[0].tolist() for e in range(len(windows)))
    )


# -- rows ------------------------------------------------------------------------------------------------------------


def test_rows_are_packed_without_gaps_and_nearly_alike() -> None:
    random = np.random.default_rng(2)
    for _ in range(50):
        lengths = random.integers(3, random.integers(5, 150), random.integers(1, 60))
        rows = packed.packed_rows(lengths)
        loads = np.bincount(rows, weights=lengths)
        assert (loads > 0).all()
        assert loads.max() <= max(packed.WIDTH, lengths.max()) + lengths.max()
        starts = packed.before_in_row(rows, lengths)
        for row in range(len(loads)):
            spans = sorted((int(s), int(s + n)) for s, n in zip(starts[rows == row], lengths[rows == row], strict=True))
            assert [stop for _, stop in spans[:-1]] == [start for start, _ in spans[1:]]
            assert spans[0][0] == 0


def test_an_empty_history_reads_its_head_alone(t5: MakeT5) -> None:
    """Nothing of its neighbors: alone and beside others it is the same."""
    for kind in ("ragged", "items", "paper", "slots"):
        model = make(t5, kind)
        rows = Sequences.from_rows([[], [3, 4]])
        both = model.rank(rows, ITEMS, Decoding("exact", 20, Scoring()))
        alone = model.rank(Sequences.from_rows([[]]), ITEMS, Decoding("exact", 20, Scoring()))
        np.testing.assert_allclose(both.scores[0], alone.scores[0], rtol=1e-5)
