"""The request that makes the rows of a report again, at the end of it."""

from __future__ import annotations

from collections.abc import Sequence

from bench.console import visible
from bench.errors import BenchError
from bench.results.read import Result
from bench.runs.remake import remake

TITLE = "Make these rows again"


def again(found: Sequence[Result]) -> str:
    """The file for ``bench run --config``, as ``bench report --request`` writes it.

    ``""`` where a recipe of the runs is not installed here, so that nobody can say what it left to be set.
    """
    try:
        text = remake(found)
    except BenchError:
        return ""
    return "\n".join(visible(line) for line in text.strip().split("\n"))
