"""The warning over a report and its pictures where scores mean nothing."""

from __future__ import annotations

from collections.abc import Sequence

from bench.contract import scores_mean_nothing
from bench.report.labels import names
from bench.report.rows import Row

SAID = "{} mean nothing: preset {} only shows that everything runs"


def meaningless(row: Row) -> bool:
    """Whether the score of a row may not be believed. What trains no weights is the same under every preset."""
    return row.trained and any(scores_mean_nothing(run.preset) for run in row.runs)


def banner(rows: Sequence[Row]) -> str:
    """One sentence without a full stop; "" where every score counts."""
    found = [(row, name) for row, name in zip(rows, names(rows), strict=True) if meaningless(row)]
    if not found:
        return ""
    presets = dict.fromkeys(run.preset or "" for row, _ in found for run in row.runs if scores_mean_nothing(run.preset))
    every = len(found) == sum(row.trained for row in rows)
    whose = "The scores of trained models here" if every else f"The scores of {', '.join(name for _, name in found)}"
    return SAID.format(whose, ", ".join(presets))
