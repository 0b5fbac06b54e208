"""Identifiers that are vectors: what makes them invalid, on disk, and in figures."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.data.dataset import ItemTable
from bench.errors import BenchError
from bench.ids import diagnostics, storage
from bench.ids.identifiers import Feature, Template, VectorIds
from bench.vocabulary import Vocabulary

KNOWN = np.array([True, True, False, True])
OWN = np.array([[1, 0], [0, 1], [9, 9], [0, 1]], np.float32)
TEXT = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0]], np.float32)
IDS = VectorIds(
    (Feature("own", OWN, KNOWN, init="pytorch"), Feature("text", TEXT, KNOWN | True, 3, (5, 4), 0.5)),
    Vocabulary.private(["a"]),
    Template("a"),
    "repo",
    7,
    "batch",
)


def test_they_come_back_from_a_file(tmp_path: Path) -> None:
    storage.save(IDS, tmp_path / "ids", {"fit_seconds": 2.0})
    found, notes = storage.load(tmp_path / "ids")
    assert isinstance(found, VectorIds)
    assert notes == {"fit_seconds": 2.0}
    for mine, theirs in zip(found.features, IDS.features, strict=True):
        assert np.array_equal(mine.vectors, theirs.vectors)
        assert np.array_equal(mine.known, theirs.known)
        assert replace(mine, vectors=OWN, known=KNOWN).__dict__ == replace(theirs, vectors=OWN, known=KNOWN).__dict__
    assert (found.template, found.attention, found.negatives, found.reconstruct_over) == (
        IDS.template,
        "repo",
        7,
        "batch",
    )
    assert found.vocabulary.fingerprint == IDS.vocabulary.fingerprint
    storage.save(found, tmp_path / "again", {"fit_seconds": 2.0})
    assert (tmp_path / "again").read_bytes() == (tmp_path / "ids").read_bytes()


def test_a_changed_number_is_noticed(tmp_path: Path) -> None:
    storage.save(IDS, tmp_path / "ids", {})
    raw = bytearray((tmp_path / "ids").read_bytes())
    raw[-1] ^= 1
    (tmp_path / "ids").write_bytes(raw)
    with pytest.raises(BenchError, match=r"corrupt .its checksum differs."):
        storage.load(tmp_path / "ids")


def test_the_table_counts_vectors() -> None:
    found = storage.table(IDS, ItemTable(tuple("wxyz"), {"title": tuple("ABCD")}))
    assert found.to_dict("list") == {
        "item": list("wxyz"),
        "title": list("ABCD"),
        "own": [1, 1, 0, 1],
        "text": [3, 3, 3, 3],
    }


def test_figures_are_counts() -> None:
    assert diagnostics.stats(IDS, np.array([1, 1, 2], np.int32)) == {
        "tokens_mean": 3.75,
        "tokens_max": 4,
        "vocabulary": 4,
        "collision_rate": 0.0,
        "collision_rate_test": 0.0,
        "largest_group": 1,
        "decode_steps": 1,
        "equal_vectors_share": 0.5,
        "unknown_share": 0.25,
    }
    assert diagnostics.drift(IDS) == {"any": [], "first": []}
    assert [diagnostics.written(IDS, item) for item in (1, 2)] == ["1 own + 3 text", "3 text"]


def test_the_nearest_are_those_of_like_features() -> None:
    assert diagnostics.siblings(IDS, 1, 2) == [(3, {"cosine": 1.0})]
    assert diagnostics.siblings(IDS, 2, 9) == [(0, {"cosine": 0.5})]


def test_shape_of_the_whole() -> None:
    assert (len(IDS), IDS.slots, IDS.variants, IDS.groups.tolist()) == (4, 4, 1, [0, 1, 2, 3])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"features": ()}, "need a feature, a slot of each, and no negatives below 0"),
        ({"features": (Feature("f", OWN, KNOWN, slots=0),)}, "need a feature, a slot of each"),
        ({"negatives": -1}, "no negatives below 0"),
        ({"features": (Feature("f", OWN, KNOWN[:3]),)}, "as the first feature's; got (4, 2) and (3,)"),
        ({"features": (Feature("f", OWN, KNOWN), Feature("g", TEXT[:2], KNOWN[:2]))}, "vectors of feature 'g' must be"),
        ({"features": (Feature("f", OWN[:, 0], KNOWN),)}, "must be [items, width]"),
        ({"features": (Feature("f", OWN / np.float32(np.nan), KNOWN),)}, "for catalogue item 0 is not finite"),
        ({"template": Template()}, "must have words before or after the history, and no separator"),
        ({"template": Template("a", separator="a")}, "and no separator"),
    ],
)
def test_what_is_no_set_of_vectors_is_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(BenchError, match=re.escape(said)):
        replace(IDS, **changed)
