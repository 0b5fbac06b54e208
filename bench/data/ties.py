"""The order of interactions that have one time stamp: the line ``ties`` of the contract.

Reviews are often dated by the day. Within a day a file has them in some order of its own, such as that of item ids,
and then "the next item" is partly the next id. Where time stamps are positions in a sequence, nobody can see any more
which interactions tied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from bench.data.audit.statistics import order_notes
from bench.data.dataset import Dataset, Sequences, Times
from bench.data.joined import join
from bench.errors import BenchError, unknown

Rule = Literal["auto", "file", "digest", "id", "drop-order", "presumed"]
DIGITS = 18  # of a number that int64 holds
NUMBERED = 0.99  # share of steps of exactly one from which time stamps count as positions
BEGINNING = 0.9  # share of users that begin at one value, from which they do: rows get lost on the way
POSITIONS = (
    "the time stamps of '{name}' are positions, not times, so which interactions tied in time can no longer be seen"
)


def rule(name: str) -> Rule:
    """A rule by its name; BenchError where there is none of that name."""
    if name not in get_args(Rule):
        raise unknown("rule of ties", name, get_args(Rule))
    return cast(Rule, name)


def arranged(dataset: Dataset, rule: Rule) -> Dataset:
    """The same interactions with those that tie in the order that ``rule`` says.

    ``auto`` leaves a data set as it was read: in digest order, or as its ``dataset.json`` says that it was asked to be
    (``bench.data.stored``). ``file`` is the order of the rows in the file, ``digest`` that of a hash of user and item,
    ``id`` that of item ids. ``drop-order`` is ``digest`` here; the split makes one step of what ties. ``presumed`` is
    for time stamps that are positions: every maximal run of ascending ids counts as a tie and is put in digest order,
    which is a bound and not the truth. BenchError where a rule asks for what the time stamps don't say.
    """
    if rule == "auto":
        return dataset
    if dataset.parts:
        return join([arranged(part, rule) for part in dataset.parts])
    _refuse(dataset, rule)
    if rule == "file" and dataset.file_rows is None:
        return dataset
    users = user_rows(dataset.sequences)
    ties = ascending_runs(dataset.sequences, id_ranks(dataset.items.ids)) if rule == "presumed" else dataset.times
    return replace(_reordered(dataset, np.lexsort((_keys(dataset, rule, ties), ties, users))), ties=rule)


def usual(dataset: Dataset) -> Dataset:
    """The data set as it is where nobody asks for an order of ties."""
    if dataset.ties == "auto":
        return dataset
    if dataset.parts:
        return join([usual(part) for part in dataset.parts])
    return replace(arranged(dataset, "digest"), ties="auto")


def positional(dataset: Dataset) -> bool:
    """Whether time stamps number the interactions of each user, in a joined data set those of any part.

    They do where nearly all users begin at one value and count on by one from it: a file that has lost a few rows still
    holds no times.
    """
    if dataset.parts:
        return any(positional(part) for part in dataset.parts)
    steps = np.diff(dataset.times)[neighbors(dataset.sequences)]
    if len(dataset.sequences) < 2 or not len(steps) or (steps == 1).mean() < NUMBERED:
        return False
    begins = _begins(dataset)
    return len(begins) > 1 and bool((begins == _commonest(begins)).mean() >= BEGINNING)


def unnumbered(dataset: Dataset) -> int:
    """Users whose time stamps are not the positions that those of nearly all others are: rows of theirs are lost."""
    if dataset.parts:
        return sum(unnumbered(part) for part in dataset.parts)
    if not positional(dataset):
        return 0
    odd = np.zeros(len(dataset.sequences), bool)
    skips = neighbors(dataset.sequences) & (np.diff(dataset.times) != 1)
    odd[user_rows(dataset.sequences)[1:][skips]] = True
    begins = _begins(dataset)
    odd[np.flatnonzero(dataset.sequences.lengths)[begins != _commonest(begins)]] = True
    return int(odd.sum())


def _begins(dataset: Dataset) -> Times:
    """The first time stamp of each user who has one."""
    sequences = dataset.sequences
    return dataset.times[sequences.offsets[:-1][sequences.lengths > 0]]


def _commonest(values: Times) -> float:
    found, counts = np.unique(values, return_counts=True)
    return found[counts.argmax()]  # type: ignore[no-any-return]


def neighbors(sequences: Sequences) -> NDArray[np.bool_]:
    """``[values - 1]``: whether a value and the one after it are of one user."""
    return np.asarray(np.diff(user_rows(sequences)) == 0)


def tied_pairs(dataset: Dataset) -> NDArray[np.bool_]:
    """``[values - 1]``: whether an interaction and the user's next one have one time stamp."""
    return np.asarray(neighbors(dataset.sequences) & (np.diff(dataset.times) == 0))


