"""Single cells of a table: numbers as they are printed, and which of them is best."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.report.columns import DASH, _seconds, _share, _weights, cost, quality
from bench.report.contracts import contracts
from bench.report.results import load
from bench.report.rows import sections

Store = Callable[..., Path]


def columns(root: Path) -> dict[str, list[str]]:
    """Title to values; best ones carry a star."""
    rows = sections(load(root))[0].rows
    found = [*quality(rows, contracts(rows)), *cost(rows)]
    return {column.title: [cell.value + "*" * cell.best for cell in column.cells] for column in found}


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (940, "940"), (4_812_544, "4.8 M"), (60.5e6, "60.5 M"), (1.2e9, "1.2 B"), (None, DASH)],
)
def test_parameters(value: float | None, text: str) -> None:
    assert _weights(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.004, "< 0.01"), (0.021, "0.02"), (12.34, "12.3"), (4321.4, "4,321"), (None, DASH)],
)
def test_seconds(value: float | None, text: str) -> None:
    assert _seconds(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.0, "0%"), (0.0001, "< 0.1%"), (0.143, "14.3%"), (None, DASH)])
def test_a_collision_never_rounds_to_none(value: float | None, text: str) -> None:
    assert _share(value) == text


def test_best_is_marked_among_rows_that_compare(store: Store, tmp_path: Path) -> None:
    store("one", quality=0.9)
    store("two", quality=0.5, contract={"beam": 50})
    store("three", quality=0.3, contract={"beam": 50})
    found = columns(tmp_path)
    assert found["contract"] == ["A", "B", "B"]
    assert [value.endswith("*") for value in found["Hit@10"]] == [False, True, False]


def test_a_baseline_can_be_best(store: Store, tmp_path: Path) -> None:
    store("one", quality=0.1)
    store("pop", kind="baseline", quality=0.6)
    assert [value.endswith("*") for value in columns(tmp_path)["NDCG@10"]] == [False, True]


def test_what_leaks_is_never_best_and_hides_no_best(store: Store, tmp_path: Path) -> None:
    store("one", quality=0.1)
    store("two", quality=0.3)
    store("p5-leak", quality=0.9, leaks=True)
    found = columns(tmp_path)["NDCG@10"]  # the leak stands first
    assert [value.endswith("*") for value in found] == [False, True, False]


def test_a_lone_row_and_a_zero_are_not_best(store: Store, tmp_path: Path) -> None:
    store("one", quality=0.0)
    assert columns(tmp_path)["Hit@1"] == ["0.0000"]
    store("two", quality=0.0)
    assert columns(tmp_path)["Hit@1"] == ["0.0000", "0.0000"]


def test_other_readings_appear_with_collisions_only(store: Store, tmp_path: Path) -> None:
    store("one", quality=0.5)
    assert "NDCG@10 optimistic" not in columns(tmp_path)
    store("two", quality=0.4, shared=2)
    found = columns(tmp_path)
    assert found["colliding items"] == ["0%", "50.0%"]
    strict, optimistic = (float(found[title][1].strip("*")) for title in ("NDCG@10", "NDCG@10 optimistic"))
    assert strict < optimistic


def test_costs_of_a_baseline_that_has_none(store: Store, tmp_path: Path) -> None:
    store("pop", kind="baseline")
    found = columns(tmp_path)
    assert found["tokens per item"] == found["colliding items"] == [DASH]
    assert found["peak MB"] == ["1,312"]
