"""The end of ``bench run``: a table of what it ran, beside what it is to be compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from bench.errors import PartlyFailedError


def shown_at_the_end(execute: Callable[[], Sequence[Path]], results: Path, quiet: bool) -> None:
    """Run, and print what came of it, also where only a part of it came to its end."""
    try:
        folders = execute()
    except PartlyFailedError as failed:
        if not quiet:
            show(results, failed.done)
        raise
    if not quiet:
        show(results, folders)


def show(results: Path, folders: Sequence[Path]) -> None:
    """Print the scores of these runs; nothing where there are none."""
    if not folders:
        return
    from bench.console import Console, bold
    from bench.report.answer import answer
    from bench.report.terminal import show_table

    found, out = answer(results, folders), Console()
    if found.banner:
        out.print(bold(found.banner), soft_wrap=True)
    for table in found.tables:
        show_table(table, out)
