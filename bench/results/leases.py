"""Who works on a run: leases in the results folder, so that workers on any number of machines may share one.

    .<seed>.lease-<number>     beside the run's folder: who holds it, since when, and why it failed, if it did

A lease is a file that nobody else could create. Its number only ever rises, also from one holder to the next: whoever
finds that a higher number is taken, or that its own is not there, has lost the run and may not publish it (a fencing
number). The file of the highest stays; `bench clean` removes it when nobody has held the run for long. The holder
beats: its file says something new every few seconds. One that is silent for as long as it promised is taken to be dead,
by whoever has watched it for that time; clocks of two machines are not compared. A holder that is a process of this
machine and gone is dead at once. Times of files are compared with each other alone, and with the clock of the disk that
they are on (``files.now``).

A failure is what the last holder says as it lets go. So nobody can say it of a run that is another's by then, and it
goes when somebody tries again, or publishes.

Nothing is held in memory or by the operating system (``flock`` differs between network file systems).
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bench import files, processes, tensors
from bench.errors import BenchError, BusyError, LostError, said
from bench.results import holders
from bench.results.holders import NOBODY, SILENCE, Asked, Holder
from bench.training.signals import scheduler

BEAT = 5.0  # seconds between two signs of life
LOOK_AGAIN = 2 * BEAT
DEATHS = 8  # of holders, one right after the other, without anything saved, after which a run is given up
NAME = re.compile(r"\.(?P<run>.+)\.lease-\d+")
NOTHING: Callable[[], str] = lambda: ""  # noqa: E731 - a value, as every default is

_watched: dict[Path, tuple[str, float]] = {}  # of others' leases: what they said last, and when that was first seen


@dataclass(frozen=True)
class Failure:
    """What ended the last try of a run, and when, by the clock of the disk (seconds since 1970)."""

    reason: str
    time: float


class Lease:
    """A run that this process holds. Its signs of life come from a thread, which stops with the process."""

    def __init__(
        self, folder: Path, number: int, before: Holder, note: Callable[[], str], mark: str, asked: Asked
    ) -> None:
        pid = os.getpid()
        self.holder = Holder(
            secrets.token_hex(8),
            files.host(),
            files.place(),
            pid,
            processes.start_of(pid),
            silence=SILENCE,
            mark=mark,
            command=asked.command,
            began=asked.began if math.isfinite(asked.began) else 0.0,
            ends=before.ends_for(mark, asked)[-DEATHS:],
        )
        self.folder, self.number, self.note, self.failure = folder, number, note, ""
        self.kept_before = len(tensors.kept)
        # A former holder that may still be alive somewhere must find its folder gone: this one renames it.
        self.taken_over = not (before.released or before.gone)
        self.lost, self._end, self._lock = False, threading.Event(), threading.Lock()
        self.forgotten = False  # whether the file goes, with its number, when the run is left to others
        self._create(number)
        self._thread = threading.Thread(target=self._live, daemon=True)

    def _create(self, number: int) -> None:
        """LostError where the number is taken, or a higher one."""
        path = _path(self.folder, number)
        try:
            file = path.open("x", encoding="utf-8")
        except FileExistsError as error:
            raise LostError(self._taken()) from error
        try:
            with file:
                file.write(holders.text(self.holder))
        except OSError:  # a full disk: half a lease would be somebody whom everybody waits for
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        if max(_numbers(self.folder), default=0) > number:
            path.unlink(missing_ok=True)
            raise LostError(self._taken())
        self.number = number
        for lower in _numbers(self.folder):
            if lower < number:
                with contextlib.suppress(OSError):  # another user's may have to stay
                    _path(self.folder, lower).unlink()

    def confirm(self) -> None:
        """Take the next number, which only one can have: this holder, or who believes it dead. LostError if not this
        one; then nothing of what it made may be published.
        """
        with self._lock:
            self.lost = self.lost or not self._own()
            if self.lost:
                raise LostError(self._taken())
            try:
                self._create(self.number + 1)
            except LostError:
                self.lost = True
                raise

    def release(self) -> None:
        """Leave the run to others. The file stays, for its number, unless it is to be forgotten."""
        self._end.set()
        with self._lock, contextlib.suppress(OSError):
            if not self.lost and self._own():
                if self.forgotten:
                    _path(self.folder, self.number).unlink()
                else:
                    ended = "" if self.failure else scheduler.reason
                    self._say(replace(self._now(), released=True, failure=self.failure, ended=ended))

    def fails(self, error: Exception) -> None:
        """What others are told when the run is left to them, if it is this one's by then."""
        self.failure = str(error) if isinstance(error, BenchError) else said(error)

    def begin(self) -> None:
        """Give signs of life from now on."""
        self._thread.start()

    def require(self) -> None:
        """LostError where a sign of life has found that the run is another's."""
        if self.lost:
            raise LostError(self._taken())

    def holds(self) -> bool:
        """Whether the run is still this process's, as far as the disk tells."""
        with self._lock, contextlib.suppress(OSError):
            self.lost = self.lost or not self._own()
        return not self.lost

    def _live(self) -> None:
        while not self._end.wait(BEAT):
            with self._lock, contextlib.suppress(OSError):  # a disk that is away comes back, or the lease is lost
                self.lost = self.lost or not self._own()
                if self.lost or self._end.is_set():
                    return
                self.holder = replace(self._now(), beat=self.holder.beat + 1)
                self._say(self.holder)

    def _now(self) -> Holder:
        """The holder, and how far it is."""
        return replace(self.holder, note=self.note(), kept=len(tensors.kept) - self.kept_before)

    def _own(self) -> bool:
        """Whether nobody has succeeded this holder. OSError where the disk does not say."""
        if max(_listed(self.folder), default=0) != self.number:
            return False
        try:
            return self.holder.token.encode() in _path(self.folder, self.number).read_bytes()
        except FileNotFoundError:  # the folder could be listed: a successor has removed it since
            return False

    def _say(self, holder: Holder) -> None:
        path = _path(self.folder, self.number)
        beside = files.beside(path)
        try:
            beside.write_text(holders.text(holder), encoding="utf-8")
            os.replace(beside, path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise

    def _taken(self) -> str:
        return f"another process has taken over '{self.folder}', since this one gave no sign of life for too long"


@contextlib.contextmanager
def held(folder: Path, note: Callable[[], str] = NOTHING, mark: str = "", asked: Asked = NOBODY) -> Iterator[Lease]:
    """The run of this folder is this process's for the block; BusyError where somebody else is at it, or has failed
    since what was ``asked`` began.

    A holder that is dead is succeeded. LostError (a BusyError) where this one loses the run in the block: what it says
    then is of no use, whatever else ended it.
    """
    lease = _take(folder, note, mark, asked)
    lease.begin()
    try:
        yield lease
    except Exception as error:
        if not isinstance(error, LostError) and not lease.holds():
            raise LostError(lease._taken()) from error
        raise
    finally:
        lease.release()


def forget(folder: Path) -> None:
    """Remove the lease of a run that nobody is at. BusyError where somebody is: it is held while it goes."""
    with held(folder) as lease:
        lease.forgotten = True


def idle(folder: Path) -> float:
    """For how many seconds nobody has held a run, as far as is known: 0 where somebody may hold it, or nobody did."""
    holder, age = last_holder(folder), _age(folder) or 0.0
    foreign = holder.place != files.place() and age > max(holder.silence, files.FOREIGN_AGE)
    return age if holder.released or holder.gone or foreign else 0.0


def _take(folder: Path, note: Callable[[], str], mark: str, asked: Asked) -> Lease:
    folder.parent.mkdir(parents=True, exist_ok=True)
    number, before = max(_numbers(folder), default=0), last_holder(folder)
    if not number and folder.exists():
        number = int(time.time())  # its lease was forgotten: none that anybody may still believe to hold is given again
    if not (before.released or before.gone or _silent(folder, number, before)):
        raise BusyError(f"another process ({before}) is working on '{folder}'", "wait for it, or give other --results")
    if failed_since(folder, asked):
        raise BusyError(f"another process has just failed at '{folder}'")
    try:
        return Lease(folder, number + 1, before, note, mark, asked)
    except LostError as error:
        raise BusyError(f"another process has just begun to work on '{folder}'") from error


def first_look(folders: Iterable[Path]) -> float:
    """Look at who holds runs, for one that will not wait as workers do: in how many seconds to look again at those that
    another machine holds and that say nothing any more, by the clock of the disk. 0 where there are none.

    Who then takes such a run finds that nothing has been said in between. So a lease that was only read late, from a
    copy that this machine keeps of a network's disk, is not taken for that of a dead process.
    """
    found = 0.0
    for folder in folders:
        holder, number = last_holder(folder), max(_numbers(folder), default=0)
        age = _age(folder) or 0.0
        if not (holder.released or holder.gone) and age > holder.silence:
            path = _path(folder, number)
            _watched[path] = _said_by(path, holder), time.monotonic() - age
            found = LOOK_AGAIN
    return found


def _age(folder: Path) -> float | None:
    """For how many seconds the last holder of a run has said nothing, by the clock of the disk; None where there is
    none. What it said after now was before that clock was set back, for who is alive speaks every few seconds.
    """
    try:
        spoken = _path(folder, max(_numbers(folder), default=0)).stat().st_mtime
    except OSError:
        return None
    return abs(files.now(folder.parent) - spoken)


def _said_by(path: Path, holder: Holder) -> str:
    """Also where this user, or this version of bench, can't read what is said: each time it is a new file."""
    try:
        return f"{holder.token} {holder.beat} {path.stat().st_mtime_ns}"
    except OSError:
        return f"{holder.token} {holder.beat}"


def _silent(folder: Path, number: int, holder: Holder) -> bool:
    """Whether this process has watched the holder for as long as it may be silent, and it was."""
    path = _path(folder, number)
    said = _said_by(path, holder)
    last, since = _watched.get(path, ("", 0.0))
    if last != said:
        _watched[path] = said, time.monotonic()
        return False
    return time.monotonic() - since > holder.silence


def holder_of(folder: Path) -> Holder | None:
    """Who is at a run, as far as the results folder tells: a holder on another machine counts as dead when its file is
    old. None where nobody is.
    """
    holder = last_holder(folder)
    if holder.released or holder.gone:
        return None
    age = _age(folder)
    return None if age is None or age > holder.silence else holder


def begun(runs: Path, command: str, now: float) -> float:
    """When a command began: ``now``, or earlier where one that says the same holds a run below ``runs``, which this one
    joins. By the clock of the disk.
    """
    homes = {home for path in files.matching(runs, "*/*/*/.*.lease-*") if (home := home_of(path))}
    found = (holder.began for holder in map(holder_of, homes) if holder and holder.command == command)
    return min((began for began in found if began), default=now)


def failure(folder: Path) -> Failure | None:
    """Why the last try of a run has failed; None where it has not, or somebody tries again."""
    number = max(_numbers(folder), default=0)
    return _failure(folder, number, last_holder(folder))


def failed_since(folder: Path, asked: Asked) -> str:
    """Why a run has failed since a command began; empty where it has not. What failed after now did so before the clock
    of the disk was set back, and would be in the way until that comes round again.
    """
    found = failure(folder)
    if found and found.time > asked.began and found.time < files.now(folder.parent) + SILENCE:
        return found.reason
    return ""


def _failure(folder: Path, number: int, holder: Holder) -> Failure | None:
    try:
        when = _path(folder, number).stat().st_mtime
    except OSError:
        return None
    return Failure(holder.failure, when) if holder.released and holder.failure else None


def last_holder(folder: Path) -> Holder:
    """Whoever holds a run, or held it last; ``released`` where nobody ever did."""
    number = max(_numbers(folder), default=0)
    return holders.read(_path(folder, number)) if number else Holder(released=True)


def _numbers(folder: Path) -> list[int]:
    try:
        return _listed(folder)
    except OSError:
        return []


def _listed(folder: Path) -> list[int]:
    prefix = f".{folder.name}.lease-"
    names = os.listdir(folder.parent)
    return [int(name[len(prefix) :]) for name in names if name.startswith(prefix) and name[len(prefix) :].isdecimal()]


def home_of(path: Path) -> Path | None:
    """The run of a lease; None where the file is none."""
    found = NAME.fullmatch(path.name)
    return path.with_name(found["run"]) if found else None


def _path(folder: Path, number: int) -> Path:
    return folder.with_name(f".{folder.name}.lease-{number}")
