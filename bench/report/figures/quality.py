"""Quality of every scheme with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.figures.points import Point, beyond, points
from bench.report.figures.style import AXIS, BLANK, INK, Looks, explained
from bench.report.rows import Section

ROW_HEIGHT = 0.34  # inches
LINE = 0.5  # of it, for each further line of a label
BESIDE: dict[str, Any] = {"textcoords": "offset points", "color": INK, "bbox": dict(BLANK)}


def draw(found: Sequence[Section], looks: Looks, width: float) -> Figure:
    """Strict NDCG@10 with 95 % intervals, best on top, one panel for each data set; baselines are gray."""
    shown = [points(section, looks) for section in found]
    heights = [sum(1 + LINE * (point.lines - 1) for point in each) * ROW_HEIGHT + 0.75 for each in shown]
    figure = Figure(figsize=(width, sum(heights) + 0.3), layout="constrained")
    panels = figure.subplots(len(found), squeeze=False, height_ratios=heights)[:, 0]
    for panel, section, members in zip(panels, found, shown, strict=True):
        _panel(panel, section, members)
    panels[-1].set_xlabel(f"{AXIS}\nlines: 95 % intervals")
    return figure


def _panel(panel: Axes, section: Section, members: Sequence[Point]) -> None:
    end = beyond(members, 1.12)
    for position, point in enumerate(members):
        (_mark if point.ends[1] <= end else _mark_off)(panel, position, point)
    panel.set_title(explained(section))
    panel.set_yticks(range(len(members)), [point.label for point in members])
    panel.set_ylim(len(members) - 0.4, -0.6)
    panel.set_xlim(0, end)
    panel.grid(axis="y", visible=False)
    panel.spines["left"].set_visible(False)


def _mark(panel: Axes, position: int, point: Point) -> None:
    low, high = point.ends
    look, value = point.look, point.estimate.value
    panel.plot([low, high], [position, position], color=look.color, linewidth=2, alpha=0.55, solid_capstyle="round")
    marker: dict[str, Any] = {"color": look.color, "markerfacecolor": look.face, "markersize": 6, "clip_on": False}
    panel.plot(value, position, look.marker, **marker)
    panel.annotate(f"{value:.4f}", (high, position), (7, 0), va="center", **BESIDE)


def _mark_off(panel: Axes, position: int, point: Point) -> None:
    """A probe or a leak that reaches beyond everything else: an arrow at the edge, and its value."""
    edge: dict[str, Any] = {"xycoords": panel.get_yaxis_transform(), "va": "center", "ha": "right", **BESIDE}
    panel.annotate(f"{point.estimate.value:.4f}, off the scale", (1.0, position), (-12, 0), **edge)
    panel.plot(
        1.0, position, ">", transform=panel.get_yaxis_transform(), color=point.look.color, markersize=7, clip_on=False
    )
