"""What a scheme is checked on: a cut of a data set, fits in fresh processes, a tiny training; made on first use."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bench import backbone
from bench.conformance import fresh, process
from bench.conformance.cut import cut, moved
from bench.conformance.fresh import Fresh, Task
from bench.conformance.planned import planned
from bench.conformance.process import Process
from bench.conformance.request import CheckRequest
from bench.conformance.result import CheckResult
from bench.conformance.watching import places
from bench.contract import Contract
from bench.data import sources
from bench.data.dataset import Dataset
from bench.data.splits import Split, leave_one_out
from bench.evaluation.baseline import Baseline, TrainedBaseline
from bench.ids import storage
from bench.ids.identifiers import Ids
from bench.ids.scheme import IdScheme
from bench.runs.attribution import attribute_errors
from bench.runs.fitting import reads_texts, refuse_reading, with_language
from bench.runs.request import Request

if TYPE_CHECKING:
    from bench.conformance.training import Outcome


class AnyFixtures:
    """Of one scheme or baseline on one data set. Its folder goes when it does."""

    subject: IdScheme | Baseline | TrainedBaseline
    contract: Contract

    def __init__(self, asked: CheckRequest) -> None:
        self.asked = asked
        self.folder = Path(tempfile.mkdtemp(prefix="bench-check-"))
        self.processes: list[Process] = []
        self.results: dict[str, CheckResult] = {}
        weakref.finalize(self, _clear, self.folder, self.processes)

    @cached_property
    def data(self) -> Dataset:
        """A piece of the data set, as the subject reads it in a run."""
        found = cut(sources.find(self.asked.dataset, self.asked.data_dir))
        request = Request(self.subject, found, self.contract, self.asked.seed, None, self.folder)
        with attribute_errors(self.subject):
            return replace(found, items=request.items)

    @property
    def places(self) -> list[str]:
        """What the data set is read from."""
        return places(self.asked.dataset, self.asked.data_dir)

    def item(self, index: int) -> str:
        """A catalogue item in words."""
        text = next((column[index] for column in self.data.items.text.values() if column[index]), "")
        return f"item '{self.data.items.ids[index]}'" + (f", {text}" if text else "")


class Fixtures(AnyFixtures):
    """Of one scheme on one data set."""

    def __init__(self, asked: CheckRequest) -> None:
        super().__init__(asked)
        self.trained: Outcome | None = None
        self.scheme, self.contract = planned(asked.subject, asked.dataset, asked.seed, asked.overrides)
        self.subject = self.scheme
        backbone.require(self.contract)
        refuse_reading(self.scheme, self.contract)

    @cached_property
    def split(self) -> Split:
        split = leave_one_out(self.data, self.asked.seed, self.contract.max_history)
        return replace(split, train=replace(with_language(split.train, self.contract), cache=self.folder / "cache"))

    @cached_property
    def first(self) -> Fresh:
        """The scheme fitted in a process of its own, which a look here starts."""
        return self._start("first", self.data, hash_seed=1)

    @cached_property
    def second(self) -> Fresh:
        """The same in another process, with Python's hashes seeded differently."""
        return self._start("second", self.data, hash_seed=2)

    @cached_property
    def moved(self) -> Fresh:
        """The first again, on data with other held-out items."""
        return self._start("moved", moved(self.data), hash_seed=1)

    @cached_property
    def stages(self) -> tuple[Fresh, Fresh]:
        """The stages trained on the identifiers of the first, and the same where other items are held out."""
        twin = self.folder / "moved-stages"
        process.place(twin, moved(self.data))
        (twin / process.ERRORS).touch()
        one = self._start("stages", self.data, 1, self.first.identifiers, twin)
        return one, replace(one, folder=twin)

    def begin(self) -> tuple[Fresh, Fresh, Fresh]:
        """All three, which then work side by side."""
        return self.first, self.second, self.moved

    @cached_property
    def ids(self) -> Ids:
        """What the first fit made, read back as a run reads it. Only where its report has no error."""
        return storage.load(self.first.identifiers)[0]

    def _start(self, name: str, data: Dataset, hash_seed: int, *stages: Path) -> Fresh:
        """``stages`` are a file of identifiers and the folder of other data, where their stages are to be trained."""
        own = (override.partition("=") for override in self.asked.overrides)
        settings = {key.partition(".")[2]: value for key, _, value in own if "." in key}
        task = Task(
            self.asked.subject,
            settings,
            self.asked.seed,
            _tokenizer(self.contract),
            self.contract.backbone if reads_texts(self.scheme) else "",
            self.places,
            list(self.asked.overrides),
            *map(str, stages),
        )
        folder = self.folder / name
        begun = fresh.start(folder, data, task, hash_seed)
        self.processes.append(begun)
        return begun


def _tokenizer(contract: Contract) -> tuple[str, int, bool] | None:
    found = backbone.tokenizer_of(contract.backbone)
    return found and (str(found[0]), *found[1:])


def _clear(folder: Path, processes: Sequence[Process]) -> None:
    for fit in processes:
        if fit.process.poll() is None:
            fit.process.kill()
            fit.process.wait()
    shutil.rmtree(folder, ignore_errors=True)