def tied(dataset: Dataset) -> NDArray[np.bool_]:
    """``[values]``: whether an interaction has the time stamp of another one of its user."""
    return _beside_its_like(tied_pairs(dataset))


def _beside_its_like(pairs: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """``[values]``: who is in a pair, of ``pairs [values - 1]`` of neighbors."""
    return np.append(pairs, False) | np.insert(pairs, 0, False)


def id_ranks(ids: Sequence[str]) -> NDArray[np.int64]:
    """``[items]``: the rank of each id among all, as numbers where all are whole numbers, else as text."""
    if all(name.isdecimal() and len(name) <= DIGITS for name in ids):
        return np.argsort(np.argsort(np.array([int(name) for name in ids], np.int64), kind="stable"))
    return np.argsort(np.argsort(np.array(ids, object), kind="stable"))


def ascending_runs(sequences: Sequences, ranks: NDArray[np.int64]) -> NDArray[np.int64]:
    """``[values]``: the number of the maximal run of ascending items that a value is in, counted through all users;
    items ascend by their ``ranks [items]``.
    """
    values = ranks[sequences.values]
    begins = ~(neighbors(sequences) & (np.diff(values) > 0))
    return np.concatenate([[0], np.cumsum(begins)]).astype(np.int64)[: len(values)]


def user_rows(sequences: Sequences) -> NDArray[np.int64]:
    """``[values]``: the row that each value belongs to."""
    return np.repeat(np.arange(len(sequences), dtype=np.int64), sequences.lengths)


def digest(user: str, item: str) -> int:
    """Orders interactions with equal time stamps: BLAKE2b, 8 bytes, of user, NUL, item.

    Amazon dates reviews by the day, and its published copies keep ties in file order, that is by ASIN: the newest
    product comes last, and the item to be predicted can be guessed from its number. A hash knows nothing of either,
    needs no seed, and is the same everywhere.
    """
    return int.from_bytes(hashlib.blake2b(f"{user}\0{item}".encode(), digest_size=8).digest(), "big")


def _keys(dataset: Dataset, rule: Rule, ties: NDArray[Any]) -> NDArray[Any]:
    """``[interactions]``: what those with equal ``ties`` are ordered by."""
    if rule == "file" and dataset.file_rows is not None:
        return dataset.file_rows
    if rule == "id":
        return id_ranks(dataset.items.ids)[dataset.sequences.values]
    tying = np.flatnonzero(_beside_its_like(neighbors(dataset.sequences) & (np.diff(ties) == 0)))
    users, items = user_rows(dataset.sequences)[tying].tolist(), dataset.sequences.values[tying].tolist()
    found = np.zeros(len(ties), np.uint64)  # what ties with nothing needs no digest, which costs most
    found[tying] = [digest(dataset.users[u], dataset.items.ids[i]) for u, i in zip(users, items, strict=True)]
    return found


def _refuse(dataset: Dataset, rule: Rule) -> None:
    if rule in ("digest", "id", "drop-order") and positional(dataset):
        raise BenchError(
            f"ties={rule} was asked for, but {POSITIONS.format(name=dataset.name)}; ties=file keeps the order that "
            "there is, ties=presumed takes every run of ascending ids for a tie (a bound, not the truth)"
        )
    if rule == "presumed" and not positional(dataset):
        raise BenchError(
            f"ties=presumed is for time stamps that are positions, but those of '{dataset.name}' show which "
            "interactions tie; use ties=digest, or ties=drop-order"
        )


def _reordered(dataset: Dataset, order: NDArray[np.intp]) -> Dataset:
    """With the interactions in another order within users. Time stamps stay: interactions that changed positions have
    equal ones, or the time stamps are positions.
    """
    sequences = replace(dataset.sequences, values=dataset.sequences.values[order])
    said = order_notes(dataset.sequences)
    return replace(
        dataset,
        sequences=sequences,
        file_rows=None if dataset.file_rows is None else dataset.file_rows[order],
        notes=tuple(note for note in dataset.notes if note not in said) + order_notes(sequences),
    )
