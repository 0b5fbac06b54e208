"""``bench rm`` and ``bench clean``: nothing is removed before it is said what and how much."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.errors import BenchError, counted

if TYPE_CHECKING:
    from bench.results.storage import Piece

RM_EPILOG = "Examples:\n\n`bench rm textual/title`\n\n`bench rm results/runs/toys/pop@1/f75f761e-ba3012/0 --yes`"
CLEAN_EPILOG = (
    "Examples:\n\n`bench clean`\n\n`bench clean --days 7 --max-cache 500 --yes`\n\n"
    "`bench clean --old-versions --unfinished`"
)
MB = 1e6  # bytes

Results = Annotated[Path, typer.Option(envvar="BENCH_RESULTS", help="Folder of results and caches.")]
Yes = Annotated[bool, typer.Option("--yes", help="Remove without asking.")]


def rm(
    runs: Annotated[
        list[str],
        typer.Argument(
            help="Folders of finished runs, names of schemes, families or baselines, or rows of the report."
        ),
    ],
    yes: Yes = False,
    results: Results = Path("results"),
) -> None:
    """Remove finished runs, and what is unfinished of them. Says first which and how much."""
    from bench.commands.chosen import chosen
    from bench.results import storage

    folders = [storage.require_run(results, file) for file in chosen(results, runs)]
    _remove(results, [storage.piece(folder, storage.RUN) for folder in folders], yes)


def clean(
    days: Annotated[float, typer.Option(min=0, help="Caches not used for so many days go.")] = 30,
    max_cache: Annotated[
        float | None, typer.Option(min=0, help="MB that caches may take; the longest unused go first.")
    ] = None,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Unfinished and failed runs too, of --days and more.")
    ] = False,
    old_versions: Annotated[
        bool,
        typer.Option("--old-versions", help="Finished runs of an older version or protocol too."),
    ] = False,
    yes: Yes = False,
    results: Results = Path("results"),
) -> None:
    """Remove caches that nobody uses, leftovers of killed processes and removed runs, and corrupt runs that were set
    aside. Says first what and how much. A cache is made again when it is needed.
    """
    from bench.results import storage

    found = storage.pieces(results)
    gone = [each for each in found if each.what in (storage.LEFT, storage.USERS, storage.ASIDE, storage.LEASE)]
    gone += storage.surplus(found, days, None if max_cache is None else max_cache * MB)
    if unfinished:
        stopped = [each for each in found if each.what == storage.UNFINISHED]
        gone += [each for each in stopped if each.days >= days]
        _say_young([each for each in stopped if each.days < days], days)
    if old_versions:
        from bench.commands.outdated import outdated

        gone += [each for each in found if each.what == storage.RUN and outdated(each.path)]
    _remove(results, gone, yes)


def _say_young(kept: Sequence[Piece], days: float) -> None:
    """Who asks for unfinished runs to go has those of today in mind, and is told why they stay."""
    from bench.console import Console
    from bench.results import store

    if runs := {store.home_of(each.path) for each in kept}:
        line = (
            f"kept: {counted(len(runs), 'unfinished run')} younger than {days:g} days; --days 0 takes all, and caches"
        )
        Console().print(line, soft_wrap=True)


def _remove(results: Path, gone: Sequence[Piece], yes: bool) -> None:
    """Say, ask, remove. BenchError where nobody can be asked, and after all others have gone where some stay."""
    from bench.console import Console
    from bench.results import storage

    out = Console()
    if not gone:
        out.print(f"nothing to remove in '{results}'", soft_wrap=True)
        return
    for each in gone:
        line = f"{storage.readable_size(each.size):>9}  {each.days:>5.0f} days  {each.what}  {each.path}"
        out.print(line, soft_wrap=True)
    total = _total(gone)
    if not (yes or _agreed(total)):
        raise BenchError(f"nothing was removed; --yes removes all that is listed ({total})")
    if seconds := storage.first_look(gone):
        out.print(f"looking again in {seconds:.0f} s at runs that another machine held", soft_wrap=True)
        time.sleep(seconds)
    kept = storage.remove(results, gone)
    stay = {each for each, _ in kept}
    if went := [each for each in gone if each not in stay]:
        out.print(f"removed: {_total(went)}")
    for _, reason in kept[1:]:
        out.print(f"kept: {reason}", soft_wrap=True)
    if kept:
        raise BenchError(f"{len(kept):,} of {_total(gone)} could not be removed: {kept[0][1]}")


def _total(pieces: Sequence[Piece]) -> str:
    from bench.results.storage import readable_size

    size = readable_size(sum(each.size for each in pieces))
    return f"{len(pieces):,} {'entries' if len(pieces) > 1 else 'entry'}, {size}"


def _agreed(total: str) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    return typer.confirm(f"Remove {total}?", default=False, err=True)
