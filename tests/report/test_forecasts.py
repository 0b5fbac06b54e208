"""Figures before training as a report shows them, and in which order they put schemes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from bench.report.forecasts import figure, figures, order, together
from bench.report.rows import HEADLINE, Row, sections
from bench.report.tables import chapters
from bench.results.read import load

Store = Callable[..., Path]
QUALITIES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
LIFTS = (1.0, 3.0, 2.0, 5.0, 4.0, 6.0)


def keep(folder: Path, found: Mapping[str, Any]) -> None:
    """Put figures into the result of a run."""
    path = folder / "result.json"
    stored = json.loads(path.read_text())
    stored["identifiers"]["forecast"] = dict(found)
    path.write_text(json.dumps(stored))


@pytest.fixture
def rows(store: Store, tmp_path: Path) -> list[Row]:
    for number, (quality, lift) in enumerate(zip(QUALITIES, LIFTS, strict=True)):
        figures = {"neighbor_lift": lift, "gini": [0.2, 0.1 * number], "prefix_lift": [lift, 99.0], "text_recall": 0.5}
        keep(store(f"numeric/n{number}", quality=quality), figures)
    store("pop", kind="baseline")
    return list(sections(load(tmp_path))[0].rows)


def test_lists_are_read_as_means_or_first_levels(rows: list[Row]) -> None:
    row = next(row for row in rows if row.label == "numeric/n3")
    assert (figure(row, "neighbor_lift"), figure(row, "prefix_lift")) == (5.0, 5.0)
    assert figure(row, "gini") == pytest.approx(0.25)
    assert figure(row, "dead_codes") is None


def test_figures_stand_in_columns(rows: list[Row]) -> None:
    having = together(rows)
    titles = [column.title for column in figures(having)]
    assert titles == ["neighbor lift", "text recall", "prefix lift, first code", "Gini, mean"]


def test_the_order_is_that_of_rank_correlations(rows: list[Row]) -> None:
    table = order(rows)
    assert table is not None
    having = together(rows)
    assert len(having) == 6  # the baseline has no identifiers
    scores = [row.metric(HEADLINE)[0] for row in having]
    found = {str(head.value): (correlation, count) for head, correlation, count in table.rows}
    lifts = [figure(row, "neighbor_lift") for row in having]
    expected = spearmanr(lifts, scores).statistic
    cell, count = found["neighbor lift"]
    assert cell.value == pytest.approx(expected)
    assert (cell.text, count.value) == (f"{expected:+.2f}", 6)
    assert cell.ends is not None
    assert cell.ends[0] < expected < cell.ends[1]
    assert "text recall" not in found  # which is the same for all
    values = [abs(float(line[1].value)) for line in table.rows]  # type: ignore[arg-type]
    assert values == sorted(values, reverse=True)
    assert np.isclose(values[0], 1)  # Gini was made to rise with quality


def test_few_rows_have_no_order(rows: list[Row]) -> None:
    assert order(rows[:4]) is None
    assert order([]) is None


def test_the_report_holds_both_tables(rows: list[Row], tmp_path: Path) -> None:
    (chapter,) = chapters(load(tmp_path))
    names = [table.name for table in chapter.tables]
    assert names.index("identifiers") + 1 == names.index("forecast") == names.index("forecast-order") - 1


def test_results_without_figures_have_neither(store: Store, tmp_path: Path) -> None:
    store("numeric/random", quality=0.2)
    (chapter,) = chapters(load(tmp_path))
    assert not {"forecast", "forecast-order"} & {table.name for table in chapter.tables}
