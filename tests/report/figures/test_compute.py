"""Compute at each look is the steps so far, at what a step of the run has cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.report.figures.compute import draw, path_of, unit_of
from bench.report.figures.style import looks
from bench.report.rows import sections
from bench.results.read import load

Store = Callable[..., Path]

COSTS: dict[str, Any] = {
    "parameters": 7,
    "id_construction_seconds": 1.0,
    "training_seconds": 9.0,
    "inference_seconds_per_1000_users": 0.5,
    "peak_memory_mb": 10.0,
    "processor_seconds": 50.0,
    "training_flops": 2000.0,
    "steps": 20,
}


def training(*looked: tuple[int, float]) -> dict[str, Any]:
    return {"selection": "ndcg@10", "curve": [{"step": step, "ndcg@10": score} for step, score in looked]}


def test_a_look_is_placed_by_its_step(store: Store, tmp_path: Path) -> None:
    store("one", costs=COSTS, training=training((5, 0.1), (20, 0.2)))
    (run,) = load(tmp_path)
    flops, seconds = path_of(run, "training_flops"), path_of(run, "processor_seconds")
    assert flops is not None
    assert seconds is not None
    assert (flops.spent.tolist(), flops.scores.tolist()) == ([500.0, 2000.0], [0.1, 0.2])
    assert seconds.spent.tolist() == [12.5, 50.0]


def test_what_came_before_the_curve_is_spent_at_its_start(store: Store, tmp_path: Path) -> None:
    """Ten of twenty steps went into a search."""
    store("one", costs=COSTS, training=training((5, 0.1), (10, 0.2)))
    (run,) = load(tmp_path)
    path = path_of(run, "training_flops")
    assert path is not None
    assert path.spent.tolist() == [1500.0, 2000.0]


def test_what_was_trained_for_identifiers_is_spent_before_the_curve_begins(store: Store, tmp_path: Path) -> None:
    """Of the FLOPs, and said where a row does not know them; seconds are those of training and validation."""
    looked = training((0, 0.05), (5, 0.1), (20, 0.2))
    own = {"own_steps": 9, "own_examples": 90}
    store("known", costs={**COSTS, **own, "own_flops": 700.0}, training=looked)
    store("unknown", costs={**COSTS, **own}, training=looked)
    store("none", costs=COSTS, training=looked)
    paths = {run.scheme.name: path_of(run, "training_flops") for run in load(tmp_path)}
    spent = {name: path.spent.tolist() for name, path in paths.items() if path is not None}
    assert spent == {"known": [700, 1200, 2700], "unknown": [500, 2000], "none": [500, 2000]}
    seconds = path_of(next(run for run in load(tmp_path) if run.scheme.name == "known"), "processor_seconds")
    assert seconds is not None
    assert seconds.spent.tolist() == [12.5, 50.0]
    found = sections(load(tmp_path))
    figure = draw(found, looks(found), 5.0)
    assert figure is not None
    (panel,), (legend,) = figure.subfigs[0].axes, figure.subfigs[0].legends
    assert panel.get_xlabel() == "training FLOPs, with what was trained for identifiers"
    named = sorted(text.get_text() for text in legend.get_texts())
    assert named == ["known", "none", "unknown (own training not counted)"]


@pytest.mark.parametrize(("more", "unit"), [({}, "training_flops"), ({"training_flops": None}, "processor_seconds")])
def test_operations_are_the_axis_where_all_rows_count_them(
    store: Store, tmp_path: Path, more: dict[str, Any], unit: str
) -> None:
    store("one", costs=COSTS, training=training((5, 0.1), (20, 0.2)))
    store("two", costs={**COSTS, **more}, training=training((5, 0.1), (20, 0.3)))
    store("pop", kind="baseline")  # never validated
    found = sections(load(tmp_path))
    assert unit_of(found[0]) == unit
    figure = draw(found, looks(found), 5.0)
    assert figure is not None
    (panel,) = figure.subfigs[0].axes
    assert (len(panel.lines), panel.get_xscale()) == (2, "log")
    figure.canvas.draw()
    ticks = [label.get_text() for axis in ("major", "minor") for label in panel.get_xticklabels(which=axis)]
    assert {"0.001 M", "0.0005 M"} <= set(ticks) if unit == "training_flops" else {"20", "50"} <= set(ticks)
    assert not any("$" in text for text in ticks), (
        "names are not read as mathematics, so powers would show their source"
    )


def test_nothing_is_drawn_where_nothing_was_validated(store: Store, tmp_path: Path) -> None:
    store("pop", kind="baseline")
    found = sections(load(tmp_path))
    assert draw(found, looks(found), 5.0) is None
