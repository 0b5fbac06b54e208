"""A search for the settings of a scheme's training, trial by trial, in the folder of its run.

    trial-3-0.25/trial.json      what came of trial 3 with a quarter of the budget

A trial is a training like any other and resumes like one; a finished one is read back. All folders of trials go when
the run is finished: ``training.search`` in its result holds every record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from bench import files, ranks
from bench.contract import Contract, changed
from bench.errors import BenchError, DivergedError
from bench.results import store
from bench.runs.progress import Display
from bench.training.search import Record, Searched, Settings, draws, halve, said

RECORD = "trial.json"


@dataclass(frozen=True)
class Ranges:
    """How many ``trials`` a search has and between which values of the contract's lines it chooses."""

    trials: int
    lines: tuple[tuple[str, tuple[Any, ...]], ...]

    @property
    def stated(self) -> dict[str, Any]:
        """What tells one search from another."""
        return {"tune": self.trials, "searched": ", ".join(name for name, _ in self.lines)}


@dataclass(frozen=True)
class Found:
    """The contract of the trial that won, and all that was tried."""

    contract: Contract
    trials: list[Settings]
    searched: Searched

    def summary(self, seed: int) -> dict[str, Any]:
        return self.searched.summary(self.trials, seed)

    def costs(self, of_row: Mapping[str, float | None]) -> dict[str, float | None]:
        """Those of the row and of all trials together, for without them nobody would know its settings."""
        both = ((name, value, self.searched.total(name)) for name, value in of_row.items())
        return {name: None if value is None or more is None else value + more for name, value, more in both}


@dataclass(frozen=True)
class Searching:
    """A search under way. ``train`` trains with a contract, in a folder, on a fraction of the budget, and tells what
    came of it: ``best_validation``, ``steps`` and costs.
    """

    ranges: Ranges
    contract: Contract
    seed: int
    partial: Path
    title: str
    selection: str
    display: Display
    accelerator: Accelerator
    train: Callable[[Contract, Path, float], Record]

    def found(self) -> Found:
        lines = dict(self.ranges.lines)
        present = {name: getattr(self.contract, name) for name in lines}
        trials = draws(lines, present, self.ranges.trials, self.seed)
        searched = halve(len(trials), lambda number, fraction: self.attempt(number, trials[number], fraction))
        self.display.say(f"{self.title}: {said(searched, trials, self.selection)}")
        return Found(with_lines(self.contract, trials[searched.chosen]), trials, searched)

    def attempt(self, number: int, settings: Settings, fraction: float) -> Record:
        """One trial on one rung; what it came to is written, and its weights are let go."""
        folder = self.partial / f"{store.TRIAL}{number}-{fraction:g}"
        record = ranks.shared(lambda: self.kept(folder))
        if record:
            return record
        lines = ", ".join(f"{name}={value}" for name, value in settings.items())
        self.display.say(f"{self.title}: trial {number + 1}, {fraction:g} of the budget, with {lines}")
        if self.accelerator.is_main_process:
            with store.writable(folder):
                folder.mkdir(exist_ok=True)
        try:
            record = {"fraction": fraction, **self.train(with_lines(self.contract, settings), folder, fraction)}
        except DivergedError as error:
            record = {"fraction": fraction, "failed": str(error)}
        if self.accelerator.is_main_process:
            store.write_json(folder / RECORD, record)
            for weights in folder.glob("*.safetensors"):
                weights.unlink()
        self.accelerator.wait_for_everyone()
        return record

    def kept(self, folder: Path) -> Record:
        """What came of a trial that is finished; nothing where it is not."""
        try:
            return dict(files.read_json(folder / RECORD))
        except OSError:
            return {}
        except (ValueError, TypeError) as error:
            raise BenchError(f"'{folder / RECORD}' is corrupt ({error}); delete it, or run with --force") from error


def with_lines(contract: Contract, settings: Mapping[str, Any]) -> Contract:
    """The contract of a trial."""
    return changed(contract, {name: str(value) for name, value in settings.items()})
