"""Where results live, and how they get there whole or not at all.

    <results>/runs/<data set>/<scheme>@<version>[+settings]/<contract>-<data>/<seed>/     a finished run
    <results>/runs/…/.<seed>.partial-<number>/                                            the same run under way
    <results>/runs/…/.<seed>.lease-<number>                                               who works on it (``leases``)
    <results>/cache/ids/<key>.safetensors                                                 identifiers, by content

A run is built in its partial folder, which is renamed when everything is in it. So a finished folder is always
complete, and a killed run leaves nothing but a partial folder to resume from. Everything in it is on the disk before
it is renamed, so that a power cut leaves no folder of empty files either.
"""

from __future__ import annotations

import contextlib
import glob
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from bench import files
from bench.errors import BenchError, BusyError, LostError
from bench.results import deaths, leases
from bench.results.digests import RESULT, SEAL
from bench.results.holders import NOBODY, Asked, Holder
from bench.results.identity import differences
from bench.results.notes import read_note

TRAINING_FOLDER = "context"  # where a baseline trains
BEGUN = "begun.json"  # in a partial folder: what it was begun as
CHECKPOINTS = "stage-*.safetensors"
# What training leaves, that of baselines in their own folder too: checkpoints, and trials and stages that are done.
SAVED = (CHECKPOINTS, "latest*.pth", "trained.json", "failed.json", "pretraining.json")
UNSEEN = -1  # in place of a stamp: nobody has looked
PARTIAL, OLD, CORRUPT, REMOVED = ".partial", ".old", ".corrupt", ".removed"  # ends of hidden folders beside a run
TRIAL = "trial-"  # what the folders begin with in which a search tries settings


@dataclass(frozen=True)
class Begun:
    """What a partial folder was begun as: the identity of the run and the ``code`` (digests and versions by name) that
    made what is in it. ``forced``: it shall replace a finished run. ``budget``: what a budget of time or FLOPs was
    converted to, once that is known. ``threads`` compute it, to its end, in so many ``processes``.
    """

    identity: Mapping[str, Any]
    code: Mapping[str, str] = field(default_factory=dict)
    forced: bool = False
    threads: int = 0
    budget: Mapping[str, Any] = field(default_factory=dict)
    processes: int = 0

    def differences(self, other: Begun) -> list[str]:
        code, theirs = ({f"code of {name}": version for name, version in each.code.items()} for each in (self, other))
        return differences({**self.identity, **code}, {**other.identity, **theirs})

    def resumed_by(self, other: Begun) -> bool:
        """Whether work that was begun as this goes on as ``other``."""
        return not self.differences(other) and (self.forced or not other.forced)


def tidy(results: Path) -> None:
    """Remove what processes that have died were writing into the results folder and its caches."""
    cache = results / "cache"
    for folder in (results, cache, *(path for path in files.below(cache) if path.is_dir())):
        files.remove_left_behind(folder)


def finished(folder: Path) -> bool:
    return (folder / RESULT).exists()


def stamp(folder: Path) -> int | None:
    """When a run was finished, in nanoseconds since 1970; None where it is not."""
    try:
        return (folder / RESULT).stat().st_mtime_ns
    except OSError:
        return None


def sealed(folder: Path) -> bool:
    """Whether all of a run is in a folder that may still be under way."""
    return finished(folder) and (folder / SEAL).exists()


def old_folder(folder: Path) -> Path:
    """Where a finished run is for the moment in which its successor takes its place."""
    return folder.with_name(f".{folder.name}{OLD}")


def partial_folder(folder: Path) -> Path:
    """Where a run is built before it is ``folder``: of what several workers have left, the last one's."""
    found = [(_number(path), path) for path in _partial_folders(folder)]
    return max(found, default=(0, folder.with_name(partial_name(folder))))[1]


def _partial_folders(folder: Path) -> list[Path]:
    return list(files.matching(folder.parent, f"{glob.escape(partial_name(folder))}*"))


def partial_name(folder: Path) -> str:
    """What the names of all its partial folders begin with."""
    return f".{folder.name}{PARTIAL}"


def _number(partial: Path) -> int:
    number = partial.name.rpartition("-")[2]
    return int(number) if number.isdecimal() else 0


def note_failure(folder: Path, error: Exception, seen: int | None = UNSEEN, asked: Asked = NOBODY) -> None:
    """Tell everybody who looks that a run has failed, until it is tried again: for who failed before it held the run,
    as ``building`` tells it for who did. Nothing where somebody may be at it, or has finished it since its ``stamp``
    was ``seen``. Where that can't be written it is told by whoever tried alone.
    """
    before = leases.last_holder(folder)
    if not (before.released or before.gone) or (before.failure and _asked_for(before, asked)):
        return
    with contextlib.suppress(OSError, BusyError), leases.held(folder, asked=asked) as lease:
        if seen in (UNSEEN, stamp(folder)):
            lease.fails(error)


