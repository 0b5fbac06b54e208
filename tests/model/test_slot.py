"""Codes in slots: against plain loops over users, slots and items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bench.backbone.t5 import T5
from bench.data.dataset import Sequences
from bench.errors import BenchError
from bench.ids.identifiers import SlotIds, Template
from bench.model import slot
from bench.model.groups import Groups
from bench.model.recommender import Decoding, recommender_for
from bench.model.slot import SlotRecommender
from bench.model.top import best_of
from bench.vocabulary import Vocabulary

MakeT5 = Callable[..., T5]
VOCABULARY = Vocabulary.private([*"abc"])
HISTORIES = Sequences.from_rows([[0, 1, 2, 3], [4], [5, 5, 6]])
TARGETS = np.array([7, 8, 0], np.int32)
SIZES = (4, 3, 5)
DECODING, EXCLUDING = Decoding(), Decoding(exclude_history=True)


def identifiers(items: int = 9, equal: bool = False, **changes: Any) -> SlotIds:
    random = np.random.default_rng(2)
    every = np.stack(np.meshgrid(*map(range, SIZES)), -1).reshape(-1, 3)
    codes = every[random.permutation(len(every))[:items]].astype(np.int32)
    if equal:  # items 1, 4 and 8 share their codes, and so do 2 and 3
        codes[[4, 8]], codes[3] = codes[1], codes[2]
    return replace(SlotIds(codes, SIZES, VOCABULARY, Template("a b", after="c"), 0.2), **changes)


def make(t5: MakeT5, ids: SlotIds | None = None, **options: Any) -> SlotRecommender:
    model = t5(vocabulary=VOCABULARY.size)
    torch.manual_seed(3)
    found = recommender_for(ids or identifiers(), model, **options)
    assert isinstance(found, SlotRecommender)
    torch.nn.init.normal_(found.heads.weight, std=0.2)
    torch.nn.init.normal_(found.heads.bias, std=0.2)
    return found.eval()


def plainly(model: SlotRecommender, history: list[int]) -> Tensor:
    """The log-probability of every code of every slot for one history, place by place: a row for each slot, padded."""
    t5, table, starts = model.backbone, model.table.weight, np.cumsum([0, *SIZES])
    places = [t5.embedding.weight[token] for token in VOCABULARY.encode("a b")]
    for item in history:
        codes = model.ids.codes[item].tolist()
        places.append(torch.stack([table[starts[s] + code] for s, code in enumerate(codes)]).mean(0))
    places.append(t5.embedding.weight[VOCABULARY.encode("c")[0]])
    state = t5.decode(model.query[None], t5.start(t5.encode(torch.stack(places)[None])))[0, 0]
    found = torch.full((3, max(SIZES)), float("nan"))
    for s, size in enumerate(SIZES):
        weight, bias = (part.view(3, -1)[s] for part in (model.heads.weight.flatten(), model.heads.bias))
        moved = state + torch.nn.functional.silu(weight.view(len(state), -1) @ state + bias)
        cosines = [torch.cosine_similarity(moved, table[starts[s] + code], 0) for code in range(size)]
        found[s, :size] = torch.log_softmax(torch.stack(cosines) / 0.2, 0)
    return found


def scores(model: SlotRecommender) -> Tensor:
    """``[users, items]``: the mean log-probability of every item's codes."""
    rows = []
    for row in range(len(HISTORIES)):
        found = plainly(model, HISTORIES[row].tolist())
        parts = [[found[s, code] for s, code in enumerate(codes)] for codes in model.ids.codes]
        rows.append(torch.stack([torch.stack(part).mean() for part in parts]))
    return torch.stack(rows)


