"""Pictures of a report, as files or inside the HTML page.

Drawn on figures of their own, without matplotlib's global state or a display. The same results give the same bytes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from bench.errors import BenchError
from bench.files import output
from bench.report.banner import banner
from bench.report.figures import compute, cost, curves, lengths, quality, ranks, slices, tree
from bench.report.figures.inline import inline
from bench.report.figures.style import WARN, Looks, looks, style
from bench.report.rows import Section, sections
from bench.results.read import Result

__all__ = ["PICTURES", "Looks", "check", "looks", "svg", "write", "write_all"]

FORMATS: Mapping[str, Mapping[str, None]] = {".png": {"Software": None}, ".svg": {"Date": None}}  # nothing that varies

IN_FILE, ON_PAGE = 7.2, 5.4  # inches; a page is also read on a phone


@dataclass(frozen=True)
class Picture:
    """``draw(sections, looks, width)`` gives None where there is nothing to draw; ``width`` in inches.

    ``caption`` says what is seen and how to read it.
    """

    title: str
    caption: str
    draw: Callable[[Sequence[Section], Looks, float], Figure | None]


PICTURES: Mapping[str, Picture] = {
    "quality": Picture(
        "Quality",
        "Strict NDCG@10 of each scheme. Lines are 95 % intervals over users and seeds; gray rows are baselines. Probes "
        "and what leaks do not set the scale: an arrow and a value stand for what is above it.",
        quality.draw,
    ),
    "cost": Picture(
        "Quality against cost",
        "Up and left is better. On the dashed front, nothing is both faster and better; what leaks is not on it. Of "
        "many rows the leading ones are named; the others look as in the picture of quality.",
        cost.draw,
    ),
    "slices": Picture(
        "Rare and popular targets",
        "Strict NDCG@10 of the users whose target was taken this often in training, with 95 % intervals. Nothing that "
        "leaks is shown, and of many rows the leading ones; probes do not set the scale.",
        slices.draw,
    ),
    "curves": Picture(
        "Training",
        "Loss, averaged over neighboring steps, and quality on validation users; the large mark shows the weights "
        "that were kept. Losses over different vocabularies do not compare. Of many rows the leading ones are shown.",
        curves.draw,
    ),
    "compute": Picture(
        "Quality against training compute",
        "The selection metric on validation users against what training had taken by then, on a logarithmic axis: a "
        "line that ends higher is better, one further left only sooner. A search counts before its line begins, and so "
        "do the FLOPs of what was trained for identifiers; a row of which they are not known says so.",
        compute.draw,
    ),
    "lengths": Picture(
        "Length of identifiers",
        "How many items have an identifier of so many tokens. Each step of decoding writes one token.",
        lengths.draw,
    ),
    "tree": Picture(
        "Prefix trees",
        "How each token divides the catalogue: a block is as wide as its share of the items, below the block of its "
        "prefix. Pale stretches are many small branches.",
        tree.draw,
    ),
    "ranks": Picture(
        "Ranks over data sets",
        "Average rank by NDCG@10, 1 is best. A bar joins schemes that do not differ significantly: their ranks "
        "lie closer than the critical difference.",
        ranks.draw,
    ),
}


def write(name: str, results: Sequence[Result], path: Path) -> bool:
    """Draw the picture ``name`` of all results into a .png or .svg file; False where there is nothing to draw."""
    check(path)
    return _write(name, results, [path])


def write_all(results: Sequence[Result], folder: Path) -> list[Path]:
    """Every picture that has something to show, as .svg and as .png, into ``folder``; the paths written."""
    written = []
    for name in PICTURES:
        paths = [folder / f"{name}{suffix}" for suffix in FORMATS]
        written += paths if _write(name, results, paths) else []
    return written


def check(path: Path) -> None:
    """BenchError for a name that says no format in which a picture can be written."""
    if path.suffix not in FORMATS:
        raise BenchError(f"cannot write a figure as '{path}'; its name must end in {' or '.join(FORMATS)}")


def svg(name: str, found: Sequence[Section], looks_by_label: Looks, prefix: str) -> str:
    """The picture of sections as an ``<svg>`` element; ``""`` where there is nothing to draw.

    ``prefix`` begins all its ids: those of two pictures on one page must differ.
    """
    with style():
        figure = PICTURES[name].draw(found, looks_by_label, ON_PAGE)
        if figure is None:
            return ""
        _warn(figure, found)
        described = f"{PICTURES[name].title}, {', '.join(section.title for section in found)}. {PICTURES[name].caption}"
        return inline(figure, prefix, described)


def _write(name: str, results: Sequence[Result], paths: Sequence[Path]) -> bool:
    found = sections(results)
    with style():
        figure = PICTURES[name].draw(found, looks(found), IN_FILE)
        if figure is not None:
            _warn(figure, found)
            _save(figure, paths)
    return figure is not None


def _warn(figure: Figure, found: Sequence[Section]) -> None:
    """Above everything that scores mean nothing: a picture is passed on without its report."""
    said = "; ".join(dict.fromkeys(filter(None, (banner(section.rows) for section in found))))
    if not said:
        return
    lines = textwrap.wrap(f"{said}.", int(figure.get_figwidth() * 13))
    figure.set_figheight(figure.get_figheight() + 0.2 * len(lines))
    figure.suptitle("\n".join(lines), x=0.01, ha="left", color=WARN, fontsize=9, fontweight="bold")


def _save(figure: Figure, paths: Sequence[Path]) -> None:
    """Write a figure, all or nothing, to each path, whose suffix says how. To be called while its style holds."""
    for path in paths:
        with output(path, "the figure") as unfinished:
            figure.savefig(unfinished, format=path.suffix[1:], dpi=160, metadata=dict(FORMATS[path.suffix]))
