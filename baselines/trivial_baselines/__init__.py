"""The two floors that every recommender must clear, what is popular and chance, and probes that only count: they show
a leak, or data on which no model is needed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Sequences, TrainView
from bench.evaluation.baseline import Baseline
from bench.results.kept import Overlap, read_state, same_items, write_state
from trivial_baselines.probes import MaxPlusOne, MaxPlusOneLeak, Repeat
from trivial_baselines.transitions import Graph, Markov

__all__ = ["Graph", "Markov", "MaxPlusOne", "MaxPlusOneLeak", "Popularity", "Random", "Repeat"]


class Popularity(Baseline):
    """Every user gets the items with the most training interactions.

    Of another catalogue it knows the items that both have: its score there says how far the two overlap.
    """

    name = "pop"
    probe = True
    saves_state = True
    supports_transfer = True
    Settings = Overlap

    def fit(self, train: TrainView) -> None:
        self.counts = np.bincount(train.sequences.values, minlength=len(train.items)).astype(np.float32)

    def score(self, histories: Sequences) -> NDArray[np.float32]:
        return np.tile(self.counts, (len(histories), 1))

    def save_state(self, folder: Path) -> None:
        write_state(folder, {"counts": self.counts})

    def restore(self, saved: Path) -> None:
        self.counts = read_state(saved)[0]["counts"]

    def transfer(self, target: TrainView, saved: Path) -> None:
        self.restore(saved)
        self.counts = same_items(target.items, saved, self.settings) @ self.counts


class Random(Baseline):
    """Every user gets the catalogue in a random order of its own.

    The order is drawn from the seed and the history, not from the row's index, so batches of any size agree.
    """

    name = "random"
    probe = True
    saves_state = True
    supports_transfer = True

    def fit(self, train: TrainView) -> None:
        self.seed, self.items = train.seed, len(train.items)

    def score(self, histories: Sequences) -> NDArray[np.float32]:
        scores = np.empty((len(histories), self.items), np.float32)
        for row in range(len(histories)):
            random = np.random.default_rng([self.seed, *histories[row].tolist()])
            scores[row] = random.permutation(self.items)
        return scores

    def save_state(self, folder: Path) -> None:
        write_state(folder, {"drawn": np.array([self.seed, self.items], np.int64)})

    def restore(self, saved: Path) -> None:
        self.seed, self.items = read_state(saved)[0]["drawn"].tolist()

    def transfer(self, target: TrainView, saved: Path) -> None:
        self.restore(saved)
        self.items = len(target.items)