@pytest.mark.parametrize("at_once", [1, 4, 1000])
def test_items_are_ranked_by_the_mean_log_probability_of_their_codes(
    t5: MakeT5, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(slot, "AT_ONCE", at_once)
    model = make(t5)
    expected = scores(model).detach().numpy()
    for k in (3, 9, 20):
        found = model.rank(HISTORIES, k, DECODING)
        order = np.argsort(-expected, axis=1, kind="stable")[:, :k]
        assert found.items.tolist() == order.tolist()
        np.testing.assert_allclose(found.scores, np.take_along_axis(expected, order, 1), atol=1e-5)
        assert found.valid.all()
        assert found.complete == (k >= 9)


def test_the_loss_is_the_cross_entropy_averaged_over_slots(t5: MakeT5) -> None:
    model = make(t5)
    total = torch.zeros(())
    for row, target in enumerate(TARGETS):
        found = plainly(model, HISTORIES[row].tolist())
        total = total - sum(found[s, code] for s, code in enumerate(model.ids.codes[target])) / 3
    loss = model(model.collate(HISTORIES, TARGETS))
    torch.testing.assert_close(loss, total)
    assert model.targets(TARGETS) == 3
    loss.backward()
    for name, parameter in model.named_parameters():
        alone = name.startswith("backbone.decoder.blocks") and "attention.query" in name
        assert parameter.grad is not None, name
        assert alone or parameter.grad.abs().sum() > 0 or "attention.key" in name or "bias.table" in name, name


def test_a_batch_costs_what_its_examples_cost_alone(t5: MakeT5) -> None:
    model = make(t5)
    single = [
        model(model.collate(HISTORIES.rows(np.array([row])), TARGETS[row : row + 1])) for row in range(len(TARGETS))
    ]
    torch.testing.assert_close(model(model.collate(HISTORIES, TARGETS)), torch.stack(single).sum())


def test_items_that_share_all_codes_are_ranked_as_one(t5: MakeT5) -> None:
    model = make(t5, identifiers(equal=True))
    assert model.ids.groups[1] == model.ids.groups[4] == model.ids.groups[8]
    found = model.rank(HISTORIES, 9, DECODING)
    assert sorted(found.items[0]) == [0, 1, 2, 5, 6, 7]
    assert found.complete
    few = np.array([True] * 9)
    few[[0, 1, 2]] = False
    assert sorted(model.rank(HISTORIES, 9, DECODING, few).items[0]) == [3, 4, 5, 6, 7]


@pytest.mark.parametrize("equal", [False, True])
@pytest.mark.parametrize("chosen", [None, [True, False, True, True, True, False, True, True, True]])
@pytest.mark.parametrize("seen", [None, [[1, 4, 8, 8], [2], []]])
def test_what_is_excluded_is_not_ranked_unless_another_item_has_its_codes(
    t5: MakeT5, equal: bool, chosen: list[bool] | None, seen: list[list[int]] | None
) -> None:
    model = make(t5, identifiers(equal=equal))
    candidates = None if chosen is None else np.array(chosen)
    whole = None if seen is None else Sequences.from_rows(seen)
    found = model.rank(HISTORIES, 9, EXCLUDING, candidates, whole)
    for row in range(3):
        gone = set((HISTORIES if whole is None else whole)[row].tolist())
        left = {item for item in range(9) if item not in gone and (candidates is None or candidates[item])}
        expected = {int(model.ids.groups[item]) for item in left}
        shown = model.ids.groups[found.items[row][found.valid[row]]].tolist()
        assert len(shown) == len(set(shown))
        assert set(shown) == expected


@given(st.integers(1, 4), st.integers(1, 30), st.integers(1, 40), st.integers(1, 12), st.integers(0, 99))
def test_the_best_of_parts_are_the_best_of_all(users: int, count: int, k: int, at_once: int, seed: int) -> None:
    values = torch.from_numpy(np.random.default_rng(seed).integers(0, 4, (users, count)).astype(np.float32))
    device = torch.device("cpu")
    best, found = best_of(lambda start, stop: values[:, start:stop].clone(), users, count, k, at_once, None, device)
    order = np.argsort(-values.numpy(), axis=1, kind="stable")[:, :k]
    assert best.tolist() == order.tolist()
    assert found.tolist() == np.take_along_axis(values.numpy(), order, 1).tolist()


def test_groups_name_the_first_of_their_items() -> None:
    groups = Groups(np.array([2, 0, 2, 1, 0]))
    assert groups.first(None).tolist() == [0, 1, 3]
    assert groups.first(np.array([False, False, True, True, True])).tolist() == [2, 3, 4]
    assert Groups(np.arange(4)).first(None).tolist() == [0, 1, 2, 3]


def test_slots_cost_what_their_shapes_say(t5: MakeT5) -> None:
    model = make(t5)
    found = model.work(HISTORIES, TARGETS, model.input_lengths(HISTORIES), np.zeros(3, np.int64))
    assert model.input_lengths(HISTORIES).tolist() == [7, 4, 6]
    head = 2 * 3 * (model.heads.weight.numel() + model.table.weight.numel())
    assert found.flops == 3 * (model.backbone.flops(3, 7, 1, 0) + head)
    assert (found.tokens_read, found.tokens_written) == (17, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codes": np.zeros((2, 2), np.int32)}, "with a size for each slot; got .2, 2."),
        ({"codes": np.array([[0, 3, 0]], np.int32)}, r"code 3 of catalogue item 0 in slot 1 is not in 0\.\.2"),
        ({"temperature": 0.0}, "temperature of slots must be above 0"),
        ({"template": Template("a", ";")}, "template of slots must have words"),
    ],
)
def test_identifiers_that_make_no_sense_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        identifiers(**changes)
