"""Figures: what they show, that they are whole, and that the same results give the same bytes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import BenchError
from bench.report import figures
from bench.report.figures import _looks, _points, _spread
from bench.report.results import Result, load
from bench.report.rows import sections

Store = Callable[..., Path]
Draw = Callable[[list[Result], Path], None]
DRAWINGS: list[Draw] = [figures.quality, figures.cost]


@pytest.fixture
def found(store: Store, tmp_path: Path) -> list[Result]:
    store("textual/title", quality=0.4, shared=4)
    store("numeric/random", quality=0.3, contract={"beam": 50})
    store("pop", kind="baseline", quality=0.1)
    store("numeric/random", dataset="beauty", quality=0.2)
    return load(tmp_path)


@pytest.mark.parametrize("draw", DRAWINGS)
@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_same_results_same_bytes(found: list[Result], tmp_path: Path, draw: Draw, suffix: str, magic: bytes) -> None:
    paths = [tmp_path / "made" / f"{number}{suffix}" for number in range(2)]
    for path in paths:
        draw(found, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].read_bytes().startswith(magic)
    assert sorted(paths[0].parent.iterdir()) == paths  # nothing unfinished is left behind


@pytest.mark.parametrize("draw", DRAWINGS)
@pytest.mark.parametrize(("users", "quality", "seconds"), [(30, 0.0, 0.0), (1, 1.0, None), (50, 0.5, 3.0)])
def test_extremes_are_drawn(
    store: Store, tmp_path: Path, draw: Draw, users: int, quality: float, seconds: float | None
) -> None:
    costs = dict.fromkeys(["parameters", "fit_seconds", "train_seconds", "peak_memory_mb"])
    store(
        "pop",
        kind="baseline",
        users=users,
        quality=quality,
        costs={**costs, "inference_seconds_per_1000_users": seconds},
    )
    draw(load(tmp_path), tmp_path / "drawn.png")
    assert (tmp_path / "drawn.png").stat().st_size > 5_000


def test_a_scheme_looks_alike_on_all_data_and_a_baseline_is_grey(found: list[Result]) -> None:
    parts = sections(found)
    looks = _looks(parts)
    colours = {(section.title, point.label): point.colour for section in parts for point in _points(section, looks)}
    assert colours["toys", "numeric/random [B]"] == colours["beauty", "numeric/random"]
    assert colours["toys", "numeric/random [B]"] != colours["toys", "textual/title [A]"]
    assert colours["toys", "pop [A, B]"] == figures.GREY


def test_points_are_those_of_the_table(found: list[Result]) -> None:
    (section,) = [section for section in sections(found) if section.title == "toys"]
    points = _points(section, _looks([section]))
    assert [point.estimate for point in points] == [row.estimate("ndcg@10") for row in section.rows]
    assert [point.seconds for point in points] == [7.94, 7.94, 0.021]


def test_more_schemes_than_colours_differ_by_marker(store: Store, tmp_path: Path) -> None:
    for number in range(9):
        store(f"family/{number}", users=30, quality=0.5)
    looks = _looks(sections(load(tmp_path)))
    assert len(set(looks.values())) == 9


@given(st.lists(st.floats(0, 1), max_size=12).map(sorted), st.floats(0.01, 0.08))
def test_labels_keep_their_distance_and_their_order(heights: list[float], gap: float) -> None:
    found = _spread(np.array(heights), gap)
    assert all(after - before >= gap - 1e-9 for before, after in itertools.pairwise(found))
    assert len(found) == len(heights)
    assert all(-1e-9 <= height <= 1 + 1e-9 for height in found)
    if all(after - before >= gap for before, after in itertools.pairwise(heights)):
        assert found == pytest.approx(heights)


def test_other_formats_are_refused(found: list[Result], tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"must end in \.png or \.svg"):
        figures.quality(found, tmp_path / "drawn.pdf")


def test_an_impossible_place_is_one_clear_line(found: list[Result], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match="cannot write the figure"):
        figures.quality(found, tmp_path / "file" / "drawn.png")
