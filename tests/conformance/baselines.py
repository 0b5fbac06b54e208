"""Baselines that each fail one requirement, and two that meet all, for the processes of a check to load."""

from __future__ import annotations

import gc
import itertools
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Dataset, ItemTable, Sequences, TrainView
from bench.data.splits import Targets
from bench.evaluation.baseline import Baseline, Facts, TrainedBaseline, TrainingContext
from bench.ids.limits import CatalogueSize, Needs
from bench.results import kept

Scores = NDArray[np.float32]


NUMBERS = itertools.count()


class Counting(Baseline):
    """Sound in everything."""

    name = "test/counting"
    saves_state = True
    supports_transfer = True

    def fit(self, train: TrainView) -> None:
        self.counts = np.bincount(train.sequences.values, minlength=len(train.items)).astype(np.float32)

    def score(self, histories: Sequences) -> Scores:
        found = np.tile(self.counts, (len(histories), 1))
        for row in range(len(histories)):
            found[row, histories[row]] += 0.5
        return found

    def save_state(self, folder: Path) -> None:
        kept.write_state(folder, {"counts": self.counts})

    def restore(self, saved: Path) -> None:
        self.counts = kept.read_state(saved)[0]["counts"]

    def transfer(self, target: TrainView, saved: Path) -> None:
        self.counts = np.zeros(len(target.items), np.float32)


class Raising(Counting):
    name = "test/raising"

    def fit(self, train: TrainView) -> None:
        raise KeyError("no such\ncolumn")


class Leaving(Counting):
    name = "test/leaving"

    def fit(self, train: TrainView) -> None:
        os._exit(3)


class LeavingLate(Counting):
    name = "test/leaving-late"

    def save_state(self, folder: Path) -> None:
        os._exit(3)


class Exiting(Counting):
    name = "test/exiting"

    def score(self, histories: Sequences) -> Scores:
        sys.exit("no such model")


class Hanging(Counting):
    name = "test/hanging"

    def fit(self, train: TrainView) -> None:
        pids = Path(os.environ["TMPDIR"])
        (pids / f"{os.getpid()}.pid").touch()
        time.sleep(600)


class Padded(Counting):
    name = "test/padded"

    def score(self, histories: Sequences) -> Scores:
        return np.pad(super().score(histories), ((0, 0), (1, 0)))


class NeedsHistory(Counting):
    name = "test/needs-history"

    def score(self, histories: Sequences) -> Scores:
        last = [histories[row][-1] for row in range(len(histories))]
        return super().score(histories) + np.array(last, np.float32)[:, None]


class Endless(Counting):
    name = "test/endless"

    def score(self, histories: Sequences) -> Scores:
        found = super().score(histories)
        found[:, 3] = -np.inf
        return found


class Ranked(Counting):
    """Every score is a place among all that are asked for at once."""

    name = "test/ranked"

    def score(self, histories: Sequences) -> Scores:
        found = super().score(histories)
        found[:, 0] = np.arange(len(histories))
        return found


class Hashing(Counting):
    name = "test/hashing"

    def fit(self, train: TrainView) -> None:
        super().fit(train)
        self.counts[0] = hash(train.items.ids[0]) % 1000


class ReadsFiles(Counting):
    name = "test/reads-files"

    def fit(self, train: TrainView) -> None:
        super().fit(train)
        next(Path(os.environ["BENCH_DATA_DIR"]).rglob("*.inter")).read_text()


class ReadsMemory(Counting):
    name = "test/reads-memory"

    def fit(self, train: TrainView) -> None:
        super().fit(train)
        whole = next(found for found in gc.get_objects() if isinstance(found, Dataset))
        self.counts += np.bincount(whole.sequences.values, minlength=len(train.items))


class Leak(Counting):
    name = "test/leak"
    leaks = True


class Forgetful(Counting):
    name = "test/forgetful"

    def restore(self, saved: Path) -> None:
        super().restore(saved)
        self.counts = np.round(self.counts / 2)


class Unsaved(Counting):
    name = "test/unsaved"
    saves_state = False


class Misfitting(Counting):
    name = "test/misfitting"

    def transfer(self, target: TrainView, saved: Path) -> None:
        self.restore(saved)


