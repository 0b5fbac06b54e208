"""Vectors from files: every row has the item that is named for it, and every way a file can be wrong is one line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from bench.data.dataset import ItemTable, Sequences, TrainView
from bench.errors import BenchError
from bench.ids import embeddings, text
from bench.ids.embeddings import bound, digest
from bench.ids.text import TextSettings, embed

ITEMS = ItemTable(("a", "b", "c"), {})
VECTORS = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], np.float32)
FORMS = ("parquet", "npy", "safetensors", "safetensors, listed")


def write(folder: Path, form: str, names: list[str], vectors: Any, listed: str = ".ids.txt") -> Path:
    """A file in one of the forms, whose rows are named as they must be there."""
    path = folder / f"v.{form.partition(',')[0]}"
    if form == "parquet":
        pd.DataFrame({"item": names, "vector": list(vectors)}).to_parquet(path)
        return path
    if form == "safetensors":
        save_file({"x": np.ascontiguousarray(vectors)}, path, {"ids": json.dumps(names)})
        return path
    if form == "npy":
        np.save(path, vectors)
    else:
        save_file({"x": np.ascontiguousarray(vectors)}, path)
    content = {
        ".ids.txt": "".join(f"{name}\n" for name in names),
        ".ids.json": json.dumps(names),
        ".items.txt": "".join(f"{name}\n" for name in names),
        ".item2id": "".join(f"{name}\t{row}\n" for row, name in enumerate(names)),
        ".item": "item_id:token\ttitle:token_seq\n" + "".join(f"{name}\tx\n" for name in names),
    }
    (folder / f"v{listed}").write_text(content[listed])
    return path


def refused(path: Path, items: ItemTable = ITEMS, needed: Any = None) -> str:
    with pytest.raises(BenchError) as caught:
        bound(str(path), items, needed)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@given(st.permutations(list(range(12))), st.sampled_from(FORMS), st.integers(0, 11))
def test_every_item_has_its_own_row_in_whatever_order_they_come(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], form: str, left_out: int
) -> None:
    """Ids are numbers, which have another order as text: 0, 1, 10, 11, 2, ..."""
    vectors = np.arange(24, dtype=np.float32).reshape(12, 2)
    items = ItemTable(tuple(sorted(str(item) for item in range(12) if item != left_out)), {})
    path = write(tmp_path_factory.mktemp("v"), form, [str(item) for item in order], vectors[order])
    found = bound(str(path), items)
    assert found.vectors.tolist() == [vectors[int(item)].tolist() for item in items.ids]
    assert found.known.all()
    assert found.warnings[1:] == (f"1 row of '{path.name}' skipped, being of no item of the catalogue",)


@pytest.mark.parametrize("listed", [".ids.txt", ".ids.json", ".item2id", ".items.txt"])
def test_every_list_beside_it_names_the_rows(tmp_path: Path, listed: str) -> None:
    path = write(tmp_path, "npy", ["c", "a", "b"], VECTORS[[2, 0, 1]], listed)
    assert np.array_equal(bound(str(path), ITEMS).vectors, VECTORS)


def test_the_item_table_beside_it_does_not_name_the_rows(tmp_path: Path) -> None:
    """Its order is that of a data set's files, and vectors come in the order of whoever made them."""
    path = write(tmp_path, "npy", ["c", "a", "b"], VECTORS[[2, 0, 1]], ".item")
    assert "does not name the items of its 3 rows" in refused(path)


def test_rows_that_nobody_names_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", VECTORS)
    assert re.search(r"does not name the items of its 3 rows, .* put NAME\.ids\.txt", refused(tmp_path / "v.npy"))
    save_file({"x": VECTORS}, tmp_path / "w.safetensors")
    assert "does not name the items of its 3 rows" in refused(tmp_path / "w.safetensors")
    (tmp_path / "v.ids.txt").write_text("a\nb\n")
    assert "has 3 rows, but" in refused(tmp_path / "v.npy")
    (tmp_path / "v.ids.txt").unlink()
    (tmp_path / "v.item2id").write_text("a\t1\nb\t2\nc\t3\n")
    assert "names 3, numbered 1 to 3; both must be of the same rows, numbered 0 to 2" in refused(tmp_path / "v.npy")


