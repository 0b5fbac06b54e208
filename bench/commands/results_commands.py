"""``bench results pack`` and ``bench results join``: results that others can read, and theirs beside one's own."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bench.results.joining import Found, Joined

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
        list[str] | None,
        typer.Argument(help="Folders, names or report rows of runs; by default all.", show_default=False),
    ] = None,
    results: Results = Path("results"),
) -> None:
    """Keep of finished runs what reports and tests need: results and the rank of every user, without models.

    The ids of users and items are in it: what is nobody else's business stays at home. A corrupt run is skipped, and
    the exit code is 1.
    """
    from bench.commands.chosen import chosen
    from bench.results import joining

    with joining.opened([str(file) for file in chosen(results, runs or [])]) as found:
        count = joining.pack(found, out)
    _say([*(f"skipped: {line}" for line in found.skipped), f"written: {out}: {count:,} runs"])
    _end(found)


def join(
    sources: Annotated[
        list[str], typer.Argument(help="Results folders, result.json files or .zip; published: what comes with bench.")
    ],
    out: Annotated[Path, typer.Option(help="The results folder to write.")] = Path("joined"),
    everything: Annotated[
        bool, typer.Option("--all", help="Also runs that can't be compared with any of the first source.")
    ] = False,
    details: Annotated[
        bool, typer.Option("--details", help="Name each run that is left out or in two sources, not only their number.")
    ] = False,
) -> None:
    """Merge results into one folder for `bench report` and `bench compare`, with the ranks that paired tests need.

    Of later sources only runs on the same data, under the same contract and protocol as one of the first are taken.
    A corrupt run or .zip is skipped, and the exit code is 1.
    """
    from bench.errors import BenchError
    from bench.results import joining

    with joining.opened(sources) as found:
        if not found.runs:
            _say([f"skipped: {line}" for line in found.skipped[:-1]])
            raise BenchError(found.skipped[-1])
        done = joining.join(found, out, everything)
    lines = [f"skipped: {line}" for line in found.skipped]
    if (lead := found.runs[0][0]) != sources[0]:
        lines.append(f"note: nothing of {sources[0]} can be read, so other sources are compared with {lead}")
    if joining.PUBLISHED in sources and Path(joining.PUBLISHED).exists():
        lines.append("note: 'published' stands for the results that come with bench; './published' is the one here")
    counts = [f"{count:,} runs of {source}" for source, count in done.counts.items()]
    _say([*lines, *_of_others(done, details), f"joined in {out}: {', '.join(counts)}"])
    _say([f"Now: bench report --results {shlex.quote(str(out))}"])
    _end(found)


def _of_others(done: Joined, details: bool) -> Iterator[str]:
    """Lines about runs that were not taken, though nothing is wrong with them."""
    from bench.results import joining

    if details:
        yield from (f"left out: {each}" for each in done.left_out)
        yield from (f"note: {each}" for each in done.twice)
        return
    more = " (--details names them, --all takes them)" if len(done.left_out) > 1 else ""
    yield from (f"left out: {line}{more}" for line in joining.told_of_left_out(done.left_out))
    yield from (f"note: {line} (--details names them)" for line in joining.told(done.twice))


def _end(found: Found) -> None:
    """Exit code 1 where something that was asked for is corrupt, after all that is not was done."""
    if found.skipped:
        raise typer.Exit(1)


def _say(lines: Sequence[str]) -> None:
    from bench.console import say

    for line in lines:
        say(line)
