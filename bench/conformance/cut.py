"""A piece of a data set that every scheme can be fitted on in seconds, and the same with other items held out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bench.data.dataset import Dataset, ItemTable, Sequences
from bench.data.splits import FEWEST

USERS, NEWEST = 100, 12
HELD_OUT = 2  # newest interactions of a user: test and validation


def cut(dataset: Dataset) -> Dataset:
    """The newest interactions of some users, always the same, and the items in them. One second lies between two
    interactions of a user, so that their order needs no rule for ties.
    """
    able = np.flatnonzero(dataset.sequences.lengths >= FEWEST)
    users = np.sort(np.random.default_rng(0).permutation(able)[:USERS])
    sequences = dataset.sequences.rows(users).newest(NEWEST)
    items, values = np.unique(sequences.values, return_inverse=True)
    text = {column: tuple(cells[item] for item in items) for column, cells in dataset.items.text.items()}
    return Dataset(
        f"{dataset.name}-cut",
        tuple(dataset.users[user] for user in users),
        ItemTable(tuple(dataset.items.ids[item] for item in items), text),
        Sequences(values.astype(np.int32), sequences.offsets),
        np.concatenate([np.arange(length, dtype=np.float64) for length in sequences.lengths]),
    )


def moved(dataset: Dataset, newest: int = HELD_OUT) -> Dataset:
    """The same training parts and the same catalogue, with other items held out, so that not even the popularity of
    items over the whole is as it was: for test and validation, or for test alone, which is a user's ``newest`` one.
    """
    values, ends = dataset.sequences.values.copy(), dataset.sequences.offsets[1:]
    held_out = np.concatenate([ends - back for back in range(1, newest + 1)])
    only = np.setdiff1d(values[held_out], np.delete(values, held_out))  # each of these must stay in the data somewhere
    random = np.random.default_rng(1)
    others = random.choice(len(dataset.items), len(held_out) - len(only))
    values[held_out] = random.permutation(np.concatenate([only, others]))
    return replace(dataset, sequences=Sequences(values, dataset.sequences.offsets))
