"""Identifiers that are codes in slots: what makes them invalid, on disk, for others to read, and in figures."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.data.dataset import ItemTable
from bench.errors import BenchError
from bench.ids import diagnostics, exchange, storage
from bench.ids.identifiers import SlotIds, Template
from bench.vocabulary import Vocabulary

CODES = np.array([[0, 1, 2], [0, 1, 2], [1, 1, 0], [0, 0, 0]], np.int32)
IDS = SlotIds(CODES, (2, 4, 3), Vocabulary.private(["a"]), Template("a"), 0.05)
ITEMS = ItemTable(tuple("wxyz"), {"title": tuple("ABCD")})


def test_they_come_back_from_a_file(tmp_path: Path) -> None:
    storage.save(IDS, tmp_path / "ids", {"fit_seconds": 2.0})
    found, notes = storage.load(tmp_path / "ids")
    assert isinstance(found, SlotIds)
    assert notes == {"fit_seconds": 2.0}
    assert found.codes.dtype == np.int32
    assert found.codes.tolist() == CODES.tolist()
    assert (found.sizes, found.template, found.temperature) == ((2, 4, 3), Template("a"), 0.05)
    storage.save(found, tmp_path / "again", {"fit_seconds": 2.0})
    assert (tmp_path / "again").read_bytes() == (tmp_path / "ids").read_bytes()


def test_the_table_shows_codes_in_order() -> None:
    assert storage.table(IDS, ITEMS).to_dict("list") == {
        "item": list("wxyz"),
        "title": list("ABCD"),
        "identifier": ["0-1-2", "0-1-2", "1-1-0", "0-0-0"],
        "codes": CODES.tolist(),
    }


def test_others_get_them_as_tokens_that_name_slot_and_code(tmp_path: Path) -> None:
    exchange.write(IDS, ITEMS, tmp_path / "ids.json")
    found = json.loads((tmp_path / "ids.json").read_text())
    assert list(found) == list("wxyz")
    assert found["y"] == ["0:1", "1:1", "2:0"]
    exchange.write(IDS, ITEMS, tmp_path / "ids.parquet")
    with pytest.raises(BenchError, match=r"holds codes in slots, which are no tokens; run their scheme, or export"):
        exchange.read_parquet(tmp_path / "ids.parquet", (tmp_path / "ids.parquet").read_bytes())


def test_figures_are_counts() -> None:
    """By hand: slot 0 uses 3 : 1 of two codes, slot 1 3 : 1 of four, slot 2 2 : 2 of three."""
    uneven = 0.25 * 2 + 0.75 * np.log2(4 / 3)
    found = diagnostics.stats(IDS, np.array([1, 1, 2], np.int32))
    assert found["entropy_bits"] == pytest.approx((2 * uneven + 1) / 3)
    assert found["codebook_use"] == pytest.approx((1 + 1 / 2 + 2 / 3) / 3)
    assert (found["collision_rate"], found["collision_rate_test"]) == (0.5, pytest.approx(2 / 3))
    assert (found["largest_group"], found["slots"], found["decode_steps"], found["tokens_max"]) == (2, 3, 1, 1)
    assert diagnostics.drift(IDS) == {"any": [], "first": []}
    assert diagnostics.written(IDS, 2) == "1-1-0"


def test_the_nearest_share_most_codes_wherever_they_are() -> None:
    assert diagnostics.siblings(IDS, 0, 9) == [(1, {"shared": 3}), (2, {"shared": 1}), (3, {"shared": 1})]


def test_shape_of_the_whole() -> None:
    assert (len(IDS), IDS.slots, IDS.variants) == (4, 3, 1)
    groups = IDS.groups.tolist()
    assert groups[0] == groups[1]
    assert len(set(groups)) == 3
    assert IDS.of_items(slice(1, 3)).codes.tolist() == [[0, 1, 2], [1, 1, 0]]
    assert IDS.only(0) is IDS


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"codes": CODES[:, :2]}, "codes must be [items, slots] with a size for each slot; got (4, 2) and (2, 4, 3)"),
        ({"codes": CODES[0]}, "codes must be [items, slots]"),
        ({"codes": CODES - 1}, "code -1 of catalogue item 0 in slot 0 is not in 0..1"),
        ({"sizes": (2, 4, 2)}, "code 2 of catalogue item 0 in slot 2 is not in 0..1"),
        ({"temperature": 0.0}, "the temperature of slots must be above 0; got 0.0"),
        ({"temperature": float("nan")}, "the temperature of slots must be above 0; got nan"),
        ({"template": Template()}, "the template of slots must have words before or after the history"),
        ({"template": Template("a", separator="a")}, "and no separator"),
    ],
)
def test_what_is_no_code_in_a_slot_is_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(BenchError, match=re.escape(said)):
        replace(IDS, **changed)
