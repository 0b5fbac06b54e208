"""A scheme fitted, or its stages trained, in a process of its own: ``python -m bench.conformance.fresh FOLDER``.

The process has the data where a whole run has it, in memory and in the data folder. What is opened is watched.
"""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.conformance import process
from bench.conformance.process import Process, data_of, task_of, tell
from bench.conformance.watching import watched
from bench.data.dataset import Dataset, LeakedView, TrainView
from bench.data.splits import leave_one_out
from bench.errors import said
from bench.ids import storage
from bench.ids.identifiers import Ids
from bench.runs import subjects
from bench.runs.attribution import location
from bench.vocabulary import Vocabulary

IDENTIFIERS, AGAIN = "identifiers.safetensors", "again.safetensors"


@dataclass(frozen=True)
class Task:
    """What a process is to fit: a scheme and its settings as text, and the language model's tokenizer, if any, as its
    folder and the rows of its table. ``reads`` is the backbone where it is the scheme's encoder of texts. ``places``
    are what the data set is read from, ``overrides`` those of the check. With ``identifiers``, a file of them, their
    stages are trained instead, and then on the data in the folder ``twin``.
    """

    scheme: str
    settings: dict[str, str]
    seed: int
    language: tuple[str, int, bool] | None
    reads: str = ""
    places: list[str] = field(default_factory=list)
    overrides: list[str] = field(default_factory=list)
    identifiers: str = ""
    twin: str = ""


@dataclass(frozen=True)
class Report:
    """What a process came to. ``error`` is empty where it made identifiers and stored them; ``origin`` is the line of
    the scheme's source that it comes from. ``opened`` are files with held-out interactions that the scheme opened,
    ``stages`` what each came to, where they were trained.
    """

    error: str = ""
    origin: str = ""
    opened: tuple[str, ...] = ()
    stored: bool = False  # whether the error comes from storing what fit returned
    stages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fresh(Process):
    """One process, under way or finished."""

    @cached_property
    def report(self) -> Report:
        """What came of it. Waits for its end."""
        told = self.told
        if isinstance(told, str):
            return Report(error=told)
        return Report(**told | {name: tuple(told[name]) for name in ("opened", "stages")})

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
    return Fresh(folder, process.begin("bench.conformance.fresh", folder, dataset, asdict(task), hash_seed))


def fit(folder: Path) -> Report:
    """Do the task that is described in the folder."""
    task = task_of(folder)
    if task["identifiers"]:
        return _train(folder, task)
    # The whole data set and its split stay in memory, as they do in a run, so that what looks for them finds them.
    dataset = data_of(folder, task)
    cls = subjects.load_scheme(task["scheme"])
    scheme = cls(subjects.settings(cls, task["settings"]))
    split = leave_one_out(dataset, task["seed"])
    train = _with_language(replace(split.train, cache=folder / "cache"), task)
    view = LeakedView.of(train, dataset) if scheme.leaks else train
    view = replace(view, sequences=view.sequences.read_only())
    try:
        with watched(task["places"], list(task["settings"].values())) as opened:
            ids = scheme.fit(view)
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


def _with_language(train: TrainView, task: dict[str, Any]) -> TrainView:
    """The view with the words of the language model, and with itself where it is to read texts."""
    if not task["language"]:
        return train
    folder, *rows = task["language"]
    train = replace(train, language=Vocabulary.of_language_model(Path(folder), *rows))
    if not task["reads"]:
        return train
    from bench.runs.fitting import reader  # here, for it imports what models are made of

    return replace(train, reader=reader(task["reads"], train.language))


def _train(folder: Path, task: dict[str, Any]) -> Report:
    """In this process, and on the twin's data in another one, which is made when all has been imported and nothing
    done: neither has anything of the other's in memory.
    """
    from bench.conformance.staged import stages  # here, for it imports what trains

    twin = os.fork()
    there = folder if twin else Path(task["twin"])
    os.environ["BENCH_DATA_DIR"] = str(there / "data")
    try:
        found, opened = stages(there, data_of(there, task), Path(task["identifiers"]), task)
        report = Report(opened=opened, stages=found)
    except Exception as error:  # whatever a stranger's scheme raises
        report = Report(said(error))
    if not twin:
        tell(there, asdict(report))
        os._exit(0)
    os.waitpid(twin, 0)
    return report


if __name__ == "__main__":
    tell(Path(sys.argv[1]), asdict(fit(Path(sys.argv[1]))))
