"""ItemKNN after RecBole's process has ended: its similarities are all that it needs to score."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bench.data.dataset import Sequences, TrainView
from bench.results.kept import matrix_of, read_state, same_items, write_state
from recbole_baselines.base import RecBoleBaseline

NEIGHBORS = "neighbors"


class Kept(RecBoleBaseline):
    """Keeps ``similar [items, items]``, and scores by it as RecBole does. Of another catalogue it knows the items that
    both have.
    """

    saves_state = True
    supports_transfer = True
    similar: sparse.csr_array | None = None

    def score(self, users: NDArray[np.int64], histories: Sequences) -> NDArray[np.float32]:
        if self.similar is None:
            return super().score(users, histories)
        return np.asarray((counted(histories, self.similar.shape[0]) @ self.similar).toarray(), np.float32)

    def save_state(self, folder: Path) -> None:
        assert self.process, "fit comes first"
        write_state(folder, self.process.neighbors())

    def restore(self, saved: Path) -> None:
        self.similar = matrix_of(NEIGHBORS, read_state(saved)[0])

    def transfer(self, target: TrainView, saved: Path) -> None:
        self.restore(saved)
        same = same_items(target.items, saved, self.settings)
        self.similar = sparse.csr_array(same @ self.similar @ same.T)


def counted(histories: Sequences, items: int) -> sparse.csr_array:
    """``[histories, items]``: how often each item stands in a history."""
    ones = np.ones(len(histories.values), np.float32)
    found = sparse.csr_array((ones, histories.values, histories.offsets), shape=(len(histories), items))
    found.sum_duplicates()
    return found
