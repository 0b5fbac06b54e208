"""Tables as Markdown, for all parts of the pages."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report.table import DASH


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """The first column is text, and so are those in which a cell begins with no digit."""
    numeric = [at > 0 and bool(lines) and all(_number(line[at]) for line in lines) for at in range(len(head))]
    rules = ["---:" if each else "---" for each in numeric]
    return "\n".join(map(_line, (head, rules, *lines)))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _number(cell: str) -> bool:
    return cell == DASH or cell.removeprefix("&lt; ").strip("+-")[:1].isdigit()
