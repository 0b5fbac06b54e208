"""What a split is, and leave-one-out: each user's last interaction is tested, the one before it validates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Dataset, ItemIndices, Sequences, TrainView
from bench.errors import BenchError

FEWEST = 3  # interactions a user needs to have one each for training, validation and test


@dataclass(frozen=True, eq=False)
class Targets:
    """What is to be predicted: for each row a user, what it had before, and one or more items.

    ``seen [rows]`` is all that a user had before, which ``exclude_history`` never recommends; a recommender is shown
    the newest ``max_history`` of it, or all where that is None (``histories``). ``items [targets]`` are flat, row after
    row. ``counts [rows]`` says how many of them each row has; None says one each, by the protocol and not by chance.
    """

    users: NDArray[np.int64]
    seen: Sequences
    items: ItemIndices
    counts: NDArray[np.int64] | None = None
    max_history: int | None = None

    def __len__(self) -> int:
        """Number of rows, that is of users."""
        return len(self.users)

    @cached_property
    def histories(self) -> Sequences:
        """What the recommender is shown."""
        return self.seen if self.max_history is None else self.seen.newest(self.max_history)

    @property
    def user_rows(self) -> NDArray[np.int64]:
        """``[targets]``: the row that each target belongs to."""
        return np.repeat(np.arange(len(self), dtype=np.int64), 1 if self.counts is None else self.counts)

    def target_positions(self, rows: NDArray[np.integer]) -> NDArray[np.integer]:
        """Where the targets of the named rows stand among all, in the order of the rows."""
        if self.counts is None:
            return rows
        offsets = np.concatenate([[0], np.cumsum(self.counts)])
        return Sequences(np.arange(offsets[-1], dtype=np.int32), offsets).rows(rows).values

    def take(self, rows: NDArray[np.integer]) -> Targets:
        """The named rows with all their targets."""
        counts = None if self.counts is None else self.counts[rows]
        return self._of_rows(rows, self.items[self.target_positions(rows)], counts)

    def among(self, candidates: NDArray[np.bool_]) -> tuple[Targets, NDArray[np.intp]]:
        """Only the targets that are ``candidates [items]``, and where they stand; rows without one are left out."""
        kept = candidates[self.items]
        counts = np.bincount(self.user_rows[kept], minlength=len(self))
        rows = np.flatnonzero(counts)
        kept_counts = None if self.counts is None else counts[rows]
        return self._of_rows(rows, self.items[kept], kept_counts), np.flatnonzero(kept)

    def _of_rows(self, rows: NDArray[np.integer], items: ItemIndices, counts: NDArray[np.int64] | None) -> Targets:
        return replace(self, users=self.users[rows], seen=self.seen.rows(rows), items=items, counts=counts)

    def parted(self, count: int, seed: int) -> tuple[Targets, Targets]:
        """Two fixed random parts, rows in their original order: ``count`` rows, and the rest.

        At most four fifths are in the first part, which is what a ``count`` of 0 asks for: whoever decides on the first
        part always finds other users in the second.
        """
        most = max(1, len(self) * 4 // 5)
        count = min(count, most) if count > 0 else most
        chosen = np.zeros(len(self), bool)
        chosen[np.random.default_rng(seed).choice(len(self), size=count, replace=False)] = True
        return self.take(np.flatnonzero(chosen)), self.take(np.flatnonzero(~chosen))


@dataclass(frozen=True, eq=False)
class Split:
    """The three parts of a data set. Only ``train`` is ever handed to a scheme."""

    train: TrainView
    validation: Targets
    test: Targets
    notes: tuple[str, ...] = ()

    def on(self, device: object) -> Split:
        """The same, for a run on this device: what a subject trains of its own, it trains there."""
        return replace(self, train=replace(self.train, device=str(device)))


def leave_one_out(
    dataset: Dataset, seed: int = 0, max_history: int = 20, validation_in_test_history: bool = True
) -> Split:
    """Split by position. Histories show the newest ``max_history`` items.

    ``validation_in_test_history`` shows the validation item to the recommender at test time, as all published
    leave-one-out systems do; switched off, test and validation share one history, and the validation item is not among
    what a user has seen. Users with fewer than three interactions train but are not evaluated.
    """
    refuse_cap(max_history)
    whole = dataset.sequences
    starts, stops = whole.offsets[:-1], whole.offsets[1:]
    evaluated = np.flatnonzero(whole.lengths >= FEWEST)
    if not len(evaluated):
        raise BenchError(
            f"leave-one-out on '{dataset.name}' needs a user with {FEWEST} or more interactions; "
            f"the longest of {len(dataset.users):,} users has {whole.lengths.max(initial=0)}"
        )
    held_out = np.where(whole.lengths >= FEWEST, 2, 0)
    train = TrainView(
        dataset.name, dataset.items, whole.slice(starts, stops - held_out).owned(), seed, max_history=max_history
    )

    def targets(back: int, history_back: int) -> Targets:
        ends = stops[evaluated]
        seen = whole.slice(starts[evaluated], ends - history_back, evaluated)
        return Targets(evaluated, seen, whole.values[ends - back], max_history=max_history)

    short = len(dataset.users) - len(evaluated)
    notes = (f"{short:,} of {len(dataset.users):,} users have fewer than {FEWEST} interactions: they train only",)
    return Split(
        train=train,
        validation=targets(back=2, history_back=2),
        test=targets(back=1, history_back=1 if validation_in_test_history else 2),
        notes=notes if short else (),
    )


def refuse_cap(max_history: int) -> None:
    """BenchError where histories would be cut to nothing."""
    if max_history < 1:
        raise BenchError(f"max_history must be 1 or more; got {max_history}")


def distinct(items: Sequences) -> tuple[ItemIndices, NDArray[np.int64]]:
    """Targets in order of time, each once, since a list can hold an item only once; and how many each row has."""
    user_rows = np.repeat(np.arange(len(items)), items.lengths)
    _, first = np.unique(user_rows * (int(items.values.max()) + 1) + items.values, return_index=True)
    first = np.sort(first)
    return items.values[first], np.bincount(user_rows[first], minlength=len(items))