def _asked_for(holder: Holder, asked: Asked) -> bool:
    return bool(asked.command) and (holder.command, holder.began) == (asked.command, asked.began)


def begun_as(folder: Path) -> Begun | None:
    """What the unfinished work on a run was begun as; None where there is none, or it does not say."""
    return read_note(partial_folder(folder) / BEGUN, Begun)


@contextlib.contextmanager
def building(
    folder: Path,
    begun: Begun,
    seen: int | None = UNSEEN,
    note: Callable[[], str] = leases.NOTHING,
    holding: Callable[[leases.Lease], None] = lambda lease: None,
    asked: Asked = NOBODY,
) -> Iterator[Path]:
    """The partial folder of a run, which this process alone may write; it becomes ``folder`` when the block ends well.

    What an interrupted run of the same identity and code has left there is found again. ``begun.forced`` throws away
    everything else; without it, BenchError where the partial folder was begun as something else. BenchError also where
    the results folder can't be written, or another process is at the same run, or has finished it since its ``stamp``
    was ``seen``, or has failed at it since what was ``asked`` began. ``note`` is what others are told of how far this
    one is; ``holding`` gets the lease, to see whether it still holds. A failure is noted before others may try.
    """
    with _held(folder, note, asked) as lease, _noted(lease):
        if len(lease.holder.ends) >= leases.DEATHS or deaths.outlasts(lease.holder.ends):
            raise BenchError(deaths.told(lease.holder.ends))
        if seen != UNSEEN and stamp(folder) != seen:
            raise BusyError(f"another process has just finished '{folder}'")
        with writable(folder):
            partial = _prepare(folder, begun, lease)
        try:
            holding(lease)
            yield partial
            with writable(folder):
                _swap(partial, folder, lease)
        except BaseException:
            if not lease.holds() and partial != partial_folder(folder):  # what was written since is of no use
                files.remove(partial)
            raise


@contextlib.contextmanager
def _noted(lease: leases.Lease) -> Iterator[None]:
    """What fails in the block is why the run has failed."""
    try:
        yield
    except BusyError:
        raise
    except Exception as error:
        lease.fails(error)
        raise


def _prepare(folder: Path, begun: Begun, lease: leases.Lease) -> Path:
    _refuse_links(partial_folder(folder))
    before = begun_as(folder)
    unlike = before.differences(begun) if before else []
    if unlike and not begun.forced:
        raise BenchError(
            f"the unfinished run in '{partial_folder(folder)}' was begun with other settings or code: "
            f"{'; '.join(unlike)}; --force starts it afresh"
        )
    if before is None or not before.resumed_by(begun):
        _remove_partial(folder)
    elif before.budget:
        begun = replace(begun, budget=before.budget)
    partial = _taken_over(folder, lease)
    files.remove_left_behind(partial, alone=True)
    files.write_json(partial / BEGUN, asdict(begun))
    return partial


def _taken_over(folder: Path, lease: leases.Lease) -> Path:
    """The partial folder of a lease's holder. A former one that may still be alive finds that its own is gone, and what
    it or a child of it still writes does not get here.
    """
    before, own = partial_folder(folder), folder.with_name(f"{partial_name(folder)}-{lease.number}")
    if before.exists() and not lease.taken_over:
        return before
    if before.exists():
        files.rename(before, own)
        files.remove(own / TRAINING_FOLDER)
    own.mkdir(exist_ok=True)
    return own


def _remove_partial(folder: Path) -> None:
    """Everything that any worker has left of an unfinished run."""
    for path in _partial_folders(folder):
        files.remove(path)


def _refuse_links(partial: Path) -> None:
    """BenchError where an unfinished run is, or has in it, a link: what is written there would land somewhere else."""
    links = [path for path in (partial, *files.below(partial)) if path.is_symlink()]
    if links:
        raise BenchError(
            f"the unfinished run in '{partial}' has a symbolic link, '{links[0]}', which bench does not follow; remove "
            "the link, or name another folder with --results"
        )


@contextlib.contextmanager
def _held(folder: Path, note: Callable[[], str] = leases.NOTHING, asked: Asked = NOBODY) -> Iterator[leases.Lease]:
    """Nobody else builds this run during the block; BusyError where somebody does already."""
    with contextlib.ExitStack() as stack:
        with writable(folder):
            lease = stack.enter_context(leases.held(folder, note, _saved(folder), asked))
        yield lease


def _saved(folder: Path) -> str:
    """What changes whenever work on a run is saved."""
    times = []
    for path in (path for pattern in SAVED for path in files.below(partial_folder(folder), pattern)):
        with contextlib.suppress(FileNotFoundError):  # an orphan of RecBole may still be at its checkpoints
            times.append(str(path.stat().st_mtime_ns))
    return " ".join(sorted(times))


