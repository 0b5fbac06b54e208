"""``bench run --dry-run``: what would run, what is finished, and what the rest takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.report.table import Table
    from bench.runs.matrix import Plan
    from bench.runs.outlook import Outlook

AT_MOST = "of the whole budget; training ends before where validation no longer improves. A search is not counted"
FROM = {
    "earlier": "an earlier run in the results folder, scaled by target examples",
    "probe": "ten steps and a few validation users, timed now",
    "declared": "what the scheme says of a catalogue of this size; of time, that of making identifiers alone",
    "fit": "fitting it once and a few validation users, timed now",
}


def show(plans: Sequence[Plan]) -> None:
    """Print a line for each run, and the sum."""
    from bench.console import Console
    from bench.report.terminal import show_table
    from bench.runs.outlook import outlook
    from bench.runs.progress import Display

    display = Display()
    found = [(plan, outlook(plan, display)) for plan in plans]
    out = Console()
    show_table(_table([run for _, runs in found for run in runs]), out)
    out.print(summary([(plan.jobs, runs) for plan, runs in found]), soft_wrap=True)


def summary(parts: Sequence[tuple[int, Sequence[Outlook]]]) -> str:
    """``4 runs: 1 finished, 3 to do, about 1:12:00 and 900 MB``, of the runs that each number of jobs does."""
    from bench.report.after_run import clock

    runs = [run for _, found in parts for run in found]
    left = [run for run in runs if run.to_do]
    large = [run for run in runs if run.refused]
    done = len(runs) - len(left) - len(large)
    text = f"{len(runs)} run{'' if len(runs) == 1 else 's'}: {done} finished, {len(left)} to do"
    text += f", {len(large)} too large" if large else ""
    if not left:
        return text
    seconds = megabytes = 0.0
    for jobs, found in parts:
        mine = [run.estimate for run in found if run.to_do]
        at_once = max(1, min(jobs, len(mine)))
        seconds += sum(each.seconds or 0.0 for each in mine) / at_once
        megabytes = max(megabytes, at_once * max((each.megabytes or 0.0 for each in mine), default=0.0))
    return f"{text}, about {clock(seconds)} and {megabytes:,.0f} MB"


def _table(runs: Sequence[Outlook]) -> Table:
    from bench.report.after_run import clock
    from bench.report.table import DASH, Cell, Column, Note, Source, Table

    nowhere = Source((), ())

    def column(title: str, texts: Sequence[str], numeric: bool) -> Column:
        return Column(title, tuple(Cell(text, nowhere, text) for text in texts), numeric)

    def measured(value: float | None, text: str) -> str:
        return DASH if value is None else text

    found = [run.estimate for run in runs]
    said = {each.source for each in found}
    times = [measured(each.seconds, clock(each.seconds or 0)) for each in found]
    memory = [measured(each.megabytes, f"{each.megabytes or 0:,.0f}") for each in found]
    return Table(
        "outlook",
        "what would run",
        column("run", [_title(run) for run in runs], False),
        (
            column("state", [run.state for run in runs], False),
            column("time", times, True),
            column("memory (MB)", memory, True),
            column("from", [each.source or DASH for each in found], False),
        ),
        (Note("time", AT_MOST), *(Note(word, text) for word, text in FROM.items() if word in said)),
    )


def _title(run: Outlook) -> str:
    more = f" and {run.tests} test{'' if run.tests == 1 else 's'} of its model"
    return run.title + (more if run.tests else "")
