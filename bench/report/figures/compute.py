"""Quality against what training has taken so far: a row that is better and one that is only sooner are told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.report.budget_notes import own_flops
from bench.report.figures.axes import logarithmic
from bench.report.figures.curves import LEGEND_LINE, Floats, course, line_style
from bench.report.figures.points import leading
from bench.report.figures.style import Look, Looks, explained
from bench.report.numbers import flops
from bench.report.rows import Section
from bench.results.read import Result

PANEL_HEIGHT = 3.0  # inches
FLOPS = "training_flops"
# The first that all rows have is the axis.
UNITS = {FLOPS: "training FLOPs", "processor_seconds": "processor seconds of training and validation"}
WITH_OWN = ", with what was trained for identifiers"
UNKNOWN = " (own training not counted)"


@dataclass(frozen=True, eq=False)
class Path:
    """``spent`` when each ``score`` on validation was read."""

    spent: Floats
    scores: Floats


def draw(found: Sequence[Section], looks: Looks, width: float) -> Figure | None:
    """Validation against compute, one line for each seed of a row; None where nothing was validated."""
    drawn = [(section, unit) for section in found if (unit := unit_of(section))]
    if not drawn:
        return None
    heights = [PANEL_HEIGHT + LEGEND_LINE * len(leading(section)) / 2 for section, _ in drawn]
    figure = Figure(figsize=(width, sum(heights)), layout="constrained")
    parts = np.atleast_1d(np.asarray(figure.subfigures(len(drawn), height_ratios=heights), object))
    for part, (section, unit) in zip(parts, drawn, strict=True):
        _draw_section(part, section, unit, looks)
    return figure


def _draw_section(part: Figure, section: Section, unit: str, looks: Looks) -> None:
    panel, shown, spent = part.subplots(), list[tuple[str, Look]](), [np.empty(0)]
    own = [own_flops(run) if unit == FLOPS else 0.0 for row, _ in leading(section) for run in row.runs]
    panel.set_title(explained(section))
    for row, label in leading(section):
        paths = [path for run in row.runs if (path := path_of(run, unit)) is not None]
        for path in paths:
            panel.plot(path.spent, path.scores, **line_style(looks[row.label]))
        spent += [path.spent for path in paths]
        if paths:
            unknown = unit == FLOPS and any(own_flops(run) is None for run in row.runs)
            shown.append((label + UNKNOWN * unknown, looks[row.label]))
    logarithmic(panel, np.concatenate(spent), flops if unit == FLOPS else "{:g}".format)
    panel.set_xlabel(UNITS[unit] + WITH_OWN * any(own))
    panel.set_ylabel("selection metric on validation")
    panel.set_ylim(bottom=0)
    lines = [Line2D([], [], **line_style(look)) for _, look in shown]
    part.legend(lines, [label for label, _ in shown], loc="outside lower left", ncols=2, handlelength=4)


def unit_of(section: Section) -> str:
    """FLOPs where every run that was validated has them, else processor seconds; "" where none was."""
    runs = [run for row in section.rows for run in row.runs if _validated(run)]
    for unit in UNITS:
        if runs and all(path_of(run, unit) is not None for run in runs):
            return unit
    return ""


def _validated(run: Result) -> bool:
    made = course(run)
    return made is not None and bool(len(made.validation)) and bool(run.costs.steps)


def path_of(run: Result, unit: str) -> Path | None:
    """What a run had spent at each look at validation, None where that is not known.

    Steps are taken to cost the same. What came before the curve, such as a search or pre-training, is spent at its
    start, and so are the FLOPs of what a scheme trained for its identifiers, as far as they are known.
    """
    made, whole, steps = course(run), getattr(run.costs, unit), run.costs.steps
    if made is None or not len(made.validation) or not whole or not steps:
        return None
    last = max(made.steps.max(initial=0), made.validated.max(initial=0))
    before = (own_flops(run) or 0.0) if unit == FLOPS else 0.0
    spent = before + (max(steps - last, 0) + made.validated) * whole / steps
    return Path(spent[spent > 0], made.validation[spent > 0])
