"""Global time: the first 80 % of all interactions train, the next 10 % validate, the newest 10 % test.

The protocol of SETRec (arXiv 2502.10833). Unlike leave-one-out, nothing is predicted from what happened later to
somebody else, items can be new, and a user has as many targets as interactions in the part, or none.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Dataset, Offsets, TrainView
from bench.data.splits import Split, Targets, distinct, refuse_cap
from bench.errors import BenchError

FEWEST = 2  # training interactions of a user who trains and is evaluated: one example needs two
TENTHS = (8, 9)  # of all interactions: where training ends, where validation ends


def global_time(
    dataset: Dataset, seed: int = 0, max_history: int = 20, validation_in_test_history: bool = True
) -> Split:
    """Split at two points in the time order of all interactions (``_shares``).

    Users with fewer than two training interactions neither train nor are evaluated; their rows of the training view
    are empty. The targets of a user are all distinct items of the part, of validation as of test. What a user has seen
    are its training items, and at test time those of validation as well unless ``validation_in_test_history`` is off;
    histories show the newest ``max_history`` of it. The catalogue is that of the item table, new items included.
    BenchError where time stamps are not times, or a part has no user.
    """
    refuse_cap(max_history)
    _refuse_undated(dataset)
    whole = dataset.sequences
    train_share, validation_share = _shares(dataset)
    kept, starts = train_share >= FEWEST, whole.offsets[:-1]
    train_ends = starts + train_share
    validation_ends = train_ends + validation_share
    training = whole.slice(starts, np.where(kept, train_ends, starts))
    train = TrainView(dataset.name, dataset.items, training.owned(), seed, max_history=max_history)

    def targets(part: str, history_ends: Offsets, begins: Offsets, ends: Offsets) -> Targets:
        users = np.flatnonzero(kept & (ends > begins))
        if not len(users):
            raise BenchError(
                f"split=global-temporal leaves no user to {part} on '{dataset.name}': no user has {FEWEST} or more "
                f"interactions among the first 80 % and one in that part; use a larger data set or "
                "--split leave-one-out"
            )
        items, counts = distinct(whole.slice(begins[users], ends[users]))
        return Targets(users, whole.slice(starts[users], history_ends[users], users), items, counts, max_history)

    dropped = int((~kept).sum())
    notes = (
        f"{dropped:,} of {len(dataset.users):,} users have fewer than {FEWEST} interactions among the first 80 %: "
        "they neither train nor are evaluated",
    )
    return Split(
        train=train,
        validation=targets("validate", train_ends, train_ends, validation_ends),
        test=targets(
            "test", validation_ends if validation_in_test_history else train_ends, validation_ends, whole.offsets[1:]
        ),
        notes=notes if dropped else (),
    )


def _shares(dataset: Dataset) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """``[users]``: how many of a user's interactions train, and how many validate; those come first in its sequence.

    Ties in time are broken by a digest of the user's id, then by the position in the user's sequence. So neither the
    order of rows nor any item decides where the cuts fall: other held-out items leave all parts where they are.
    """
    user_rows = np.repeat(np.arange(len(dataset.users)), dataset.sequences.lengths)
    digests = np.array([_digest(user) for user in dataset.users], np.uint64)
    order = user_rows[np.lexsort((digests[user_rows], dataset.times))]
    first, second = (len(order) * tenths // 10 for tenths in TENTHS)
    return (
        np.bincount(order[:first], minlength=len(dataset.users)),
        np.bincount(order[first:second], minlength=len(dataset.users)),
    )


def _digest(user: str) -> int:
    return int.from_bytes(hashlib.blake2b(user.encode(), digest_size=8).digest(), "big")


def _refuse_undated(dataset: Dataset) -> None:
    """Time stamps that begin alike for every user are positions in a sequence, or nothing at all; also of one part of
    a joined data set.
    """
    for part in dataset.parts:
        _refuse_undated(part)
    begins = dataset.times[dataset.sequences.offsets[:-1][dataset.sequences.lengths > 0]]
    if len(begins) > 1 and (begins == begins[0]).all():
        raise BenchError(
            f"split=global-temporal cuts at points in time, but the interactions of '{dataset.name}' are numbered, not "
            f"dated: every user begins at time stamp {begins[0]:g}; use a copy with time stamps or "
            "--split leave-one-out"
        )
