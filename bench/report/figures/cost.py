"""Quality against the time of inference, with the Pareto front."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from bench.report.figures.axes import logarithmic
from bench.report.figures.points import Point, beyond, front, points
from bench.report.figures.style import AXIS, INK, Looks, explained
from bench.report.leaders import MOST
from bench.report.rows import Section

LEADER: Mapping[str, Any] = {"arrowstyle": "-", "alpha": 0.45, "linewidth": 0.7, "shrinkB": 5, "relpos": (0, 0.5)}
SMALL: Mapping[str, Any] = {"color": INK, "fontsize": 8, "fontstyle": "italic"}
PANEL_HEIGHT = 3.4  # inches
LABEL_GAP = 0.17  # inches from one line of labels to the next


def draw(found: Sequence[Section], looks: Looks, width: float) -> Figure:
    """Strict NDCG@10 against seconds of inference for 1,000 users; rows whose time was not measured are named."""
    columns = min(2, len(found))
    lines = -(-len(found) // columns)
    points_by_section = [points(section, looks) for section in found]
    gap = LABEL_GAP * max(point.lines for members in points_by_section for point in members)
    height = max(PANEL_HEIGHT, 1 + 1.2 * gap * max(min(len(section.rows), MOST) for section in found))
    figure = Figure(figsize=(width * (1 + 0.5 * (columns - 1)), height * lines + 0.3), layout="constrained")
    panels = list(figure.subplots(lines, columns, squeeze=False).flat)
    for panel, section, section_points in zip(panels, found, points_by_section, strict=False):
        _panel(panel, section, section_points)
        _fronts(panel, section_points)
    for panel in panels[len(found) :]:
        panel.set_axis_off()
    for panel, section_points in zip(panels, points_by_section, strict=False):
        _name(panel, section_points, gap / (height - 1))
    return figure


def _panel(panel: Axes, section: Section, members: Sequence[Point]) -> None:
    seconds = np.array([point.seconds for point in members if point.seconds], np.float64)
    panel.set_title(explained(section), pad=14)
    logarithmic(panel, seconds)
    panel.set_ylim(0, beyond(members, 1.1))
    panel.set_ylabel(AXIS)
    untimed = ", ".join(" ".join(point.label.split("\n")) for point in members if not point.seconds)
    below = textwrap.fill(f"no time measured: {untimed}", 60) if untimed else ""
    panel.set_xlabel("\n".join(["inference seconds per 1,000 users", *([below] if below else [])]))
    for point in members:
        if point.seconds:
            _mark(panel, point.seconds, point)


def _mark(panel: Axes, seconds: float, point: Point) -> None:
    """A probe or leak above the scale is an arrow at its upper edge."""
    look, end, value = point.look, panel.get_ylim()[1], point.estimate.value
    marker: dict[str, Any] = {"color": look.color, "markerfacecolor": look.face, "markersize": 6, "clip_on": False}
    if value > end:
        panel.plot(seconds, end, "^", **marker)
        return
    panel.plot([seconds] * 2, point.ends, color=look.color, linewidth=2, alpha=0.55, solid_capstyle="round")
    panel.plot(seconds, value, look.marker, **marker)


def _fronts(panel: Axes, members: Sequence[Point]) -> None:
    """One stair for each contract: what is made under several is not compared. Those that begin at one point, such as a
    baseline's, have one name there.
    """
    letters = dict.fromkeys(letter for point in members for letter in point.contracts)
    starts: dict[tuple[float, float], list[str]] = {}
    for letter in letters:
        stair = front([point for point in members if letter in point.contracts])
        if len(stair) > 1:
            seconds = [point.seconds or 0.0 for point in stair]
            values = [point.estimate.value for point in stair]
            starts.setdefault((seconds[0], values[0]), []).append(letter)
            panel.step(seconds, values, where="post", color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    for start, of in starts.items():
        name = f"Pareto front [{', '.join(of)}]" if len(letters) > 1 else "Pareto front"
        panel.annotate(name, start, (6, 5), textcoords="offset points", **SMALL)


def _name(panel: Axes, members: Sequence[Point], least_gap: float) -> None:
    """Labels in a column right of the panel, each tied to its point; ``least_gap`` in parts of the panel's height.

    Only what leads and what is on a front is named where there are many rows: lines to all would hide the points.
    """
    end, stairs = panel.get_ylim()[1], front(members)
    named = [
        point for point in members if point.seconds and (point.leads or point in stairs or point.estimate.value > end)
    ]
    timed = sorted(named, key=lambda point: point.estimate.value)
    heights = np.minimum(1.0, np.array([point.estimate.value for point in timed]) / end)
    for point, height in zip(timed, spread(heights, least_gap), strict=True):
        value = point.estimate.value
        panel.annotate(
            point.label if value <= end else f"{point.label}, {value:.4f} \N{UPWARDS ARROW}",
            (point.seconds or 0.0, min(value, end)),
            (1.03, height),
            textcoords="axes fraction",
            va="center",
            color=INK,
            arrowprops={"color": point.look.color, **LEADER},
        )


def spread(heights: NDArray[np.float64], gap: float) -> NDArray[np.float64]:
    """Ascending ``heights`` in 0..1, moved as little as possible (least squares) to lie ``gap`` apart and below 1."""
    if not len(heights):
        return heights
    steps = gap * np.arange(len(heights))
    fitted = isotonic_regression(heights - steps).x
    return np.asarray(np.clip(fitted, 0, max(0, 1 - steps[-1])) + steps, np.float64)
