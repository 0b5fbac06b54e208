"""The faiss index finds what comparing with every item finds."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bench.backbone.t5 import T5
from bench.data.dataset import Sequences
from bench.errors import BenchError
from bench.ids.identifiers import Feature, Template, VectorIds
from bench.model.index import CatalogueIndex
from bench.model.recommender import Decoding, recommender_for
from bench.model.vector_set import VectorSetRecommender
from bench.vocabulary import Vocabulary

ITEMS = 300
HISTORIES = Sequences.from_rows([[1, 2, 3], [299], [5, 5, 5, 7], list(range(12))])
HELD = Sequences.from_rows([[1, 2, 3], [4, 299], [5, 5, 5, 7], list(range(11, -1, -1)) + list(range(12))])


@pytest.fixture
def model(t5: Callable[..., T5]) -> VectorSetRecommender:
    random, known = np.random.default_rng(0), np.ones(ITEMS, bool)
    own, text = (random.standard_normal((ITEMS, 6)).astype(np.float32) for _ in range(2))
    features = Feature("own", own, known), Feature("text", text, known, slots=2)
    vocabulary = Vocabulary.private(["a"])
    made = recommender_for(VectorIds(features, vocabulary, Template("a")), t5(vocabulary=vocabulary.size)).eval()
    assert isinstance(made, VectorSetRecommender)
    made.weight.fill_(0.2)
    return made


@pytest.mark.parametrize("exclude", [False, True])
@pytest.mark.parametrize("count", [10, ITEMS])
def test_the_flat_index_is_brute_force(model: VectorSetRecommender, exclude: bool, count: int) -> None:
    found = CatalogueIndex(model).search(HISTORIES, count, HELD if exclude else None)
    expected = model.rank(HISTORIES, count, Decoding(exclude_history=exclude), seen=HELD)
    assert found.complete == expected.complete == (count == ITEMS)
    assert np.array_equal(found.valid, expected.valid)
    assert np.array_equal(found.items[found.valid], expected.items[expected.valid])
    assert np.allclose(found.scores[found.valid], expected.scores[expected.valid], atol=1e-4)


def test_an_approximate_index_can_be_asked_for(model: VectorSetRecommender) -> None:
    found = CatalogueIndex(model, "PCA8,Flat").search(HISTORIES, 100)
    expected = model.rank(HISTORIES, 100, Decoding())
    assert not np.array_equal(found.items, expected.items)
    shared = [len(set(a) & set(b)) for a, b in zip(found.items.tolist(), expected.items.tolist(), strict=True)]
    assert min(shared) > 40
    with pytest.raises(BenchError, match="faiss can't build an index 'Nonsense' over 300 items"):
        CatalogueIndex(model, "Nonsense")


def test_without_faiss_it_says_what_to_install(model: VectorSetRecommender, monkeypatch: pytest.MonkeyPatch) -> None:
    known = builtins.__import__

    def missing(name: str, *rest: Any, **named: Any) -> Any:
        if name == "faiss":
            raise ImportError("No module named 'faiss'")
        return known(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(BenchError, match=r"need faiss .*: pip install faiss-cpu"):
        CatalogueIndex(model)
