"""Ranks of targets, and the metrics made of them.

A rank is 1-based and float64; ``inf`` says that the target was not retrieved. Items are ranked, not codes: two items
that share an identifier come out of the decoder as one entry, and ``Ranks`` keeps what is needed to read such a list
in three ways. *Strict* (the headline) puts the target last among the items of its entry, *optimistic* takes the rank of
the entry as if the target were alone in it, *expected* lets each entry show one of its items, drawn at random.

Where a user has several targets (``Ranks.user_rows``), metrics are those of ``bench.evaluation.multi_target``; with one
target for each user they come to the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bench.contract import CUTOFFS
from bench.data.dataset import Sequences
from bench.errors import BenchError
from bench.evaluation import multi_target

Floats = NDArray[np.float64]
PAIRS_AT_ONCE = 1 << 22  # of targets and entries that are looked through at a time: each takes a few dozen bytes


def hit(ranks: Floats, k: int) -> Floats:
    """``[users]``: 1 where the target is among the first ``k``, else 0."""
    return (ranks <= k).astype(np.float64)


def precision(ranks: Floats, k: int) -> Floats:
    """``[users]``: ``1 / k`` where the target is among the first ``k``, else 0."""
    return hit(ranks, k) / k


def ndcg(ranks: Floats, k: int) -> Floats:
    """``[users]``: ``1 / log2(rank + 1)`` within the first ``k``, else 0. One target, so the ideal gain is 1."""
    return hit(ranks, k) / np.log2(ranks + 1)


def reciprocal_rank(ranks: Floats, k: int | None = None) -> Floats:
    """``[users]``: ``1 / rank``, and 0 where the target was not retrieved or, with ``k``, ranks beyond ``k``."""
    return 1 / ranks if k is None else hit(ranks, k) / ranks


def per_user(ranks: Floats, name: str) -> Floats:
    """``[users]``: a metric by its name in the result file, such as ``ndcg@10``, ``mrr@20`` or ``mrr``.

    With one target, recall is hit.
    """
    kind, _, cutoff = name.partition("@")
    if kind == "mrr":
        return reciprocal_rank(ranks, int(cutoff) if cutoff else None)
    return {"hit": hit, "recall": hit, "precision": precision, "ndcg": ndcg}[kind](ranks, int(cutoff))


def names(cutoffs: Sequence[int], complete: bool, several_targets: bool = False) -> list[str]:
    """The metrics that are reported. Plain ``mrr`` needs a ``complete`` ranking, one in which every item has a rank."""
    return [
        *(f"hit@{k}" for k in cutoffs),
        *(f"{kind}@{k}" for kind in ("recall", "precision") for k in cutoffs if several_targets),
        *(f"ndcg@{k}" for k in cutoffs),
        f"mrr@{max(cutoffs)}",
        *(["mrr"] if complete else []),
    ]


def summarize(ranks: Floats, cutoffs: Sequence[int] = CUTOFFS, complete: bool = False) -> dict[str, float]:
    """Means over users of every metric of ``names``."""
    return _weighted(ranks, np.ones(len(ranks)), cutoffs, complete)


def _weighted(ranks: Floats, weights: Floats, cutoffs: Sequence[int], complete: bool) -> dict[str, float]:
    if not len(ranks):
        raise BenchError("metrics need at least one evaluated user; got none")
    return {name: float((per_user(ranks, name) * weights).mean()) for name in names(cutoffs, complete)}


@dataclass(frozen=True, eq=False)
class Ranks:
    """Where each target came out; all arrays are ``[targets]``.

    ``code_rank`` is the rank of the target's entry, ``inf`` where it was not retrieved. ``better`` counts the items in
    strictly better entries and means nothing where the target was not retrieved. ``group_size`` is the number of
    items that share the target's identifier and may be ranked, itself included.

    ``user_rows`` numbers the user of each target, 0 and up, each with one target or more; None says that every user has
    one. ``codes`` then numbers the targets' identifiers: targets of one user may share an entry.
    """

    code_rank: Floats
    better: NDArray[np.int64]
    group_size: NDArray[np.int64]
    user_rows: NDArray[np.int64] | None = None
    codes: NDArray[np.int64] | None = None

    @classmethod
    def of_items(cls, ranks: Floats) -> Ranks:
        """Ranks of a model that scores each item on its own: no entry is shared."""
        better = np.where(np.isfinite(ranks), ranks - 1, 0).astype(np.int64)
        return cls(ranks, better, np.ones(len(ranks), np.int64))

    @classmethod
    def join(cls, parts: Sequence[Ranks]) -> Ranks:
        """The targets of several batches, in order; whose they are is left to say."""
        return cls(
            np.concatenate([part.code_rank for part in parts]),
            np.concatenate([part.better for part in parts]),
            np.concatenate([part.group_size for part in parts]),
        )

    def take(self, rows: NDArray[np.integer]) -> Ranks:
        """The named targets, in the order given; whose they are is left to say."""
        return Ranks(self.code_rank[rows], self.better[rows], self.group_size[rows])

    def of(self, user_rows: NDArray[np.int64] | None, codes: NDArray[np.integer]) -> Ranks:
        """The same ranks, of these users."""
        return self if user_rows is None else replace(self, user_rows=user_rows, codes=codes.astype(np.int64))

    def __len__(self) -> int:
        return len(self.code_rank)

    @property
    def strict(self) -> Floats:
        """Item ranks with the target last in its entry; a user's own targets within one entry are its last ones."""
        ranks = np.where(np.isfinite(self.code_rank), self.better + self.group_size, np.inf)
        return ranks - self.own.targets_behind if self.own else ranks

    @property
    def optimistic(self) -> Floats:
        """Entry ranks: collisions cost nothing. An entry that holds several targets of a user shows them all."""
        return self.code_rank - self.own.room_behind if self.own else self.code_rank

    @cached_property
    def own(self) -> multi_target.Own | None:
        """How the targets of a user lie to each other; None where each has one."""
        if self.user_rows is None or self.codes is None:
            return None
        return multi_target.own(self.user_rows, self.code_rank, self.codes, self.group_size)

    def per_user(self, name: str) -> Floats:
        """``[users]``: the strict value of a metric."""
        strict = self.strict
        return per_user(strict, name) if self.user_rows is None else multi_target.per_user(strict, self.user_rows, name)


