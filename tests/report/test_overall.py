"""Ranks over data sets: only with five of them, under one contract, and drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.report import figures, html
from bench.report.overall import ranked
from bench.report.rows import sections
from bench.report.tables import chapters
from bench.report.write import OutputPaths, ReportFilter, write
from bench.results.read import load

Store = Callable[..., Path]

NAMES = ("toys", "beauty", "sports", "yelp", "books")
QUALITIES = {"one": 0.6, "three": 0.4, "pop": 0.1}


@pytest.fixture
def many(store: Store) -> Callable[[int], None]:
    def make(datasets: int) -> None:
        for name in NAMES[:datasets]:
            for scheme, quality in QUALITIES.items():
                kind = "baseline" if scheme == "pop" else "scheme"
                store(scheme, dataset=name, kind=kind, quality=quality, fingerprint=f"{NAMES.index(name):016x}")

    return make


def test_five_data_sets_make_a_table_of_ranks(many: Callable[[int], None], store: Store, tmp_path: Path) -> None:
    many(5)
    store("elsewhere", quality=0.9, fingerprint=f"{0:016x}")  # on one data set only
    found = chapters(load(tmp_path))[0]
    assert found.title == "All data sets"
    scores, table = found.tables
    assert scores.name == "datasets"
    assert [cell.text for cell in table.head.cells] == ["one", "three", "pop"]
    assert [cell.text for cell in table.columns[0].cells] == ["1.00", "2.00", "3.00"]
    assert all(len(cell.source.folders) == 5 for row in table.rows for cell in row)
    said = {note.title: note.text for note in table.notes}
    assert "critical difference 1.48" in said["test"]
    assert said["not significantly different"] == "one, three; three, pop"


def test_no_p_reads_as_impossible(store: Store, tmp_path: Path) -> None:
    for at in range(12):
        for scheme, quality in QUALITIES.items():
            store(scheme, dataset=f"data{at}", quality=quality, fingerprint=f"{at:016x}")
    chapter = chapters(load(tmp_path))[0]
    assert chapter.tables[1].notes[0].text.startswith("Friedman over 12 data sets: p < 0.0001; ")


def test_four_do_not(many: Callable[[int], None], tmp_path: Path) -> None:
    many(4)
    assert [found.title for found in chapters(load(tmp_path))] == ["All data sets", *sorted(NAMES[:4])]
    assert [table.name for table in chapters(load(tmp_path))[0].tables] == ["datasets"]
    only = OutputPaths(tmp_path / "report.md", rank_figure=tmp_path / "ranks.svg")
    with pytest.raises(
        BenchError, match=r"3 or more schemes under one contract on each of 5 or more data sets; got 4 data sets$"
    ):
        write(tmp_path, ReportFilter(), only)


def test_a_diagram_that_cannot_be_is_refused_before_anything_is_printed(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store("one")
    with pytest.raises(BenchError, match=r"got 1 data set$"):
        write(tmp_path, ReportFilter(), OutputPaths(tmp_path / "report.md", rank_figure=tmp_path / "ranks.svg"))
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "report.md").exists()


def test_rows_under_other_contracts_and_data_of_one_name_do_not_count(
    many: Callable[[int], None], store: Store, tmp_path: Path
) -> None:
    many(5)
    for name in NAMES:
        store("wide", dataset=name, contract={"beam": 50}, fingerprint=f"{NAMES.index(name):016x}")
    found = ranked(sections(load(tmp_path)))
    assert found is not None
    assert set(found.labels) == set(QUALITIES)
    store("one", dataset="books", fingerprint="f" * 16)
    assert ranked(sections(load(tmp_path))) is None


def test_the_diagram_is_drawn_and_the_same_twice(many: Callable[[int], None], tmp_path: Path) -> None:
    many(5)
    for name in ("one.svg", "two.svg"):
        assert figures.write("ranks", load(tmp_path), tmp_path / name)
    drawn = (tmp_path / "one.svg").read_bytes()
    assert drawn == (tmp_path / "two.svg").read_bytes()
    assert len(drawn) > 5_000


def test_the_diagram_is_on_the_page_and_among_all_pictures(many: Callable[[int], None], tmp_path: Path) -> None:
    many(5)
    found = load(tmp_path)
    text = html.page(found, chapters(found))
    assert text.count("<strong>Ranks over data sets.</strong>") == 1
    assert 'id="data-1-ranks-' in text
    only = [section for section in sections(found) if section.dataset.name == "toys"]
    assert not figures.svg("ranks", only, figures.looks(only), "x")
    assert (tmp_path / "all" / "ranks.svg") in figures.write_all(found, tmp_path / "all")
