"""A process of its own that does a task on a data set in its folder, and tells what came of it in a file there.

task.json      what it is to do, and on which data set
data/          where it looks for data
report.json    what came of it
errors.txt     what it said on the way
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.data.dataset import Dataset
from bench.data.formats import read_atomic, write_atomic

TASK, REPORT, ERRORS = "task.json", "report.json", "errors.txt"
STOP_AFTER = 0.6  # of all that a training reports: in the second half, so that something has been stored


class Stopped(BaseException):
    """As if the process had been killed; no ``except Exception`` holds it up."""


@dataclass(frozen=True)
class Process:
    """One process, under way or finished, and the folder it works in."""

    folder: Path
    process: subprocess.Popen[bytes]

    @cached_property
    def told(self) -> dict[str, Any] | str:
        """Its report, or why there is none. Waits for its end."""
        self.process.wait()
        said = (self.folder / ERRORS).read_text("utf-8", errors="replace").strip().splitlines()
        path = self.folder / REPORT
        if not path.exists():  # it was killed, or left with sys.exit
            last = said[-1] if said else "nothing"
            return f"the process ended with code {self.process.returncode}, and last said: {last}"
        found: dict[str, Any] = json.loads(path.read_text())
        return found


def begin(
    module: str, folder: Path, dataset: Dataset, task: Mapping[str, Any], hash_seed: int
) -> subprocess.Popen[bytes]:
    """Start ``python -m module folder``, with Python's hashes seeded by ``hash_seed``."""
    place(folder, dataset)
    (folder / TASK).write_text(json.dumps({"dataset": dataset.name, **task}))
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYTHONHASHSEED": str(hash_seed),
        "BENCH_DATA_DIR": str(folder / "data"),
        "OMP_NUM_THREADS": "1",  # so that the bits of two processes can be compared
    }
    quiet = subprocess.DEVNULL
    with (folder / ERRORS).open("wb") as errors:
        command = [sys.executable, "-m", module, str(folder)]
        return subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=errors, env=environment)


def place(folder: Path, dataset: Dataset) -> None:
    """Write a data set where a process of this folder looks for it."""
    write_atomic(dataset, folder / "data" / dataset.name)


def task_of(folder: Path) -> dict[str, Any]:
    """What a process of this folder is to do."""
    found: dict[str, Any] = json.loads((folder / TASK).read_text())
    return found


def data_of(folder: Path, task: Mapping[str, Any]) -> Dataset:
    return read_atomic(folder / "data" / task["dataset"], task["dataset"])


def tell(folder: Path, report: Mapping[str, Any]) -> None:
    """Write a report for whoever has started the process."""
    (folder / REPORT).write_text(json.dumps(report))
