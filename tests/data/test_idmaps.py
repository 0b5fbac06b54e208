"""Whose is this number? In every shape that the field writes it down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.data.idmaps import beside, has_users, numbers
from bench.errors import BenchError

PADDED = {"0": "[PAD]", "1": "a", "2": "b"}
PLAIN = {"0": "a", "1": "b"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            {"user2id": {"[PAD]": 0, "u": 1}, "item2id": {"[PAD]": 0, "a": 1, "b": 2}, "id2item": ["[PAD]", "a", "b"]},
            PADDED,
        ),
        ({"user2id": {"u": "1"}, "item2id": {"a": "0", "b": "1"}, "id2user": {"1": "u"}}, PLAIN),
        ({"id2item": ["[PAD]", "a", "b"]}, PADDED),
        ({"id2item": {"0": "a", "1": "b"}}, PLAIN),
        ({"a": 0, "b": 1}, PLAIN),
        (["a", "b"], PLAIN),
        ("a\t0\nb\t1\n", PLAIN),
        ("a\nb\n", PLAIN),
        ("[PAD]\na\nb\n", PADDED),
        ("item_id:token\ttitle:token_seq\na\tx\nb\ty\n", PLAIN),
        ("[PAD]\t0\na\t1\nb\t2\n", PADDED),
        ("org_id remap_id\nb 1\na 0\n", PLAIN),
        ("item,id\nb,1\na,0\n", PLAIN),
        ("item_id:token\tindex:float\nb\t1\na\t0\n", PLAIN),
        ("index\titem\n1\tb\n0\ta\n", PLAIN),
        ("1\tb\n0\ta\n", PLAIN),
        ({"1": "b", "0": "a"}, PLAIN),
        ({"a": 0.0, "b": 1.0}, PLAIN),
    ],
)
def test_every_shape_says_the_same(tmp_path: Path, content: Any, expected: dict[str, str]) -> None:
    path = tmp_path / "map"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    assert numbers(path) == expected
    if not isinstance(content, str):
        path.write_text("\ufeff" + json.dumps(content, indent=1), encoding="utf-8")
        assert numbers(path) == expected


def test_users_have_their_own_map(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(json.dumps({"user2id": {"u": 3}, "item2id": {"a": 4}}))
    assert numbers(tmp_path / "m.json", "user") == {"3": "u"}
    assert has_users(tmp_path / "m.json")
    (tmp_path / "m.json").write_text(json.dumps({"user2": 3, "a": 4}))
    assert not has_users(tmp_path / "m.json")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            {"users": {"u": 0}, "things": {"a": 0}},
            r"holds several maps \(users, things\) and none is item2id or id2item",
        ),
        ({"a": 0, "b": 0}, "gives the number 0 to both 'a' and 'b'"),
        (5, "must hold a map of ids or a list of them; found"),
        ('{"a": 0', "is not valid JSON"),
        ('{"a": 0, "a": 1}', "names 1 items twice"),
        (" \n", "is empty"),
    ],
)
def test_what_says_nothing_is_one_line(tmp_path: Path, content: Any, said: str) -> None:
    path = tmp_path / "m.json"
    text = content if isinstance(content, str) else json.dumps([content] if content == 5 else content)
    path.write_text(text if content != 5 else '{"x": [1]}')
    with pytest.raises(BenchError, match=said if content != 5 else "holds several maps"):
        numbers(path)


def test_titles_beside_the_ids_of_a_list_are_no_ids(tmp_path: Path) -> None:
    (tmp_path / "v.items.txt").write_text("1\tant\n0\tbee\n")
    assert numbers(tmp_path / "v.items.txt") == {"0": "1", "1": "0"}


def test_a_list_beside_a_file_is_found_by_either_stem(tmp_path: Path) -> None:
    assert beside(tmp_path / "v.1.npy") is None
    for name in ("v.item", "v.item2id", "v.ids.txt", "v.1.ids.json"):
        (tmp_path / name).touch()
        assert beside(tmp_path / "v.1.npy") == tmp_path / name


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "m.item2id",
            b"a\t0\nb\t1\nc 2\n",
            "has 2 lines of an id, a tab and a number and 1 others; the first is 'c 2'",
        ),
        ("m.item2id", b"a\t0\nb\t\n", "has 1 lines of an id, a tab and a number and 1 others"),
        ("m.json", b'"a": 0, "b": 1}', "is not valid JSON"),
        ("m.json", b'{"a": true}', "the number of an id in .* must be whole, from 0 on; got 'True'"),
        ("m.json", b'{"a": 1e300}', "must be whole, from 0 on; got '1e.300'"),
        ("m.json", b'{"a": 0.5}', "must be whole, from 0 on; got '0.5'"),
        ("m.json", b'{"a": -1}', "must be whole, from 0 on; got '-1'"),
        ("m.json", b'{"a": NaN}', "must be whole, from 0 on; got 'nan'"),
        ("m.json", b'[["a", 0], ["b", 1]]', "an id in .* must be a text or a whole number"),
        ("m.json", b'[{"item": "a"}]', "an id in .* must be a text or a whole number"),
        ("m.csv", b"item,id\na,0\nb\n", "must have an id and a number on each line; got 'b'"),
        ("m.txt", "a\nb\n".encode("utf-16-be"), "holds a NUL character"),
        ("m.txt", b"a\rb\rc\r", "end in carriage returns alone"),
    ],
)
def test_a_map_that_is_broken_in_one_place_is_not_read_as_another_kind(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    """A line that lost its number must not give all others the numbers of their lines."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BenchError, match=said):
        numbers(tmp_path / name)