def summaries(ranks: Ranks, complete: bool, cutoffs: Sequence[int] = CUTOFFS) -> dict[str, dict[str, float]]:
    """The three readings of the same ranks.

    Expected: every entry of the list shows exactly one of its items, drawn uniformly. The target is then shown with
    probability ``1 / group_size``, at ``code_rank``; otherwise it is missing. The expected value of each metric is
    therefore ``metric(code_rank) / group_size``. Without collisions the three agree.
    """
    if ranks.own:
        return _of_multi_target(ranks, ranks.own, names(cutoffs, complete, several_targets=True))
    shown = 1 / ranks.group_size
    return {
        "strict": summarize(ranks.strict, cutoffs, complete),
        "optimistic": summarize(ranks.optimistic, cutoffs, complete),
        "expected": _weighted(ranks.code_rank, shown, cutoffs, complete),
    }


def _of_multi_target(ranks: Ranks, own: multi_target.Own, asked: Sequence[str]) -> dict[str, dict[str, float]]:
    user_rows = np.asarray(ranks.user_rows)
    strict, optimistic, entries = ranks.strict, ranks.optimistic, ranks.code_rank - own.entries_behind
    return {
        "strict": {name: float(multi_target.per_user(strict, user_rows, name).mean()) for name in asked},
        "optimistic": {name: float(multi_target.per_user(optimistic, user_rows, name).mean()) for name in asked},
        "expected": {
            name: float(multi_target.expected(entries, ranks.group_size, own, user_rows, name).mean()) for name in asked
        },
    }


def from_scores(
    scores: NDArray[np.floating],
    targets: NDArray[np.integer],
    excluded: NDArray[np.bool_] | None = None,
    rows: NDArray[np.integer] | None = None,
) -> Ranks:
    """Ranks from a score for every item: ``scores [users, items]``, ``excluded [users, items]`` or ``[1, items]``.

    ``targets [targets]`` are of the users ``rows [targets]``; without them each user has one, in order. The rank is the
    number of items that score at least as much as the target, itself included: ties count against it, so that a
    constant score ranks last and not first. Excluded items take no rank; an excluded target is not retrieved. NaN
    has no rank and is a BenchError.
    """
    bad = np.isnan(scores).any(axis=1)
    if bad.any():
        raise BenchError(
            f"cannot rank items by NaN: scores of {bad.sum():,} of {len(bad):,} users hold it, first in row "
            f"{bad.argmax()}; the model that made them has diverged or divides by zero"
        )
    rows = np.arange(len(targets)) if rows is None else rows
    excluded = None if excluded is None else np.broadcast_to(excluded, scores.shape)
    ranks = np.empty(len(targets))
    for part in _parts(len(targets), scores.shape[1]):
        ahead = scores[rows[part]] >= scores[rows[part], targets[part]][:, None]
        if excluded is not None:
            ahead &= ~excluded[rows[part]]
        ranks[part] = ahead.sum(axis=1)
    if excluded is not None:
        ranks[excluded[rows, targets]] = np.inf
    return Ranks.of_items(ranks)


