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
from bench.report.published_table import published_table
from bench.report.rows import Section, sections
from bench.report.table import DASH, Cell, Table, strong
from bench.report.tables import chapters
from bench.results.read import load

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
    rows = [replace(row, runs=tuple(replace(run, dataset=dataset) for run in row.runs)) for row in found.rows]
    return Section(found.title, dataset, tuple(rows))


def line(found: Table | None, metric: str) -> dict[str, Cell]:
    """The cells of the line about a metric, by column."""
    assert found is not None
    (row,) = [row for row in found.rows if row[2].text == metric]
    return dict(zip([found.head.title, *(column.title for column in found.columns)], row, strict=True))


@pytest.mark.usefixtures("tiger")
def test_paper_others_and_ours_stand_side_by_side(store: Store, tmp_path: Path) -> None:
    seen = section(store, tmp_path, {"scheme": "semantic/rqvae", "quality": 0.065, "users": 2000})
    found = line(published_table(seen), "Hit@10")
    assert found["published system"].text == "TIGER"
    assert (found["paper"].text, found["paper"].value) == ("0.0648 (a)", 0.0648)
    assert (found["others obtained"].text, found["others obtained"].value) == (
        "0.0721 (b), 0.0594 (c), 0.0559 (d), 0.0634 (e)",
        0.0721,
    )
    estimate = seen.rows[0].estimate("hit@10")
    assert found["ours"].text == f"{estimate.value:.4f}"
    assert (found["ours"].value, found["ours"].ends) == (estimate.value, estimate.of_users)
    assert found["result"].text in ("reproduced", "not reproduced")
    assert found["because"].text.startswith("a: ")


@pytest.mark.usefixtures("tiger")
def test_what_only_others_obtained_is_said_to_be_so(store: Store, tmp_path: Path) -> None:
    seen = section(store, tmp_path, {"scheme": "semantic/rqvae", "quality": 0.07, "users": 30_000})
    value = seen.rows[0].metric("hit@10")[0]
    assert value == pytest.approx(0.0594, rel=0.03)
    found = line(published_table(seen), "Hit@10")
    assert found["result"].text == "not reproduced"
    assert found["because"].text.startswith("a: ours is")
    assert found["because"].text.endswith("lower; what others obtained is reproduced (c, d)")


def test_every_letter_and_number_is_explained_beneath(store: Store, tmp_path: Path) -> None:
    small = {"scheme": "numeric/random", "preset": "cpu", "contract": {"backbone": "mini"}}
    found = published_table(section(store, tmp_path, small, {"scheme": "numeric/sequential"}))
    assert found is not None
    explained = {note.title for note in found.notes}
    used = {mark for row in found.rows for cell in row[3:] for mark in re.findall(r"\((\w)\)", cell.text)}
    used |= {mark for row in found.rows for mark in row[-1].text.split(", ") if len(mark) == 1}
    assert used <= explained
    assert {"a", "1", "published results"} <= explained
    assert any("our preset 'cpu': backbone mini, not t5-small" in note.text for note in found.notes)
    assert all("arXiv" in note.text or "github" in note.text for note in found.notes if note.title in "abc")


@pytest.mark.usefixtures("tiger")
def test_the_warning_of_toys_is_printed_under_the_table(store: Store, tmp_path: Path) -> None:
    store("semantic/rqvae", dataset="toys")
    found = published_table(sections(load(tmp_path))[0])
    assert found is not None
    assert any(strong("TIGER: no run by others").rstrip("\N{END OF TEXT}") in note.text for note in found.notes)
    assert line(found, "NDCG@10")["result"].text == "not comparable"  # the data of the fixture are smaller


def test_a_metric_that_is_not_ours_has_no_value_of_ours(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = published.load()
    seen = replace(seen, matches=[published.Match("set/vectors", ["SETRec"])])
    monkeypatch.setattr(published, "load", lambda: seen)
    store("set/vectors", dataset="toys")
    found = line(published_table(sections(load(tmp_path))[0]), "Recall@10")
    assert (found["paper"].text, found["ours"].text) == ("0.0189 (a)", DASH)
    assert found["result"].text == "not comparable"


@pytest.mark.parametrize(
    "said",
    [{"scheme": "pop", "kind": "baseline"}, {"scheme": "mine/own"}, {"scheme": "numeric/random", "dataset": "toys"}],
)
def test_without_anything_published_there_is_no_table(store: Store, tmp_path: Path, said: dict[str, Any]) -> None:
    store(**{"dataset": "beauty", **said})
    assert published_table(sections(load(tmp_path))[0]) is None


def test_it_stands_in_the_report_with_the_source_of_every_cell(store: Store, tmp_path: Path) -> None:
    store("numeric/random", dataset="beauty", contract=MODEL)
    (chapter,) = chapters(load(tmp_path))
    table = chapter.tables[-1]
    assert table.name == "published"
    assert "published results" in {note.title for note in table.notes}
    assert {"contract", "environment"} <= {note.title for note in chapter.notes}
    entries = {f"{seen.title}: {data}.{system}.{metric}" for seen in published.load().sources
               for data, systems in seen.values.items() for system in systems for metric in seen.metrics}  # fmt: skip
    for row in table.rows:
        cells = dict(zip(["scheme", *(column.title for column in table.columns)], row, strict=True))
        for title, cell in cells.items():
            assert bool(cell.source.folders) is (title in ("scheme", "ours", "result", "because"))
            assert set(cell.source.published) <= entries or cell.text == DASH
            assert cell.source.published or title in ("scheme", "ours")
        assert str(cells["result"].source).startswith("runs/toys".replace("toys", "beauty"))
        assert "published.toml: How to Index Item IDs" in str(cells["result"].source)
