"""The weight of each slot that validation chooses, and features that are unknown or single."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.backbone.t5 import T5
from bench.data.dataset import Sequences
from bench.data.splits import Targets
from bench.evaluation.metrics import per_user
from bench.ids.identifiers import Feature, Template, VectorIds
from bench.model import vector_set
from bench.model.recommender import Decoding, recommender_for
from bench.model.vector_set import VectorSetRecommender
from bench.model.vectors import FeatureVectors
from bench.training.ranking import evaluate
from bench.vocabulary import Vocabulary

ITEMS, WIDTH = 9, 16

MakeT5 = Callable[..., T5]


VOCABULARY = Vocabulary.private([*"abcde"])


HISTORIES = Sequences.from_rows([[0, 1, 2, 3], [4], [5, 5, 6]])


def identifiers(seed: int = 1, known: NDArray[np.bool_] | None = None, items: int = ITEMS, **changes: Any) -> VectorIds:
    random = np.random.default_rng(seed)
    everything = np.ones(items, bool)
    own = Feature("own", random.standard_normal((items, 5)).astype(np.float32), everything if known is None else known)
    text = random.standard_normal((items, 7)).astype(np.float32)
    features = own, Feature("text", text, everything, slots=2, hidden=(6,), reconstruction=0.7)
    return replace(VectorIds(features, VOCABULARY, Template("a b", after="c")), **changes)


def make(t5: MakeT5, ids: VectorIds | None = None, seed: int = 3, **options: Any) -> VectorSetRecommender:
    model = t5(vocabulary=VOCABULARY.size)
    torch.manual_seed(seed)
    found = recommender_for(ids or identifiers(), model, **options)
    assert isinstance(found, VectorSetRecommender)
    for bias in (p for name, p in found.vectors.named_parameters() if name.endswith("bias")):
        torch.nn.init.normal_(bias)
    return found.eval()


def decoded(model: VectorSetRecommender, histories: Sequences = HISTORIES) -> Tensor:
    """``[B, Q, D]``."""
    with torch.no_grad():
        return model._queried(histories, model.catalogue())


def scores_of(model: VectorSetRecommender, weight: float, histories: Sequences = HISTORIES) -> NDArray[np.float64]:
    """``[B, m]``, slot by slot."""
    hidden, vectors = decoded(model, histories).double(), model.vectors().detach().double()
    slots = [hidden[:, slot] @ vectors[slot].T for slot in range(3)]
    return ((1 - weight) * slots[0] + weight * (slots[1] + slots[2])).numpy()


def users(count: int = 40) -> Targets:
    random = np.random.default_rng(8)
    histories = Sequences.from_rows([random.integers(0, ITEMS, random.integers(1, 5)) for _ in range(count)])
    return Targets(np.arange(count), histories, random.integers(0, ITEMS, count).astype(np.int32), max_history=2)


@pytest.mark.parametrize("exclude", [False, True])
def test_the_free_sweep_is_inference_at_every_weight(t5: MakeT5, exclude: bool) -> None:
    from accelerate import Accelerator

    model, targets = make(t5), users()
    decoding, means = Decoding(decoder="exact", exclude_history=exclude), []
    for weight in vector_set.WEIGHTS:
        model.weight.fill_(weight)
        ranks, complete = evaluate(model, targets, decoding, 5, Accelerator(cpu=True))
        assert complete
        means.append(float(per_user(ranks.strict, "ndcg@10").mean()))
    reads: list[int] = []
    encode = T5.encode
    with mock.patch.object(T5, "encode", lambda *given: reads.append(1) or encode(*given)):
        model.calibrate(targets, decoding, "ndcg@10")
    assert len(reads) == 1
    best = int(np.argmax(means))
    assert float(model.weight) == pytest.approx(best / 10)
    assert model.calibrated() == {"semantic_weight": best / 10}
    assert len(set(means)) > 5


def test_targets_are_ranked_among_what_their_users_never_had(t5: MakeT5) -> None:
    from accelerate import Accelerator

    model, targets = make(t5), users()
    model.weight.fill_(0.3)
    decoding = Decoding(exclude_history=True)
    ranks, _ = evaluate(model, targets, decoding, ITEMS, Accelerator(cpu=True))
    scores = scores_of(model, 0.3, targets.histories)
    for row, target in enumerate(targets.items):
        left = [item for item in range(ITEMS) if item not in targets.seen[row]]
        better = [item for item in left if scores[row, item] >= scores[row, target]]
        assert ranks.strict[row] == (len(better) if target in left else np.inf)
    assert (targets.seen.lengths > 2).sum() > 10


def test_where_nothing_is_ever_found_the_weight_is_one_half(t5: MakeT5) -> None:
    model, targets = make(t5), users()
    hidden = replace(targets, seen=Sequences.from_rows([[item, 0, 1] for item in targets.items]))
    model.weight.fill_(0.9)
    model.calibrate(hidden, Decoding(exclude_history=True), "ndcg@10")
    assert float(model.weight) == 0.5


def test_a_single_feature_needs_no_weight(t5: MakeT5) -> None:
    both = identifiers()
    for feature in both.features:
        model = make(t5, replace(both, features=(feature,)))
        model.calibrate(users(), Decoding(), "ndcg@10")
        assert model.calibrated() == {}
        hidden, vectors = decoded(model), model.vectors().detach()
        expected = torch.einsum("bqd,qmd->bm", hidden, vectors)
        found = model.rank(HISTORIES, ITEMS, Decoding())
        assert np.allclose(found.scores, expected.sort(descending=True).values, atol=1e-4)


def test_an_unknown_slot_is_zero_and_unseen(t5: MakeT5) -> None:
    known = np.ones(ITEMS, bool)
    known[[1, 8]] = False
    model = make(t5, identifiers(known=known))
    vectors = model.vectors()
    assert not vectors[0, [1, 8]].any()
    assert vectors[1:, [1, 8]].all(-1).all()
    model.weight.fill_(0.0)
    found = model.rank(HISTORIES, ITEMS, Decoding())
    assert np.allclose(found.scores[np.isin(found.items, [1, 8])], 0)
    before = decoded(model, Sequences.from_rows([[1, 2]]))
    for item, same in ((1, True), (2, False)):
        changed = noisy(model.catalogue(), item)
        with mock.patch.object(model, "catalogue", mock.Mock(return_value=changed)):
            assert torch.equal(before, decoded(model, Sequences.from_rows([[1, 2]]))) == same


def noisy(table: Tensor, item: int) -> Tensor:
    """The catalogue with another first vector of an item."""
    table = table.clone()
    table[item, :WIDTH] += 1
    return table


def test_of_equally_good_weights_the_nearest_to_one_half_is_taken_then_the_smaller() -> None:
    for good, taken in (([3, 7], 3), ([2, 9], 2), ([0, 10], 0), ([1, 6, 4], 4), (range(11), 5)):
        means = [0.1 + 0.2 if place % 2 else 0.3 for place in range(11)]  # equal but for the last bit
        means = [mean if place in good else 0.2 for place, mean in enumerate(means)]
        assert vector_set.preferred(means) == taken


def test_a_feature_may_start_as_pytorch_makes_its_layers() -> None:
    ids = identifiers()
    own = replace(ids.features[0], init="pytorch")
    torch.manual_seed(0)
    layers = [FeatureVectors(feature, 4).encoder[0] for feature in (own, ids.features[0])]
    torch.manual_seed(0)
    plain = torch.nn.Linear(5, 4)
    assert torch.equal(layers[0].weight, plain.weight)
    assert torch.equal(layers[0].bias, plain.bias)
    assert not layers[1].bias.any()


@pytest.mark.parametrize("weight", [0.0, 0.4])
def test_of_an_unseen_catalogue_the_text_alone_decides(t5: MakeT5, weight: float) -> None:
    """Its first feature knows no item: under a weight of 0 all items would be equal."""
    model = make(t5, identifiers(known=np.zeros(ITEMS, bool)))
    model.weight.fill_(weight)
    hidden, vectors = decoded(model), model.vectors(None).detach()
    expected = (hidden[:, 1] @ vectors[1].T + hidden[:, 2] @ vectors[2].T).numpy()
    assert np.allclose(model.rank(HISTORIES, ITEMS, Decoding()).scores, -np.sort(-expected), atol=1e-4)
    assert np.ptp(expected, axis=1).min() > 0.01
