"""What is asked for decides where the result goes; a label does not."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bench.data.dataset import Dataset
from bench.evaluation.baseline import DATA_VIEW
from bench.ids import plugins
from bench.runs.config import Contract
from bench.runs.request import Request, changed_settings


@pytest.fixture
def scheme(toy: Dataset) -> Request:
    subject = plugins.load_scheme("textual/title")()
    return Request(subject, toy, Contract(), seed=3, preset="cpu", results=Path("results"))


@pytest.fixture
def baseline(scheme: Request) -> Request:
    return replace(scheme, subject=plugins.load_baseline("pop")())


def test_a_scheme_is_bound_by_the_whole_contract(scheme: Request) -> None:
    assert not scheme.is_baseline
    assert scheme.cell.contract_id == Contract().id
    longer = replace(scheme, contract=replace(Contract(), epochs=99))
    assert longer.cell.contract_id != scheme.cell.contract_id
    assert longer.conditions["epochs"] == 99


def test_a_baseline_is_bound_by_the_data_view_alone(baseline: Request) -> None:
    assert baseline.is_baseline
    assert set(baseline.conditions) == set(DATA_VIEW) - {"ties"}  # its default is not stored
    longer = replace(baseline, contract=replace(Contract(), epochs=99, beam_width=50))
    assert longer.cell == baseline.cell
    for change in (
        {"max_history": 5},
        {"exclude_history": True},
        {"validation_in_test_history": False},
        {"ties": "id"},
    ):
        assert replace(baseline, contract=replace(Contract(), **change)).cell != baseline.cell


def test_the_cell_says_what_it_is(scheme: Request, toy: Dataset) -> None:
    cell = scheme.cell
    assert (cell.dataset, cell.fingerprint, cell.seed) == ("toy", toy.fingerprint, 3)
    assert (cell.scheme, cell.version, cell.settings) == ("textual/title", scheme.subject.version, {})
    assert replace(scheme, preset=None, force=True, results=Path("elsewhere")).cell == cell


def test_time_stamps_count_where_the_split_is_made_of_them(scheme: Request, toy: Dataset) -> None:
    later = replace(scheme, dataset=replace(toy, times=toy.times * 2))
    assert later.cell == scheme.cell
    by_time = replace(scheme.contract, split="ratio", selection="recall@10")
    one, other = (replace(request, contract=by_time) for request in (scheme, later))
    assert one.cell == replace(one, dataset=replace(toy)).cell != other.cell
    assert one.cell.fingerprint != toy.fingerprint


def test_only_settings_that_differ_from_the_defaults_count(scheme: Request) -> None:
    cls = type(scheme.subject)
    changed = cls(plugins.settings(cls, {"words": "6", "min_shared": "5"}))
    assert changed_settings(changed.settings) == {"words": 6}
    assert replace(scheme, subject=changed).cell.settings == {"words": 6}


@dataclass(frozen=True)
class Demanding:
    path: str
    sizes: tuple[int, ...] = field(default_factory=lambda: (1, 2))
    depth: int = 3


def test_a_setting_without_a_default_always_counts() -> None:
    assert changed_settings(Demanding("here")) == {"path": "here"}
    assert changed_settings(Demanding("here", (1, 3), 3)) == {"path": "here", "sizes": (1, 3)}