def exclusion_mask(
    without: Sequences | None, users: int, items: int, candidates: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_] | None:
    """``[users, items]``: what may not be ranked, being in the user's row or no candidate; None where all may."""
    if without is None and candidates is None:
        return None
    found = np.zeros((users, items), bool) if candidates is None else np.tile(~candidates, (users, 1))
    if without is not None:
        found[np.repeat(np.arange(users), without.lengths), without.values] = True
    return found


def from_entries(
    items: NDArray[np.integer],
    valid: NDArray[np.bool_],
    targets: NDArray[np.integer],
    groups: NDArray[np.integer],
    scores: NDArray[np.floating] | None = None,
    rows: NDArray[np.integer] | None = None,
    candidates: NDArray[np.bool_] | None = None,
    excluded: Sequences | None = None,
) -> Ranks:
    """Ranks from a decoder's list: ``items [users, k]`` best first, ``valid`` likewise, ``targets [targets]``.

    The targets are those of the users ``rows [targets]``; without them each user has one, in order.

    An entry stands for one identifier and holds any one item that has it; within a row identifiers are distinct.
    ``groups [items]`` numbers the identifiers (``TokenIds.groups``). Entries that are not valid take no rank. With
    ``scores [users, k]`` entries that score as much as the target's come before it, as in ``from_scores``: the order
    of a tie is the decoder's, and must not count in anyone's favor. Where only ``candidates [items]`` were ranked,
    an entry holds those of its items that are among them, and no other target is retrieved. Nor is one that is
    ``excluded`` for its user, a row of items for each; an entry holds none of these, and takes no rank where it holds
    nothing else.
    """
    user_rows = np.arange(len(targets)) if rows is None else rows
    asked = (items, valid, targets, groups, scores, user_rows, candidates, excluded)
    return Ranks.join([_looked_up(*asked, part) for part in _parts(len(targets), items.shape[1])])


def _looked_up(
    items: NDArray[np.integer],
    valid: NDArray[np.bool_],
    targets: NDArray[np.integer],
    groups: NDArray[np.integer],
    scores: NDArray[np.floating] | None,
    user_rows: NDArray[np.integer],
    candidates: NDArray[np.bool_] | None,
    excluded: Sequences | None,
    part: slice,
) -> Ranks:
    """As ``from_entries``, of a ``part`` of the targets."""
    sizes = np.bincount(groups if candidates is None else groups[candidates], minlength=int(groups.max()) + 1)
    user_rows, targets = user_rows[part], targets[part]
    items, valid, scores = items[user_rows], valid[user_rows], None if scores is None else scores[user_rows]
    entries, own = groups[np.where(valid, items, 0)], groups[targets]
    filled, shared = np.where(valid, sizes[entries], 0), sizes[own]
    found = valid & (entries == own[:, None])
    if candidates is not None:
        found &= candidates[targets][:, None]
    if excluded is not None:
        itself = _excluded(excluded, np.arange(len(groups)), user_rows, targets)
        found &= itself[:, None] == 0
        filled = np.where(valid, filled - _excluded(excluded, groups, user_rows[:, None], entries, candidates), 0)
        shared = shared - _excluded(excluded, groups, user_rows, own, candidates) + itself
        valid = filled > 0
    retrieved, at = found.any(axis=1), found.argmax(axis=1)
    rows = np.arange(len(targets))
    if scores is not None:
        tied = valid & (scores == scores[rows, at][:, None])
        at = np.where(retrieved, tied.shape[1] - 1 - tied[:, ::-1].argmax(axis=1), at)
    code_rank = np.where(retrieved, np.cumsum(valid, axis=1)[rows, at], np.inf)
    better = np.cumsum(filled, axis=1)[rows, at] - shared
    return Ranks(code_rank, np.where(retrieved, better, 0), shared)


def _parts(targets: int, entries: int) -> list[slice]:
    """Stretches of the targets, one at least, each looked up among so many entries while others wait."""
    size = max(1, PAIRS_AT_ONCE // max(entries, 1))
    return [slice(start, start + size) for start in range(0, max(targets, 1), size)]


def _excluded(
    excluded: Sequences,
    numbers: NDArray[np.integer],
    rows: NDArray[np.integer],
    asked: NDArray[np.integer],
    candidates: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """How many ``candidates`` with the number ``asked`` are excluded in ``rows``, in the shape of both broadcast.

    ``numbers [items]``. Counted are distinct items: a user may have one twice.
    """
    user_rows = np.repeat(np.arange(len(excluded)), excluded.lengths)
    user_rows, items = np.divmod(np.unique(user_rows * len(numbers) + excluded.values), len(numbers))
    kept = np.ones(len(items), bool) if candidates is None else candidates[items]
    count = int(numbers.max()) + 1
    pairs, wanted = np.sort(user_rows[kept] * count + numbers[items[kept]]), rows * count + asked
    return np.searchsorted(pairs, wanted, side="right") - np.searchsorted(pairs, wanted)
