"""Sequence strength: how much of what counting recommenders score rests on the order of interactions.

Order is destroyed in parts and the same recommenders are counted again: inside ties, in all of training, and where
time stamps are positions, inside every run of ascending item ids. Shuffling such runs costs real order as well; the
same for ids that were renamed at random shows how much (Klenitskiy et al., RecSys 2024, arXiv 2408.12008, shuffle
whole sequences).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.audit.counting import Task, cooccurrence, gains, markov, popularity
from bench.data.dataset import Dataset, Sequences
from bench.data.splits import FEWEST
from bench.data.ties import ascending_runs, id_ranks, positional, tied, user_rows

DRAWS = 3
MOST = 2_000_000  # interactions that are looked at
SQUARES = 25_000_000  # sum of squared history lengths that are looked at: what co-occurrence costs
AS_FOUND, TIES, TRAINING, RUNS, CONTROL = (
    "as in the data",
    "ties shuffled",
    "training order shuffled",
    "runs of ascending ids shuffled",
    "control: the same for ids renamed at random",
)

SHARED = re.compile(r"#[0-9]+$")  # what the reader of files adds to an id that several users share

Shuffle = Callable[[np.random.Generator], Sequences]


@dataclass(frozen=True)
class Score:
    """NDCG@10 over the draws of a variant."""

    mean: float
    least: float
    most: float


@dataclass(frozen=True)
class Strength:
    """``scores[variant][recommender]``; of ``markov`` also which test pairs ascend in item id, of all and of its hits.

    ``users`` were tested, of a sample of ``share`` of all users where the data set is large. The order of training
    alone is read by no other recommender than the Markov chain.
    """

    scores: Mapping[str, Mapping[str, Score]]
    ascending_pairs: float
    ascending_hits: float
    hits: int
    users: int
    share: float

    def at_least(self) -> float | None:
        """What of the Markov chain's score rests on item ids for sure; None where ties can be seen."""
        return self._lost(CONTROL)

    def at_most(self) -> float | None:
        """What of it may."""
        return self._lost(AS_FOUND)

    def _lost(self, above: str) -> float | None:
        if RUNS not in self.scores:
            return None
        return max(0.0, self.scores[above]["markov"].mean - self.scores[RUNS]["markov"].mean)

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def strength(dataset: Dataset, draws: int = DRAWS) -> Strength | None:
    """None where nobody has the three interactions that leave-one-out needs. Seeded: it is always the same."""
    sample, share = _sample(dataset)
    task = Task.of(sample.sequences, len(sample.items))
    if not len(task.targets):
        return None
    hits = gains(markov(task)) > 0
    ranks = id_ranks(sample.items.ids)
    ascending = ranks[task.targets] > ranks[task.newest]
    return Strength(
        {name: _scores(sample, shuffle, draws) for name, shuffle in _variants(sample).items()},
        float(ascending.mean()),
        float(ascending[hits].mean()) if hits.any() else float("nan"),
        int(hits.sum()),
        len(task.targets),
        share,
    )


def _sample(dataset: Dataset) -> tuple[Dataset, float]:
    """All users, as in the rows of a report, or as many at random as can be counted in a small time; their share."""
    order = np.random.default_rng(0).permutation(len(dataset.users))
    lengths = dataset.sequences.lengths[order]
    within = (np.cumsum(lengths) <= MOST) & (np.cumsum(lengths.astype(float) ** 2) <= SQUARES)
    return users_of(dataset, np.sort(order[within])), float(within.mean()) if len(within) else 1.0


def users_of(dataset: Dataset, users: NDArray[np.int64]) -> Dataset:
    """The data set of some users, over the same catalogue."""
    values = np.isin(user_rows(dataset.sequences), users)
    names = tuple(dataset.users[user] for user in users)
    return Dataset(dataset.name, names, dataset.items, dataset.sequences.rows(users), dataset.times[values])


def merged(users: Sequence[str]) -> NDArray[np.bool_]:
    """``[users]``: which go under an id that they share, ``id``, ``id#2``, … as they are named when read."""
    known = set(users)
    first = [SHARED.sub("", user) for user in users]
    shared = {name for name, user in zip(first, users, strict=True) if name != user and name in known}
    return np.array([name in shared for name in first], bool)


def _variants(dataset: Dataset) -> dict[str, Shuffle]:
    sequences = dataset.sequences
    found: dict[str, Shuffle] = {AS_FOUND: lambda random: sequences}
    if tied(dataset).any():
        found[TIES] = lambda random: shuffled(sequences, dataset.times, random)
    found[TRAINING] = lambda random: shuffled(sequences, _held_out(sequences), random)
    if positional(dataset):
        runs = ascending_runs(sequences, id_ranks(dataset.items.ids))
        found[RUNS] = lambda random: shuffled(sequences, runs, random)
        found[CONTROL] = lambda random: _control(sequences, len(dataset.items), random)
    return found


def shuffled(sequences: Sequences, groups: NDArray[Any], random: np.random.Generator) -> Sequences:
    """With the values of each user shuffled where ``groups [values]``, ascending within a user, are equal."""
    order = np.lexsort((random.random(len(groups)), groups, user_rows(sequences)))
    return Sequences(sequences.values[order], sequences.offsets)


def _held_out(sequences: Sequences) -> NDArray[np.int64]:
    """``[values]``: 0 for training, 1 for the item that validates, 2 for that of the test."""
    left = np.repeat(sequences.offsets[1:], sequences.lengths) - np.arange(len(sequences.values))
    return np.where(np.repeat(sequences.lengths, sequences.lengths) >= FEWEST, np.maximum(3 - left, 0), 0)


def _control(sequences: Sequences, items: int, random: np.random.Generator) -> Sequences:
    return shuffled(sequences, ascending_runs(sequences, random.permutation(items)), random)


def _scores(dataset: Dataset, shuffle: Shuffle, draws: int) -> dict[str, Score]:
    """Of every recommender. What has one outcome is counted once, whatever the draws."""
    shuffles = [shuffle(np.random.default_rng(draw)) for draw in range(draws)]
    once = shuffles[0] is dataset.sequences
    tasks = [Task.of(sequences, len(dataset.items)) for sequences in shuffles[: 1 if once else draws]]
    found = {"markov": [float(gains(markov(task)).mean()) for task in tasks]}
    alike = _alike(tasks)
    for name, count in (("co-occurrence", cooccurrence), ("popularity", popularity)):
        found[name] = [float(gains(count(task)).mean()) for task in (tasks[:1] if alike else tasks)]
    return {name: Score(float(np.mean(values)), min(values), max(values)) for name, values in found.items()}


def _alike(tasks: list[Task]) -> bool:
    """Whether only the order of training differs, which co-occurrence and popularity don't read."""
    return all(np.array_equal(task.targets, tasks[0].targets) for task in tasks)
