"""Leave-one-out by steps: what ties in time is one step of a user, and any item of the last step counts as the next.

The contract's ``ties=drop-order``. A user's last step is tested and the one before validates, so a user has as many
targets as there are distinct items in the step. Which item of a step came first is never asked; histories and training
sequences have to have some order, and it is that of the data set.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Dataset, Offsets, TrainView
from bench.data.splits import FEWEST, Split, Targets, distinct, refuse_cap
from bench.data.ties import neighbors, tied_pairs, user_rows
from bench.errors import BenchError


def leave_one_step_out(
    dataset: Dataset, seed: int = 0, max_history: int = 20, validation_in_test_history: bool = True
) -> Split:
    """As ``leave_one_out``, with steps for interactions. Users with fewer than three steps train only."""
    refuse_cap(max_history)
    whole = dataset.sequences
    starts, stops = whole.offsets[:-1], whole.offsets[1:]
    steps = step_starts(dataset)
    counts = np.bincount(user_rows(whole)[steps], minlength=len(whole))
    evaluated = np.flatnonzero(counts >= FEWEST)
    if not len(evaluated):
        raise BenchError(
            f"ties=drop-order on '{dataset.name}' needs a user with {FEWEST} or more different time stamps; the most "
            f"of {len(dataset.users):,} users is {counts.max(initial=0)}"
        )
    ends = np.cumsum(counts)[evaluated]  # of each user's steps in `steps`
    test_begins, validation_begins = steps[ends - 1], steps[ends - 2]
    train_ends = stops.copy()
    train_ends[evaluated] = validation_begins
    train = TrainView(
        dataset.name, dataset.items, whole.slice(starts, train_ends).owned(), seed, max_history=max_history
    )

    def targets(begins: Offsets, ends: Offsets, history_ends: Offsets) -> Targets:
        items, sizes = distinct(whole.slice(begins, ends))
        return Targets(evaluated, whole.slice(starts[evaluated], history_ends, evaluated), items, sizes, max_history)

    short = len(dataset.users) - len(evaluated)
    note = f"{short:,} of {len(dataset.users):,} users have fewer than {FEWEST} different time stamps: they train only"
    return Split(
        train=train,
        validation=targets(validation_begins, test_begins, validation_begins),
        test=targets(test_begins, stops[evaluated], test_begins if validation_in_test_history else validation_begins),
        notes=(note,) if short else (),
    )


def step_starts(dataset: Dataset) -> NDArray[np.int64]:
    """Where each step of each user begins among the values of its sequences."""
    values = len(dataset.sequences.values)
    follows = np.append(False, neighbors(dataset.sequences) & tied_pairs(dataset))[:values]
    return np.flatnonzero(~follows)
