"""The loss against tokens that are drawn: all of them give the whole softmax, some of them an estimate of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.backbone.t5 import T5
from bench.contract import Contract
from bench.data.dataset import Sequences
from bench.errors import BenchError
from bench.ids.identifiers import Template, TokenIds
from bench.model import drawn
from bench.model.recommender import Recommender, recommender_for
from bench.vocabulary import Vocabulary

MakeT5 = Callable[..., T5]

TOKENS, ROWS = 40, 7
SIZES = torch.tensor([40, 12, 1, 5])  # of states; the tokens of each are the first ones of a permutation of its own
ORDER = torch.stack([torch.from_numpy(np.random.default_rng(state).permutation(TOKENS)) for state in range(4)])
STATE_OF = torch.tensor([0, 1, 0, 3, 1, 2, 0])
LABELS = torch.stack([ORDER[state, -1 + int(SIZES[state])] for state in STATE_OF])

CATALOGUE = 30
VOCABULARY = Vocabulary.private([*map(str, range(CATALOGUE)), "a", "b", ";", "?"])
HISTORIES = Sequences.from_rows([[0, 1, 2, 3, 4, 5], [6], [2, 2], [7, 0, 3]])
TARGETS = np.array([6, 29, 0, 5], np.int32)
INDEPENDENT = [[3 + item] for item in range(CATALOGUE)]
BRANCHED = [[33 + item % 2, 3 + item] for item in range(CATALOGUE)]


def scores(seed: int = 0) -> Tensor:
    return torch.randn(ROWS, TOKENS, generator=torch.Generator().manual_seed(seed), requires_grad=True)


def expected(logits: Tensor) -> Tensor:
    """Row by row, over the tokens that may follow in its state."""
    found = []
    for row, state in enumerate(STATE_OF.tolist()):
        may = ORDER[state, : SIZES[state]]
        at = (may == LABELS[row]).nonzero()[0]
        found.append(F.cross_entropy(logits[row, may][None], at))
    return torch.stack(found)


def estimated(logits: Tensor, count: int) -> Tensor:
    state, place = drawn.drawn(SIZES, count)
    return drawn.losses(lambda rows: logits[:, rows], LABELS, STATE_OF, SIZES, state, ORDER[state, place])


@pytest.mark.parametrize("count", [1, 4, 11, 38, 39, 100])
def test_what_is_drawn_is_distinct_and_all_where_there_is_no_more(count: int) -> None:
    state, place = drawn.drawn(SIZES, count)
    pairs = list(zip(state.tolist(), place.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    for number, size in enumerate(SIZES.tolist()):
        mine = [token for of, token in pairs if of == number]
        assert all(0 <= token < size for token in mine)
        if size <= count + 1:
            assert sorted(mine) == list(range(size))
        else:
            assert 0 < len(mine) <= count


@pytest.mark.parametrize("count", [39, 1000])
def test_against_all_others_it_is_the_cross_entropy(count: int) -> None:
    logits, again = scores(), scores()
    found, whole = estimated(logits, count), expected(again)
    torch.testing.assert_close(found, whole)
    found.sum().backward()
    whole.sum().backward()
    torch.testing.assert_close(logits.grad, again.grad)


def test_the_sum_under_the_softmax_is_estimated_without_bias() -> None:
    """The exponential of a loss is that sum over the right token's part."""
    torch.manual_seed(1)
    logits = scores().detach()
    found = torch.stack([estimated(logits, 6).exp() for _ in range(3000)])
    error = found.std(0) / len(found) ** 0.5
    assert ((found.mean(0) - expected(logits).exp()).abs() <= 4.5 * error + 1e-5).all()
    assert (found.std(0)[STATE_OF == 0] > 0.1).all()  # of forty tokens six were drawn
    assert (found.std(0)[STATE_OF == 3] < 1e-6).all()  # of five all were taken


def test_the_mean_gradient_is_near_that_of_the_softmax_and_nearer_with_more() -> None:
    whole = scores()
    expected(whole).sum().backward()
    assert whole.grad is not None
    away = []
    for count in (4, 20):
        torch.manual_seed(count)
        logits = scores()
        for _ in range(1500):
            (estimated(logits, count).sum() / 1500).backward()
        assert logits.grad is not None
        away.append(float((logits.grad - whole.grad).norm() / whole.grad.norm()))
    assert away[1] < away[0] < 0.3
    assert away[1] < 0.05


def model(t5: MakeT5, codes: list[list[int]], **options: Any) -> Recommender:
    ids = TokenIds.from_lists(codes, VOCABULARY, Template("", ";", "?"))
    return recommender_for(ids, t5(vocabulary=VOCABULARY.size), **options).eval()


@pytest.mark.parametrize("training", ["windows", "shared"])
@pytest.mark.parametrize(("codes", "negatives"), [(INDEPENDENT, 29), (BRANCHED, 14)])
def test_where_all_that_may_follow_is_taken_the_loss_is_that_without(
    t5: MakeT5, training: str, codes: list[list[int]], negatives: int
) -> None:
    plain, some = (
        model(t5, codes, objective="prefix", training=training, temperature=0.7, negatives=count)
        for count in (0, negatives)
    )
    losses = [each(each.collate(HISTORIES, TARGETS)) for each in (plain, some)]
    torch.testing.assert_close(losses[1], losses[0])
    for loss in losses:
        loss.backward()
    one, other = plain.backbone.embedding.weight.grad, some.backbone.embedding.weight.grad
    torch.testing.assert_close(other, one)


@pytest.mark.parametrize("objective", ["vocabulary", "prefix"])
def test_a_few_tokens_estimate_the_loss_of_a_model(t5: MakeT5, objective: str) -> None:
    """And the same seed draws the same ones."""
    plain, some = (model(t5, INDEPENDENT, objective=objective, negatives=count) for count in (0, 8))
    batch = some.collate(HISTORIES, TARGETS)
    torch.manual_seed(5)
    with torch.no_grad():
        found = [float(some(batch)) for _ in range(400)]
        torch.manual_seed(5)
        assert [float(some(batch)) for _ in range(3)] == found[:3]
        whole = float(plain(plain.collate(HISTORIES, TARGETS)))
    assert len(set(found)) > 300
    assert np.mean(found) == pytest.approx(whole, rel=0.02)


def test_what_is_drawn_counts_and_what_is_not_does_not(t5: MakeT5) -> None:
    lengths, none = np.full(4, 9), np.zeros(4, np.int64)
    flops = []
    for negatives in (0, 8, 35, 100):  # the vocabulary has 37 rows
        work = model(t5, INDEPENDENT, negatives=negatives).work(HISTORIES, TARGETS, lengths, none)
        assert work.flops is not None
        flops.append(work.flops)
    assert flops[1] < flops[0] == flops[2] == flops[3]


def test_a_contract_says_it_where_it_is_asked_for() -> None:
    assert "negatives" not in Contract().lines
    assert Contract(negatives=5).lines["negatives"] == 5
    assert Contract(negatives=5).id != Contract().id
    with pytest.raises(BenchError, match="'negatives' must be 0 or more; got -1"):
        Contract(negatives=-1)
