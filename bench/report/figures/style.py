"""How pictures look: one color for each family of schemes, one marker for each of its members, gray baselines.

Colors hold at least 3:1 against white and against the dark page, and stay apart for the color-blind; no picture
relies on them alone.
"""

from __future__ import annotations

import textwrap
import zlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context

from bench.report.contracts import contracts
from bench.report.rows import Row, Section

Dashes = str | tuple[int, tuple[int, ...]]

COLORS = ("#CC79A7", "#0077BB", "#CC5500", "#7A5CFF", "#8A7A00", "#009E73")
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "<", ">", "p", "h", "*")
DASHES: tuple[Dashes, ...] = ("-", "--", ":", "-.", (0, (7, 2, 1, 2, 1, 2)))
GRAY = "#8C8C8C"
WARN = "#A3261A"  # as the page has it
INK, LINE, GRID, PAPER = "#333333", "#BBBBBB", "#EBEBEB", "#FFFFFF"  # what the dark page draws in other colors
BLANK: Mapping[str, Any] = {"facecolor": PAPER, "edgecolor": "none", "pad": 1}  # grid lines stop behind a label
WIDEST = 36  # characters of a line of a label
AXIS = "NDCG@10, strict"


@dataclass(frozen=True)
class Look:
    """What a scheme looks like in all pictures of a report. Where markers run out, they come again ``hollow``."""

    color: str
    marker: str
    dashes: Dashes
    hollow: bool = False

    @property
    def face(self) -> str:
        """The color inside the marker."""
        return PAPER if self.hollow else self.color


Looks = Mapping[str, Look]  # by the label of a row


def looks(found: Sequence[Section]) -> Looks:
    """The look of every row by its label.

    A family's color follows from its name, and from other families only where two want the same: then the first by
    name has it and the other takes the next that is free. Members of a family are told apart by marker and dashes.
    """
    rows = {row.label: row for section in found for row in section.rows}
    schemes = sorted(label for label, row in rows.items() if not row.baseline)
    baselines = sorted(label for label, row in rows.items() if row.baseline)
    colors = family_colors([_family(rows[label]) for label in schemes])
    made = {}
    for label in schemes:
        family = _family(rows[label])
        color, turn = colors[family]
        member = [other for other in schemes if _family(rows[other]) == family].index(label)
        made[label] = _look(color, turn + member)
    return made | {label: _look(GRAY, number) for number, label in enumerate(baselines)}


def family_colors(families: Sequence[str]) -> dict[str, tuple[str, int]]:
    """``{family: (color, first marker)}``; families beyond the palette share colors and begin with another marker."""
    looks: dict[str, int] = {}
    for at, family in enumerate(sorted(set(families))):
        wanted, turn = zlib.crc32(family.encode()) % len(COLORS), at // len(COLORS) * len(COLORS)
        free = (turn + (wanted + step) % len(COLORS) for step in range(len(COLORS)))
        looks[family] = next(look for look in free if look not in looks.values())
    return {family: (COLORS[look % len(COLORS)], look // len(COLORS)) for family, look in looks.items()}


def _family(row: Row) -> str:
    return row.first.scheme.name.partition("/")[0]


def _look(color: str, member: int) -> Look:
    turn, position = divmod(member, len(MARKERS))
    return Look(color, MARKERS[position], DASHES[member % len(DASHES)], bool(turn % 2))


def folded(label: str) -> str:
    """A label in lines that leave room for what is drawn; a short one as it is."""
    return label if len(label) <= WIDEST else "\n".join(textwrap.wrap(label, WIDEST))


def heading(section: Section) -> str:
    return f"{section.title}: {section.dataset.users:,} users, {section.dataset.items:,} items"


def explained(section: Section) -> str:
    """The heading, and what the letters behind labels mean where rows were made under several contracts."""
    found = contracts(section.rows)
    if not found.mixed:
        return heading(section)
    named = (
        f"[{letter}] {holder.contract_id} ({holder.preset or 'own'})" for letter, holder in found.by_letter.items()
    )
    return "\n".join([heading(section), *textwrap.wrap("contracts: " + ", ".join(named), 80)])


def style() -> AbstractContextManager[None]:
    """Matplotlib's settings while a picture is drawn and saved."""
    return rc_context(
        {
            "font.size": 9,
            "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib
            "text.color": INK,
            "svg.hashsalt": "bench",
            "text.parse_math": False,  # a dollar in a name is a dollar
            "figure.facecolor": PAPER,
            "axes.facecolor": "none",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": LINE,
            "axes.labelcolor": INK,
            "axes.titlecolor": INK,
            "axes.titlelocation": "left",
            "axes.titleweight": "bold",
            "axes.titlesize": 10,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": GRID,
            "legend.frameon": False,
            "legend.labelcolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "xtick.major.size": 0,
            "ytick.major.size": 0,
        }
    )
