"""Every format reads as its publisher wrote it; whatever is wrong with a file is one line that names it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import BenchError
from bench.ids.imported import formats
from bench.ids.imported.formats import Found, by_position

Written = Callable[..., Path]


def read(path: Path) -> Found:
    return formats.read(path, formats.content(path))


def seen(found: Found) -> dict[str, object]:
    return dict(zip(found.keys, found.values, strict=True))


def test_an_index_json_of_tokens(written: Written) -> None:
    text = '{"0": ["<a_183>", "<b_70>", "<c_232>", "<d_6>"], "1": ["<a_183>", "<b_122>", "<c_96>", "<d_235>"]}'
    assert seen(read(written("Beauty.index.json", text))) == {key: tuple(v) for key, v in json.loads(text).items()}


def test_sem_ids_are_numbers_by_place(written: Written) -> None:
    found = read(written("sentence-t5-base_OPQ4,IVF1,PQ4x8.sem_ids", '{"B00A": [3, 0, 255], "B00B": [0, 3, 7]}'))
    assert seen(found) == {"B00A": ("<a_3>", "<b_0>", "<c_255>"), "B00B": ("<a_0>", "<b_3>", "<c_7>")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("B00A plush dr seuss cat\nB00B thomas wooden\n", {"B00A": "plush dr seuss cat", "B00B": "thomas wooden"}),
        ("item_id\tidentifier\r\nB00A\tplush cat\r\nB00B\t\r\n", {"B00A": "plush cat", "B00B": ""}),
        ("\ufeffB00A\tplush cat\n\nB00B\ttwo  words\n", {"B00A": "plush cat", "B00B": "two  words"}),
        (
            "B00A <CI0><CI20>\nB00B <CI1> <CI20><CI3>\n",
            {"B00A": ("<CI0>", "<CI20>"), "B00B": ("<CI1>", "<CI20>", "<CI3>")},
        ),
        ("B00A red\u2028car\nB00B blue\x85car\n", {"B00A": "red\u2028car", "B00B": "blue\x85car"}),
        ("B00A 1001\nB00B 1002\n", {"B00A": "1001", "B00B": "1002"}),  # OpenP5's numbers are text
        ("B00A 12 40\nB00B 12 007\n", {"B00A": ("<a_12>", "<b_40>"), "B00B": ("<a_12>", "<b_7>")}),
        ("B00A <CI0>\nB00B words\n", {"B00A": "<CI0>", "B00B": "words"}),
    ],
)
def test_text_indices(written: Written, text: str, expected: dict[str, object]) -> None:
    assert seen(read(written("item_generative_indexing_phase_0.txt", text))) == expected


def test_json_of_words_and_of_rows(written: Written) -> None:
    assert seen(read(written("a.json", '{"x": "red car", "y": null}'))) == {"x": "red car", "y": ""}
    found = read(written("b.json", "[[1, 2], [3, 4]]"))
    assert found.numbered
    assert seen(found) == {"0": ("<a_1>", "<b_2>"), "1": ("<a_3>", "<b_4>")}


@pytest.mark.parametrize("kind", ["int8", "uint16", "int64", "uint64"])
def test_matrices_of_every_whole_type(written: Written, kind: str) -> None:
    found = read(written("codes.npy", np.array([[1, 2], [127, 0]], kind)))
    assert found.numbered
    assert seen(found) == {"0": ("<a_1>", "<b_2>"), "1": ("<a_127>", "<b_0>")}


def test_foreign_parquet(written: Written, tmp_path: Path) -> None:
    pd.DataFrame({"item": [7, 8], "identifier": [[1, 2], [3, 4]]}).to_parquet(tmp_path / "codes.parquet")
    assert seen(read(tmp_path / "codes.parquet")) == {"7": ("<a_1>", "<b_2>"), "8": ("<a_3>", "<b_4>")}
    pd.DataFrame({"item": ["x"], "identifier": ["red car"]}).to_parquet(tmp_path / "words.parquet")
    assert seen(read(tmp_path / "words.parquet")) == {"x": "red car"}


@given(st.lists(st.integers(0, 10**40), min_size=1, max_size=60))
def test_tokens_of_places_tell_codes_apart(code: list[int]) -> None:
    tokens = by_position(code)
    assert len(set(tokens)) == len(tokens)
    assert [int(token.rpartition("_")[2][:-1]) for token in tokens] == code
    assert tokens[0].startswith("<a_")
    assert by_position(range(28))[25:] == ("<z_25>", "<aa_26>", "<ab_27>")


def parquet(kept: str = "null", **columns: list[object]) -> bytes:
    buffer = BytesIO()
    table = pa.Table.from_pandas(pd.DataFrame(columns))
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, b"bench": kept.encode()}), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("ids.json", "", "is empty"),
        ("ids.json", " \n", "is empty"),
        ("ids.json", '{"A": ["<a_1>"]', "is not valid JSON"),
        ("ids.json", "[" * 100_000, "is not valid JSON"),
        ("ids.json", '{"A": [1], "B": [2], "A": [3]}', "names 1 items twice, the first is 'A'"),
        ("ids.json", "{}", "holds no identifier"),
        ("ids.json", '{"A": [], "B": null}', "holds no identifier: it names 2 items and says nothing of them"),
        ("ids.json", '{"A": [1, 2.0]}', "all tokens or all whole numbers, 0 or above; got 2.0"),
        ("ids.json", '{"A": [1, NaN]}', "got nan"),
        ("ids.json", '{"A": [1, -1]}', "got -1"),
        ("ids.json", '{"A": [true]}', "got True"),
        ("ids.json", '{"A": [[1, 2]]}', "got [1, 2]"),
        ("ids.json", '{"A": [1, "<b_2>"]}', "got '<b_2>'"),
        ("ids.json", '{"A": ["<a_1>", " "]}', "got '<a_1>'"),
        ("ids.json", '{"A": {"b": 1}}', "must have a list of tokens or numbers; got {'b': 1}"),
        ("ids.json", '{"A": [1], "B": "words"}', "must have a list of tokens or numbers; got 'words'"),
        ("ids.txt", "A red\nB blue\nA green\n", "names 1 items twice, the first is 'A'"),
        ("ids.txt", "A\nB\nC\n", "it has no line of a key and an identifier"),
        ("ids.pkl", b"\x80\x04\x95\x10\x00", "neither text in UTF-8 nor a format that bench reads"),
        ("ids.npz", b"PK\x03\x04\xff\xfe", "neither text in UTF-8"),
        ("ids.npy", b"\x93NUMPY\x01\x00v\x00{'descr'", "is corrupt"),
        ("ids.npy", np.array([[1, 2], [3, 4]], object), "holds Python objects"),
        ("ids.npy", np.array([1, 2, 3]), "must hold codes of shape [items, length]; got [3]"),
        ("ids.npy", np.zeros((2, 3, 4), int), "got [2, 3, 4]"),
        ("ids.npy", np.zeros((0, 3), int), "got [0, 3]"),
        ("ids.npy", np.array([[1.0, np.nan]]), "must hold whole numbers; got float64, 1 of them NaN"),
        ("ids.npy", np.array([[1, 2], [3, -1]]), "got -1, first in row 1"),
        ("ids.parquet", b"PAR1nothing", "is corrupt"),
        ("ids.parquet", parquet(item=["A"], code=[[1]]), "must have the columns item, identifier; got item, code"),
        ("ids.parquet", parquet(item=["A"], identifier=["a"], tokens=[[3]]), "was written by an older bench"),
        ("ids.parquet", parquet('{"a": 1}', item=["A"], identifier=["a"]), "is corrupt ('facts'); write it again"),
        ("ids.parquet", parquet("[1]", item=["A"], identifier=["a"]), "is corrupt (list indices must be"),
    ],
)
def test_what_is_wrong_is_one_line(written: Written, name: str, content: str | bytes, said: str) -> None:
    path = written(name, content)
    with pytest.raises(BenchError) as caught:
        read(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_names_its_one_file(written: Written, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="holds no file of identifiers"):
        formats.locate(str(tmp_path))
    index = written("Beauty.index.json", "{}")
    written("Beauty.inter.json", "{}")
    assert formats.locate(str(tmp_path)) == index
    written("Toys.index.json", "{}")
    with pytest.raises(BenchError, match=r"several files of identifiers \(Beauty.index.json, Toys.index.json\)"):
        formats.locate(str(tmp_path))
    table = written("ids.parquet", "")  # a finished run's own comes first
    assert formats.locate(str(tmp_path)) == table
    with pytest.raises(BenchError, match=r"no file '.*nowhere' \(asked for as file:.*nowhere\)"):
        formats.locate(str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            "A1 <a_1> <b_2>\nB2 <a_1> b_2>\nC3 <a_3> <b_1>\n",
            "2 identifiers are tokens in angle brackets, and 1 are not: ",
        ),
        (
            "A1 1 2\nB2 1 x\nC3 3 1\n",
            "2 identifiers are codes of whole numbers, and 1 are not: that of item 'B2' is '1 x'",
        ),
        ("A1 ant\rB2 bee\r", "end in carriage returns alone"),
        ("A1 an\0t\nB2 bee\n", "holds a NUL character"),
    ],
)
def test_a_line_that_is_broken_does_not_make_words_of_all_others(written: Written, content: str, said: str) -> None:
    path = written("x.txt", content)
    with pytest.raises(BenchError, match=re.escape(said)):
        formats.read(path, path.read_bytes())


@pytest.mark.parametrize("content", ["NaN", "7", '"a"', "true", "null"])
def test_json_of_no_items_is_one_line(written: Written, content: str) -> None:
    path = written("x.index.json", content)
    with pytest.raises(BenchError, match="must hold a map from items to identifiers, or a list; got"):
        formats.read(path, path.read_bytes())


def test_json_without_its_beginning_is_no_text(written: Written) -> None:
    path = written("x.index.json", '"<a_1>"], "B2": ["<a_2>"]}')
    with pytest.raises(BenchError, match="is not valid JSON"):
        formats.read(path, path.read_bytes())
