"""Which stored runs a command is about, also those that can't be read: found by their folders' names first."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from bench.console import say
from bench.errors import BenchError, unknown
from bench.results import named
from bench.results.digests import RESULT
from bench.results.places import unfollowed
from bench.results.store import readable


def chosen(results: Path, asked: Sequence[str]) -> list[Path]:
    """``result.json`` of the runs ``asked`` for, named as for ``bench.report.find``, of which a name stands for all;
    of all where nothing is asked for. BenchError where a name stands for none.
    """
    everything, links = readable(results / "runs"), unfollowed(results / "runs")
    if not (everything or asked):
        raise BenchError(links[0] if links else f"no finished results in '{results}'")
    for line in links:
        say(f"skipped: {line}")
    if not asked:
        return everything
    found = dict.fromkeys(file for name in asked for file in _of(results, name, everything))
    return list(found)


def _of(results: Path, asked: str, everything: Sequence[Path]) -> list[Path]:
    if found := named.in_folder(results, asked) or named.of_name(asked, everything, named.of_file):
        return found
    if row := _of_label(results, asked):
        return row
    raise unknown("run", asked, {named.scheme_of(named.of_file(file)).replace(".", "/") for file in everything})


def _of_label(results: Path, asked: str) -> list[Path]:
    """The runs of a row of the report, which only those that can be read have."""
    from bench.report.find import of_label

    with contextlib.suppress(BenchError):
        return [run.folder / RESULT for run in of_label(results, asked)]
    return []
