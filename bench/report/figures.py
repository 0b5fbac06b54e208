"""Figures of a report: quality with its intervals, and quality against the cost of inference; PNG or SVG.

Drawn on figures of their own, without matplotlib's global state or a display. The same results give the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from bench.errors import BenchError
from bench.report.contracts import contracts
from bench.report.results import Result
from bench.report.rows import HEADLINE, Estimate, Row, Section, sections

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe and Ito: told apart by all eyes
MARKERS = ("o", "s", "D", "^")  # the second six schemes are squares, and so on
BLANK: Mapping[str, Any] = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # grid lines stop behind a label
LEADER: Mapping[str, Any] = {"arrowstyle": "-", "alpha": 0.45, "linewidth": 0.7, "shrinkB": 5, "relpos": (0, 0.5)}
GREY, INK = "#8C8C8C", "#333333"
WIDTH, ROW_HEIGHT, PANEL_HEIGHT = 7.2, 0.34, 3.4  # inches
LABEL_GAP = 0.17  # inches from one line of labels to the next
AXIS = "NDCG@10, strict"
FORMATS: Mapping[str, Mapping[str, None]] = {".png": {"Software": None}, ".svg": {"Date": None}}  # nothing that varies


@dataclass(frozen=True)
class Point:
    """One row of a section, ready to be drawn."""

    label: str
    estimate: Estimate
    seconds: float | None
    colour: str
    marker: str

    @property
    def ends(self) -> tuple[float, float]:
        return self.estimate.interval or (self.estimate.value, self.estimate.value)


def quality(results: Sequence[Result], path: Path) -> None:
    """Strict NDCG@10 with 95 % intervals over users, best on top, one panel for each data set; baselines are grey."""
    found = sections(results)
    heights = [len(section.rows) * ROW_HEIGHT + 0.75 for section in found]
    with _style():
        figure = Figure(figsize=(WIDTH, sum(heights) + 0.3), layout="constrained")
        panels = figure.subplots(len(found), squeeze=False, height_ratios=heights)[:, 0]
        looks = _looks(found)
        for panel, section in zip(panels, found, strict=True):
            _quality_panel(panel, section, _points(section, looks))
        panels[-1].set_xlabel(f"{AXIS} (lines: 95 % intervals over test users)")
        _save(figure, path)


def cost(results: Sequence[Result], path: Path) -> None:
    """Strict NDCG@10 against seconds of inference for 1,000 users; rows whose time was not measured are named."""
    found = sections(results)
    columns = min(2, len(found))
    lines = -(-len(found) // columns)
    height = max(PANEL_HEIGHT, 1 + 1.2 * LABEL_GAP * max(len(section.rows) for section in found))
    with _style():
        figure = Figure(figsize=(WIDTH * (1 + 0.5 * (columns - 1)), height * lines + 0.3), layout="constrained")
        panels = list(figure.subplots(lines, columns, squeeze=False).flat)
        looks = _looks(found)
        points = [_points(section, looks) for section in found]
        for panel, section, members in zip(panels, found, points, strict=False):
            _cost_panel(panel, section, members)
        for panel in panels[len(found) :]:
            panel.set_axis_off()
        for panel, members in zip(panels, points, strict=False):
            _name(panel, members, LABEL_GAP / (height - 1))
        _save(figure, path)


def _style() -> AbstractContextManager[None]:
    return rc_context(
        {
            "font.size": 9,
            "svg.hashsalt": "bench",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": "#BBBBBB",
            "axes.labelcolor": INK,
            "axes.titlelocation": "left",
            "axes.titleweight": "bold",
            "axes.titlesize": 10,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": "#EBEBEB",
            "xtick.color": INK,
            "ytick.color": INK,
            "xtick.major.size": 0,
            "ytick.major.size": 0,
        }
    )


def _looks(found: Sequence[Section]) -> dict[str, tuple[str, str]]:
    """Colour and marker of every scheme, the same in all panels and figures of one report."""
    labels = sorted({row.label for section in found for row in section.rows if not row.baseline})
    return {
        label: (COLOURS[at % len(COLOURS)], MARKERS[at // len(COLOURS) % len(MARKERS)])
        for at, label in enumerate(labels)
    }


def _points(section: Section, looks: Mapping[str, tuple[str, str]]) -> list[Point]:
    """Best first. Where a section has several contracts, the letter that its table gives follows the label."""
    found = contracts(section.rows)
    points = [
        _point(row, f"{row.label} [{letter}]" if found.several else row.label, looks)
        for row, letter in zip(section.rows, found.letters, strict=True)
    ]
    return sorted(points, key=lambda point: -point.estimate.value)


def _point(row: Row, label: str, looks: Mapping[str, tuple[str, str]]) -> Point:
    colour, marker = (GREY, "o") if row.baseline else looks[row.label]
    return Point(label, row.estimate(HEADLINE), row.cost("inference_seconds_per_1000_users"), colour, marker)


def _heading(section: Section) -> str:
    return f"{section.title}: {section.dataset.users:,} users, {section.dataset.items:,} items"


def _quality_panel(panel: Axes, section: Section, points: Sequence[Point]) -> None:
    for place, point in enumerate(points):
        low, high = point.ends
        panel.plot([low, high], [place, place], color=point.colour, linewidth=2, alpha=0.55, solid_capstyle="round")
        panel.plot(point.estimate.value, place, point.marker, color=point.colour, markersize=6, clip_on=False)
        panel.annotate(
            f"{point.estimate.value:.4f}",
            (high, place),
            (7, 0),
            textcoords="offset points",
            va="center",
            color=INK,
            bbox=dict(BLANK),
        )
    panel.set_title(_heading(section))
    panel.set_yticks(range(len(points)), [point.label for point in points])
    panel.set_ylim(len(points) - 0.4, -0.6)
    panel.set_xlim(0, _beyond(points, 1.12))
    panel.grid(axis="y", visible=False)
    panel.spines["left"].set_visible(False)


def _beyond(points: Sequence[Point], factor: float) -> float:
    """The end of a value axis; an axis needs an end even where nothing was hit."""
    return max(point.ends[1] for point in points) * factor or 0.01


def _cost_panel(panel: Axes, section: Section, points: Sequence[Point]) -> None:
    timed = [point for point in points if point.seconds]
    seconds = np.array([point.seconds for point in timed], np.float64)
    panel.set_title(_heading(section))
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(LogLocator(subs=(1.0,) if _decades(seconds) > 2 else (1.0, 2.0, 5.0)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.minorticks_off()
    if len(seconds):
        panel.set_xlim(seconds.min() / 2, seconds.max() * 2)
    panel.set_ylim(0, _beyond(points, 1.1))
    panel.set_ylabel(AXIS)
    untimed = ", ".join(point.label for point in points if not point.seconds)
    panel.set_xlabel("inference seconds per 1,000 users" + (f"\nno time measured: {untimed}" if untimed else ""))
    for point, x in zip(timed, seconds, strict=True):
        panel.plot([x, x], point.ends, color=point.colour, linewidth=2, alpha=0.55, solid_capstyle="round")
        panel.plot(x, point.estimate.value, point.marker, color=point.colour, markersize=6, clip_on=False)


def _decades(seconds: NDArray[np.float64]) -> float:
    return float(np.log10(seconds.max() / seconds.min())) if len(seconds) else 0.0


def _name(panel: Axes, points: Sequence[Point], least_gap: float) -> None:
    """Labels in a column right of the panel, each tied to its point; ``least_gap`` in parts of the panel's height."""
    timed = sorted((point for point in points if point.seconds), key=lambda point: point.estimate.value)
    heights = np.array([point.estimate.value for point in timed]) / panel.get_ylim()[1]
    for point, height in zip(timed, _spread(heights, least_gap), strict=True):
        panel.annotate(
            point.label,
            (point.seconds or 0.0, point.estimate.value),
            (1.03, height),
            textcoords="axes fraction",
            va="center",
            color=INK if point.colour == GREY else point.colour,
            arrowprops={"color": point.colour, **LEADER},
        )


def _spread(heights: NDArray[np.float64], gap: float) -> NDArray[np.float64]:
    """Ascending ``heights`` in 0..1, moved as little as possible (least squares) to lie ``gap`` apart and below 1."""
    if not len(heights):
        return heights
    steps = gap * np.arange(len(heights))
    fitted = isotonic_regression(heights - steps).x
    return np.asarray(np.clip(fitted, 0, max(0, 1 - steps[-1])) + steps, np.float64)


def _save(figure: Figure, path: Path) -> None:
    """Write the whole file or nothing."""
    if path.suffix not in FORMATS:
        raise BenchError(f"cannot write a figure as '{path}'; its name must end in {' or '.join(FORMATS)}")
    drawn = BytesIO()
    figure.savefig(drawn, format=path.suffix[1:], dpi=160, metadata=dict(FORMATS[path.suffix]))
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(drawn.getvalue())
        unfinished.replace(path)
    except OSError as error:
        raise BenchError(f"cannot write the figure '{path}': {error.strerror}; choose another folder") from error
