"""Where results live, and how they get there whole or not at all.

    <results>/runs/<data set>/<scheme>@<version>[+settings]/<contract>-<data>/<seed>/     a finished run
    <results>/runs/…/.<seed>.partial/                                                     the same run under way
    <results>/cache/ids/<key>.safetensors                                                 identifiers, by content

A run is built in its partial folder, which is renamed when everything is in it. So a finished folder is always
complete, and a killed run leaves nothing but a partial folder to resume from.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import filelock

from bench import files
from bench.errors import BenchError
from bench.results.digests import RESULT
from bench.results.identity import differences

TRAINING_FOLDER = "context"  # where a baseline trains
BEGUN = "begun.json"  # in a partial folder: what it was begun as
CHECKPOINTS = "stage-*.safetensors"
TRIAL = "trial-"  # what the folders begin with in which a search tries settings


@dataclass(frozen=True)
class Begun:
    """What a partial folder was begun as: the identity of the run and the ``code`` (digests and versions by name) that
    made what is in it. ``forced``: it shall replace a finished run. ``budget``: what a budget of time or FLOPs was
    converted to, once that is known.
    """

    identity: Mapping[str, Any]
    code: Mapping[str, str] = field(default_factory=dict)
    forced: bool = False
    budget: Mapping[str, Any] = field(default_factory=dict)

    def differences(self, other: Begun) -> list[str]:
        code, theirs = ({f"code of {name}": version for name, version in each.code.items()} for each in (self, other))
        return differences({**self.identity, **code}, {**other.identity, **theirs})


def finished(folder: Path) -> bool:
    return (folder / RESULT).exists()


def partial_folder(folder: Path) -> Path:
    """Where a run is built before it is ``folder``."""
    return folder.with_name(f".{folder.name}.partial")


def begun_as(folder: Path) -> Begun | None:
    """What the unfinished work on a run was begun as; None where there is none, or it does not say."""
    try:
        return Begun(**json.loads((partial_folder(folder) / BEGUN).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def converted(folder: Path) -> Mapping[str, Any]:
    """What a budget was converted to by the unfinished or the finished run of ``folder``, or by one of another seed
    beside it, so that all of them train for as many steps; empty where nobody has.
    """
    begun = begun_as(folder)
    if begun and begun.budget:
        return begun.budget
    for result in sorted([folder / RESULT, *folder.parent.glob(f"*/{RESULT}")], key=lambda path: path.parent != folder):
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
            found = (json.loads(result.read_text(encoding="utf-8"))["training"] or {}).get("budget")
            if found:
                return dict(found)
    return {}


def note_budget(partial: Path, budget: Mapping[str, Any]) -> None:
    """Keep in a partial folder what its budget was converted to."""
    begun = json.loads((partial / BEGUN).read_text(encoding="utf-8"))
    write_json(partial / BEGUN, {**begun, "budget": budget})


@contextlib.contextmanager
def building(folder: Path, begun: Begun) -> Iterator[Path]:
    """The partial folder of a run, which this process alone may write; it becomes ``folder`` when the block ends well.

    What an interrupted run of the same identity and code has left there is found again. ``begun.forced`` throws away
    everything else; without it, BenchError where the partial folder was begun as something else. BenchError also where
    the results folder can't be written, or another process is at the same run.
    """
    partial = partial_folder(folder)
    with _locked(folder):
        with writable(partial):
            _prepare(folder, begun)
        yield partial
        with writable(folder):
            _swap(partial, folder)


def _prepare(folder: Path, begun: Begun) -> None:
    partial, before = partial_folder(folder), begun_as(folder)
    unlike = before.differences(begun) if before else []
    if unlike and not begun.forced:
        raise BenchError(
            f"the unfinished run in '{partial}' was begun with other settings or code: {'; '.join(unlike)}; "
            "--force starts it afresh"
        )
    if before is None or unlike or (begun.forced and not before.forced):
        shutil.rmtree(partial, ignore_errors=True)
    elif before.budget:
        begun = replace(begun, budget=before.budget)
    partial.mkdir(exist_ok=True)
    for half in partial.glob(".*"):  # being written when its process was killed
        half.unlink()
    files.write_json(partial / BEGUN, asdict(begun))


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Nobody else builds this run during the block; BenchError where somebody does already."""
    with writable(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder.with_name(f".{folder.name}.lock"))
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout as error:
            raise BenchError(
                f"another process is working on '{folder}'; wait for it, or name another --results"
            ) from error
    try:
        yield
    finally:
        lock.release()


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


def _swap(partial: Path, folder: Path) -> None:
    """Put a whole run where it belongs. What was only needed on the way goes last, when nothing can be lost."""
    old = folder.with_name(f".{folder.name}.old")
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(folder, old)
    os.replace(partial, folder)
    shutil.rmtree(old, ignore_errors=True)
    (folder / BEGUN).unlink(missing_ok=True)
    shutil.rmtree(folder / TRAINING_FOLDER, ignore_errors=True)
    for trial in folder.glob(f"{TRIAL}*"):
        shutil.rmtree(trial, ignore_errors=True)
    for checkpoint in folder.glob(CHECKPOINTS):
        checkpoint.unlink()


def temporary(partial: Path) -> frozenset[str]:
    """What of a partial folder is gone when the run is finished: names of its files and folders."""
    passing = (path.name for pattern in (CHECKPOINTS, f"{TRIAL}*") for path in partial.glob(pattern))
    return frozenset({BEGUN, TRAINING_FOLDER, *passing})


def recover(folder: Path) -> None:
    """Finish what a kill in a run's last moment left undone: ``result.json`` is written last, its folder is whole."""
    partial, old = partial_folder(folder), folder.with_name(f".{folder.name}.old")
    if finished(partial) or (finished(old) and not folder.exists()):
        with _locked(folder), writable(folder):
            if finished(partial):
                _swap(partial, folder)
            else:
                os.replace(old, folder)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """As ``files.write_json``; what can't be written is one line."""
    with writable(path):
        files.write_json(path, value)
