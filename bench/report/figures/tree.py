"""The prefix tree of every scheme: how its tokens divide the catalogue, one level for each token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from bench.report.figures.shapes import rectangles
from bench.report.figures.style import INK, PAPER, Looks, heading
from bench.report.identifiers import END, Identifiers, of_section
from bench.report.rows import Section

DEPTH = 4  # levels shown
LEVEL_HEIGHT = 0.26  # inches
GAP = 1.3  # levels between two trees, for a name
NARROWEST = 0.004  # part of the catalogue; subtrees below this are shown as one pale stretch
SEAM = 1e-3  # gaps below this part of the catalogue can't be seen

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Level:
    """All prefixes of one length. ``starts`` and ``sizes`` are parts of the catalogue, from left to right."""

    starts: Floats
    sizes: Floats


def draw(found: Sequence[Section], looks: Looks, width: float) -> Figure | None:
    """Every prefix as wide as the part of the catalogue below it; None where no scheme has tokens."""
    drawn = [(section, members) for section in found if (members := of_section(section))]
    if not drawn:
        return None
    trees = [[(row.label, levels(identifiers)) for row, identifiers in members] for _, members in drawn]
    heights = [sum(len(tree) + GAP for _, tree in shown) * LEVEL_HEIGHT + 0.7 for shown in trees]
    figure = Figure(figsize=(width, sum(heights)), layout="constrained")
    panels = figure.subplots(len(drawn), squeeze=False, height_ratios=heights)[:, 0]
    for panel, (section, _), shown in zip(panels, drawn, trees, strict=True):
        _panel(panel, shown, looks)
        panel.set_title(heading(section))
    panels[-1].set_xlabel("share of the catalogue")
    return figure


def levels(identifiers: Identifiers, depth: int = DEPTH) -> list[Level]:
    """The first ``depth`` levels. Children stand below their parent, largest first; identifiers that end leave gaps."""
    prefix = np.zeros(len(identifiers.items), np.int64)  # of each item: the number of its prefix so far
    starts = np.zeros(1)
    made = []
    for tokens in identifiers.tokens.T[:depth]:
        alive = tokens != END
        stride = int(tokens.max(initial=0)) + 1
        pairs = prefix[alive] * stride + tokens[alive]
        found, child, counts = np.unique(pairs, return_inverse=True, return_counts=True)
        parents = found // stride
        order = np.lexsort((-counts, parents))
        starts = _placed(starts, parents[order], counts[order] / len(prefix))
        made.append(Level(starts, counts[order] / len(prefix)))
        prefix[alive] = np.argsort(order)[child]
    return made


def _placed(above: Floats, parents: NDArray[np.int64], sizes: Floats) -> Floats:
    """Where children begin that follow each other without a gap below their parent; ``parents`` ascends."""
    before = np.cumsum(sizes) - sizes
    first = np.searchsorted(parents, parents)
    return np.asarray(above[parents] + before - before[first], np.float64)


def _panel(panel: Axes, shown: Sequence[tuple[str, Sequence[Level]]], looks: Looks) -> None:
    top, ticks, names = 0.0, list[float](), list[str]()
    for label, tree in shown:
        panel.text(0, top - 0.62, label, va="bottom", color=INK)
        for depth, level in enumerate(tree):
            _draw_level(panel, top + depth, level, looks[label].color)
        ticks += [top + depth for depth in range(len(tree))]
        names += [f"token {depth + 1}" for depth in range(len(tree))]
        top += len(tree) + GAP
    panel.set_yticks(ticks, names)
    panel.set_xlim(0, 1)
    panel.set_ylim(top - GAP - 0.4, -1.3)
    panel.xaxis.set_major_formatter(PercentFormatter(1))
    panel.grid(visible=False)
    for side in ("left", "bottom"):
        panel.spines[side].set_visible(False)


def _draw_level(panel: Axes, top: float, level: Level, color: str) -> None:
    """Wide subtrees as blocks of their own; neighbors that are too narrow to be seen as one pale block."""
    wide = level.sizes >= NARROWEST
    starts, sizes = _merged(level.starts[~wide], level.sizes[~wide])
    rectangles(panel, starts, top - 0.42, sizes, 0.84, facecolor=color, alpha=0.35, linewidth=0)
    look = {"facecolor": color, "edgecolor": PAPER, "linewidth": 0.6}
    rectangles(panel, level.starts[wide], top - 0.42, level.sizes[wide], 0.84, **look)
    many = f"{len(level.sizes):,} prefix{'es' if len(level.sizes) != 1 else ''}"
    panel.text(1.015, top, f"{many}, largest {_percent(level.sizes.max())}", va="center", fontsize=8)


def _merged(starts: Floats, sizes: Floats) -> tuple[Floats, Floats]:
    """Stretches without the seams between them."""
    order = np.argsort(starts)
    starts, ends = starts[order], (starts + sizes)[order]
    apart = np.flatnonzero(starts[1:] - ends[:-1] > SEAM)
    begins, stops = starts[np.append(0, apart + 1)[: len(starts)]], ends[np.append(apart, -1)[: len(starts)]]
    return begins, stops - begins


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 else "below 0.1%"
