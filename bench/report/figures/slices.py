"""Quality for rare and for popular targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from bench.report.figures.points import leading
from bench.report.figures.style import AXIS, Look, Looks, explained
from bench.report.labels import labels
from bench.report.quality import marked
from bench.report.rows import Row, Section
from bench.report.slices import Slicing, sliced, slicings

PANEL_HEIGHT, LEGEND_LINE = 2.7, 0.17  # inches
ROOM = 0.7  # of the way from one bucket to the next, for the points of all rows


def draw(found: Sequence[Section], looks: Looks, width: float) -> Figure:
    """Strict NDCG@10 with 95 % intervals, by how often the target was taken in training."""
    rows = [leading(section) or list(zip(section.rows, labels(section), strict=True)) for section in found]
    heights = [PANEL_HEIGHT + LEGEND_LINE * len(shown) / 2 for shown in rows]
    figure = Figure(figsize=(width, sum(heights)), layout="constrained")
    parts = np.atleast_1d(np.asarray(figure.subfigures(len(found), height_ratios=heights), object))
    for part, section, shown in zip(parts, found, rows, strict=True):
        drawn = _panel(part.subplots(), section, [row for row, _ in shown], looks)
        part.legend(drawn, [marked(row, name=label) for row, label in shown], loc="outside lower left", ncols=2)
    return figure


def _panel(panel: Axes, section: Section, rows: Sequence[Row], looks: Looks) -> list[Line2D]:
    """What was drawn for each row, for the legend. A probe does not set the scale."""
    table = section.rows[0].first.table
    slicing = next(found for found in slicings([table]) if found.name == "popularity")
    users = np.bincount(slicing.of(table), minlength=len(slicing.labels))
    shifts = ROOM * ((np.arange(len(rows)) + 0.5) / len(rows) - 0.5)
    found = {row: points(row, slicing) for row in rows}
    drawn = [_draw_row(panel, found[row], shift, looks[row.label]) for row, shift in zip(rows, shifts, strict=True)]
    top = max((found[row][3].max(initial=0) for row in rows if not row.probe), default=0)
    titles = [f"{label}\n{count:,} users" for label, count in zip(slicing.labels, users, strict=True)]
    panel.set_title(explained(section))
    panel.set_ylabel(AXIS)
    panel.set_ylim(0, 1.05 * top or None)
    panel.set_xticks(range(len(titles)), titles)
    panel.set_xlim(-0.6, len(titles) - 0.4)
    panel.set_xlabel("how often the target was taken in training")
    panel.grid(axis="x", visible=False)
    return drawn


def points(row: Row, slicing: Slicing) -> NDArray[np.float64]:
    """``[4, slices]``: position, mean and both ends of the interval, as in the table, of every slice with users."""
    cells = [column.cells[0] for column in sliced([row], slicing)]
    found = [(at, c.value, *(c.ends or (c.value, c.value))) for at, c in enumerate(cells) if c.value is not None]
    return np.asarray(np.array(found, np.float64).reshape(-1, 4).T)


def _draw_row(panel: Axes, found: NDArray[np.float64], shift: float, look: Look) -> Line2D:
    positions, means, lows, highs = found
    panel.vlines(positions + shift, lows, highs, color=look.color, linewidth=2, alpha=0.55)
    style: dict[str, Any] = {"color": look.color, "markerfacecolor": look.face, "markersize": 5}
    style["linestyle"] = "none"
    return panel.plot(positions + shift, means, look.marker, **style)[0]
