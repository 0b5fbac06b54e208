"""Probes: rules that nobody would call a recommender, and that score well only where something is wrong or too easy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Sequences, TrainView
from bench.errors import BenchError
from bench.evaluation.baseline import Baseline
from bench.ids.diagnostics import written
from bench.ids.identifiers import Ids
from bench.results.kept import Overlap, read_state, same_items, write_state
from bench.runs import subjects


@dataclass(frozen=True)
class MaxPlusOneSettings:
    numbering: str = "numeric/sequential"  # an identifier scheme that writes numbers


@dataclass(frozen=True)
class MaxPlusOneLeakSettings(MaxPlusOneSettings):
    numbering: str = "numeric/p5-leak"


class MaxPlusOne(Baseline):
    """The item numbered one above the largest number in the history; then two above, and so on round the catalogue.

    It learns nothing, so a Hit@1 that chance doesn't explain shows that the numbers hold the answer.
    """

    name = "max+1"
    probe = True
    saves_state = True
    no_transfer_reason = "reads numbers that are given to the items of one catalogue"
    Settings = MaxPlusOneSettings

    def cache_key(self) -> str:
        """Which numbering it reads, for that decides every score."""
        scheme = subjects.load_scheme(self.settings.numbering)
        return f"{scheme.name}@{scheme.version} {subjects.source_digest(scheme)} {scheme().cache_key()}"

    def fit(self, train: TrainView) -> None:
        scheme = subjects.load_scheme(self.settings.numbering)
        if scheme.leaks and not self.leaks:
            raise BenchError(
                f"{self.name} cannot probe {scheme.name}, which is fitted on validation and test items; "
                f"probe it with --set {MaxPlusOneLeak.name}.numbering={scheme.name} --baseline {MaxPlusOneLeak.name}"
            )
        self.ranks = np.argsort(np.argsort(numbers(scheme().fit(train), scheme.name), kind="stable"))

    def score(self, histories: Sequences) -> NDArray[np.float32]:
        largest = np.array([self.ranks[histories[row]].max(initial=-1) for row in range(len(histories))], np.int64)
        steps = (self.ranks - largest[:, None] - 1) % len(self.ranks)
        return -steps.astype(np.float32)

    def save_state(self, folder: Path) -> None:
        write_state(folder, {"ranks": self.ranks})

    def restore(self, saved: Path) -> None:
        self.ranks = read_state(saved)[0]["ranks"]


class MaxPlusOneLeak(MaxPlusOne):
    """The rule of ``max+1`` on a numbering that has seen the test items, as P5's had."""

    name = "max+1-leak"
    leaks = True
    Settings = MaxPlusOneLeakSettings


def numbers(ids: Ids, name: str) -> NDArray[np.int64]:
    """``[items]``: the numbers that identifiers spell out; BenchError where one is anything else."""
    texts = ["".join(written(ids, item).split()) for item in range(len(ids))]
    strange = next((text for text in texts if not text.isdecimal()), None)
    if strange is not None:
        raise BenchError(f"max+1 needs a scheme that writes numbers; {name} writes '{strange}'")
    return np.array([int(text) for text in texts], np.int64)


@dataclass(frozen=True)
class RepeatSettings(Overlap):
    by: Literal["recent", "frequent"] = "recent"  # which of the user's own items come first; ties by recency


class Repeat(Baseline):
    """The user's own items first, then what is popular: how far one gets without anything new.

    Where no user takes an item twice, as in the Amazon reviews, it is popularity with the first ranks wasted.
    """

    name = "repeat"
    probe = True
    saves_state = True
    supports_transfer = True
    Settings = RepeatSettings

    def fit(self, train: TrainView) -> None:
        counts = np.bincount(train.sequences.values, minlength=len(train.items))
        self.popularity = (counts / (counts.max(initial=0) + 1)).astype(np.float32)  # below 1

    def score(self, histories: Sequences) -> NDArray[np.float32]:
        scores = np.tile(self.popularity, (len(histories), 1))
        for row in range(len(histories)):
            own = self.ranked(histories[row])
            scores[row, own] = np.arange(len(own), 0, -1)
        return scores

    def save_state(self, folder: Path) -> None:
        write_state(folder, {"popularity": self.popularity})

    def restore(self, saved: Path) -> None:
        self.popularity = read_state(saved)[0]["popularity"]

    def transfer(self, target: TrainView, saved: Path) -> None:
        self.restore(saved)
        self.popularity = same_items(target.items, saved, self.settings) @ self.popularity

    def ranked(self, history: NDArray[np.int32]) -> NDArray[np.int32]:
        """The distinct items of a history, best first."""
        items, newest, counts = np.unique(history[::-1], return_index=True, return_counts=True)
        weights = counts if self.settings.by == "frequent" else np.zeros_like(counts)
        return items[np.lexsort((newest, -weights))]
