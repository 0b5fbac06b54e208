"""Pieces of the page: what rows are filtered by, curves as wide as a word, the warning over a picture."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.console import Console
from bench.contract import PRESETS, scores_mean_nothing
from bench.report import figures
from bench.report.filters import filters, marked
from bench.report.html import page
from bench.report.leaders import leaders
from bench.report.rows import sections
from bench.report.sparklines import HEIGHT, WIDTH, drawn
from bench.report.tables import chapters
from bench.report.terminal import SIGNS, compact, show
from bench.results.read import load

Store = Callable[..., Path]


def test_one_preset_means_nothing_and_no_preset_is_none_of_it() -> None:
    assert [name for name in PRESETS if scores_mean_nothing(name)] == ["smoke"]
    assert "mean nothing" in PRESETS["smoke"].purpose
    assert not scores_mean_nothing(None)
    assert not scores_mean_nothing("of another version")


def test_rows_are_grouped_by_family_and_by_what_is_no_scheme(store: Store, tmp_path: Path) -> None:
    for name in ("textual/title", "textual/words", "set/setrec"):
        store(name)
    store("p5-leak", leaks=True)
    store("pop", kind="baseline")
    store("sasrec", kind="baseline", dataset="beauty")
    found = sections(load(tmp_path))
    rows = [row for section in found for row in section.rows]
    made = filters(rows, found)
    assert made.groups == ("set", "textual", "baselines", "leaks")
    assert made.presets == ()
    assert made.datasets == ("beauty", "toys")
    assert {row.label: marked(row).group for row in rows} == {
        "textual/title": "textual",
        "textual/words": "textual",
        "set/setrec": "set",
        "p5-leak": "leaks",
        "pop": "baselines",
        "sasrec": "baselines",
    }


def test_one_row_needs_no_filter(store: Store, tmp_path: Path) -> None:
    store("textual/title")
    found = load(tmp_path)
    assert not filters(sections(found)[0].rows, sections(found))
    assert '<form class="filters"' not in page(found, chapters(found))


def test_a_curve_stays_in_its_box_and_marks_its_highest_point() -> None:
    text = str(drawn([0.01, 0.04, 0.02]))
    points = [tuple(map(float, pair.split(","))) for pair in re.findall(r"[\d.]+,[\d.]+", text)]
    assert len(points) == 3
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
    assert min(points, key=lambda point: point[1]) == points[1]
    assert f'cx="{points[1][0]:.1f}" cy="{points[1][1]:.1f}"' in text
    assert "from 0.0100 to 0.0200 in 3 looks, highest 0.0400" in text
    assert "nan" not in str(drawn([0.0, 0.0]))


def test_curves_stand_in_the_main_table_of_rows_that_have_one(store: Store, tmp_path: Path) -> None:
    curve = [{"step": step, "loss": 1.0, "ndcg@10": step / 100} for step in (1, 2, 3)]
    store("one", training={"selection": "ndcg@10", "curve": curve})
    store("three")
    found = load(tmp_path)
    assert page(found, chapters(found)).count('<svg class="spark"') == 1


def test_data_sets_that_were_joined_have_thin_lines_and_a_text(store: Store, tmp_path: Path) -> None:
    parts = {"toys": (0.05, 0.06), "be<auty": (0.0, 0.01)}
    curve = [
        {"step": at, "ndcg@10": (0.02, 0.03)[at], **{f"ndcg@10/{name}": scores[at] for name, scores in parts.items()}}
        for at in (0, 1)
    ]
    store("one", training={"selection": "ndcg@10", "curve": curve})
    found = load(tmp_path)
    text = page(found, chapters(found))
    assert text.count('<polyline class="part"') == 2
    assert "highest 0.0300; toys 0.0600; be&lt;auty 0.0100" in text
    points = [float(y) for y in re.findall(r",([\d.]+)", "".join(re.findall(r'polyline.* points="([^"]+)"', text)))]
    assert all(0 <= y <= HEIGHT for y in points)
    picture = tmp_path / "curves.svg"
    assert figures.write("curves", found, picture)
    assert "be&lt;auty" in picture.read_text()


@pytest.mark.parametrize("name", ["quality", "cost", "slices", "curves"])
def test_every_picture_of_scores_that_mean_nothing_says_so(name: str, store: Store, tmp_path: Path) -> None:
    curve = [{"step": step, "loss": 1.0, "ndcg@10": step / 100} for step in (1, 2, 3)]
    for preset in ("cpu", "smoke"):
        root = tmp_path / preset
        store("one" if preset == "cpu" else "three", preset=preset, training={"selection": "ndcg@10", "curve": curve})
        found = [result for result in load(tmp_path) if result.preset == preset]
        assert figures.write(name, found, root / f"{name}.svg")
        drawn_text = (root / f"{name}.svg").read_text()
        assert ("mean nothing" in drawn_text) is (preset == "smoke")


def test_a_picture_with_a_very_long_name_has_room_for_its_axes(store: Store, tmp_path: Path) -> None:
    """Matplotlib would warn, which is an error here, where labels leave nothing to the axes."""
    store("semantic/" + "-".join(["very-long-name"] * 6), quality=0.4)
    assert figures.write_all(load(tmp_path), tmp_path / "pictures")


def test_many_rows_have_looks_of_their_own(store: Store, tmp_path: Path) -> None:
    for number in range(16):
        store(f"semantic/{number}", users=20)
        store(f"baseline{number}", users=20, kind="baseline")
    found = sections(load(tmp_path))
    made = figures.looks(found)
    assert len({(look.color, look.marker, look.hollow) for look in made.values()}) == 32
    assert len(leaders(found[0].rows)) == 5


def test_a_terminal_that_is_too_narrow_for_numbers_gets_signs(store: Store, tmp_path: Path) -> None:
    for number in range(9):
        store("x" * (number + 1), quality=0.05 + 0.09 * number)
    table = chapters(load(tmp_path))[0].table("pairs")
    assert table is not None
    wide, narrow = compact(table, 200), compact(table, 60)
    assert wide.columns == table.columns
    assert {cell.text for column in narrow.columns for cell in column.cells} == {"", ">", "<", "."}
    for column, signs in zip(table.columns, narrow.columns, strict=True):
        for cell, sign in zip(column.cells, signs.cells, strict=True):
            if isinstance(cell.value, float):
                assert sign.text == ("." if not cell.mark else ">" if cell.value > 0 else "<")
    out = io.StringIO()
    show(chapters(load(tmp_path)), Console(file=out, width=60))
    assert SIGNS in " ".join(out.getvalue().split())
    assert "with the noise of training" not in out.getvalue(), "no star is shown"
