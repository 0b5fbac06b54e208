"""The files that RecBole reads hold our split and nothing of test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recbole_baselines import files

from bench.data.dataset import Dataset, ItemTable, Sequences
from bench.data.global_time import global_time
from bench.data.splits import leave_one_out
from bench.errors import BenchError

Prepared = Callable[..., Any]
Line = tuple[int, list[int], int]


def read(path: Path) -> list[Line]:
    header, *lines = path.read_text().splitlines()
    assert header == "user_id:token\titem_id_list:token_seq\titem_id:token"
    cells = [line.split("\t") for line in lines]
    return [(int(user), [int(item) for item in history.split()], int(item)) for user, history, item in cells]


def written(prepared: Prepared, data: Dataset, folder: Path, name: str, **settings: str) -> Path:
    folder.mkdir(exist_ok=True)
    prepared(name, leave_one_out(data, seed=2, max_history=4), folder, cap=4, **settings)
    return folder / "data" / "split"


def expected(data: Dataset, cap: int) -> list[Line]:
    lines = []
    for user in range(len(data.users)):
        sequence = data.sequences[user][:-2].tolist()
        lines += [(user, sequence[max(0, at - cap) : at], sequence[at]) for at in range(1, len(sequence))]
    return lines


def test_training_holds_every_prefix_and_validation_the_item_after_it(
    prepared: Prepared, toy: Dataset, tmp_path: Path
) -> None:
    folder = written(prepared, toy, tmp_path, "sasrec")
    assert read(folder / "split.train.inter") == expected(toy, 4)
    assert read(folder / "split.valid.inter") == [
        (user, toy.sequences[user][:-2][-4:].tolist(), toy.sequences[user][-2]) for user in range(len(toy.users))
    ]
    assert (folder / "split.user").read_text().split() == ["user_id:token", *map(str, range(40))]
    assert (folder / "split.item").read_text().split() == ["item_id:token", *map(str, range(30))]
    assert sorted(path.name for path in folder.iterdir()) == [
        "split.item",
        "split.train.inter",
        "split.user",
        "split.valid.inter",
    ]


def test_a_model_that_fills_gaps_sees_the_item_after_as_well(prepared: Prepared, toy: Dataset, tmp_path: Path) -> None:
    lines = read(written(prepared, toy, tmp_path, "bert4rec") / "split.train.inter")
    assert lines == [(user, [*history, item], item) for user, history, item in expected(toy, 4)]


def test_a_model_that_counts_sees_every_interaction(prepared: Prepared, toy: Dataset, tmp_path: Path) -> None:
    lines = read(written(prepared, toy, tmp_path, "itemknn") / "split.train.inter")
    assert lines == [(user, [], item) for user in range(40) for item in toy.sequences[user][:-2].tolist()]


@pytest.mark.parametrize("name", ["sasrec", "bert4rec", "itemknn", "s3rec"])
def test_no_file_depends_on_what_is_tested(prepared: Prepared, toy: Dataset, tmp_path: Path, name: str) -> None:
    last = toy.sequences.offsets[1:] - 1
    values = toy.sequences.values.copy()
    values[last] = np.roll(values[last], 7)
    assert (values[last] != toy.sequences.values[last]).mean() > 0.9
    moved = replace(toy, sequences=Sequences(values, toy.sequences.offsets))
    honest = written(prepared, toy, tmp_path / "honest", name)
    shuffled = written(prepared, moved, tmp_path / "shuffled", name)
    for path in honest.iterdir():
        assert path.read_bytes() == (shuffled / path.name).read_bytes()
    assert (honest.parents[1] / "job.json").read_text().replace("honest", "shuffled") == (
        shuffled.parents[1] / "job.json"
    ).read_text()


def table(**text: tuple[str, ...]) -> ItemTable:
    return ItemTable(tuple(f"i{at}" for at in range(3)), text)


def test_attributes_are_divided_at_commas_else_at_spaces() -> None:
    commas = table(title=("x", "y", "z"), categories=("Toys & Games, Dolls", "", "Dolls, Toys & Games, Dolls"))
    assert files.attributes(commas, "") == [[2, 1], [0], [1, 2]]
    assert files.attributes(table(genres=("Drama War", "War", "Comedy")), "") == [[2, 3], [3], [1]]
    assert files.attributes(table(genres=("a", "b", "b"), brand=("p", "q", "p")), "brand") == [[1], [2], [1]]


def test_an_attribute_of_every_item_is_none() -> None:
    items = table(categories=("Toys, Games", "Toys", "Puzzles, Toys"))
    assert files.attributes(items, "") == [[1], [0], [2]]


@pytest.mark.parametrize(("column", "said"), [("", "categories or category or genres or class"), ("brand", "brand")])
def test_missing_attributes_are_one_line(column: str, said: str) -> None:
    with pytest.raises(
        BenchError, match=rf"^attributes of items were asked for in column {said}; the items have title;"
    ):
        files.attributes(table(title=("x", "y", "z")), column)


def test_no_training_example_is_one_line(toy: Dataset) -> None:
    short = replace(toy, sequences=Sequences.from_rows([toy.sequences[user][:3] for user in range(40)]))
    with pytest.raises(BenchError, match="no training example"):
        files.prefixes(leave_one_out(short).train, 4)


def test_a_user_with_several_validation_targets_has_a_line_for_each(
    prepared: Prepared, dated: Dataset, tmp_path: Path
) -> None:
    split = global_time(dated, seed=2, max_history=4)
    prepared("sasrec", split, tmp_path, cap=4)
    lines = read(tmp_path / "data" / "split" / "split.valid.inter")
    validation = split.validation
    assert [line[0] for line in lines] == validation.users[validation.user_rows].tolist()
    assert [line[2] for line in lines] == validation.items.tolist()
    assert [line[1] for line in lines] == [validation.histories[owner].tolist() for owner in validation.user_rows]
    assert len(lines) > len(validation)
