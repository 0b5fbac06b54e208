"""What lies in a results folder, how much it is, and how it is removed: runs, caches, leftovers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench import files
from bench.errors import BenchError, BusyError
from bench.results import leases, packed, store
from bench.results.digests import RESULT

RUN, UNFINISHED, CACHE = "finished run", "unfinished run", "cache"
LEFT = "left by a process that died"
LEASE = "note of who worked on a run"
FORGOTTEN = {True: 1.0, False: 30.0}  # days after which it goes where the run is finished, and where there is none
USERS = "users of packed runs that are gone"
ASIDE = "corrupt run, set aside"
DAY = 86400.0  # seconds


@dataclass(frozen=True)
class Piece:
    """A file or folder that can be removed without the others: ``size`` in bytes, ``used`` the last time that anything
    in it was read or written, in seconds since 1970.
    """

    path: Path
    what: str
    size: int
    used: float

    @property
    def days(self) -> float:
        """Since it was used."""
        return max(0.0, (time.time() - self.used) / DAY)


def pieces(results: Path) -> list[Piece]:
    """Everything that ``bench`` has put below a results folder, by kind and path. What it does not know is not here."""
    runs = results / "runs"
    found = [piece(file.parent, RUN) for file in store.readable(runs)]
    known = {each.path for each in found}
    for folder in sorted(path for path in files.matching(runs, "*/*/*/.*") if path not in known):
        kind = _kind(folder)
        found += [piece(folder, kind)] if kind else []
    found += [piece(path, USERS) for folder in sorted(files.matching(runs, "*")) for path in packed.unused(folder)]
    found += [piece(path, CACHE) for path in sorted(files.below(results / "cache", "[!.]*")) if path.is_file()]
    left = sorted(path for path in files.below(results, ".*tmp*") if files.left_behind(path))
    known |= set(left)  # a folder that was left has what is in it
    return [*found, *(piece(path, LEFT) for path in left if not any(each in path.parents for each in known))]


def _kind(folder: Path) -> str:
    """What a hidden entry beside finished runs is; empty for what is none of ours, or still of use."""
    if (home := leases.home_of(folder)) is not None:
        if leases.failure(home):
            return UNFINISHED
        needed = leases.idle(home) < DAY * FORGOTTEN[store.finished(home)] or store.partial_folder(home).exists()
        return "" if needed else LEASE
    if folder.suffix in (store.REMOVED, store.OLD):
        return LEFT
    if folder.suffix == store.CORRUPT:
        return ASIDE
    return UNFINISHED if folder.suffix.startswith(store.PARTIAL) else ""


def piece(path: Path, what: str) -> Piece:
    size, used = 0, 0.0
    for each in (path, *(files.below(path) if path.is_dir() and not path.is_symlink() else ())):
        with contextlib.suppress(OSError):  # somebody else may be cleaning too
            found = each.lstat()
            size += 0 if each.is_dir() else found.st_size
            used = max(used, found.st_mtime, found.st_atime if each.is_file() else 0.0)
    return Piece(path, what, size, used)


def surplus(found: Iterable[Piece], days: float, most: float | None) -> list[Piece]:
    """Of caches those not used for ``days``, and then the longest unused ones of the others until no more than
    ``most`` bytes are left.
    """
    caches = sorted((each for each in found if each.what == CACHE), key=lambda each: (each.used, each.path))
    size, surplus = sum(each.size for each in caches), list[Piece]()
    for each in caches:
        if each.days <= days and (most is None or size <= most):
            break
        surplus.append(each)
        size -= each.size
    return surplus


def remove(results: Path, gone: Iterable[Piece]) -> list[tuple[Piece, str]]:
    """Remove pieces of a results folder. What is in use, or what the system does not let go, stays and is returned with
    the reason: it keeps nothing else from going.
    """
    kept = []
    for each in gone:
        try:
            _remove(each)
        except BenchError as error:
            kept.append((each, str(error)))
        _remove_empty(each.path.parent, results)
    return kept


def _remove(gone: Piece) -> None:
    """BenchError where it is in use, or the system refuses."""
    if gone.what in (RUN, UNFINISHED):
        store.remove(store.home_of(gone.path), finished_too=gone.what == RUN)
    elif gone.what == LEASE:
        _forget(gone.path)
    elif gone.what != USERS or gone.path in packed.unused(gone.path.parent):  # somebody may have packed since
        with store.writable(gone.path):
            files.remove(gone.path)


def first_look(gone: Iterable[Piece]) -> float:
    """In how many seconds to ``remove`` pieces, for others may be at their runs (``leases.first_look``)."""
    return leases.first_look({store.home_of(each.path) for each in gone if each.what in (RUN, UNFINISHED, LEASE)})


def _forget(path: Path) -> None:
    """Remove a lease, unless somebody has come to work on its run."""
    home = leases.home_of(path)
    if home is not None:
        with contextlib.suppress(BusyError), store.writable(path):
            leases.forget(home)


def _remove_empty(folder: Path, results: Path) -> None:
    """The folders on the way to a removed one, where nothing is left in them."""
    with contextlib.suppress(OSError):
        while results in folder.parents:
            folder.rmdir()
            folder = folder.parent


def require_run(results: Path, file: Path) -> Path:
    """The folder of a run to be removed. BenchError where it is not one of ``results``."""
    folder = file.parent
    runs = (results / "runs").resolve()
    if runs not in (folder.parent.resolve(), *folder.parent.resolve().parents) or not (folder / RESULT).exists():
        raise BenchError(f"'{folder}' is not in '{results / 'runs'}'; name its results folder with --results")
    return folder


def readable_size(size: float) -> str:
    """Bytes, for people: ``1.2 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
