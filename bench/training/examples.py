"""What an epoch trains on: pairs of a history and the item that came next, in batches of nearly equal length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.contract import Contract
from bench.data.dataset import ItemIndices, Sequences
from bench.data.splits import Targets

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Examples:
    """Example ``e`` predicts ``sequences.values[targets[e]]`` from ``sequences.values[starts[e]:targets[e]]``."""

    sequences: Sequences
    starts: Rows
    targets: Rows

    def __len__(self) -> int:
        return len(self.targets)

    def histories(self, rows: Rows | slice = slice(None)) -> Sequences:
        starts, stops, user_rows = self.starts[rows], self.targets[rows], self.sequences.user_rows
        return self.sequences.slice(starts, stops, None if user_rows is None else user_rows[self.rows(stops)])

    def items(self, rows: Rows | slice = slice(None)) -> ItemIndices:
        return self.sequences.values[self.targets[rows]]

    def rows(self, targets: Rows) -> Rows:
        """The rows of ``sequences`` that targets stand in."""
        found: Rows = np.searchsorted(self.sequences.offsets, targets, side="right") - 1
        return found


def sliding_windows(sequences: Sequences, max_history: int) -> Examples:
    """Every position with a history before it, which keeps its newest ``max_history`` items."""
    first = np.repeat(sequences.offsets[:-1], sequences.lengths)
    position = np.arange(len(sequences.values))
    targets = position[position > first]
    return Examples(sequences, np.maximum(first[position > first], targets - max_history), targets)


def one_of_each(windows: Examples, seed: int, epoch: int) -> Examples:
    """One window of every user, drawn anew in each epoch."""
    chosen = one_row_of_each(windows.rows(windows.targets), seed, epoch)
    return Examples(windows.sequences, windows.starts[chosen], windows.targets[chosen])


def one_row_of_each(user_rows: Rows, seed: int, epoch: int) -> Rows:
    """A row of every user, where row ``r`` is of ``user_rows[r]``: another draw in each epoch."""
    shuffled = np.random.default_rng([seed, epoch, 0]).permutation(len(user_rows))
    _, first = np.unique(user_rows[shuffled], return_index=True)
    return shuffled[first]


def of_epoch(windows: Examples, contract: Contract, part_users: Sequence[int], seed: int, epoch: int) -> Examples:
    """What the contract has an epoch train on, where each of the data sets that were joined has so many users."""
    found = windows if contract.examples == "all" else one_of_each(windows, seed, epoch)
    if len(part_users) < 2 or contract.part_power == 1:
        return found
    chosen = rows_by_part(found.rows(found.targets), part_users, contract.part_power, seed, epoch)
    return Examples(found.sequences, found.starts[chosen], found.targets[chosen])


def rows_by_part(user_rows: Rows, part_users: Sequence[int], power: float, seed: int, epoch: int) -> Rows:
    """Rows, in order, which are of ``user_rows [rows]``: of every part a number that goes with its size to the
    ``power``. None comes twice, so the smallest part is whole and of larger ones others are drawn in each epoch.
    """
    parts = np.searchsorted(np.cumsum(part_users), user_rows, side="right")
    sizes = np.bincount(parts, minlength=len(part_users))
    least, random = sizes[sizes > 0].min(), np.random.default_rng([seed, epoch, 4])
    chosen = [
        random.choice(np.flatnonzero(parts == part), max(1, round(least * (size / least) ** power)), replace=False)
        for part, size in enumerate(sizes)
        if size
    ]
    return np.sort(np.concatenate(chosen))


def of_targets(targets: Targets) -> Examples:
    """One example for each of the targets: the history of its user, followed by the target item."""
    histories = targets.histories.rows(targets.user_rows)
    stops = histories.offsets[1:] + np.arange(1, len(histories) + 1)
    values = np.insert(histories.values, histories.offsets[1:], targets.items)
    sequences = Sequences(values, np.concatenate([[0], stops]), histories.user_rows)
    return Examples(sequences, sequences.offsets[:-1], stops - 1)


def draw_variants(count: int, probabilities: Sequence[float], seed: int, epoch: int) -> NDArray[np.int64]:
    """The variant of the identifiers in which each of ``count`` examples is written in this epoch."""
    generator = np.random.default_rng([seed, epoch, 2])
    return generator.choice(len(probabilities), size=count, p=probabilities)


def draw_prompts(count: int, prompts: Sequence[int], seed: int, epoch: int) -> NDArray[np.int64]:
    """The one of the ``prompts`` in which each of ``count`` examples is written in this epoch, all equally likely."""
    return np.random.default_rng([seed, epoch, 3]).choice(np.array(prompts, np.int64), size=count)


def bucketed_batches(lengths: NDArray[np.int64], batch_size: int, seed: int, epoch: int) -> list[Rows]:
    """Rows of every batch of an epoch. Each example occurs once, batches differ in size by one at most.

    Examples are shuffled and then sorted by length, so a batch holds a random choice of examples of one length and
    next to no padding; the batches come in random order.
    """
    generator = np.random.default_rng([seed, epoch, 1])
    order = generator.permutation(len(lengths))
    order = order[np.argsort(lengths[order], kind="stable")]
    batches = np.array_split(order, -(-len(order) // batch_size))
    return [batches[number] for number in generator.permutation(len(batches))]
