"""Vectors and identifiers whose ids are written otherwise than those of the catalogue: read where they can be one thing
alone, else refused in a line that shows both.
"""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.commands import ids_vectors
from bench.data.dataset import ItemTable
from bench.errors import BenchError
from bench.ids import embeddings
from bench.ids.embeddings import bound
from bench.ids.imported import formats
from bench.ids.imported.items import keyed, match

ITEMS = ItemTable(("1", "2"), {})
VECTORS = [[1.0, 2.0], [3.0, 4.0]]


def parquet(folder: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), folder / "x.parquet")
    return folder / "x.parquet"


def found(path: Path) -> dict[str, Any]:
    return keyed(formats.read(path, formats.content(path)), path, None, None)


def as_json(folder: Path, value: Any) -> Path:
    (folder / "x.json").write_text(json.dumps(value))
    return folder / "x.json"


def test_whole_numbers_that_are_stored_as_floats(tmp_path: Path) -> None:
    path = parquet(tmp_path, item=[2.0, 1.0], vector=VECTORS, identifier=[[7, 1], [8, 1]])
    assert bound(str(path), ITEMS).vectors.tolist() == VECTORS[::-1]
    assert found(path) == {"2": ("<a_7>", "<b_1>"), "1": ("<a_8>", "<b_1>")}


@pytest.mark.parametrize(
    ("items", "said"),
    [
        (["1", None], "row 2 names no item; 1 of 2 rows do not"),
        ([1.0, float("nan")], "row 2 names no item"),
        ([1.0, 2.5], "floating numbers are no ids"),
        ([1.0, 2.0**54], "floating numbers are no ids"),
    ],
)
def test_rows_of_no_item(tmp_path: Path, items: list[Any], said: str) -> None:
    path = parquet(tmp_path, item=items, vector=VECTORS, identifier=[[7, 1], [8, 1]])
    with pytest.raises(BenchError, match=f"column 'item': {said}"):
        bound(str(path), ITEMS)
    with pytest.raises(BenchError, match=f"column 'item': {said}"):
        found(path)


def test_ids_that_are_nearly_those_of_the_catalogue_are_shown(tmp_path: Path) -> None:
    said = "'1' here may be '01' there: write ids as the same text in both files"
    with pytest.raises(BenchError, match=f"none of the 2 rows of .*: {said}"):
        bound(str(parquet(tmp_path, item=["01", "02"], vector=VECTORS)), ITEMS)
    with pytest.raises(BenchError, match=f"has no vector of 1 item, the first is '1'; {said}"):
        bound(str(parquet(tmp_path, item=["01", "2"], vector=VECTORS)), ITEMS)
    with pytest.raises(BenchError, match=f"none of the 1 items of 'x' is in the catalogue .*; {said}"):
        match({"01": ("<a_1>",)}, ITEMS, "x", "toys")
    assert said in match({"01": ("<a_1>",), "2": ("<a_2>",)}, ITEMS, "x", "toys").warnings[0]
    assert "may be" not in match({"x": ("<a_1>",), "2": ("<a_2>",)}, ITEMS, "x", "toys").warnings[0]


def test_items_of_one_vector_are_said(tmp_path: Path) -> None:
    items = ItemTable(tuple(map(str, range(300))), {})
    vectors = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    path = tmp_path / "v.npy"
    (tmp_path / "v.ids.txt").write_text("".join(f"{item}\n" for item in items.ids))
    np.save(path, vectors)
    assert len(bound(str(path), items).warnings) == 1
    vectors[100:] = 0
    np.save(path, vectors)
    said = "200 of 300 items share their vector with another, 200 one of them in 'v.npy'"
    assert bound(str(path), items).warnings[1:] == (said,)


def test_vectors_are_compared_without_a_copy_of_all() -> None:
    vectors = np.random.default_rng(0).normal(size=(1000, 1000)).astype(np.float32)
    tracemalloc.start()
    try:
        assert embeddings.alike(vectors) == ""
        assert tracemalloc.get_traced_memory()[1] < vectors.nbytes / 2
    finally:
        tracemalloc.stop()


def test_what_a_quantizer_is_given_is_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["semantic.codes=4", "semantic.levels=2"]
    vectors = np.random.default_rng(0).normal(size=(40, 4)).tolist()
    items = [str(item) for item in range(1, 41)]
    path = parquet(tmp_path, item=items, vector=vectors)
    ids_vectors.fit("semantic/rqkmeans", str(path), tmp_path / "names", set_=settings)
    assert "note" not in capsys.readouterr().err
    ids_vectors.fit(
        "semantic/rqkmeans",
        str(parquet(tmp_path, item=items, vector=[[1.0] * 4] * 40)),
        tmp_path / "same",
        set_=settings,
    )
    assert "note: 40 of 40 items share their vector with another, 40 one of them" in capsys.readouterr().err
    path = parquet(tmp_path, item=["41", "007"], vector=vectors[:2])
    ids_vectors.encode(tmp_path / "names", str(path))
    assert "note: '007' here may be '7' there: write ids as the same text" in capsys.readouterr().err


def test_a_file_is_no_encoder_of_texts(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", np.ones((2, 2)))
    assert embeddings.is_file(str(tmp_path / "v.npz"))
    assert not embeddings.is_file(str(tmp_path))
    (tmp_path / "tfidf-svd").write_text("notes that somebody keeps on bench's own encoder")
    assert not embeddings.is_file(str(tmp_path / "tfidf-svd"))
    with pytest.raises(BenchError, match=r"item vectors come from \.npy, \.parquet, \.safetensors; got"):
        bound(str(tmp_path / "v.npz"), ITEMS)


@pytest.mark.parametrize("code", ["0,7,0", "[0, 7, 0]", "[3]", "0-7-0", "(1, 2)", "0_7"])
def test_numbers_in_signs_are_no_words(tmp_path: Path, code: str) -> None:
    with pytest.raises(BenchError, match="hold numbers and no words; write codes as '1 2 3', or in JSON as lists"):
        found(as_json(tmp_path, {"1": code, "2": code}))
    assert found(as_json(tmp_path, {"1": code, "2": "a doll"})) == {"1": code, "2": "a doll"}


def test_tokens_and_numbers_are_not_mixed(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="has tokens for item '2' and numbers for item '1'; write all of them in one"):
        found(as_json(tmp_path, {"1": [0, 7], "2": ["0", "7"], "3": None}))
