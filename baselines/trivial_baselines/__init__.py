"""The two floors that every recommender must clear, what is popular and chance, and probes that only count: they show
a leak, or data on which no model is needed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Sequences, TrainView
from bench.evaluation.baseline import Baseline
from trivial_baselines.probes import MaxPlusOne, MaxPlusOneLeak, Repeat
from trivial_baselines.transitions import Graph, Markov

__all__ = ["Graph", "Markov", "MaxPlusOne", "MaxPlusOneLeak", "Popularity", "Random", "Repeat"]


class Popularity(Baseline):
    """Every user gets the items with the most training interactions."""

    name = "pop"
    probe = True

    def fit(self, train: TrainView) -> None:
        self.counts = np.bincount(train.sequences.values, minlength=len(train.items)).astype(np.float32)

    def score(self, histories: Sequences) -> NDArray[np.float32]:
        return np.tile(self.counts, (len(histories), 1))


class Random(Baseline):
    """Every user gets the catalogue in a random order of its own.

    The order is drawn from the seed and the history, not from the row's index, so batches of any size agree.
    """

    name = "random"
    probe = True

    def fit(self, train: TrainView) -> None:
        self.seed, self.items = train.seed, len(train.items)

    def score(self, histories: Sequences) -> NDArray[np.float32]:
        scores = np.empty((len(histories), self.items), np.float32)
        for row in range(len(histories)):
            random = np.random.default_rng([self.seed, *histories[row].tolist()])
            scores[row] = random.permutation(self.items)
        return scores
