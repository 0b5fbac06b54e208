"""Texts of several catalogues in one space, learned on the training catalogue alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from bench.data.dataset import ItemTable, Sequences, TrainView
from bench.errors import BenchError
from bench.ids import text
from bench.ids.identifiers import TokenIds
from bench.ids.scheme import Stage
from bench.ids.spaces import Placing, TextSpace, learned, raw, require_comparable
from bench.ids.text import HASHED, OFFLINE, TextSettings, embed

WORDS = ("oak", "gate", "pond", "red", "blue", "iron", "car", "robot")


def view(name: str, seed: int, items: int = 40, prefix: str = "i") -> TrainView:
    random = np.random.default_rng(seed)
    titles = tuple(" ".join(random.choice(WORDS, 3)) for _ in range(items))
    table = ItemTable(tuple(f"{prefix}{item}" for item in range(items)), {"title": titles})
    return TrainView(name, table, Sequences.from_rows([]), 0)


def test_vectors_stay_as_encoded_where_no_dimensions_are_asked_for() -> None:
    here, there = view("here", 0), view("there", 1)
    space, found = learned(here, TextSettings(encoder=HASHED, dimensions=0, whiten=False))
    assert np.array_equal(found, raw(here, space.settings))
    assert np.array_equal(space.placed(there), raw(there, space.settings))
    assert space.arrays == {}


def test_the_training_catalogue_is_white_and_another_one_is_not() -> None:
    here, there = view("here", 0), view("there", 1)
    space, found = learned(here, TextSettings(encoder=HASHED, dimensions=4, whiten=True))
    assert np.allclose(found.mean(axis=0), 0, atol=1e-5)
    assert np.allclose(np.cov(found.T, bias=True), np.eye(4), atol=1e-3)
    assert not np.allclose(np.cov(space.placed(there).T, bias=True), np.eye(4), atol=1e-2)


def test_a_text_has_one_place_in_every_catalogue() -> None:
    here = view("here", 0)
    space, found = learned(here, TextSettings(encoder=HASHED, dimensions=5, whiten=True))
    few = ItemTable(("x", "y"), {"title": (here.items.text["title"][7], here.items.text["title"][3])})
    placed = space.placed(TrainView("few", few, Sequences.from_rows([]), 0))
    assert np.allclose(placed, found[[7, 3]], atol=1e-5)


def test_no_text_of_another_catalogue_moves_the_space() -> None:
    """What it is learned from is the training catalogue, whatever is placed in it afterwards."""
    here, settings = view("here", 0), TextSettings(encoder=HASHED, dimensions=4, whiten=True)
    space, before = learned(here, settings)
    arrays = {name: array.copy() for name, array in space.arrays.items()}
    for seed in (1, 2):
        space.placed(view("there", seed))
    assert all(np.array_equal(space.arrays[name], array) for name, array in arrays.items())
    assert np.array_equal(learned(here, settings)[1], before)


def test_a_space_is_kept_as_arrays() -> None:
    here, there = view("here", 0), view("there", 1)
    for dimensions in (0, 3):
        settings = TextSettings(encoder=HASHED, dimensions=dimensions, whiten=bool(dimensions))
        space, _ = learned(here, settings)
        again = TextSpace.kept(settings, {**space.arrays, "weights": np.zeros(3, np.float32)})
        assert np.array_equal(again.placed(there), space.placed(there))


def test_the_space_that_identifiers_were_made_in_is_kept_in_a_run(tmp_path: Path) -> None:
    here, there = view("here", 0), view("there", 1)
    for dimensions in (0, 3):
        settings = TextSettings(encoder=HASHED, dimensions=dimensions, whiten=bool(dimensions))
        (home := tmp_path / str(dimensions)).mkdir()
        space = TextSpace.of(here, settings)
        space.save(home)
        assert np.allclose(space.placed(here), embed(here, settings), atol=1e-5)
        assert np.array_equal(TextSpace.saved(settings, home).placed(there), space.placed(there))
    (tmp_path / "3" / "space.safetensors").unlink()
    with pytest.raises(BenchError, match=r"space\.safetensors"):
        TextSpace.saved(settings, tmp_path / "3")


def test_vectors_of_another_kind_are_refused(tmp_path: Path) -> None:
    paths = []
    for width, prefix in ((6, "i"), (5, "j")):
        vectors = np.random.default_rng(width).normal(size=(40, width)).astype(np.float32)
        items = [f"{prefix}{item}" for item in range(40)]
        paths.append(str(tmp_path / f"{width}.parquet"))
        pd.DataFrame({"item": items, "vector": list(vectors)}).to_parquet(paths[-1])
    space, _ = learned(view("here", 0), TextSettings(encoder=paths[0], dimensions=3))
    other = TextSpace(TextSettings(encoder=paths[1], dimensions=3), space.mean, space.axes)
    with pytest.raises(BenchError, match="the texts of 'there' have vectors of 5 numbers, those that the space was "):
        other.placed(view("there", 1, prefix="j"))


def test_an_encoder_of_one_catalogue_is_refused() -> None:
    require_comparable(TextSettings(encoder=HASHED), "unisrec")
    with pytest.raises(BenchError, match="tfidf-svd is made for one; use encoder=hashed"):
        require_comparable(TextSettings(encoder=OFFLINE), "unisrec")


def test_two_encoders_are_kept_apart(tmp_path: Path) -> None:
    """Neither has files, so neither has a digest: in one cache the second got the vectors of the first."""
    here = replace(view("here", 0), cache=tmp_path)
    first, second = (raw(here, TextSettings(encoder=encoder)) for encoder in (OFFLINE, HASHED))
    assert first.shape[1] != second.shape[1]
    assert np.array_equal(raw(here, TextSettings(encoder=HASHED)), second)


def test_a_large_catalogue_is_placed_in_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = view("here", 0), view("there", 1, 50)
    space, _ = learned(here, TextSettings(encoder=HASHED, dimensions=4, whiten=True))
    whole, joined = space.placed(there), list[list[int]]()
    concatenate = np.concatenate

    def told(parts: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        joined.append([len(part) for part in parts])
        return concatenate(parts)

    monkeypatch.setattr(text, "SHARD", 16)
    monkeypatch.setattr(np, "concatenate", told)
    assert np.allclose(space.placed(there), whole, atol=1e-6)
    assert joined == [[16, 16, 16, 2]]


class Given(Placing):
    """Places, as the schemes of identifiers made of texts do."""

    name = "mine/given"
    places = True
    Settings: ClassVar[type[Any]] = TextSettings

    def fit(self, train: TrainView) -> TokenIds:
        raise NotImplementedError


class Same(Given):
    name = "mine/same"


class Trained(Given):
    name = "mine/trained"

    def stages(self, train: TrainView, ids: Any) -> Any:
        yield Stage(ids)


class Made(Given):
    name = "mine/made"

    def fit(self, train: TrainView) -> TokenIds:
        raise NotImplementedError


class Says(Made):
    name = "mine/says"
    places = True


class Transfers(Trained):
    name = "mine/transfers"
    supports_transfer = True


class Cannot(Given):
    name = "mine/cannot"
    supports_transfer = False
    no_transfer_reason = "it was told so"


def test_what_a_class_makes_in_its_own_way_places_where_it_says_so() -> None:
    comparable = TextSettings(encoder=HASHED)
    can = [kind.name for kind in (Given, Same, Trained, Made, Says, Cannot) if kind(comparable).supports_transfer]
    assert can == ["mine/given", "mine/same", "mine/says"]
    assert Made(comparable).no_transfer_reason.startswith("it has a way of its own to make identifiers or to train (f")
    assert Cannot(comparable).no_transfer_reason == "it was told so"
    assert not Given(TextSettings()).supports_transfer


def test_a_class_with_a_transfer_of_its_own_is_believed() -> None:
    for plan in (TextSettings(), TextSettings(encoder=HASHED)):
        assert Transfers(plan).supports_transfer
        assert not Transfers(plan).keeps
