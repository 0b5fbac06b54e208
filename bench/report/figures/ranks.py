"""The critical-difference diagram of Demšar (2006): schemes by average rank, bars over those not told apart."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.figures.style import INK, Looks
from bench.report.overall import Overall, ranked
from bench.report.rows import Section

BAR, STEP = 0.28, 0.5  # height of a bar and of a label, where the distance between two ranks is 1


def draw(found: Sequence[Section], looks: Looks, width: float) -> Figure | None:
    """The diagram; None where there are too few data sets, or too few schemes on all of them, for one."""
    made = ranked(found)
    if made is None:
        return None
    depth = (len(made.labels) + 1) // 2 * STEP + len(made.found.cliques) * BAR + 1.2
    figure = Figure(figsize=(width, 0.5 * depth + 0.6), layout="constrained")
    _panel(figure.subplots(), made, looks)
    return figure


def _panel(panel: Axes, made: Overall, looks: Looks) -> None:
    """The axis of ranks on top, best to the left; below it bars, then labels, the better half to the left."""
    found, count = made.found, len(made.labels)
    order = sorted(range(count), key=lambda at: found.average_ranks[at])
    below = len(found.cliques) * BAR + 0.3
    for at, clique in enumerate(found.cliques):
        ranks = [found.average_ranks[scheme] for scheme in clique]
        panel.plot([min(ranks) - 0.05, max(ranks) + 0.05], [-(at + 1) * BAR] * 2, color=INK, linewidth=3)
    for position, scheme in enumerate(order):
        left = position < (count + 1) // 2
        height = -below - STEP * (position if left else count - 1 - position)
        rank, edge = found.average_ranks[scheme], 0.9 if left else count + 0.1
        look = looks[made.labels[scheme]]
        panel.plot([rank, rank, edge], [0, height, height], color=look.color, linewidth=0.9)
        panel.plot(rank, 0, look.marker, color=look.color, markerfacecolor=look.face, markersize=5, clip_on=False)
        text = f"{made.labels[scheme]}  {rank:.2f}" if left else f"{rank:.2f}  {made.labels[scheme]}"
        panel.text(edge, height, f" {text} ", ha="right" if left else "left", va="center", color=INK)
    _axis(panel, made, 1.2)


def _axis(panel: Axes, made: Overall, above: float) -> None:
    count, found = len(made.labels), made.found
    panel.plot([1, 1 + found.difference], [above, above], color=INK, linewidth=2, marker="|")
    panel.text(1, above + 0.1, f"critical difference {found.difference:.2f}", va="bottom", color=INK)
    panel.set_xlim(0.9, count + 0.1)
    panel.set_ylim(top=above + 0.6)
    panel.xaxis.tick_top()
    panel.spines["top"].set(visible=True, position=("data", 0.0), color=INK)
    panel.tick_params(length=4)
    panel.set_xticks(range(1, count + 1))
    panel.spines[["left", "bottom"]].set_visible(False)
    panel.set_yticks([])
    panel.grid(False)
    panel.set_title(f"Average rank by NDCG@10 over {found.datasets} data sets, 1 is best")
