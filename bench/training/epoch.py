"""An epoch as every process knows it in advance: all examples, how each is written, and the rows of every batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.model.recommender import Batch, Recommender, Work
from bench.training.examples import Examples, Rows, bucketed_batches, draw_prompts, draw_variants


@dataclass(frozen=True, eq=False)
class Epoch:
    """Example ``e`` is written in ``variants[e]`` of the identifiers and ``prompts[e]``, in ``lengths[e]`` encoder
    positions. ``batches`` are the rows of every global batch, which processes share.
    """

    recommender: Recommender
    examples: Examples
    variants: NDArray[np.int64]
    prompts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    batches: list[Rows]

    def batch(self, rows: Rows) -> Batch:
        """The tensors of these examples, on the CPU."""
        histories, items = self.examples.histories(rows), self.examples.items(rows)
        return self.recommender.collate(histories, items, self.variants[rows], self.prompts[rows])

    def predictions(self, rows: Rows) -> int:
        """How many predictions the loss of these examples sums over, 1 where there is none."""
        return max(1, self.recommender.targets(self.examples.items(rows), self.variants[rows]))

    def targets(self, rows: Rows) -> int:
        """How many items these examples are to predict."""
        return len(rows)

    def work(self, rows: Rows) -> Work:
        """What one process would do to train on these examples."""
        histories, items = self.examples.histories(rows), self.examples.items(rows)
        return self.recommender.work(histories, items, self.lengths[rows], self.variants[rows])


def plan_epoch(
    recommender: Recommender,
    examples: Examples,
    probabilities: Sequence[float],
    batch_size: int,
    seed: int,
    number: int,
) -> Epoch:
    """Epoch ``number``, which depends on no other; ``probabilities`` are those of the identifiers' variants."""
    variants = draw_variants(len(examples), probabilities, seed, number)
    prompts = draw_prompts(len(examples), recommender.prompts, seed, number)
    lengths = recommender.input_lengths(examples.histories(), variants, prompts)
    batches = bucketed_batches(lengths, batch_size, seed, number)
    return Epoch(recommender, examples, variants, prompts, lengths, batches)
