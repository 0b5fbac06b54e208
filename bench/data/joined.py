"""Several data sets as one: all their users and all their items, none of them shared.

A model trained on the joined data set is tested on it as on any other, and on each part apart, where only the items of
that part are ranked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.data.dataset import Dataset, ItemTable, Sequences
from bench.data.splits import Split, Targets
from bench.errors import BenchError

PLUS = "+"
MIXED = "mixed"  # the order of ties where that of the parts differs


@dataclass(frozen=True)
class PartRange:
    """Where a part lies in the data set it was joined into: its users and its items, first and last but one."""

    users: slice
    items: slice


def join(datasets: Sequence[Dataset]) -> Dataset:
    """``toys`` and ``beauty`` become ``toys+beauty``, one after the other.

    A user or item id that several have is told apart by the name of its data set, ``toys:B000``; these are then two
    users or two items. An item has the text columns of all, ``""`` where its own data set lacks one. BenchError where
    two data sets have one name.
    """
    names = [dataset.name for dataset in datasets]
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise BenchError(f"'{PLUS.join(names)}' joins '{doubled[0]}' to itself; join data sets of different names")
    starts = np.cumsum([0] + [len(dataset.items) for dataset in datasets])
    rows = [dataset.sequences for dataset in datasets]
    ends = np.cumsum([0] + [len(sequences.values) for sequences in rows])
    return Dataset(
        name=PLUS.join(names),
        users=_apart(names, [dataset.users for dataset in datasets], "users"),
        items=ItemTable(_apart(names, [dataset.items.ids for dataset in datasets], "items"), _text(datasets)),
        sequences=Sequences(
            np.concatenate([part.values + np.int32(start) for part, start in zip(rows, starts, strict=False)]),
            np.concatenate([[0], *(part.offsets[1:] + end for part, end in zip(rows, ends, strict=False))]),
        ),
        times=np.concatenate([dataset.times for dataset in datasets]),
        notes=tuple(f"{dataset.name}: {note}" for dataset in datasets for note in dataset.notes),
        parts=tuple(datasets),
        ties=datasets[0].ties if len({dataset.ties for dataset in datasets}) == 1 else MIXED,
    )


def _apart(names: Sequence[str], ids: Sequence[Sequence[str]], what: str) -> tuple[str, ...]:
    """All ids, those of several data sets with the name of theirs before them."""
    seen = Counter(found for part in ids for found in part)
    made = tuple(
        f"{name}:{found}" if seen[found] > 1 else found for name, part in zip(names, ids, strict=True) for found in part
    )
    clash = [found for found, count in Counter(made).items() if count > 1]
    if clash:
        raise BenchError(f"'{PLUS.join(names)}' has two {what} '{clash[0]}'; rename one in its file")
    return made


def _text(datasets: Sequence[Dataset]) -> dict[str, tuple[str, ...]]:
    columns = dict.fromkeys(column for dataset in datasets for column in dataset.items.text)
    blank = [("",) * len(dataset.items) for dataset in datasets]
    return {
        column: tuple(
            text
            for dataset, empty in zip(datasets, blank, strict=True)
            for text in dataset.items.text.get(column, empty)
        )
        for column in columns
    }


def part_range(joined: Dataset, part: Dataset) -> PartRange | None:
    """Where a data set lies in a joined one; None where it is no part of it."""
    user = item = 0
    for found in joined.parts:
        stop = PartRange(slice(user, user + len(found.users)), slice(item, item + len(found.items)))
        if found.fingerprint == part.fingerprint:
            return stop
        user, item = stop.users.stop, stop.items.stop
    return None


def restricted(split: Split, part: Dataset, at: PartRange) -> Split:
    """What a split of the joined data set says of one part, in the part's own users and items. BenchError where that
    leaves nobody of the part to test.

    Histories stay owned by rows of the joined training view: identifiers of users were made for those.
    """
    users = np.arange(at.users.start, at.users.stop)
    sequences = _shifted(split.train.sequences.rows(users), at.items.start)
    train = replace(split.train, dataset=part.name, items=part.items, sequences=sequences)
    test = _of_part(split.test, at)
    if not len(test):
        raise BenchError(
            f"the split of '{split.train.dataset}' leaves no user of '{part.name}' to test; with split=global-temporal "
            "the data sets must be of the same time, or use --split leave-one-out"
        )
    return Split(train, _of_part(split.validation, at), test)


def _of_part(targets: Targets, at: PartRange) -> Targets:
    kept = targets.take(np.flatnonzero((targets.users >= at.users.start) & (targets.users < at.users.stop)))
    return replace(
        kept,
        users=kept.users - at.users.start,
        seen=_shifted(kept.seen, at.items.start),
        items=kept.items - np.int32(at.items.start),
    )


def _shifted(sequences: Sequences, first: int) -> Sequences:
    return replace(sequences, values=sequences.values - np.int32(first))
