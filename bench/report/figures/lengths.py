"""How many tokens the identifiers of each scheme have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.report.figures.shapes import rectangles
from bench.report.figures.style import Look, Looks, folded, heading
from bench.report.identifiers import Identifiers, of_section
from bench.report.rows import Section

ROW_HEIGHT = 0.5  # inches
TALLEST = 0.78  # of a row


def draw(found: Sequence[Section], looks: Looks, width: float) -> Figure | None:
    """One histogram above the other, each as tall as its most common length; None where no scheme has tokens."""
    drawn = [(section, members) for section in found if (members := of_section(section))]
    if not drawn:
        return None
    heights = [len(members) * ROW_HEIGHT + 0.75 for _, members in drawn]
    figure = Figure(figsize=(width, sum(heights) + 0.3), layout="constrained")
    panels = figure.subplots(len(drawn), squeeze=False, height_ratios=heights)[:, 0]
    for panel, (section, members) in zip(panels, drawn, strict=True):
        panel.set_xlim(0, max(int(identifiers.lengths.max()) for _, identifiers in members) + 0.7)
        for height, (row, identifiers) in enumerate(members):
            _histogram(panel, len(members) - 1 - height, identifiers, looks[row.label])
        _name_axes(panel, section, [folded(row.label) for row, _ in members])
    panels[-1].set_xlabel("tokens of an identifier, without an end token")
    return figure


def _histogram(panel: Axes, height: int, identifiers: Identifiers, look: Look) -> None:
    lengths, counts = np.unique(identifiers.lengths, return_counts=True)
    rectangles(panel, lengths - 0.43, height, 0.86, TALLEST * counts / counts.max(), facecolor=look.color, linewidth=0)
    commonest = counts.argmax()
    said = (
        f"{identifiers.lengths.mean():.1f} on average; {counts[commonest] / counts.sum():.0%} have {lengths[commonest]}"
    )
    panel.text(1.015, height + TALLEST / 2, said, transform=panel.get_yaxis_transform(), va="center", fontsize=8)


def _name_axes(panel: Axes, section: Section, names: Sequence[str]) -> None:
    panel.set_title(heading(section))
    panel.set_yticks(np.arange(len(names))[::-1] + TALLEST / 2, names)
    panel.set_ylim(0, len(names))
    panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    panel.grid(axis="y", visible=False)
    panel.spines["left"].set_visible(False)
