"""Which stored runs a command is about, also those that can't be read: found by their folders' names alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.console import say
from bench.errors import BenchError, unknown
from bench.results.digests import RESULT
from bench.results.identity import folder_name
from bench.results.places import unfollowed
from bench.results.store import readable


def chosen(results: Path, asked: Sequence[str]) -> list[Path]:
    """``result.json`` of the runs ``asked`` for, by folder (as such, or below the results folder) or by scheme; of all
    where nothing is asked for. BenchError where a name stands for none.
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
    places = (Path(asked), results / asked, results / "runs" / asked) if asked else ()  # a path of nothing is any
    for folder in places:
        if folder.is_dir() and (below := [folder / RESULT] if (folder / RESULT).exists() else readable(folder)):
            return below
    named = [file for file in everything if _scheme(file) in (folder_name(asked), _versioned(asked))]
    if not named:
        raise unknown("run", asked, {_scheme(file).replace(".", "/") for file in everything})
    return named


def _scheme(file: Path) -> str:
    """The scheme's name as folders have it: ``…/<scheme>@<version>[+settings]/<contract>/<seed>/result.json``."""
    return file.parents[2].name.partition("@")[0] if len(file.parents) > 2 else ""


def _versioned(asked: str) -> str:
    return folder_name(asked.partition("@")[0])
