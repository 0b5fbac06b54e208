"""Probes that count which item came after which: where they score well, a model need not read histories to do so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bench.data.dataset import ItemTable, Sequences, TrainView
from bench.errors import BenchError
from bench.evaluation.baseline import DATA_VIEW, Baseline
from bench.ids import embeddings, text
from bench.ids.limits import CatalogueSize, Needs
from bench.ids.text import MissingTextError, TextSettings, embed, encoder_digest, require_text
from bench.results.kept import Overlap, matrix_arrays, matrix_of, read_state, same_items, write_state

SCORING = 3e8  # bytes of all scores that are in memory at a time, with what they are made of
LEAST = 1e-3  # of a candidate whose text is like none of the history, so that it still comes before what is popular

Scores = NDArray[np.float32]


def transitions(train: TrainView) -> sparse.csr_array:
    """``[items, items]``: how often the second item came right after the first in training."""
    sequences = train.sequences
    inside = np.diff(np.repeat(np.arange(len(sequences)), sequences.lengths)) == 0
    pairs = sequences.values[:-1][inside], sequences.values[1:][inside]
    counts = sparse.csr_array((np.ones(len(pairs[0]), np.float32), pairs), shape=(len(train.items),) * 2)
    counts.sum_duplicates()
    return counts


def transition_bytes(size: CatalogueSize) -> float:
    """Of the matrix of ``transitions`` with what orders it, and of the scores of a batch of users."""
    return 130.0 * size.interactions + 60.0 * size.items + SCORING


def back(histories: Sequences, count: int) -> NDArray[np.int64]:
    """``[histories]``: the item ``count`` positions from the end, -1 where the history is shorter."""
    at = histories.offsets[1:] - count
    there = np.append(histories.values, -1)[np.maximum(at, 0)]  # no index before the first of them, of any count
    return np.where(at >= histories.offsets[:-1], there, -1).astype(np.int64)


class Markov(Baseline):
    """A first-order Markov chain: what most often came right after the newest item, ties by popularity; behind it, and
    where nothing ever did, what is popular.
    """

    name = "markov"
    probe = True
    saves_state = True
    supports_transfer = True
    Settings = Overlap

    def fit(self, train: TrainView) -> None:
        counts = transitions(train)
        popularity = np.bincount(train.sequences.values, minlength=len(train.items))
        self.popular = np.unique(popularity, return_inverse=True)[1].astype(np.float32)
        before = np.repeat(np.arange(len(train.items)), np.diff(counts.indptr))
        # Scores are ranks in the order of counts, then popularity: whole numbers, which float32 holds exactly.
        ranks = np.unique(np.stack([counts.data, popularity[counts.indices]]), axis=1, return_inverse=True)[1]
        self.after = sparse.csr_array((ranks.ravel() + self.popular.max() + 1, (before, counts.indices)), counts.shape)

    def needs(self, size: CatalogueSize) -> Needs:
        return Needs(transition_bytes(size))

    def score(self, histories: Sequences) -> Scores:
        scores = np.tile(self.popular, (len(histories), 1))
        newest = back(histories, 1)
        known = np.flatnonzero(newest >= 0)
        rows = sparse.coo_array(self.after[newest[known]])
        scores[known[rows.row], rows.col] = rows.data
        return scores

    def save_state(self, folder: Path) -> None:
        write_state(folder, {"popular": self.popular, **matrix_arrays("after", self.after)})

    def restore(self, saved: Path) -> None:
        arrays, _ = read_state(saved)
        self.popular, self.after = arrays["popular"], matrix_of("after", arrays)

    def transfer(self, target: TrainView, saved: Path) -> None:
        """Of the items that both catalogues have."""
        self.restore(saved)
        same = same_items(target.items, saved, self.settings)
        self.popular, self.after = same @ self.popular, sparse.csr_array(same @ self.after @ same.T)


@dataclass(frozen=True)
class GraphSettings(TextSettings):
    """``fields``, ``separator`` and ``encoder`` say what of an item's text is compared, and how it is read."""

    dimensions: int = 0
    whiten: bool = False
    text: Literal["on", "off"] = "on"  # off: transitions alone, for a catalogue without text
    second: float = 0.5  # weight of the item before the newest
    hop: float = 0.5  # weight of what is two transitions away

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("second", "hop"):
            if not 0 <= getattr(self, name) <= 1:
                raise BenchError(f"graph.{name} must be between 0 and 1; got {getattr(self, name)}")