@pytest.mark.parametrize("form", FORMS)
def test_names_that_do_not_fit_the_catalogue(tmp_path: Path, form: str) -> None:
    for names, needed, said in (
        (["a", "b", "a"], None, "has item 'a' twice; every item needs one vector"),
        (["a", "b", "x"], None, "has no vector of 1 item, the first is 'c'"),
        (
            ["a", "x", "c"],
            np.array([True, True, False]),
            "no vector of 1 item with training interactions, the first is 'b'",
        ),
        (["x", "y", "z"], None, "none of the 3 rows of"),
    ):
        assert said in refused(write(tmp_path, form, names, VECTORS), needed=needed)
    found = bound(str(write(tmp_path, form, ["b", "a", "z"], VECTORS[[1, 0, 2]])), ITEMS, np.array([True, True, False]))
    assert found.vectors.tolist() == [[1, 2], [3, 4], [0, 0]]
    assert found.known.tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        (VECTORS[:, 0], "must hold numbers [rows, width]; got float32 [3]"),
        (np.array([["x"]] * 3), "must hold numbers"),
        (np.zeros((3, 0), np.float32), "must hold numbers"),
        (np.ones((3, 2), bool), "must hold numbers"),
        (VECTORS * [[1], [np.nan], [1]], "a vector that is not finite for 1 item, the first is 'b'"),
        (VECTORS * [[1], [1], [-np.inf]], "a vector that is not finite for 1 item, the first is 'c'"),
        (VECTORS * [[1], [1], [1e300]], "a vector that is not finite for 1 item, the first is 'c'"),
    ],
)
def test_rows_that_are_no_vectors(tmp_path: Path, vectors: Any, said: str) -> None:
    assert said in refused(write(tmp_path, "npy", ["a", "b", "c"], vectors))


def test_files_that_hold_something_else(tmp_path: Path) -> None:
    pd.DataFrame({"item": ["a"], "x": [1]}).to_parquet(tmp_path / "x.parquet")
    (tmp_path / "bad.parquet").write_text("nothing")
    (tmp_path / "bad.safetensors").write_text("nothing")
    save_file({"x": VECTORS, "y": VECTORS}, tmp_path / "two.safetensors")
    save_file({"x": VECTORS}, tmp_path / "few.safetensors", {"ids": '["a"]'})
    np.save(tmp_path / "object.npy", np.array([{}, {}, {}], object), allow_pickle=True)
    table = pa.table({"item": ["a", "b"], "vector": [[1.0], [1.0, 2.0]]})
    pa.parquet.write_table(table, tmp_path / "ragged.parquet")
    header = np.lib.format.header_data_from_array_1_0(VECTORS) | {"shape": (2**40, 2)}
    with (tmp_path / "terabytes.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
    for name, said in (
        ("x.parquet", "must have the columns item and vector and a row; got item, x"),
        ("two.safetensors", "must hold one tensor; got x, y"),
        ("few.safetensors", "must have a list of 3 ids in its metadata under 'ids'"),
        *((name, "cannot read item vectors from") for name in ("bad.parquet", "bad.safetensors", "object.npy")),
        *((name, "cannot read item vectors from") for name in ("ragged.parquet", "absent.npy", "terabytes.npy")),
        ("v.pkl", "item vectors come from .npy, .parquet, .safetensors; got"),
    ):
        assert said in refused(tmp_path / name)


def test_the_digest_is_of_the_vectors_and_of_whose_they_are(tmp_path: Path) -> None:
    path = str(write(tmp_path, "npy", ["a", "b", "c"], VECTORS))
    first = digest(path)
    assert digest(path) == first
    write(tmp_path, "npy", ["b", "a", "c"], VECTORS)
    assert digest(path) != first
    write(tmp_path, "npy", ["a", "b", "c"], VECTORS * 2)
    assert digest(path) != first
    with pytest.raises(BenchError, match=r"cannot read item vectors from .*: No such file"):
        digest(str(tmp_path / "absent.npy"))


def test_an_encoder_can_be_a_file_and_then_no_text_is_needed(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(12, 6)).astype(np.float32)
    items = ItemTable(tuple(f"i{item:02d}" for item in range(12)), {})
    path = write(tmp_path, "parquet", list(items.ids), vectors)
    view = TrainView("toy", items, Sequences.from_rows([[0]]), 1, cache=tmp_path / "cache")
    raw = TextSettings(encoder=str(path), dimensions=0)
    text.validate_items(items, raw)
    assert np.array_equal(embed(view, raw), vectors)
    turned = embed(view, TextSettings(encoder=str(path), dimensions=3))
    assert np.allclose(turned.T @ turned / 12, np.eye(3), atol=1e-5), "whitened as any other"
    (remark,) = text.warnings(items, raw)
    assert remark == (
        f"item vectors come from the file 'v.parquet' (SHA-256 {digest(str(path))[:12]}, 12 x 6): whether their "
        "encoder may have seen test interactions is unknown"
    )
    write(tmp_path, "parquet", list(items.ids), vectors * 2)
    assert np.array_equal(embed(view, raw), vectors * 2), "another content is another encoder"
    assert text.warnings(items, TextSettings()) == ()
    write(tmp_path, "parquet", list(items.ids)[1:], vectors[1:])
    with pytest.raises(BenchError, match="has no vector of 1 item, the first is 'i00'"):
        text.validate_items(items, raw)


def test_a_name_with_an_ending_of_vectors_is_a_file() -> None:
    assert [
        embeddings.is_file(name) for name in ("v.npy", "~/v.safetensors", "tfidf-svd", "org/model", "x.parquet")
    ] == [
        True,
        True,
        False,
        False,
        True,
    ]
