"""Folders that a user names to write results into: what they must be, before anything is written there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import files
from bench.errors import BenchError
from bench.results.store import readable

RUNS = "runs"
POSSIBLE = "name a new or an empty folder, or a results folder"


def unfollowed(runs: Path) -> list[str]:
    """A line for each folder below ``runs`` that is a link, and whose runs nobody reads: a report must not lack them
    without a word.
    """
    found = []
    for parent, folders, _ in os.walk(runs):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(parent, name) for name in folders if os.path.islink(os.path.join(parent, name))]
    return [f"'{link}' is a link, which is not followed; let the whole results folder be the link" for link in found]


def require(out: Path, runs: Sequence[Path]) -> None:
    """BenchError where results cannot go to ``out``: an archive by its name, a file, among the ``runs`` that are read,
    or a folder of something else.
    """
    files.refuse_archive(out, "results are written to a folder or, by bench results pack, to a .zip")
    if out.exists() and not out.is_dir():
        raise BenchError(f"cannot write results to '{out}': it is a file; {POSSIBLE}")
    for folder in (*runs, *_homes(runs)):
        if folder.resolve() in (out.resolve(), *out.resolve().parents):
            raise BenchError(f"cannot write results to '{out}': it lies within '{folder}', which is read; {POSSIBLE}")
    if strange := _strange(out):
        raise BenchError(f"cannot write results to '{out}': it holds '{strange}' and no results; {POSSIBLE}")


def require_other(out: Path, runs: Sequence[Path]) -> None:
    """BenchError where the runs come from ``out``."""
    if any(home.parent.resolve() == out.resolve() for home in _homes(runs)):
        raise BenchError(f"cannot pack '{out}' into itself; name another folder, or a .zip")


def _homes(runs: Sequence[Path]) -> Iterator[Path]:
    """The folders ``runs`` of their results folders, each once."""
    found = dict.fromkeys(folder.absolute().parents[3] for folder in runs if len(folder.absolute().parents) > 3)
    return (home for home in found if home.name == RUNS)


def _strange(out: Path) -> str:
    """The name of something in a folder that holds no results; ``""`` where there are some, or nothing but what is
    hidden and caches.
    """
    if readable(out / RUNS) or any(out.glob(f"{RUNS}/*/users-*.parquet")):
        return ""
    names = (path.relative_to(out) for path in out.rglob("*") if path.is_file())
    return next((str(name) for name in names if not (name.parts[0] == "cache" or "/." in f"/{name.as_posix()}")), "")
