"""What a data set is like: the table that papers print, and what leave-one-out makes of it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bench.data.dataset import Dataset, Sequences
from bench.data.splits import FEWEST, leave_one_out

LONG = 20  # interactions; the usual history cap
ASCENDING = 0.99  # share of ascending pairs above which a data set counts as sorted by item id
LEANING = 0.6  # share above which the order of ids is likely part of that of time: chance is about 0.5
ENOUGH = 100  # pairs below which no such conclusion is given


@dataclass(frozen=True)
class Statistics:
    """Shares are 0..1, and NaN where there is nothing to share; ``training_examples`` counts every prefix of a
    training sequence with at least one history item (sliding window)."""

    users: int
    items: int
    interactions: int
    density: float
    mean_per_user: float
    median_per_user: float
    fewest_per_user: int
    most_per_user: int
    mean_per_item: float
    long_users: float
    short_users: int
    tied_in_time: float
    repeated_pairs: int
    ascending: float
    items_without_text: int
    text_columns: tuple[str, ...]
    training_examples: int
    unseen_targets: float
    repeated_targets: float

    @property
    def sparsity(self) -> float:
        return 1 - self.density


def statistics(dataset: Dataset) -> Statistics:
    """All statistics of a data set with at least one interaction. Memory is linear in interactions."""
    sequences = dataset.sequences
    lengths, user_rows = sequences.lengths, _user_rows(sequences)
    pairs = user_rows * len(dataset.items) + sequences.values
    within = np.diff(user_rows) == 0
    described = sum(any(map(str.strip, texts)) for texts in zip(*dataset.items.text.values(), strict=True))
    examples, unseen, repeated = _leave_one_out(dataset)
    return Statistics(
        users=len(dataset.users),
        items=len(dataset.items),
        interactions=len(user_rows),
        density=len(user_rows) / (len(dataset.users) * len(dataset.items)),
        mean_per_user=float(lengths.mean()),
        median_per_user=float(np.median(lengths)),
        fewest_per_user=int(lengths.min()),
        most_per_user=int(lengths.max()),
        mean_per_item=len(user_rows) / len(dataset.items),
        long_users=float((lengths > LONG).mean()),
        short_users=int((lengths < FEWEST).sum()),
        tied_in_time=_tied_in_time(dataset, within),
        repeated_pairs=len(pairs) - len(np.unique(pairs)),
        ascending=_ascending(sequences)[0],
        items_without_text=len(dataset.items) - described,
        text_columns=tuple(dataset.items.text),
        training_examples=examples,
        unseen_targets=unseen,
        repeated_targets=repeated,
    )


def rows(dataset: Dataset) -> list[tuple[str, str]]:
    """Label and formatted value of each statistic, in the order in which they are printed."""
    found = statistics(dataset)
    return [
        ("users", f"{found.users:,}"),
        ("items", f"{found.items:,}"),
        ("interactions", f"{found.interactions:,}"),
        ("sparsity", f"{100 * found.sparsity:.2f} %"),
        ("interactions per user: mean, median", f"{found.mean_per_user:.2f}, {found.median_per_user:g}"),
        ("interactions per user: min, max", f"{found.fewest_per_user:,}, {found.most_per_user:,}"),
        ("interactions per item: mean", f"{found.mean_per_item:.2f}"),
        (f"users with more than {LONG} interactions", _percent(found.long_users)),
        (f"users with fewer than {FEWEST} interactions (train only)", f"{found.short_users:,}"),
        ("interactions tied in time with a neighbor", _percent(found.tied_in_time)),
        ("interactions that repeat an earlier item of the user", f"{found.repeated_pairs:,}"),
        ("neighbors in ascending order of item id", _percent(found.ascending)),
        ("text columns", ", ".join(found.text_columns) or "none"),
        ("items without text", f"{found.items_without_text:,}"),
        ("leave-one-out: training examples (sliding window)", f"{found.training_examples:,}"),
        ("leave-one-out: test targets unseen in training", _percent(found.unseen_targets)),
        ("leave-one-out: test targets repeated from the history", _percent(found.repeated_targets)),
    ]


def plain(dataset: Dataset) -> dict[str, Any]:
    """The same statistics under their names in ``Statistics``, and the notes; shares are 0..1."""
    found = statistics(dataset)
    return {"name": dataset.name, **asdict(found), "sparsity": found.sparsity, "notes": list(dataset.notes)}


def order_notes(sequences: Sequences) -> tuple[str, ...]:
    """A warning where sequences are sorted by item id, wholly or in part: catalogue indices are in order of id.

    Published copies of Amazon Toys and Sports are sorted by ASIN instead of time. The next item is then always the
    largest, so the task is another one and leaks. Others are sorted by day, and within a day by ASIN.
    """
    share, count = _ascending(sequences)
    if count < ENOUGH or share <= LEANING:
        return ()
    found = f"{_percent(share)} of neighboring interactions are in ascending order of item id"
    if share > ASCENDING:
        return (f"{found}: the data look sorted by id instead of time, which leaks the item to be predicted",)
    return (
        f"{found}, where chance is about 50 %: ties in time may have been broken by item id, so that the order within "
        "a day is that of ids and not of time, or newer items have larger ids; either way an id tells of the next item",
    )


def _leave_one_out(dataset: Dataset) -> tuple[int, float, float]:
    """Training examples, and shares of unseen and of repeated test targets; histories are whole."""
    lengths = dataset.sequences.lengths
    training = np.where(lengths >= FEWEST, lengths - 2, lengths)
    examples = int(np.maximum(training - 1, 0).sum())
    if lengths.max() < FEWEST:
        return examples, math.nan, math.nan
    split = leave_one_out(dataset, max_history=int(lengths.max()))
    histories = split.test.histories
    repeats = histories.values == split.test.items[_user_rows(histories)]
    repeated = np.bincount(_user_rows(histories), weights=repeats, minlength=len(split.test)) > 0
    unseen = ~np.isin(split.test.items, split.train.sequences.values)
    return examples, float(unseen.mean()), float(repeated.mean())


def _user_rows(sequences: Sequences) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """``[values]``: the row that each value belongs to."""
    return np.repeat(np.arange(len(sequences), dtype=np.int64), sequences.lengths)


def _tied_in_time(dataset: Dataset, within: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float:
    equal = within & (np.diff(dataset.times) == 0)
    return float((np.append(equal, False) | np.insert(equal, 0, False)).mean())


def _ascending(sequences: Sequences) -> tuple[float, int]:
    """Share of ascending pairs among neighbors that differ, and the number of those pairs."""
    steps = np.diff(sequences.values)[np.diff(_user_rows(sequences)) == 0]
    steps = steps[steps != 0]
    return (float((steps > 0).mean()) if len(steps) else math.nan), len(steps)


def _percent(share: float) -> str:
    return "none" if math.isnan(share) else f"{100 * share:.2f} %"
