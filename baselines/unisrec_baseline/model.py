"""UniSRec over one catalogue: its losses on batches, its scores of all items."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from bench.data.dataset import Sequences
from bench.training.examples import Examples
from unisrec_baseline import losses
from unisrec_baseline.examples import Padded, Rows, distinct, other_view, padded
from unisrec_baseline.network import Network
from unisrec_baseline.settings import Settings

ITEMS_AT_ONCE, USERS_AT_ONCE = 4096, 512
Scores = NDArray[np.float32]


class Model:
    """A network and ``text [items or twice as many, raw]``, whose second half are the texts with fewer words. It
    computes where the network is.
    """

    def __init__(self, network: Network, text: Scores, items: int, settings: Settings) -> None:
        self.device = next(network.parameters()).device
        self.network, self.text = network, torch.from_numpy(text).to(self.device)
        self.items, self.settings = items, settings

    def pre_training(self, examples: Examples, rows: Rows, random: np.random.Generator) -> Tensor:
        """The loss of a batch against itself: whichever data sets the others are of, they are its negatives."""
        settings, history = self.settings, padded(examples.histories(rows))
        share = settings.word_drop_share if len(self.text) > self.items else 0.0
        view = other_view(history, self.items, (settings.item_drop, share), random)
        return self.contrasted(history, view, _wide(examples.items(rows)))

    def contrasted(self, history: Padded, view: Padded, targets: Rows) -> Tensor:
        """The loss of histories and their other views, whose next items are ``targets [n]``."""
        settings = self.settings
        items, (first, second, after) = distinct(history.rows, view.rows, targets)
        vectors = self.network.named(self.text[self.at(items)])
        sequences = self.sequences(vectors, Padded(first, history.lengths))
        views = self.sequences(vectors, Padded(second, view.lengths)) if settings.sequence_weight else sequences
        weight, temperature = settings.sequence_weight, settings.temperature
        return losses.pre_training(sequences, vectors[self.at(after)], views, self.at(targets), temperature, weight)

    def fine_tuning(self, examples: Examples, rows: Rows, random: np.random.Generator) -> Tensor:
        """The loss of a batch against the whole catalogue."""
        catalogue = self.network.named(self.text[: self.items], torch.arange(self.items, device=self.device))
        sequences = self.sequences(catalogue, padded(examples.histories(rows)))
        return losses.fine_tuning(sequences, catalogue, self.at(_wide(examples.items(rows))), self.settings.temperature)

    def sequences(self, vectors: Tensor, asked: Padded) -> Tensor:
        return self.network.sequences(vectors, self.at(asked.rows), self.at(asked.lengths))

    def at(self, rows: Rows) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(rows)).to(self.device)

    @torch.no_grad()
    def catalogue(self) -> Scores:
        """``[items, width]``, without noise."""
        self.network.eval()
        starts, rows = range(0, self.items, ITEMS_AT_ONCE), torch.arange(self.items, device=self.device)
        parts = [rows[start : start + ITEMS_AT_ONCE] for start in starts]
        found: Scores = torch.cat([self.network.named(self.text[part], part) for part in parts]).cpu().numpy()
        return found


@torch.no_grad()
def scores(network: Network, catalogue: Scores, histories: Sequences) -> Scores:
    """``[histories, items]``: cosines of sequences and items."""
    network.eval()
    device = next(network.parameters()).device
    vectors = torch.from_numpy(catalogue).to(device)
    unit = F.normalize(vectors, dim=1).T
    found = [np.empty((0, len(catalogue)), np.float32)]
    for start in range(0, len(histories), USERS_AT_ONCE):
        part = padded(histories.rows(np.arange(start, min(start + USERS_AT_ONCE, len(histories)))))
        rows, lengths = (torch.from_numpy(array).to(device) for array in (part.rows, part.lengths))
        found.append((F.normalize(network.sequences(vectors, rows, lengths), dim=1) @ unit).cpu().numpy())
    return np.concatenate(found)


def _wide(items: NDArray[np.int32]) -> Rows:
    return items.astype(np.int64)
