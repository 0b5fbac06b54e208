"""Tables as text: what sorts as a number, and Markdown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.report.results import load
from bench.report.sheet import UNDER, Sheet, from_table, markdown, number, numeric
from bench.report.table import DASH, Note
from bench.report.tables import chapters

Store = Callable[..., Path]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (f"0.0250 ± 0.0003 [0.0233{DASH}0.0267]", 0.025),
        ("**0.0250**", 0.025),
        ("1,136", 1136.0),
        ("< 0.01", 0.01),
        ("58.3 M", 58.3e6),
        ("486.4 k", 486.4e3),
        ("0.2%", 0.002),
        ("-0.5", -0.5),
        ("\N{MINUS SIGN}0.5", -0.5),
        ("0.0183 (a), 0.0200 (b)", 0.0183),
        (DASH, None),
        ("", None),
        ("5 1 2 3", None),
        ("12-inch doll", None),
        ("4x4 truck", None),
        ("A", None),
    ],
)
def test_what_a_cell_is_sorted_by(text: str, value: float | None) -> None:
    assert number(text) == (None if value is None else pytest.approx(value))


def test_a_column_is_numeric_when_all_but_dashes_are() -> None:
    rows = (("a", "1", "1", DASH), ("b", DASH, "x", ""))
    found = Sheet("t", ("name", "n", "mixed", "empty"), rows)
    assert [numeric(found, column) for column in range(4)] == [False, True, False, False]


def test_sheets_hold_what_the_table_holds(store: Store, tmp_path: Path) -> None:
    for scheme, quality in (("textual/title", 0.4), ("numeric/random", 0.2), ("textual/other", 0.1)):
        store(scheme, quality=quality)
    (chapter,) = chapters(load(tmp_path))
    table = chapter.tables[0]
    quality = from_table(table)
    assert quality.header == ("scheme", *(column.title for column in table.columns))
    assert [row[0] for row in quality.rows] == ["textual/title", "numeric/random", "textual/other"]
    at = quality.header.index("NDCG@10")
    best, second, other = (row[at] for row in quality.rows)
    cells = [cell.text for cell in table.columns[at - 1].cells]
    assert best.startswith(f"**{cells[0]}** [0.")
    assert second.startswith(f"{UNDER}{cells[1]}{UNDER} [0.")
    assert other.startswith(f"{cells[2]} [0.")
    assert [number(text) for text in (best, second, other)] == [float(text) for text in cells]
    assert quality.notes == table.notes


def test_markdown_is_a_table_whatever_stands_in_its_cells() -> None:
    made = markdown(Sheet("T", ("a", "b"), (("x|y", "< 1"),), (Note("n", "p|q"),)), "toys: ")
    assert made.splitlines() == ["## toys: T", "", "| a | b |", "| --- | --- |", r"| x\|y | \< 1 |", "", r"- *n*: p\|q"]
