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
    scores = () if made is None else tuple(float(value) for value in made.validation)
    return Cell("", source, course=scores) if len(scores) > 1 else Cell("", source)


def drawn(scores: Sequence[float]) -> Markup:
    """From zero to the highest score of its own; a dot on the one whose weights were kept."""
    top = max(scores) or 1.0
    step = (WIDTH - 2 * EDGE) / (len(scores) - 1)
    points = [(EDGE + at * step, HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * value / top) for at, value in enumerate(scores)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    x, y = points[max(range(len(scores)), key=scores.__getitem__)]
    said = f"from {scores[0]:.4f} to {scores[-1]:.4f} in {len(scores)} looks, highest {max(scores):.4f}"
    return Markup(
        '<svg class="spark" role="img" aria-label="{}" viewBox="0 0 {:.0f} {:.0f}"><polyline points="{}"/>'
        '<circle cx="{:.1f}" cy="{:.1f}" r="2.2"/></svg>'
    ).format(said, WIDTH, HEIGHT, line, x, y)
