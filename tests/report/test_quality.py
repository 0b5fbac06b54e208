"""The tables of quality, costs and identifiers: values, marks, and that nothing stands in them without its source."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench.report import significance
from bench.report.rows import sections
from bench.report.table import DASH, Cell, Table
from bench.report.tables import chapters
from bench.results.read import load

Store = Callable[..., Path]


def tables(root: Path) -> dict[str, Table]:
    """The tables of the first data set by name."""
    return {table.name: table for table in chapters(load(root))[0].tables}


def column(table: Table, title: str) -> list[Cell]:
    (found,) = [found for found in table.columns if found.title == title]
    return list(found.cells)


def texts(table: Table, title: str) -> list[str]:
    """Best ones carry a star, second ones an underscore."""
    return [cell.text + {"best": "*", "second": "_", "": ""}[cell.highlight] for cell in column(table, title)]


def test_best_and_second_are_marked_among_rows_that_compare(store: Store, tmp_path: Path) -> None:
    store("one", quality=0.9)
    for scheme, quality in (("two", 0.5), ("three", 0.3), ("four", 0.1)):
        store(scheme, quality=quality, contract={"beam": 50})
    found = tables(tmp_path)["quality"]
    assert texts(found, "contract") == ["A", "B", "B", "B"]
    assert [text[-1] for text in texts(found, "Hit@10")][1:3] == ["*", "_"]
    assert [cell.highlight for cell in column(found, "Hit@10")] == ["", "best", "second", ""]


def test_what_leaks_is_never_best_and_hides_no_best(store: Store, tmp_path: Path) -> None:
    for scheme, quality in (("one", 0.1), ("two", 0.3), ("six", 0.2)):
        store(scheme, quality=quality)
    store("p5-leak", quality=0.9, leaks=True)
    found = tables(tmp_path)["quality"]
    pairs = zip(found.head.cells, column(found, "NDCG@10"), strict=True)
    assert {scheme.text: cell.highlight for scheme, cell in pairs} == {
        "p5-leak (leaks)": "",
        "two": "best",
        "six": "second",
        "one": "",
    }


def test_of_two_none_is_second_and_a_baseline_can_be_best(store: Store, tmp_path: Path) -> None:
    store("one", quality=0.1)
    store("pop", kind="baseline", quality=0.6)
    assert [cell.highlight for cell in column(tables(tmp_path)["quality"], "NDCG@10")] == ["", "best"]


def test_rows_that_tie_are_all_best(store: Store, tmp_path: Path) -> None:
    for scheme in ("one", "two", "six"):
        store(scheme, quality=0.5)  # names of one length draw the same ranks
    assert {cell.highlight for cell in column(tables(tmp_path)["quality"], "NDCG@10")} == {""}  # nobody is behind
    store("seven", quality=0.1)
    assert [cell.highlight for cell in column(tables(tmp_path)["quality"], "NDCG@10")] == ["best"] * 3 + [""]


def test_what_is_not_told_apart_from_the_best_is_best_too(store: Store, tmp_path: Path) -> None:
    for scheme, quality in (("first", 0.80), ("closely", 0.75), ("second", 0.40), ("seconded", 0.38), ("last", 0.05)):
        store(scheme, quality=quality)
    found = tables(tmp_path)["quality"]
    assert [cell.highlight for cell in column(found, "NDCG@10")] == ["best", "best", "second", "second", ""]
    assert {cell.highlight for cell in column(tables(tmp_path)["further"], "MRR@20")} == {""}  # which is not tested


def test_one_seed_says_what_its_training_may_be_worth(store: Store, tmp_path: Path) -> None:
    store("one", quality=0.5)
    store("pop", kind="baseline", quality=0.1)
    said = [note.text for note in tables(tmp_path)["quality"].notes if note.title == "training noise"]
    (score,) = [cell.value for cell in column(tables(tmp_path)["quality"], "NDCG@10")[:1]]
    least = 1.96 * 0.07 * 2**0.5 * float(score or 0)
    assert f"one seed: differences below about 19 % of the score, {least:.4f} NDCG@10" in said[0]
    assert "a deviation over seeds of 7 % of the score is assumed" in said[0]
    assert said[1].startswith("pop: no weights are trained")
    store("one", quality=0.5, seed=1)
    said = [note.text for note in tables(tmp_path)["quality"].notes if note.title == "training noise"]
    assert "pooled over 1 row with several seeds (1.0 degrees of freedom)" in said[0]
    assert "one seed:" not in said[0]
    assert said[0].count("Student's t takes 12.7 of their deviations, where it takes 2.0 of many seeds") == 1
    store("one", quality=0.5, seed=2)
    said = [note.text for note in tables(tmp_path)["quality"].notes if note.title == "training noise"]
    assert "(2.0 degrees of freedom)" in said[0]
    assert "Student's t" not in said[0]


def test_no_interval_of_a_metric_leaves_its_range(store: Store, tmp_path: Path) -> None:
    for seed, quality in enumerate((0.001, 0.05, 0.9999)):
        store("random", quality=quality, seed=seed)
        store("counts", kind="baseline", quality=quality / 100, seed=seed)
    for table in tables(tmp_path).values():
        ends = [cell.ends for row in table.rows for cell in row if cell.ends and table.name != "comparisons"]
        assert all(0 <= low <= high <= 1 for low, high in ends)
    low, high = column(tables(tmp_path)["quality"], "Hit@10")[0].ends or (None, None)
    assert (low, high) == (0, 1)


def test_a_lone_row_and_a_zero_are_not_best(store: Store, tmp_path: Path) -> None:
    store("one", quality=0.0)
    assert texts(tables(tmp_path)["further"], "Hit@1") == ["0.0000"]
    store("two", quality=0.0)
    store("three", quality=0.0)
    assert texts(tables(tmp_path)["further"], "Hit@1") == ["0.0000"] * 3


def test_a_dagger_is_for_schemes_that_beat_the_best_baseline_for_certain(store: Store, tmp_path: Path) -> None:
    store("far above", quality=0.6)
    store("a little above", quality=0.23)
    store("below", quality=0.02)
    store("pop", kind="baseline", quality=0.2)
    store("random", kind="baseline", quality=0.01)
    found = tables(tmp_path)["quality"]
    marks = {head.text: cell.mark for head, cell in zip(found.head.cells, column(found, "NDCG@10"), strict=True)}
    assert marks == {"far above": "†", "a little above": "", "below": "", "pop": "", "random": ""}
    assert any(note.title == "†" for note in found.notes)


def test_what_runs_have_said_stands_under_the_table_once(store: Store, tmp_path: Path) -> None:
    said = {"tokens_mean": 4.0, "tokens_max": 4, "vocabulary": 9, "collision_rate": 0.0, "collision_rate_test": 0.0}
    for scheme, lines in (("one", ["vectors of v.npy"]), ("two", ["vectors of v.npy", "3 items"]), ("six", [])):
        for seed in (0, 1):
            store(scheme, seed=seed, identifiers={**said, "largest_group": 1}, warnings=lines)
    (note,) = (note for note in tables(tmp_path)["quality"].notes if note.title == "warnings")
    assert sorted(note.text.split("; ")) == ["one, two: vectors of v.npy", "two: 3 items"]


def test_a_dagger_needs_every_baseline_not_only_the_best(store: Store, tmp_path: Path) -> None:
    """The best baseline is beaten for certain; another is far below, on users too few to be sure."""
    store("above", quality=0.6)
    store("best", kind="baseline", quality=0.3)
    assert [cell.mark for cell in column(tables(tmp_path)["quality"], "NDCG@10")] == ["†", ""]
    store("few", kind="baseline", quality=0.1, users=12)
    found = tables(tmp_path)
    assert [cell.mark for cell in column(found["quality"], "NDCG@10")] == [""] * 3
    assert next(iter(found["comparisons"].head.cells)).text == "above against best"


def test_daggers_by_luck_are_rare(tmp_path: Path, stores: Callable[[Path], Store]) -> None:
    """Schemes no better than the best baseline: in few reports does any of them get a †."""
    marked = 0
    for number in range(25):
        root = tmp_path / str(number)
        for at, name in enumerate(("a", "b", "c", "best", "weak")):
            kind = "baseline" if len(name) > 1 else "scheme"
            store_at = stores(root)
            store_at(name, kind=kind, quality=0.1 if name == "weak" else 0.4, users=80, seed=100 * number + at)
        rows = sections(load(root))[0].rows
        marked += any(significance.beating(rows, significance.tested(rows).family).values())
    assert marked <= 3  # of 25, each with a chance of at most 5 %


def test_costs_and_what_does_not_exist(store: Store, tmp_path: Path) -> None:
    store("one", contract={"decoder": "beam"})
    store("two", contract={"decoder": "exact"})
    store("pop", kind="baseline")
    found = tables(tmp_path)["costs"]
    assert sorted(texts(found, "tokens per item")) == sorted(["7.2", "7.2", DASH])
    assert sorted(texts(found, "decode steps")) == sorted(["14", DASH, DASH])
    assert texts(found, "peak memory (MB)") == ["1,312"] * 3
    assert texts(found, "parameters") == ["4.8 M", "4.8 M", "0"]


def test_vectors_are_written_in_the_steps_that_they_say(store: Store, tmp_path: Path) -> None:
    """Five vectors at once are one step, though the contract has beam search for whatever is written in tokens."""
    shares = {"collision_rate": 0.0, "collision_rate_test": 0.0}
    seen = {"tokens_mean": 5.0, "tokens_max": 5, "vocabulary": 3, "largest_group": 1, **shares, "decode_steps": 1}
    for seed in (0, 1):
        store("set", seed=seed, identifiers=seen)
    made = tables(tmp_path)
    (cell,) = column(made["costs"], "decode steps")
    assert (cell.text, cell.value) == ("1", 1)
    assert cell.source.fields == ("result.json:identifiers.decode_steps",)
    assert "decode steps" not in [found.title for found in made["identifiers"].columns]


def test_identifiers_of_a_colliding_scheme(store: Store, tmp_path: Path) -> None:
    store("one", quality=0.4, shared=2)
    store("pop", kind="baseline")
    found = tables(tmp_path)["identifiers"]
    assert [cell.text for cell in found.head.cells] == ["one"]
    assert texts(found, "collision rate") == texts(found, "test-weighted collision rate") == ["50.0%"]
    assert texts(found, "invalid lists") == ["0%"]
    strict, expected, optimistic = (
        float(texts(found, title)[0]) for title in ("NDCG@10", "NDCG@10 expected", "NDCG@10 optimistic")
    )
    assert strict < optimistic
    assert expected < optimistic


def test_figures_nobody_foresaw_get_a_column(store: Store, tmp_path: Path) -> None:
    """Levels side by side, shares as shares, means over seeds; what is no figure is left out."""
    seen = {"tokens_mean": 4.0, "tokens_max": 4, "vocabulary": 768, "largest_group": 1}
    rates = {"collision_rate": 0.0, "collision_rate_test": 0.0}
    for seed, use in ((0, [1.0, 0.5]), (1, [0.9, 0.7])):
        further = {"codebook_use": use, "entropy": 5.5, "invalid_rate": 0.25, "template": {"separator": " "}}
        store("codes", seed=seed, identifiers={**seen, **rates, **further})
    store("plain")
    found = tables(tmp_path)["identifiers"]
    at = [cell.text for cell in found.head.cells].index("codes")
    assert texts(found, "codebook use")[at] == "95.0% / 60.0%"
    assert texts(found, "codebook use")[1 - at] == DASH
    assert texts(found, "entropy")[at] == "5.500"
    assert texts(found, "invalid lists")[at] == "25.0%"
    assert "template" not in [found.title for found in found.columns]


def test_only_baselines_have_no_table_of_identifiers(store: Store, tmp_path: Path) -> None:
    store("pop", kind="baseline", quality=0.3)
    assert "identifiers" not in tables(tmp_path)


def test_no_cell_lacks_its_source(store: Store, tmp_path: Path) -> None:
    """Every cell of every table names files that are there and fields that they have; a dash may name one without."""
    for seed in (0, 1):
        store("textual/title", seed=seed, quality=0.4, shared=3)
    store("numeric/random", quality=0.2, contract={"beam": 50})
    store("pop", kind="baseline", quality=0.1)
    for dataset in ("beauty", "ml-100k"):
        store("numeric/random", dataset=dataset)
    cells = [
        cell for chapter in chapters(load(tmp_path)) for table in chapter.tables for row in table.rows for cell in row
    ]
    assert len(cells) > 200
    for cell in cells:
        assert cell.source.folders or cell.source.published, cell
        assert bool(cell.source.fields) == bool(cell.source.folders), cell
        for folder in cell.source.folders:
            for field in cell.source.fields:
                file, _, name = field.partition(":")
                assert stored(tmp_path / folder / file, name) is not None or cell.text == DASH, (cell, field)


def stored(path: Path, name: str) -> Any:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)[name]
    found: Any = json.loads(path.read_text())
    for key in name.split("."):
        found = None if found is None else found.get(key)
    return found


@pytest.mark.parametrize(("users", "quality"), [(1, 1.0), (1, 0.0), (3, 0.5)])
def test_next_to_no_users_make_tables(store: Store, tmp_path: Path, users: int, quality: float) -> None:
    store("one", users=users, quality=quality)
    store("pop", kind="baseline", users=users, quality=quality)
    found = tables(tmp_path)
    assert len(column(found["quality"], "NDCG@10")) == 2
    assert {cell.mark for cell in column(found["quality"], "NDCG@10")} == {""}
    assert "nan" not in " ".join(cell.text for table in found.values() for row in table.rows for cell in row)