class Graph(Baseline):
    """Items one or two transitions from the last two, ranked by how likely the way is times how like their text is;
    behind them what is popular.

    After the heuristic of arXiv 2605.07125, which takes candidates from the rings round the last two items and ranks
    them by the similarity of features. Weights were chosen on validation users of Toys and Yelp.

    On a catalogue that it was not fitted on, where there are no transitions, all items are candidates: what is left is
    how like their text is to that of the last two items, which takes no training at all.
    """

    name = "graph"
    probe = True
    saves_state = True
    binds = (*DATA_VIEW, "missing_text")
    Settings = GraphSettings
    steps: sparse.csr_array | None
    vectors: Scores | None

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        self.supports_transfer = self.settings.text == "on"
        self.no_transfer_reason = "has only transitions to rank by (text=off), and an unseen catalogue has none"

    def validate_items(self, items: ItemTable) -> None:
        """Text, unless it is switched off."""
        if self.settings.text == "off":
            return None
        if embeddings.is_file(self.settings.encoder):
            return text.validate_items(items, self.settings)
        try:
            require_text(items, "similarities of the probe graph", self.settings.fields)
        except MissingTextError as error:
            raise MissingTextError(f"{error}; or rank by transitions alone with --set graph.text=off") from error

    def cache_key(self) -> str:
        return encoder_digest(self.settings.encoder) if self.settings.text == "on" else ""

    def fit(self, train: TrainView) -> None:
        counts = transitions(train)
        leaving = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1)
        self.steps = sparse.csr_array(sparse.diags_array((1 / leaving).astype(np.float32)) @ counts)
        popularity = np.bincount(train.sequences.values, minlength=len(train.items))
        self.popular = (popularity / (popularity.max(initial=0) + 1)).astype(np.float32)
        self.vectors = _unit(embed(train, self.settings)) if self.settings.text == "on" else None

    def needs(self, size: CatalogueSize) -> Needs:
        """Of its text, of which the vectors stay, and of transitions."""
        if self.settings.text == "off":
            return Needs(transition_bytes(size))
        read = text.embedding_needs(size, self.settings)
        kept = 8.0 * text.width_of(self.settings) * size.items
        hint = "use narrower --set graph.dimensions=64, or graph.text=off"
        return Needs(max(read.memory, kept) + transition_bytes(size), read.seconds, hint)

    def score(self, histories: Sequences) -> Scores:
        """Candidates have at least 1, everything else its popularity below 1."""
        last = [(back(histories, 1), 1.0), (back(histories, 2), float(self.settings.second))]
        if self.steps is None and self.vectors is not None:
            return _alike(self.vectors, last)
        reached = sum((weight * self._reached(items) for items, weight in last), np.zeros(1, np.float32))
        found = reached > 0
        alike = 1.0 if self.vectors is None else _alike(self.vectors, last)
        return np.where(found, 1 + reached * alike, self.popular).astype(np.float32)

    def _reached(self, items: NDArray[np.int64]) -> Scores:
        """``[histories, items]``: the chance of getting there in one transition, and of getting there in two."""
        assert self.steps is not None, "without transitions nothing is reached"
        first = self.steps[np.maximum(items, 0)]
        found = (first + self.settings.hop * (first @ self.steps)).toarray()
        return np.asarray(np.where(items[:, None] >= 0, found, 0), np.float32)

    def save_state(self, folder: Path) -> None:
        assert self.steps is not None, "fit comes first"
        vectors = {} if self.vectors is None else {"vectors": self.vectors}
        write_state(folder, {"popular": self.popular, **vectors, **matrix_arrays("steps", self.steps)})

    def restore(self, saved: Path) -> None:
        arrays, _ = read_state(saved)
        self.popular, self.steps = arrays["popular"], matrix_of("steps", arrays)
        self.vectors = arrays.get("vectors")

    def transfer(self, target: TrainView, saved: Path) -> None:
        self.steps, self.vectors = None, _unit(embed(target, self.settings))


def _alike(vectors: Scores, last: list[tuple[NDArray[np.int64], float]]) -> Scores:
    """``[histories, items]``: cosines of text with the last two items, by their weights; a little at least."""
    weights = np.stack([np.where(items >= 0, weight, 0) for items, weight in last])
    cosines = [vectors[np.maximum(items, 0)] @ vectors.T for items, _ in last]
    mean = sum(weight[:, None] * cosine for weight, cosine in zip(weights, cosines, strict=True))
    return np.asarray(np.maximum(mean / np.maximum(weights.sum(axis=0), LEAST)[:, None], LEAST), np.float32)


def _unit(vectors: Scores) -> Scores:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), np.float32)