class Stepwise(TrainedBaseline):
    """Sound in everything: ten steps, of which it keeps each."""

    name = "test/stepwise"
    steps = 10

    def fit(self, train: TrainView, validation: Targets, context: TrainingContext) -> None:
        begun = context.folder / "step.json"
        self.weights = np.zeros(len(train.items), np.float32)
        first = 0
        if begun.exists():
            first, weights = json.loads(begun.read_text())
            self.weights += np.array(weights, np.float32)
        random = train.random().random((self.steps, len(train.items))).astype(np.float32)
        for step in range(first, self.steps):
            self.weights += random[step]
            begun.write_text(json.dumps([step + 1, self.weights.tolist()]))
            context.progress(step + 1, self.steps, {})
        self.chosen(validation)

    def chosen(self, validation: Targets) -> None:
        """By validation, as it may."""
        self.weights[int(validation.items[0])] += 1

    def score(self, users: NDArray[np.int64], histories: Sequences) -> Scores:
        return np.tile(self.weights, (len(histories), 1))

    def facts(self) -> Facts:
        return Facts(float(len(self.weights)), 0.0)


class AgainTwice(Stepwise):
    """What is resumed goes through all its steps again."""

    name = "test/again-twice"

    def fit(self, train: TrainView, validation: Targets, context: TrainingContext) -> None:
        begun = context.folder / "step.json"
        if begun.exists():
            begun.write_text(json.dumps([0, json.loads(begun.read_text())[1]]))
        super().fit(train, validation, context)


class Silent(Stepwise):
    name = "test/silent"

    def fit(self, train: TrainView, validation: Targets, context: TrainingContext) -> None:
        self.weights = np.zeros(len(train.items), np.float32)


class Uncounted(Stepwise):
    name = "test/uncounted"

    def facts(self) -> Facts:
        raise ValueError("nobody counted")


class Unclosable(Stepwise):
    name = "test/unclosable"

    def close(self) -> None:
        raise ValueError("still at work")


class Numpy(Stepwise):
    """What it tells of its training is no plain number."""

    name = "test/numpy"

    def fit(self, train: TrainView, validation: Targets, context: TrainingContext) -> None:
        context.progress(1, 1, {"loss": np.float32(1)})


class Nothing(Stepwise):
    name = "test/nothing"

    def facts(self) -> Facts:
        return None  # type: ignore[return-value]


class NumpyFacts(Stepwise):
    name = "test/numpy-facts"

    def facts(self) -> Facts:
        return Facts(np.float32(3), 0.0)


class Caching(Counting):
    """No run of a baseline has a cache."""

    name = "test/caching"

    def fit(self, train: TrainView) -> None:
        super().fit(train)
        train.cache.mkdir(parents=True, exist_ok=True)  # type: ignore[union-attr]


class OwnFormat(Counting):
    name = "test/own-format"

    def save_state(self, folder: Path) -> None:
        np.save(folder / "counts.npy", self.counts)

    def restore(self, saved: Path) -> None:
        self.counts = np.load(saved / "counts.npy")


class RankedButOne(Ranked):
    """One item has the lowest score that comes to mind, beside which all others are alike."""

    name = "test/ranked-but-one"

    def score(self, histories: Sequences) -> Scores:
        found = super().score(histories)
        found[:, 1] = -1e9
        return found


class Picky(Counting):
    name = "test/picky"

    def validate_items(self, items: ItemTable) -> None:
        raise KeyError("genre")


class Neither:
    """No subclass of anything."""


@dataclass(frozen=True)
class Width:
    width: int = 1


class Settled(Counting):
    name = "test/settled"
    Settings = Width

    def fit(self, train: TrainView) -> None:
        super().fit(train)
        if self.settings.width != 3:
            raise ValueError("not wide enough")


class Dividing(Counting):
    """Its share of an item is that of users who have any, of which there may be none."""

    name = "test/dividing"

    def fit(self, train: TrainView) -> None:
        super().fit(train)
        if (train.sequences.lengths == 0).any():
            self.counts[self.counts == 0] = np.nan


class KeyOfNow(Counting):
    name = "test/key-of-now"

    def cache_key(self) -> str:
        return str(id(self)) + str(next(NUMBERS))


class Boundless(Counting):
    name = "test/boundless"

    def needs(self, size: CatalogueSize) -> Needs:
        return Needs(float("nan"))


class Summed(Counting):
    """Sound in everything; what it needs is counted in NumPy's numbers, which a run takes."""

    name = "test/summed"

    def needs(self, size: CatalogueSize) -> Needs:
        each = np.array([size.items, size.users])
        return Needs(each.sum(), np.float32(1))
