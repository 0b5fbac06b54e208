"""An epoch as every process knows it in advance: all examples, how each is written, and what every batch holds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.contract import Contract
from bench.model.packed import SharedReader
from bench.model.recommender import Batch, Recommender, Work
from bench.training.examples import Examples, Rows, bucketed_batches, draw_prompts, draw_variants
from bench.training.segments import Cuts, batches_of_targets, cut


class Epoch(ABC):
    """``batches`` are the rows of every global batch, which processes share; what a row is, the epoch knows."""

    batches: list[Rows]

    @abstractmethod
    def batch(self, rows: Rows) -> Batch:
        """The tensors of these rows, on the CPU."""

    @abstractmethod
    def predictions(self, rows: Rows) -> int:
        """How many predictions the loss of these rows sums over, 1 where there is none."""

    @abstractmethod
    def targets(self, rows: Rows) -> int:
        """How many items these rows are to predict."""

    @abstractmethod
    def work(self, rows: Rows) -> Work:
        """What one process would do to train on these rows."""


@dataclass(frozen=True, eq=False)
class Windows(Epoch):
    """Rows are examples, each read on its own. Example ``e`` is written in ``variants[e]`` of the identifiers and
    ``prompts[e]``, in ``lengths[e]`` encoder positions.
    """

    recommender: Recommender
    examples: Examples
    variants: NDArray[np.int64]
    prompts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    batches: list[Rows]

    def batch(self, rows: Rows) -> Batch:
        histories, items = self.examples.histories(rows), self.examples.items(rows)
        return self.recommender.collate(histories, items, self.variants[rows], self.prompts[rows])

    def predictions(self, rows: Rows) -> int:
        return max(1, self.recommender.targets(self.examples.items(rows), self.variants[rows]))

    def targets(self, rows: Rows) -> int:
        return len(rows)

    def work(self, rows: Rows) -> Work:
        histories, items = self.examples.histories(rows), self.examples.items(rows)
        return self.recommender.work(histories, items, self.lengths[rows], self.variants[rows])


@dataclass(frozen=True, eq=False)
class Shared(Epoch):
    """Rows are segments, of each of which all targets are decoded from one reading."""

    recommender: SharedReader
    cuts: Cuts
    batches: list[Rows]

    def batch(self, rows: Rows) -> Batch:
        return self.recommender.collate_segments(self.cuts.segments(rows))

    def predictions(self, rows: Rows) -> int:
        segments = self.cuts.segments(rows)
        return max(1, self.recommender.targets(segments.items, segments.target_variants))

    def targets(self, rows: Rows) -> int:
        return int(self.cuts.targets[rows].sum())

    def work(self, rows: Rows) -> Work:
        return self.recommender.work_of(self.cuts.segments(rows))


@dataclass(frozen=True)
class Planner:
    """Plans the epochs of a stage, each of which depends on no other."""

    recommender: Recommender
    contract: Contract
    seed: int

    def epoch(self, examples: Examples, probabilities: Sequence[float], number: int) -> Epoch:
        """Epoch ``number``; ``probabilities`` are those of the identifiers' variants.

        Where a user is read once, all of it is written in one variant and one prompt, drawn for every user and epoch;
        else they are drawn for every example.
        """
        recommender, seed, size = self.recommender, self.seed, self.contract.batch_size
        shared = isinstance(recommender, SharedReader)
        count = len(examples.sequences) if shared else len(examples)
        variants = draw_variants(count, probabilities, seed, number)
        prompts = draw_prompts(count, recommender.prompts, seed, number)
        if isinstance(recommender, SharedReader):
            cuts = cut(recommender, examples, self.contract, variants, prompts)
            return Shared(recommender, cuts, batches_of_targets(cuts.targets, size, seed, number))
        lengths = recommender.input_lengths(examples.histories(), variants, prompts)
        batches = bucketed_batches(lengths, size, seed, number)
        return Windows(recommender, examples, variants, prompts, lengths, batches)
