"""A scheme fitted in a process of its own: ``python -m bench.conformance.fresh FOLDER``.

The process has the data where a whole run has it, in memory and in the data folder. What ``fit`` opens is watched.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.data.dataset import Dataset, LeakedView
from bench.data.formats import read_atomic, write_atomic
from bench.data.splits import leave_one_out
from bench.errors import said
from bench.ids import storage
from bench.ids.identifiers import Ids
from bench.runs import subjects
from bench.runs.attribution import location
from bench.vocabulary import Vocabulary

IDENTIFIERS, AGAIN, REPORT, ERRORS = "identifiers.safetensors", "again.safetensors", "report.json", "errors.txt"


@dataclass(frozen=True)
class Task:
    """What a process is to fit: a scheme and its settings as text, and the language model's tokenizer, if any, as its
    folder and the rows of its table.
    """

    scheme: str
    settings: dict[str, str]
    seed: int
    language: tuple[str, int, bool] | None


@dataclass(frozen=True)
class Report:
    """What a process came to. ``error`` is empty where it made identifiers and stored them; ``origin`` is the line of
    the scheme's source that it comes from. ``opened`` are files with held-out interactions that ``fit`` opened.
    """

    error: str = ""
    origin: str = ""
    opened: tuple[str, ...] = ()
    stored: bool = False  # whether the error comes from storing what fit returned


@dataclass(frozen=True)
class Fresh:
    """One process, under way or finished, and the folder it works in."""

    folder: Path
    process: subprocess.Popen[bytes]

    @cached_property
    def report(self) -> Report:
        """What came of it. Waits for its end."""
        self.process.wait()
        said = (self.folder / ERRORS).read_text("utf-8", errors="replace").strip().splitlines()
        path = self.folder / REPORT
        if not path.exists():  # it was killed, or left with sys.exit
            last = said[-1] if said else "nothing"
            return Report(error=f"the process ended with code {self.process.returncode}, and last said: {last}")
        return Report(**json.loads(path.read_text()))

    @property
    def identifiers(self) -> Path:
        """The file of identifiers, whose bytes are the same where the identifiers are."""
        return self.folder / IDENTIFIERS

    @property
    def again(self) -> Path:
        """The same identifiers, loaded and stored once more."""
        return self.folder / AGAIN


def start(folder: Path, dataset: Dataset, task: Task, hash_seed: int) -> Fresh:
    """Begin to fit a scheme on a data set, which is written where the process looks for data."""
    write_atomic(dataset, folder / "data" / dataset.name)
    (folder / "task.json").write_text(json.dumps({"dataset": dataset.name, **asdict(task)}))
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYTHONHASHSEED": str(hash_seed),
        "BENCH_DATA_DIR": str(folder / "data"),
    }
    command = [sys.executable, "-m", "bench.conformance.fresh", str(folder)]
    quiet = subprocess.DEVNULL
    with (folder / ERRORS).open("wb") as errors:
        process = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=errors, env=environment)
    return Fresh(folder, process)


def fit(folder: Path) -> Report:
    """Do the task that is described in the folder."""
    task = json.loads((folder / "task.json").read_text())
    cls = subjects.load_scheme(task["scheme"])
    scheme = cls(subjects.settings(cls, task["settings"]))
    # The whole data set stays in memory, as it does in a run, so that what looks for it there finds it.
    dataset = read_atomic(folder / "data" / task["dataset"], task["dataset"])
    language = task["language"] and Vocabulary.of_language_model(Path(task["language"][0]), *task["language"][1:])
    train = replace(leave_one_out(dataset, task["seed"]).train, language=language, cache=folder / "cache")
    try:
        with watched() as opened:
            ids = scheme.fit(LeakedView.of(train, dataset) if scheme.leaks else train)
    except Exception as error:  # whatever a stranger's scheme raises
        return Report(said(error), location(error, type(scheme)))
    if not isinstance(ids, Ids):
        return Report(f"fit returned {type(ids).__name__}, not identifiers")
    try:
        storage.save(ids, folder / IDENTIFIERS, {})
        storage.save(storage.load(folder / IDENTIFIERS)[0], folder / AGAIN, {})
    except Exception as error:
        return Report(said(error), opened=tuple(opened), stored=True)
    return Report(opened=tuple(opened))


@contextmanager
def watched() -> Iterator[list[str]]:
    """Files with interactions that Python code opens within the block."""
    opened: list[str] = []
    watching = True

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event == "open":
            path = os.fspath(arguments[0]) if isinstance(arguments[0], str | os.PathLike) else ""
            if path not in opened and str(path).endswith(".inter"):
                opened.append(str(path))

    sys.addaudithook(note)  # a hook stays for good, but this process ends soon
    try:
        yield opened
    finally:
        watching = False


if __name__ == "__main__":
    there = Path(sys.argv[1])
    (there / REPORT).write_text(json.dumps(asdict(fit(there))))
