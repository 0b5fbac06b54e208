"""Learning curves as wide as a word: one beside each row of the main table of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from markupsafe import Markup

from bench.report.figures.curves import course
from bench.report.rows import Row
from bench.report.table import Cell, Column, Source, Table

WIDTH, HEIGHT, EDGE = 84.0, 22.0, 3.0  # units of the picture
TITLE = "validation while training"


def with_courses(table: Table, rows: Sequence[Row]) -> Table:
    """The table with a last column of curves, where a row has one; ``rows`` are its lines."""
    cells = tuple(_cell(row) for row in rows)
    if not any(cell.course for cell in cells):
        return table
    return replace(table, columns=(*table.columns, Column(TITLE, cells)))


def _cell(row: Row) -> Cell:
    source = Source((row.first.path,), ("result.json:training.curve",))
    made = course(row.first)
    if made is None or len(made.validation) < 2:
        return Cell("", source)
    parts = tuple((name, tuple(map(float, scores))) for name, scores in made.parts.items())
    return Cell("", source, course=tuple(map(float, made.validation)), parts=parts)


def drawn(scores: Sequence[float], parts: Sequence[tuple[str, Sequence[float]]] = ()) -> Markup:
    """From zero to the highest score; a dot on the one whose weights were kept. Thin lines are the data sets that were
    joined, of which a text beside the picture says what they had at the dot.
    """
    top = max(value for one in (scores, *(part for _, part in parts)) for value in one) or 1.0
    best = max(range(len(scores)), key=scores.__getitem__)
    x, y = _points(scores, top)[best]
    said = f"from {scores[0]:.4f} to {scores[-1]:.4f} in {len(scores)} looks, highest {max(scores):.4f}"
    said += "".join(f"; {name} {part[best]:.4f}" for name, part in parts)
    thin = Markup().join(_line(part, top, "part") for _, part in parts)
    return Markup(
        '<svg class="spark" role="img" aria-label="{0}" viewBox="0 0 {1:.0f} {2:.0f}">{3}{4}{5}'
        '<circle cx="{6:.1f}" cy="{7:.1f}" r="2.2"/></svg>'
    ).format(
        said, WIDTH, HEIGHT, Markup("<title>{}</title>").format(said) if parts else "", thin, _line(scores, top), x, y
    )


def _line(scores: Sequence[float], top: float, kind: str = "whole") -> Markup:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in _points(scores, top))
    return Markup('<polyline class="{}" points="{}"/>').format(kind, points)


def _points(scores: Sequence[float], top: float) -> list[tuple[float, float]]:
    step = (WIDTH - 2 * EDGE) / (len(scores) - 1)
    return [(EDGE + at * step, HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * value / top) for at, value in enumerate(scores)]
