"""``bench verify``: whether finished runs, and what is kept beside them, are still what was stored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bench.results.verify import Verdict  # which imports pandas

EPILOG = "Examples:\n\n`bench verify`\n\n`bench verify textual/title --results backup --json`"


def verify(
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="Folders, names or report rows of runs; by default all.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    results: Annotated[Path, typer.Option(envvar="BENCH_RESULTS", help="Folder of results and caches.")] = Path(
        "results"
    ),
) -> None:
    """Compare every file of finished runs, and of the caches where no run is named, with its digest. Exit code 1 where
    one differs.
    """
    from bench.commands.chosen import chosen
    from bench.results.verify import verify as of_run
    from bench.results.verify import verify_caches

    found = [of_run(file, file.parent.as_posix(), results) for file in chosen(results, runs or [])]
    caches = [] if runs else verify_caches(results / "cache")
    if as_json:
        from bench import machine

        machine.show({"runs": [vars(verdict) for verdict in found], "caches": [vars(verdict) for verdict in caches]})
    else:
        _show([*found, *caches], len(found))
    if any(verdict.problems for verdict in (*found, *caches)):
        raise typer.Exit(1)


def _show(found: Sequence[Verdict], runs: int) -> None:
    from bench.console import Console, bold

    out = Console()
    for each in found:
        if each.problems or each.notes:
            out.print(bold(each.path), soft_wrap=True)
        for line in (*each.problems, *(f"note: {note}" for note in each.notes)):
            out.print(f"  {line}", soft_wrap=True)
    bad = sum(bool(each.problems) for each in found)
    out.print(
        f"{runs:,} runs and {len(found) - runs:,} files of caches: {f'{bad:,} corrupt' if bad else 'all as stored'}"
    )