@contextlib.contextmanager
def writable(path: Path) -> Iterator[None]:
    """Turns the operating system's refusal to write into one line."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise BenchError(
            f"cannot write results to '{error.filename or path}': {reason}; name another folder with --results"
        ) from error


def _swap(partial: Path, folder: Path, lease: leases.Lease) -> None:
    """Put a whole run where it belongs. What was only needed on the way goes last, when nothing can be lost.

    LostError where the run is another's by now: also between the last look and the renaming, for a successor renames
    the folder that is renamed here.
    """
    old = old_folder(folder)
    files.sync_tree(partial)
    lease.confirm()
    if folder.exists():
        files.remove(old)
        files.rename(folder, old)
    try:
        files.rename(partial, folder)
    except FileNotFoundError as error:
        if finished(old) and not folder.exists():
            files.rename(old, folder)
        lease.lost = True
        raise LostError(f"another process has taken over '{folder}' in its last moment") from error
    _tidy(folder)
    _remove_partial(folder)


def _tidy(folder: Path) -> None:
    """Remove what a finished run no longer needs: its predecessor, its checkpoints, what was being written."""
    files.remove(old_folder(folder))
    for name in sorted(temporary(folder)):
        files.remove(folder / name)
    files.remove_left_behind(folder, alone=True)


def set_aside(folder: Path, seen: int | None) -> Path:
    """Move a finished run that is corrupt out of the way; where it is now. It is neither read nor resumed there.
    BusyError where its ``stamp`` is not the one that was ``seen``: another process has put a new one in its place.
    """
    aside = folder.with_name(f".{folder.name}{CORRUPT}")
    with _held(folder), writable(folder):
        if stamp(folder) != seen:
            raise BusyError(f"another process has just replaced '{folder}'")
        files.remove(aside)
        files.rename(folder, aside)
    return aside


def remove(folder: Path, finished_too: bool) -> None:
    """Remove the unfinished work on a run, and the finished run itself where ``finished_too``. BusyError where another
    process is at it. First of all they are renamed, so that a kill on the way leaves no half of a run.
    """
    gone = folder.with_name(f".{folder.name}{REMOVED}")
    with _held(folder), writable(folder):
        for path in (*_partial_folders(folder), *((old_folder(folder), folder) if finished_too else ())):
            files.remove(gone)
            if path.is_symlink():
                files.remove(path)
            elif path.exists():
                files.rename(path, gone)
        files.remove(gone)


def temporary(partial: Path) -> frozenset[str]:
    """What of a partial folder is gone when the run is finished: names of its files and folders."""
    passing = (path.name for pattern in (CHECKPOINTS, f"{TRIAL}*") for path in partial.glob(pattern))
    return frozenset({BEGUN, TRAINING_FOLDER, *passing})


def recover(folder: Path) -> None:
    """Finish what a kill in a run's last moment left undone: what seals ``result.json`` is written last of all."""
    partial, old = partial_folder(folder), old_folder(folder)
    _refuse_links(partial)
    untidy = finished(folder) and any(path.exists() for path in (old, *(folder / name for name in temporary(folder))))
    if not (sealed(partial) or untidy or (finished(old) and not folder.exists())):
        return
    with _held(folder) as lease, writable(folder):
        if sealed(partial_folder(folder)):
            _swap(_taken_over(folder, lease), folder, lease)
        elif finished(folder):
            _tidy(folder)
        elif finished(old):
            files.rename(old, folder)


def readable(runs: Path) -> list[Path]:
    """``result.json`` of every run below a folder, sorted: in its place, or where a kill between two renamings left it.

    Other folders whose name starts with a dot are passed over.
    """
    found = {}
    for path in sorted(files.below(runs, RESULT)):
        folder, parts = path.parent, path.relative_to(runs).parts[:-1]
        hidden = [part for part in parts if part.startswith(".")]
        if not hidden:
            found[folder] = path
        elif hidden == [folder.name] and (home := _left_of(folder)) and not finished(home):
            found.setdefault(home, path) if folder.suffix == OLD else found.update({home: path})
    return [found[folder] for folder in sorted(found)]


def home_of(folder: Path) -> Path:
    """Where the run of a hidden folder belongs; any other folder is itself."""
    return folder.with_name(folder.name[1:].rpartition(".")[0]) if folder.name.startswith(".") else folder


def _left_of(folder: Path) -> Path | None:
    """Where the run belongs that a kill between two renamings left in this folder; None for any other folder."""
    home = home_of(folder)
    whole = (folder == old_folder(home) and finished(folder)) or (folder == partial_folder(home) and sealed(folder))
    return home if whole else None


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """As ``files.write_json``; what can't be written is one line."""
    with writable(path):
        files.write_json(path, value)
