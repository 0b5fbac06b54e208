"""Identifiers read back from finished runs, and the items that are shown of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.errors import BenchError
from bench.report.identifiers import END, Identifiers, of_result, of_section, sample
from bench.report.rows import sections
from bench.results.read import load

Store = Callable[..., Path]
NameItems = Callable[..., None]


def identifiers(items: list[str]) -> Identifiers:
    return Identifiers(tuple(items), ("",) * len(items), tuple(items), np.zeros((len(items), 1), np.int64))


def test_identifiers_come_back_as_they_were_stored(store: Store, name_items: NameItems, tmp_path: Path) -> None:
    name_items(store(), [[3], [5, 4, 9], [7, 7]], ["Ark", "Bee", ""])
    found = of_result(load(tmp_path)[0])
    assert found is not None
    assert (found.items, found.titles) == (("item0", "item1", "item2"), ("Ark", "Bee", ""))
    assert found.texts == ("3", "5 4 9", "7 7")
    assert found.tokens.tolist() == [[3, END, END], [5, 4, 9], [7, 7, END]]
    assert found.lengths.tolist() == [1, 3, 2]


def test_results_of_before_titles_were_stored_are_read(store: Store, name_items: NameItems, tmp_path: Path) -> None:
    name_items(store(), [[3], [4]])
    found = of_result(load(tmp_path)[0])
    assert found is not None
    assert found.titles == ("", "")


def test_runs_without_token_identifiers_have_none(store: Store, tmp_path: Path) -> None:
    store("pop", kind="baseline")
    store("numeric/random")  # it has written none
    vectors = store("set/vectors")
    pd.DataFrame({"item": ["a"], "identifier": ["12 vectors"]}).to_parquet(vectors / "ids.parquet")
    (section,) = sections(load(tmp_path))
    assert of_section(section) == []


@pytest.mark.parametrize(
    "content", [b"no parquet", pd.DataFrame({"tokens": ["word"], "item": [1], "identifier": [1]}), b""]
)
def test_a_corrupt_file_is_named_in_one_line(
    store: Store, sealed: Callable[[Path], None], tmp_path: Path, content: bytes | pd.DataFrame
) -> None:
    path = store() / "ids.parquet"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content.to_parquet(path)
    sealed(path.parent)
    with pytest.raises(BenchError, match=r"ids.parquet' is corrupt \(.+\); run it again") as caught:
        of_result(load(tmp_path)[0])
    assert "\n" not in str(caught.value)


def test_a_file_that_the_run_did_not_write_is_named(store: Store, name_items: NameItems, tmp_path: Path) -> None:
    folder = store()
    name_items(folder, [[1], [2]], ["one", "two"])
    frame = pd.read_parquet(folder / "ids.parquet")
    frame.assign(title=["two", "one"]).to_parquet(folder / "ids.parquet")
    with pytest.raises(BenchError, match=r"ids.parquet' is corrupt: its SHA-256 differs"):
        of_result(load(tmp_path)[0])


def test_a_scheme_is_listed_once_whatever_its_seeds_and_contracts(
    store: Store, name_items: NameItems, tmp_path: Path
) -> None:
    for said in ({"seed": 0}, {"seed": 1}, {"contract": {"beam": 50}}):
        name_items(store("textual/title", **said), [[1], [2]])
    name_items(store("numeric/random"), [[1], [2]])
    (section,) = sections(load(tmp_path))
    assert sorted(row.label for row, _ in of_section(section)) == ["numeric/random", "textual/title"]


def test_the_same_items_are_drawn_whatever_schemes_there_are() -> None:
    names = [f"i{number:03}" for number in range(200)]
    one, other = identifiers(names), identifiers(names[::-1])
    drawn = sample([one], 12)
    assert drawn == sample([other, one], 12) == sorted(drawn)
    assert len(set(drawn)) == 12
    assert drawn != sample([one], 12, seed=1)
    assert drawn != names[:12]


def test_only_items_that_all_schemes_name_are_drawn() -> None:
    assert sample([identifiers(["a", "b", "c"]), identifiers(["c", "d", "b"])], 12) == ["b", "c"]
    assert sample([], 12) == []
