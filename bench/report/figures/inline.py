"""A figure as an ``<svg>`` element that lives inside an HTML page and takes the page's colors and letters."""

from __future__ import annotations

import re
from html import escape
from io import BytesIO
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from bench.report.figures.style import GRID, INK, LINE, PAPER, WARN

VARIABLES = {INK: "var(--ink)", LINE: "var(--line)", GRID: "var(--grid)", PAPER: "var(--paper)", WARN: "var(--warn)"}


def inline(figure: Figure, prefix: str, described: str) -> str:
    """The element, as wide as its surroundings; ``described`` is what is read aloud in its place.

    Text stays text, ids begin with ``prefix``, and what is black or white on paper becomes a variable of the page.
    """
    drawn = BytesIO()
    figure.patch.set_visible(False)
    with rc_context({"svg.fonttype": "none"}):
        canvas: Any = FigureCanvasSVG(figure)  # savefig would draw everything twice
        canvas.print_svg(drawn, metadata={"Date": None})
    text = drawn.getvalue().decode("utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', text)
    text = re.sub(r'(url\(|href=")#', rf"\1#{prefix}-", text)
    for color, variable in VARIABLES.items():
        text = text.replace(color.lower(), variable)
    return _opening(text, described) + text[text.index(">") + 1 :].strip()


def _opening(text: str, described: str) -> str:
    box = re.search(r'viewBox="([^"]+)"', text)
    width = float(box[1].split()[2]) if box else 0.0
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" role="img" '
        f'aria-label="{escape(described)}" viewBox="{box[1] if box else ""}" style="--wide: {width:.0f}px">'
    )
