"""The family set: what its features are, where they come from, and which settings it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from set_ids import CfOnly, SemanticOnly, SetRec

from bench.data.dataset import Dataset, ItemTable, Sequences, TrainView
from bench.data.splits import leave_one_out
from bench.errors import BenchError
from bench.ids import storage
from bench.ids.identifiers import Template, VectorIds
from bench.ids.scheme import IdScheme
from bench.ids.text import TextSettings, embed
from bench.runs.subjects import load_scheme, settings
from bench.vocabulary import Vocabulary

TINY = {"epochs": "2", "width": "8", "hidden": "16", "dimensions": "6", "slots": "3", "alpha": "0.5"}
COLLABORATIVE = {name: TINY[name] for name in ("epochs", "width")}
SEMANTIC = {name: TINY[name] for name in ("hidden", "dimensions", "slots", "alpha")}
OF: list[tuple[type[IdScheme], dict[str, str]]] = [(SetRec, TINY), (CfOnly, COLLABORATIVE), (SemanticOnly, SEMANTIC)]


def fit(scheme: type[IdScheme], train: TrainView, options: dict[str, str], **more: str) -> VectorIds:
    ids = scheme(settings(scheme, {**options, **more})).fit(train)
    assert isinstance(ids, VectorIds)
    return ids


def content(ids: VectorIds) -> bytes:
    arrays, facts = storage.parts(ids)
    return b"".join(array.tobytes() for array in arrays.values()) + repr(facts).encode()


@pytest.fixture
def train(small: Dataset) -> TrainView:
    return leave_one_out(small, seed=3).train


@pytest.mark.parametrize(("scheme", "options"), OF)
def test_held_out_interactions_change_nothing(scheme: type[IdScheme], options: dict[str, str], small: Dataset) -> None:
    rows = [small.sequences[user].copy() for user in range(len(small.users))]
    for row in rows:
        row[-2:] = (row[-2:] + 1) % 12
    other = leave_one_out(replace(small, sequences=Sequences.from_rows(rows)), seed=3).train
    one = leave_one_out(small, seed=3).train
    assert content(fit(scheme, one, options)) == content(fit(scheme, other, options))


def test_features_come_in_order_with_the_settings(train: TrainView) -> None:
    both = fit(SetRec, train, TINY, attention="repo", negatives="5")
    own, text = both.features
    assert [(f.name, f.slots, f.hidden, f.reconstruction) for f in both.features] == [
        ("collaborative", 1, (), 0.0),
        ("semantic", 3, (16,), 0.5),
    ]
    assert (both.attention, both.negatives, both.slots) == ("repo", 5, 4)
    assert np.array_equal(text.vectors, embed(train, TextSettings(dimensions=6)))
    assert own.vectors.shape == (12, 8)
    assert np.square(own.vectors[own.known]).mean() == pytest.approx(1, rel=1e-4)
    assert (both.reconstruct_over, own.init, text.init) == ("example", "xavier", "xavier")
    published = fit(SetRec, train, TINY, scale="raw", init="pytorch", reconstruct_over="batch")
    raw = published.features[0]
    assert (published.reconstruct_over, raw.init, published.features[1].init) == ("batch", "pytorch", "xavier")
    assert np.allclose(own.vectors * np.sqrt(np.square(raw.vectors[raw.known]).mean()), raw.vectors, atol=1e-6)
    (alone,) = fit(CfOnly, train, COLLABORATIVE).features
    assert np.array_equal(alone.vectors, own.vectors)
    (alone,) = fit(SemanticOnly, train, SEMANTIC).features
    assert np.array_equal(alone.vectors, text.vectors)
    assert load_scheme("set") is load_scheme("set/setrec") is SetRec


@pytest.mark.parametrize("cold", ["semantic", "zero", "mean"])
def test_items_that_nobody_chose_follow_the_policy(train: TrainView, cold: str) -> None:
    own = fit(SetRec, train, TINY, cold=cold).features[0]
    chosen = np.isin(np.arange(12), train.sequences.values)
    assert 3 <= (~chosen).sum() < 9
    assert own.known.tolist() == (chosen | (cold != "semantic")).tolist()
    expected = own.vectors[chosen].mean(0) if cold == "mean" else np.zeros(8)
    assert np.allclose(own.vectors[~chosen], expected, atol=1e-6)


def test_vectors_may_come_from_a_file_and_a_changed_file_is_another_scheme(train: TrainView, tmp_path: Path) -> None:
    path = tmp_path / "v.npy"
    given = np.arange(24, dtype=np.float32).reshape(12, 2) + 1
    np.save(path, given)
    (tmp_path / "v.ids.txt").write_text("\n".join(train.items.ids))
    own = fit(CfOnly, train, {}, vectors=str(path)).features[0]
    ratio = own.vectors[own.known] / given[own.known]
    assert np.allclose(ratio, ratio[0, 0], rtol=1e-5)
    assert ratio[0, 0] > 0
    scheme = CfOnly(settings(CfOnly, {"vectors": str(path)}))
    before = scheme.cache_key()
    np.save(path, np.ones((12, 2), np.float32))
    assert len({before, scheme.cache_key(), CfOnly().cache_key()}) == 3
    path.unlink()
    with pytest.raises(
        BenchError, match=r"cannot read item vectors from .* give \.npy, \.parquet, \.safetensors, or 'sasrec'"
    ):
        scheme.cache_key()


def test_the_sentence_is_in_the_backbones_words(train: TrainView, t5: Vocabulary) -> None:
    worded = fit(SemanticOnly, replace(train, language=t5), SEMANTIC)
    assert worded.vocabulary is t5
    for text in (worded.template.before, worded.template.after):
        assert t5.encode(text)
        assert t5.unk not in t5.encode(text)
    private = fit(SemanticOnly, train, SEMANTIC)
    assert private.template == Template("<history>", after="<next>")
    assert private.vocabulary.size == 5


@pytest.mark.parametrize(
    ("scheme", "line"),
    [
        (SetRec, "slots=0"),
        (SetRec, "alpha=-1"),
        (SetRec, "hidden=0"),
        (SetRec, "negatives=-1"),
        (CfOnly, "width=0"),
        (CfOnly, "width=5"),
        (CfOnly, "dropout=1"),
        (CfOnly, "learning_rate=0"),
        (CfOnly, "cold=noise"),
        (CfOnly, "scale=large"),
        (CfOnly, "init=zero"),
        (SemanticOnly, "reconstruct_over=users"),
        (SemanticOnly, "attention=full"),
    ],
)
def test_settings_that_mean_nothing_are_refused(scheme: type[IdScheme], line: str) -> None:
    name, _, value = line.partition("=")
    with pytest.raises(BenchError, match=name):
        settings(scheme, {name: value})


@pytest.mark.parametrize(("scheme", "options"), [OF[0], OF[2]])
def test_an_unseen_catalogue_has_its_texts_in_the_space_of_training_and_nothing_else(
    scheme: type[IdScheme], options: dict[str, str], train: TrainView, tmp_path: Path
) -> None:
    made = scheme(settings(scheme, {**options, "encoder": "hashed"}))
    ids = made.fit(train)
    next(made.stages(train, ids))
    made.save_state(tmp_path)
    text = {name: ("nothing alike", *column[::-1]) for name, column in train.items.text.items()}
    items = ItemTable(tuple(f"other {item}" for item in range(1 + len(train.items))), text)
    unseen = TrainView("unseen", items, Sequences.from_rows([]), 0)
    trained: Any = SimpleNamespace(ids=ids)
    found = scheme(made.settings).transfer(trained, unseen, tmp_path)
    assert isinstance(ids, VectorIds)
    assert isinstance(found, VectorIds)
    *others, semantic = found.features
    assert np.allclose(semantic.vectors[1:], ids.features[-1].vectors[::-1], atol=1e-4)
    assert semantic.known.all()
    assert [feature.name for feature in others] == ["collaborative"] * (scheme is SetRec)
    for feature in others:
        assert feature.vectors.shape == (len(items), 8)
        assert not feature.known.any()
        assert not feature.vectors.any()
    assert (found.vocabulary, found.template, found.attention) == (ids.vocabulary, ids.template, ids.attention)
