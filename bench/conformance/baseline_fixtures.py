"""What a baseline is checked on: fits in fresh processes, and one that reads a fit back; made on first use."""

from __future__ import annotations

from functools import cached_property

from bench.conformance import scoring
from bench.conformance.cut import HELD_OUT, moved
from bench.conformance.fixtures import AnyFixtures
from bench.conformance.planned import planned_baseline
from bench.conformance.process import STOP_AFTER
from bench.conformance.request import CheckRequest
from bench.conformance.scoring import SAVED, Scored, Task
from bench.data.dataset import Dataset
from bench.evaluation.baseline import TrainedBaseline


class BaselineFixtures(AnyFixtures):
    """Of one baseline on one data set."""

    def __init__(self, asked: CheckRequest) -> None:
        super().__init__(asked)
        self.baseline, self.contract = planned_baseline(asked.subject, asked.dataset, asked.seed, asked.overrides)
        self.subject = self.baseline

    @property
    def trains(self) -> bool:
        """Whether it chooses by validation, and may be stopped on the way."""
        return isinstance(self.baseline, TrainedBaseline)

    @cached_property
    def first(self) -> Scored:
        """The baseline fitted in a process of its own, which a look here starts."""
        return self._start("first", self.data, hash_seed=1)

    @cached_property
    def second(self) -> Scored:
        """The same in another process, with Python's hashes seeded differently."""
        return self._start("second", self.data, hash_seed=2)

    @cached_property
    def moved(self) -> Scored:
        """The first again, on data with other held-out items: what trains may choose by those of validation."""
        return self._start("moved", moved(self.data, 1 if self.trains else HELD_OUT), hash_seed=1)

    @cached_property
    def restored(self) -> Scored:
        """What the first has saved, read back in another process."""
        saved = self.first.folder / SAVED
        return self._start("restored", self.data, hash_seed=1, saved=str(saved))

    @cached_property
    def stopped(self) -> Scored:
        """The first again, stopped on the way and started once more."""
        return self._start("stopped", self.data, hash_seed=1, stop_at=max(1, round(STOP_AFTER * self.reports)))

    @property
    def reports(self) -> int:
        """How often a training tells how far it is."""
        return self.first.report.reports

    def begin(self) -> tuple[Scored, Scored, Scored]:
        """All three fits, which then work side by side."""
        return self.first, self.second, self.moved

    def _start(self, name: str, data: Dataset, hash_seed: int, saved: str = "", stop_at: int = 0) -> Scored:
        task = Task(self.asked.subject, self.asked.seed, list(self.asked.overrides), self.places, saved, stop_at)
        begun = scoring.start(self.folder / name, data, task, hash_seed)
        self.processes.append(begun)
        return begun
