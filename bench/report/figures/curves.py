"""Training curves: the loss, and the quality on validation that decides which weights are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.evaluation.by_part import DIVIDER
from bench.report.figures.points import leading
from bench.report.figures.style import Look, Looks, explained
from bench.report.rows import Section
from bench.results.read import Result

PANEL_HEIGHT, LEGEND_LINE = 2.6, 0.17  # inches
WINDOWS = 60  # a loss is averaged over so many stretches of its steps, or the noise of batches hides its course

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Course:
    """What was logged while one run trained; ``steps`` go on through all stages. ``parts`` are the ``validation`` of
    each data set that was joined, by name.
    """

    steps: Floats
    loss: Floats
    validated: Floats
    validation: Floats
    name: str
    parts: Mapping[str, Floats] = field(default_factory=dict)


def draw(found: Sequence[Section], looks: Looks, width: float) -> Figure | None:
    """Loss and validation against optimizer steps, one line for each seed; None where nothing was trained."""
    trained = [section for section in found if any(_courses(section))]
    if not trained:
        return None
    heights = [PANEL_HEIGHT + LEGEND_LINE * len(_courses(section)) / 2 for section in trained]
    figure = Figure(figsize=(width, sum(heights)), layout="constrained")
    parts = np.atleast_1d(np.asarray(figure.subfigures(len(trained), height_ratios=heights), object))
    for part, section in zip(parts, trained, strict=True):
        losses, validations = part.subplots(1, 2)
        losses.set_title(explained(section))
        shown = [drawn for drawn in _courses_with_looks(section, looks) if drawn[2]]
        for _, look, courses in shown:
            for made in courses:
                _draw_course(losses, validations, made, look)
        _name_axes(losses, validations, _courses(section))
        lines = [Line2D([], [], **line_style(look)) for _, look, _ in shown]
        part.legend(lines, [label for label, _, _ in shown], loc="outside lower left", ncols=2, handlelength=4)
    return figure


def _courses_with_looks(section: Section, looks: Looks) -> list[tuple[str, Look, list[Course]]]:
    return [
        (label, looks[row.label], [made for run in row.runs if (made := course(run)) is not None])
        for row, label in leading(section)
    ]


def _courses(section: Section) -> list[Course]:
    return [made for row, _ in leading(section) for run in row.runs if (made := course(run)) is not None]


def course(result: Result) -> Course | None:
    """The curve of a run; None where it has none. The steps of its stages are laid end to end."""
    points = (result.training or {}).get("curve") or []
    try:
        steps = np.array([point["step"] for point in points], np.float64)
        name = str((result.training or {}).get("selection") or "validation")
        loss, validation = (np.array([float(point.get(key, np.nan)) for point in points]) for key in ("loss", name))
        parts = _parts([point for point in points if name in point], name)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BenchError(
            f"the training curve in '{result.folder / 'result.json'}' is corrupt ({error!r}); run it again with --force"
        ) from error
    steps = _end_to_end(steps)
    logged, scored = np.isfinite(loss), np.isfinite(validation)
    if not logged.any() and not scored.any():
        return None
    return Course(steps[logged], loss[logged], steps[scored], validation[scored], name, parts)


def _parts(points: Sequence[Mapping[str, Any]], name: str) -> dict[str, Floats]:
    """Of every validation the metric of each data set that was joined; those that all of them have."""
    keys = [key for key in (points[0] if points else ()) if key.startswith(name + DIVIDER)]
    found = {key: np.array([float(point.get(key, np.nan)) for point in points]) for key in keys}
    return {key.removeprefix(name + DIVIDER): values for key, values in found.items() if np.isfinite(values).all()}


def _end_to_end(steps: Floats) -> Floats:
    begins = np.flatnonzero(np.diff(steps) < 0)
    before = np.zeros(len(steps))
    for last in begins:
        before[last + 1 :] += steps[last]
    return np.asarray(steps + before, np.float64)


def smooth(values: Floats) -> Floats:
    """Means of at most ``WINDOWS`` stretches of about equal length."""
    return np.array([part.mean() for part in np.array_split(values, min(WINDOWS, len(values)))])


def _draw_course(losses: Axes, validations: Axes, made: Course, look: Look) -> None:
    line = line_style(look)
    if len(made.loss):
        losses.plot(smooth(made.steps), smooth(made.loss), markevery=WINDOWS // 5, **line)
    if len(made.validation):
        best = int(made.validation.argmax())
        validations.plot(made.validated, made.validation, **line)
        validations.plot(
            made.validated[best],
            made.validation[best],
            look.marker,
            color=look.color,
            markerfacecolor=look.face,
            markersize=7,
        )
        for name, scores in made.parts.items():
            validations.plot(made.validated, scores, color=look.color, linestyle=look.dashes, linewidth=0.5)
            end = (float(made.validated[-1]), float(scores[-1]))
            validations.annotate(name, end, (2, 0), textcoords="offset points", fontsize=6, va="center")


def line_style(look: Look) -> dict[str, Any]:
    """Dashes alone do not tell a dozen lines apart: each has its marker as well."""
    return {
        "color": look.color,
        "linestyle": look.dashes,
        "linewidth": 1.2,
        "marker": look.marker,
        "markerfacecolor": look.face,
        "markersize": 3.5,
    }


def _name_axes(losses: Axes, validations: Axes, courses: Sequence[Course]) -> None:
    names = " or ".join(dict.fromkeys(made.name.upper() for made in courses))
    losses.set_ylabel("training loss")
    validations.set_ylabel(f"{names} on validation")
    validations.set_ylim(bottom=0)
    for panel in (losses, validations):
        panel.set_xlabel("optimizer steps")
        panel.set_xlim(left=0)
        panel.xaxis.set_major_locator(MaxNLocator(4))
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
