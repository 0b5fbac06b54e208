"""Where results live, and how they get there whole or not at all.

    <results>/runs/<data set>/<scheme>@<version>[+settings]/<contract>-<data>/<seed>/     a finished cell
    <results>/runs/…/.<seed>.partial/                                                     the same cell under way
    <results>/cache/ids/<key>.safetensors                                                 identifiers, by content

A cell is built in its partial folder, which is renamed when everything is in it. So a finished folder is always
complete, and a killed run leaves nothing but a partial folder to go on from.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from bench import files
from bench.contract import digest
from bench.errors import BenchError

TRAINING_FOLDER = "context"  # where a baseline trains
BEGUN_FRESH = "begun-with-force"  # marks a partial folder that shall replace a finished cell


@dataclass(frozen=True)
class Cell:
    """One data set x scheme x seed under one contract. ``settings`` are those not at the scheme's defaults;
    ``trained_on`` is the data set of the model, where that is another one.
    """

    dataset: str
    fingerprint: str
    scheme: str
    version: int
    settings: Mapping[str, Any]
    contract_id: str
    seed: int
    trained_on: str = ""

    def folder(self, results: Path) -> Path:
        """Where the finished cell is, or will be."""
        scheme = f"{self.scheme.replace('/', '-')}@{self.version}"
        scheme += f"+{digest(self.settings)}" if self.settings else ""
        return results / "runs" / self.dataset / scheme / f"{self.contract_id}-{self.fingerprint[:6]}" / str(self.seed)

    @property
    def title(self) -> str:
        home = f", trained on {self.trained_on}" if self.trained_on else ""
        return f"{self.scheme} on {self.dataset}{home}, seed {self.seed}"


def finished(folder: Path) -> bool:
    return (folder / "result.json").exists()


def partial_folder(folder: Path) -> Path:
    """Where a cell is built before it is ``folder``."""
    return folder.with_name(f".{folder.name}.partial")


@contextlib.contextmanager
def building(folder: Path, fresh: bool) -> Iterator[Path]:
    """The partial folder of a cell, which this process alone may write; it becomes ``folder`` when the block ends well.

    With ``fresh`` a partial folder that is there is thrown away first, unless it was itself begun ``fresh``: that is
    then gone on with. BenchError where the results folder can't be written, or another process is at the same cell.
    """
    partial = partial_folder(folder)
    with _locked(folder):
        with writable(partial):
            if fresh and not (partial / BEGUN_FRESH).exists():
                shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(exist_ok=True)
            for half in partial.glob(".*"):  # being written when its process was killed
                half.unlink()
            if fresh:
                (partial / BEGUN_FRESH).touch()
        yield partial
        with writable(folder):
            _swap(partial, folder)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Nobody else builds this cell during the block; BenchError where somebody does already."""
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
    """Put a whole cell in its place; what was only needed to get there goes last, when nothing can be lost any more."""
    old = folder.with_name(f".{folder.name}.old")
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(folder, old)
    os.replace(partial, folder)
    shutil.rmtree(old, ignore_errors=True)
    (folder / BEGUN_FRESH).unlink(missing_ok=True)
    shutil.rmtree(folder / TRAINING_FOLDER, ignore_errors=True)
    for checkpoint in folder.glob("stage-*.safetensors"):
        checkpoint.unlink()


def recover(folder: Path) -> None:
    """Finish what a kill in a cell's last moment left undone: ``result.json`` is written last, its folder is whole."""
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
