"""The table of published scores and ours, as a reader sees it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.report import published
from bench.report.published import Published
from bench.report.published_sheet import HEADER, compared
from bench.report.results import load
from bench.report.rows import Section, sections
from bench.report.sheet import Sheet
from bench.report.table import DASH

Store = Callable[..., Path]
MODEL = {"backbone": "tiger", "epochs": 100, "max_steps": 0}
SIZES = {"users": 22363, "items": 12101, "interactions": 198502}


@pytest.fixture
def tiger() -> Published:
    """The published scores, among whose schemes ``semantic/rqvae`` stands for TIGER."""
    return published.load()


def section(store: Store, tmp_path: Path, *said: dict[str, Any]) -> Section:
    for each in said:
        store(**{"dataset": "beauty", "contract": MODEL, "preset": "standard", **each})
    (found,) = sections(load(tmp_path))
    dataset = replace(found.dataset, **SIZES)
    rows = [replace(row, cells=tuple(replace(cell, dataset=dataset) for cell in row.cells)) for row in found.rows]
    return Section(found.title, dataset, tuple(rows))


def line(found: Sheet | None, metric: str) -> dict[str, str]:
    assert found is not None
    (row,) = [row for row in found.rows if row[2] == metric]
    return dict(zip(HEADER, row, strict=True))


@pytest.mark.usefixtures("tiger")
def test_paper_others_and_ours_stand_side_by_side(store: Store, tmp_path: Path) -> None:
    held = section(store, tmp_path, {"scheme": "semantic/rqvae", "quality": 0.065, "users": 2000})
    found = line(compared(held), "Hit@10")
    assert found["published system"] == "TIGER"
    assert found["paper"] == "0.0648 (a)"
    assert found["others obtained"] == "0.0721 (b), 0.0594 (c), 0.0559 (d)"
    estimate = held.rows[0].estimate("hit@10")
    assert estimate.interval is not None
    assert found["ours"] == f"{estimate.value:.4f} [{estimate.interval[0]:.4f}{DASH}{estimate.interval[1]:.4f}]"
    assert re.match(r"\*\*(not )?reproduced\*\* \(a\): ", found["verdict"])


@pytest.mark.usefixtures("tiger")
def test_what_only_others_obtained_is_said_to_be_so(store: Store, tmp_path: Path) -> None:
    held = section(store, tmp_path, {"scheme": "semantic/rqvae", "quality": 0.07, "users": 30_000})
    value = held.rows[0].metric("hit@10")[0]
    assert value == pytest.approx(0.0594, rel=0.03)
    verdict = line(compared(held), "Hit@10")["verdict"]
    assert verdict.startswith("**not reproduced** (a): ours is")
    assert verdict.endswith("lower; what others obtained is reproduced (c, d)")


def test_every_letter_and_number_is_explained_beneath(store: Store, tmp_path: Path) -> None:
    small = {"scheme": "numeric/random", "preset": "cpu", "contract": {"backbone": "mini"}}
    found = compared(section(store, tmp_path, small, {"scheme": "numeric/sequential"}))
    assert found is not None
    explained = {note.title for note in found.notes}
    used = {mark for row in found.rows for cell in row for mark in re.findall(r"\((\w)\)", cell)}
    assert used <= explained
    assert {"a", "1", "verdicts"} <= explained
    assert any("our preset 'cpu': backbone mini, not t5-small" in note.text for note in found.notes)
    assert all("arXiv" in note.text or "github" in note.text for note in found.notes if note.title in "abc")


@pytest.mark.usefixtures("tiger")
def test_the_warning_of_toys_is_printed_under_the_table(store: Store, tmp_path: Path) -> None:
    store("semantic/rqvae", dataset="toys")
    found = compared(sections(load(tmp_path))[0])
    assert found is not None
    assert any("**TIGER: no run by others" in note.text for note in found.notes)
    assert "not comparable" in line(found, "NDCG@10")["verdict"]  # the data of the fixture are smaller


def test_a_metric_that_is_not_ours_has_no_value_of_ours(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = published.load()
    held = replace(held, matches=[published.Match("set/vectors", ["SETRec"])])
    monkeypatch.setattr(published, "load", lambda: held)
    store("set/vectors", dataset="toys")
    found = line(compared(sections(load(tmp_path))[0]), "Recall@10")
    assert (found["paper"], found["ours"]) == ("0.0189 (a)", DASH)
    assert found["verdict"].startswith("**not comparable**")


@pytest.mark.parametrize(
    "said",
    [{"scheme": "pop", "kind": "baseline"}, {"scheme": "mine/own"}, {"scheme": "numeric/random", "dataset": "toys"}],
)
def test_without_anything_published_there_is_no_table(store: Store, tmp_path: Path, said: dict[str, Any]) -> None:
    store(**{"dataset": "beauty", **said})
    assert compared(sections(load(tmp_path))[0]) is None
