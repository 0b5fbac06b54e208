"""Keys become items by what a file beside says, and whatever does not agree is counted and named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.dataset import ItemTable
from bench.data.idmaps import beside, numbers
from bench.errors import BenchError
from bench.ids.imported.formats import Found, by_position, read
from bench.ids.imported.items import keyed, match

Written = Callable[..., Path]
LETTERS = ItemTable(tuple("ABCDEF"), {})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.item2id", "B2\t0\nA1\t1\n"),  # LC-Rec's
        ("x.item", "item_id:token\ttitle:token_seq\nB2\tbee\nA1\tant\n"),  # RecBole's: in its order
        ("x.items.txt", "B2\nA1\n"),
        ("x.json", '["B2", "A1"]'),
        ("x.json", '{"A1": 1, "B2": 0}'),
    ],
)
def test_what_may_say_whose_a_number_is(written: Written, name: str, text: str) -> None:
    assert numbers(written(name, text)) == {"0": "B2", "1": "A1"}


def test_a_number_is_one_items(written: Written) -> None:
    with pytest.raises(BenchError, match="gives the number 0 to both 'A' and"):
        numbers(written("x.item2id", "A\t0\nB\t0\n"))


def test_the_map_beside_is_taken_where_keys_are_numbers(written: Written) -> None:
    path = written("Beauty.index.json", "{}")
    assert beside(path) is None
    map_ = written("Beauty.item2id", "A\t1\nB\t0\n")
    assert beside(path) == map_
    tokens = (("<a_0>",), ("<a_1>",))
    assert keyed(Found(("0", "1"), tokens), path, None, map_) == {"B": ("<a_0>",), "A": ("<a_1>",)}
    assert keyed(Found(("A", "B"), tokens), path, None, map_) == {"A": ("<a_0>",), "B": ("<a_1>",)}
    assert keyed(Found(("0", "7"), tokens), path, map_, None) == {"B": ("<a_0>",), "number 7": ("<a_1>",)}


def test_original_ids_that_are_numbers_are_not_taken_for_places(written: Written) -> None:
    path, tokens = written("ml.index.json", "{}"), (("<a_0>",), ("<a_1>",))
    table = written("ml.item", "item_id:token\n1\n2\n3\n")  # of a data set in whose folder identifiers were put
    assert keyed(Found(("2", "3"), tokens), path, None, table) == {"2": ("<a_0>",), "3": ("<a_1>",)}
    assert keyed(Found(("0", "2"), tokens), path, None, table) == {"1": ("<a_0>",), "3": ("<a_1>",)}
    with pytest.raises(BenchError, match=r"may be numbers of '.*ml\.item' or original ids; .* file\.items="):
        keyed(Found(("1", "2"), tokens), path, None, table)
    assert keyed(Found(("1", "2"), tokens), path, table, table) == {"2": ("<a_0>",), "3": ("<a_1>",)}
    rows = Found(("0", "1"), tokens, numbered=True)
    order = written("order.item", "item_id:token\n1\n0\n")
    assert keyed(rows, path, None, order) == {"1": ("<a_0>",), "0": ("<a_1>",)}


def test_rows_need_their_items(written: Written) -> None:
    path, rows = written("codes.npy", "x"), Found(("0", "1"), (("<a_0>",), ("<a_1>",)), numbered=True)
    with pytest.raises(BenchError, match=r"does not name the items of its rows; .*file\.items=PATH"):
        keyed(rows, path, None, None)
    with pytest.raises(BenchError, match=r"has 2 rows, but '.*' names 3 items"):
        keyed(rows, path, written("three.txt", "A\nB\nC\n"), None)
    with pytest.raises(BenchError, match="gives item 'A' two numbers"):
        keyed(rows, path, written("twice.txt", "A\nA\n"), None)


@given(st.dictionaries(st.sampled_from("ABCDEFXYZ"), st.sampled_from(["", "red", "blue", "red car"])))
def test_what_does_not_agree_is_counted(seen: dict[str, str]) -> None:
    known = {key: words for key, words in seen.items() if key in LETTERS.ids}
    if not known:
        with pytest.raises(BenchError, match="none of the"):
            match(seen, LETTERS, "ids.txt", "letters")
        return
    found = match(seen, LETTERS, "ids.txt", "letters")
    assert found.values == tuple(known.get(letter, "") for letter in "ABCDEF")
    assert found.missing == tuple(position for position, letter in enumerate("ABCDEF") if not known.get(letter))
    words = [text for text in known.values() if text]
    shared = sum(words.count(text) > 1 for text in words)
    expected = []
    if found.missing:
        expected.append(f"{len(found.missing)} of 6 items have no identifier in 'ids.txt': ")
    if len(known) < len(seen):
        expected.append(f"{len(seen) - len(known)} of {len(seen)} items of 'ids.txt' are not in the catalogue")
    if shared:
        expected.append(f"{shared} items share their identifier with another, as ")
    assert len(found.warnings) == len(expected)
    assert all(warning.startswith(start) for warning, start in zip(found.warnings, expected, strict=True))


def test_examples_are_named() -> None:
    said = match({"A": "red", "B": "red", "Q": "blue"}, LETTERS, "ids.txt", "letters").warnings
    assert said == (
        "4 of 6 items have no identifier in 'ids.txt': 'C', 'D', 'E', ...",
        "1 of 3 items of 'ids.txt' are not in the catalogue and are skipped: 'Q'",
        "2 items share their identifier with another, as 'red' is that of 'A', 'B'",
    )
    with pytest.raises(
        BenchError, match=r"names '0', '1', the catalogue 'A', 'B', 'C', \.\.\.; where keys are numbers"
    ):
        match(json.loads('{"0": "red", "1": "blue"}'), LETTERS, "ids.json", "letters")


@pytest.mark.parametrize("named", ["id_mapping.json", "datamaps.json", ""])
def test_nested_maps_and_padded_rows_name_the_same_items(tmp_path: Path, named: str) -> None:
    """As MTGRec, RPG and P5 number items: from 1 on, row 0 is padding."""
    codes = {"a": [3, 0], "b": [1, 2], "c": [0, 0]}
    number = {item: at for at, item in enumerate(codes, start=1)}
    nested = {"user2id": {"u": 1}, "item2id": {"[PAD]": 0, **number}, "id2item": ["[PAD]", *codes]}
    (tmp_path / "id_mapping.json").write_text(json.dumps(nested))
    texts = {"item2id": {item: str(at) for item, at in number.items()}, "id2user": {"1": "u"}}
    (tmp_path / "datamaps.json").write_text(json.dumps(texts))
    (tmp_path / "x.items.txt").write_text("[PAD]\n" + "".join(f"{item}\n" for item in codes))
    numbered = {str(at): codes[item] for item, at in number.items()}
    (tmp_path / "x.json").write_text(json.dumps(numbered if named else [[9, 9], *codes.values()]))
    path = tmp_path / "x.json"
    found = keyed(read(path, path.read_bytes()), path, tmp_path / named if named else None, beside(path))
    assert {item: found[item] for item in codes} == {item: by_position(code) for item, code in codes.items()}
    matched = match(found, ItemTable(tuple(codes), {}), "x.json", "toy")
    assert (matched.missing, len(matched.warnings)) == ((), 0 if named else 1)
