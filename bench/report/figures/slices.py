"""Quality for rare and for popular targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.evaluation.statistics import interval, over_seeds
from bench.report.columns import DASH
from bench.report.figures.style import AXIS, Look, Looks, heading
from bench.report.labels import labels
from bench.report.rows import HEADLINE, Row, Section

PANEL_HEIGHT, LEGEND_LINE = 2.7, 0.17  # inches
BUCKETS = 4  # of about equally many users, beside the targets that nobody took in training
ROOM = 0.7  # of the way from one bucket to the next, for the points of all rows


@dataclass(frozen=True)
class Bucket:
    """Targets by how often they were taken in training, both ends included."""

    low: int
    high: int
    users: int

    @property
    def title(self) -> str:
        times = f"{self.low:,}" if self.low == self.high else f"{self.low:,}{DASH}{self.high:,}"
        return f"{times}\n{self.users:,} users"


def draw(found: Sequence[Section], looks: Looks, width: float) -> Figure:
    """Strict NDCG@10 with 95 % intervals, by how often the target was taken in training."""
    heights = [PANEL_HEIGHT + LEGEND_LINE * len(section.rows) / 2 for section in found]
    figure = Figure(figsize=(width, sum(heights)), layout="constrained")
    parts = np.atleast_1d(np.asarray(figure.subfigures(len(found), height_ratios=heights), object))
    for part, section in zip(parts, found, strict=True):
        panel = part.subplots()
        _panel(panel, section, looks)
        part.legend(*panel.get_legend_handles_labels(), loc="outside lower left", ncols=2)
    return figure


def _panel(panel: Axes, section: Section, looks: Looks) -> None:
    held = buckets(section.rows[0].first.table.popularity)
    shifts = ROOM * ((np.arange(len(section.rows)) + 0.5) / len(section.rows) - 0.5)
    for row, label, shift in zip(section.rows, labels(section), shifts, strict=True):
        _draw_row(panel, row, label, held, shift, looks[row.label])
    panel.set_title(heading(section))
    panel.set_ylabel(AXIS)
    panel.set_ylim(bottom=0)
    panel.set_xticks(range(len(held)), [bucket.title for bucket in held])
    panel.set_xlim(-0.6, len(held) - 0.4)
    panel.set_xlabel("how often the target was taken in training")
    panel.grid(axis="x", visible=False)


def _draw_row(panel: Axes, row: Row, label: str, held: Sequence[Bucket], shift: float, look: Look) -> None:
    popularity, values = by_user(row)
    inside = [values[(popularity >= bucket.low) & (popularity <= bucket.high)] for bucket in held]
    filled = np.array([place for place, found in enumerate(inside) if len(found)], np.int64)
    if not len(filled):  # other users, under another contract
        return
    means = [float(inside[place].mean()) for place in filled]
    lows, highs = zip(*(interval(inside[place]) for place in filled), strict=True)
    panel.vlines(filled + shift, lows, highs, color=look.colour, linewidth=2, alpha=0.55)
    style: dict[str, Any] = {"color": look.colour, "markersize": 5, "clip_on": False, "linestyle": "none"}
    panel.plot(filled + shift, means, look.marker, label=label, **style)


def by_user(row: Row) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """``[users]`` each, in order of the users' ids: popularity of the target, and the headline averaged over seeds."""
    orders = [np.argsort(cell.table.users) for cell in row.cells]
    values = [cell.values(HEADLINE)[order] for cell, order in zip(row.cells, orders, strict=True)]
    return row.first.table.popularity[orders[0]], over_seeds(values)


def buckets(popularity: NDArray[np.int64]) -> list[Bucket]:
    """Targets that nobody took in training, then about equally many users each; equal popularity is never divided."""
    warm = popularity[popularity > 0]
    parts = np.arange(1, BUCKETS + 1) / BUCKETS
    cuts = np.unique(np.quantile(warm, parts, method="inverted_cdf")).tolist() if len(warm) else []
    bounds = [(0, 0), *((int(low) + 1, int(high)) for low, high in pairwise([0, *cuts]))]
    made = [Bucket(low, high, int(((popularity >= low) & (popularity <= high)).sum())) for low, high in bounds]
    return [bucket for bucket in made if bucket.users]
