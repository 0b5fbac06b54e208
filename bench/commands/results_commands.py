"""``bench results pack`` and ``bench results join``: results that others can read, and theirs beside one's own."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

PACK_EPILOG = (
    "Examples:\n\n`bench results pack --out results/toys-cpu`\n\n`bench results pack textual/title pop --out mine.zip`"
)
JOIN_EPILOG = (
    "Examples:\n\n`bench results join results published --out joined`, then `bench report --results joined`\n\n"
    "`bench results join results theirs.zip ~/backup/results --out joined`"
)

Results = Annotated[Path, typer.Option(envvar="BENCH_RESULTS", help="Folder of results and caches.")]


def pack(
    out: Annotated[Path, typer.Option(help="A results folder, or a .zip to send.")],
    runs: Annotated[
        list[str] | None, typer.Argument(help="Folders or names of runs; by default all.", show_default=False)
    ] = None,
    results: Results = Path("results"),
) -> None:
    """Keep of finished runs what reports and tests need: results and the rank of every user, without models.

    The ids of users and items are in it: what is nobody else's business stays at home.
    """
    from bench.commands.chosen import chosen
    from bench.results import joining

    with joining.opened([str(file) for file in chosen(results, runs or [])]) as found:
        count = joining.pack(found, out)
        _say([*(f"skipped: {line}" for line in found.skipped), f"written: {out}: {count:,} runs"])


def join(
    sources: Annotated[
        list[str], typer.Argument(help="Results folders, result.json files or .zip; published: what comes with bench.")
    ],
    out: Annotated[Path, typer.Option(help="The results folder to write.")] = Path("joined"),
    everything: Annotated[
        bool, typer.Option("--all", help="Also runs that can't be compared with any of the first source.")
    ] = False,
    details: Annotated[
        bool, typer.Option("--details", help="Name each run that is in two sources, not only their number.")
    ] = False,
) -> None:
    """Merge results into one folder for `bench report` and `bench compare`, with the ranks that paired tests need.

    Of later sources only runs on the same data, under the same contract and protocol as one of the first are taken.
    """
    from bench.errors import BenchError
    from bench.results import joining

    with joining.opened(sources) as found:
        if not found.runs:
            raise BenchError(found.skipped[0])
        done = joining.join(found, out, everything)
    counts = [f"{count:,} runs of {source}" for source, count in done.counts.items()]
    twice = [str(each) for each in done.twice] if details else [*joining.told(done.twice)]
    hint = " (--details names them)" if done.twice and not details else ""
    lines = [*(f"left out: {line}" for line in done.left_out), *(f"note: {line}{hint}" for line in twice)]
    _say([*lines, f"joined in {out}: {', '.join(counts)}", f"Now: bench report --results {shlex.quote(str(out))}"])


def _say(lines: Sequence[str]) -> None:
    from bench.console import say

    for line in lines:
        say(line)
