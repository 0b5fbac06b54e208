"""A baseline fitted and asked for scores, or restored and asked again, in a process of its own: ``python -m
bench.conformance.scoring FOLDER``.

The process has the data where a whole run has it, in memory and in the data folder. What is opened is watched.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.children import end_with_parent
from bench.conformance import process
from bench.conformance.planned import planned_baseline
from bench.conformance.process import Process, Stopped, data_of, task_of, tell
from bench.conformance.watching import watched
from bench.data.dataset import Dataset, ItemTable, Sequences, TrainView
from bench.data.splits import Split, Targets, leave_one_out
from bench.errors import BenchError, said
from bench.evaluation.baseline import Baseline, TrainedBaseline, TrainingContext, checked_facts
from bench.results import kept
from bench.runs import curves
from bench.runs.adapting import few, passes
from bench.runs.attribution import location
from bench.runs.progress import Bar, Display
from bench.runs.request import Request
from bench.training.ranking import checked_scores, scores_of

SCORES, SAVED, CONTEXT = "scores.npz", "saved", "context"
ALONE = 16  # histories that are scored one by one as well
# What of the scores a process stores: of the training histories together and one by one, of odd ones, after a look back
WHOLE, ONE_BY_ONE, RESTORED = "whole", "alone", "restored"
ODD = ("an empty history", "a history of one item")
# Methods that may fail
FIT, SCORE, FACTS, SAVE, RESTORE, TRANSFER = "fit", "score", "facts", "save_state", "restore", "transfer"
CLOSE, ADAPT = "close", "adapt"
FEW = 5  # users that are adapted on
UNDER_WAY = "method.txt"  # which of them a process is in, for whoever finds it dead
WRITE = "write it with bench.results.kept.write_state"
OTHER = "other-"  # what the ids of an unseen catalogue begin with


@dataclass(frozen=True)
class Task:
    """What a process is to do: fit a baseline, named with its ``overrides`` as in the command. ``places`` are what the
    data set is read from. ``saved`` is the folder in which another process has saved its state, to be read back and not
    fitted. A fit that is to be stopped at one of its reports, ``stop_at``, is then started once more.
    """

    baseline: str
    seed: int
    overrides: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    saved: str = ""
    stop_at: int = 0


@dataclass(frozen=True)
class Scored(Process):
    """One process, under way or finished."""

    @cached_property
    def report(self) -> Report:
        """What came of it. Waits for its end."""
        told = self.told
        if isinstance(told, str):
            begun = self.folder / UNDER_WAY
            return Report(errors={begun.read_text() if begun.exists() else FIT: (told, "")})
        errors = {method: (error, origin) for method, (error, origin) in told["errors"].items()}
        return Report(**told | {"errors": errors, "opened": tuple(told["opened"])})

    @cached_property
    def scores(self) -> Mapping[str, NDArray[np.float32]]:
        """By what was scored. Of what failed there are none."""
        if not (self.folder / SCORES).exists():
            return {}
        with np.load(self.folder / SCORES) as found:
            return {name: found[name] for name in found.files}


@dataclass(frozen=True)
class Report:
    """What a process came to. ``errors`` are those of each method that failed, with the line of the baseline's own
    source that they come from; ``opened`` the files with held-out interactions that it opened, ``reports`` how often it
    told how far its training is.
    """

    errors: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    opened: tuple[str, ...] = ()
    reports: int = 0


def start(folder: Path, dataset: Dataset, task: Task, hash_seed: int) -> Scored:
    """Begin to fit a baseline on a data set, which is written where the process looks for data."""
    return Scored(folder, process.begin("bench.conformance.scoring", folder, dataset, asdict(task), hash_seed))


class Scoring:
    """The work of one process. Whatever a stranger's baseline raises is noted, and what rests on it left out."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.task = folder, Task(**_without_dataset(task_of(folder)))
        dataset = data_of(folder, task_of(folder))
        self.baseline, contract = planned_baseline(
            self.task.baseline, dataset.name, self.task.seed, self.task.overrides
        )
        # The whole data set and its split stay in memory, as they do in a run, so that what looks for them finds them.
        self.request = Request(self.baseline, dataset, contract, self.task.seed, None, folder / "results")
        self.split: Split = leave_one_out(dataset, self.task.seed, contract.max_history)
        self.view = self.request.view(self.split.train)
        self.errors: dict[str, tuple[str, str]] = {}
        self.scores: dict[str, NDArray[Any]] = {}
        self.reports = 0

    def report(self) -> Report:
        own = [str(self.folder / name) for name in (CONTEXT, SAVED, ADAPT)]
        with watched(self.task.places, self.overridden, own) as opened:
            try:
                if self.task.saved:
                    self.restored()
                else:
                    self.fitted()
            finally:
                self.close()
        return Report(self.errors, tuple(opened), self.reports)

    @property
    def overridden(self) -> list[str]:
        """What settings say: files among them may well be read."""
        return [override.partition("=")[2] for override in self.task.overrides]

    def fitted(self) -> None:
        with self.noted(FIT):
            self.fit()
        if self.errors:
            return
        with self.noted(SCORE):
            rows = np.arange(len(self.histories))
            self.scores[WHOLE] = self.score(rows, self.histories)
            each = [self.score(rows[row : row + 1], self.histories.rows(rows[row : row + 1])) for row in rows[:ALONE]]
            self.scores[ONE_BY_ONE] = np.concatenate(each)
            for name, items in zip(ODD, ([], [0]), strict=True):
                self.scores[name] = self.score(np.array([-1]), Sequences.from_rows([items]))
        if self.baseline.saves_state:
            with self.noted(SAVE):
                saved = self.folder / SAVED
                saved.mkdir()
                self.baseline.save_state(saved)
                if not (saved / kept.STATE).is_file():
                    raise BenchError(f"it wrote no {kept.STATE}, without which nothing reads a run back; {WRITE}")
                kept.write_catalogue(saved, self.view.items)
        if isinstance(self.baseline, TrainedBaseline):
            with self.noted(FACTS):
                checked_facts(self.baseline.facts(), self.baseline.name)
        elif not self.baseline.leaks:
            self.adapted()

    def fit(self) -> None:
        """Once; where it is to be stopped, up to there and then anew in the same folder."""
        if isinstance(self.baseline, Baseline):
            self.baseline.fit(self.view)
            return
        if self.task.stop_at:
            with contextlib.suppress(Stopped):
                self.train(self.baseline, self.task.stop_at)
            self.baseline.close()
            self.baseline = type(self.baseline)(self.baseline.settings)
        self.train(self.baseline)

    def train(self, baseline: TrainedBaseline, stop_at: int = 0) -> None:
        folder, self.reports = self.folder / CONTEXT, 0
        folder.mkdir(exist_ok=True)
        shown = curves.reporter(self.folder, "train", Bar(Display(loud=False), "train", 1))

        def progress(step: int, total: int, stats: Mapping[str, float]) -> None:
            shown(step, total, stats)
            self.reports += 1
            if self.reports == stop_at:
                raise Stopped

        sample, _ = self.split.validation.parted(self.request.contract.validation_users, self.task.seed)
        context = TrainingContext(folder, self.folder / "training.log", self.request.contract, progress=progress)
        baseline.fit(self.view, sample, context)

    def restored(self) -> None:
        """Read back from what another process has saved, and once more for a catalogue that it has not seen."""
        saved = Path(self.task.saved)
        with self.noted(RESTORE):
            self.baseline.restore(saved)
            self.scores[RESTORED] = self.score(np.arange(len(self.histories)), self.histories)
        if not self.baseline.supports_transfer:
            return
        with self.noted(TRANSFER):
            self.close()
            self.baseline = type(self.baseline)(self.baseline.settings)  # which knows nothing of the one before
            items = _other(self.view.items)
            nothing = Sequences(np.empty(0, np.int32), np.zeros(1, np.int64))
            self.baseline.transfer(
                TrainView(f"{OTHER}{self.view.dataset}", items, nothing, self.task.seed, cache=self.folder / "cache"),
                saved,
            )
            asked = Sequences.from_rows([[], [0]])
            self.scores[TRANSFER] = self.score(np.full(2, -1), asked, len(items))
        if isinstance(self.baseline, TrainedBaseline) and self.baseline.adapts:
            self.close()
            self.adapted()

    def adapted(self) -> None:
        """A new one that learns from a few users of an unseen catalogue, where it can also after a transfer."""
        part, self.baseline = few(self.split, FEW), type(self.baseline)(self.baseline.settings)
        view = replace(self.request.view(part.train), dataset=f"{OTHER}{self.view.dataset}")
        view = replace(view, items=_other(view.items, 1))
        with self.noted(ADAPT):
            if isinstance(self.baseline, Baseline):
                self.baseline.fit(view)
            else:
                empty = Sequences(np.empty(0, np.int32), np.zeros(1, np.int64))
                self.baseline.transfer(replace(view, sequences=empty), Path(self.task.saved))
                folder = self.folder / ADAPT
                folder.mkdir()
                context = TrainingContext(folder, self.folder / "adapt.log", passes(self.request.contract))
                self.baseline.adapt(view, part.validation, context)
            self.scores[ADAPT] = self.score(np.arange(len(self.histories)), self.histories)

    def close(self) -> None:
        if isinstance(self.baseline, TrainedBaseline):
            with self.noted(CLOSE):
                self.baseline.close()

    @property
    def histories(self) -> Sequences:
        """Those that are scored: of training, for what is held out must not matter to a score."""
        return self.split.train.sequences.newest(self.request.contract.max_history)

    def score(self, users: NDArray[np.int64], histories: Sequences, items: int = 0) -> NDArray[Any]:
        """BenchError where it is not a number for every history and item."""
        asked = Targets(users, histories, np.zeros(len(users), np.int32))
        shape = len(users), items or len(self.view.items)
        return checked_scores(scores_of(self.baseline, asked), shape, self.baseline.name)

    @contextlib.contextmanager
    def noted(self, method: str) -> Iterator[None]:
        """What is scored within is stored at once, for the next method may end the process."""
        (self.folder / UNDER_WAY).write_text(method)
        try:
            yield
        except (Exception, SystemExit) as error:  # whatever a stranger's baseline raises
            self.errors[method] = said(error), location(error, type(self.baseline))
        np.savez(self.folder / SCORES, **self.scores)  # type: ignore[arg-type]


def _without_dataset(task: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in task.items() if name != "dataset"}


def _other(items: ItemTable, every: int = 2) -> ItemTable:
    """Every second item under another id: a catalogue that has no item in common with the first, and is smaller."""
    text = {column: cells[::every] for column, cells in items.text.items()}
    return ItemTable(tuple(f"{OTHER}{item}" for item in items.ids[::every]), text)


if __name__ == "__main__":
    end_with_parent()  # a fit may never end, and is of no use to anybody else
    tell(Path(sys.argv[1]), asdict(Scoring(Path(sys.argv[1])).report()))
