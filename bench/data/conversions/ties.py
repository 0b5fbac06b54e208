"""The order of interactions with equal time stamps.

Amazon dates reviews by the day and groups them by product, so that a stable sort leaves a user's reviews of one day in
the order of item ids, and the next item is partly the next id. No conversion does so unless it is asked to.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.data.conversions.log import Log
from bench.data.ties import digest, id_ranks
from bench.errors import unknown

RULES = {
    "digest": "by a hash of user and item, which knows nothing of either",
    "id": "by item id, to reproduce published copies",
    "file": "as the raw file has them",
}


def in_order(log: Log, rule: str) -> Log:
    """The log by user, then time, then as ``rule`` says. Equal rows keep the order of the file."""
    if rule not in RULES:
        raise unknown("rule for ties", rule, RULES)
    file = np.arange(len(log))
    key = {"digest": _digests, "id": _items}[rule](log) if rule != "file" else file
    return log.rows(np.lexsort((file, key, log.times, log.users)))


def _items(log: Log) -> NDArray[np.int64]:
    """As the contract's ``ties=id`` has them: numbers as numbers."""
    return id_ranks(log.item_ids)[log.items]


def _digests(log: Log) -> NDArray[np.uint64]:
    """The order in which data sets are read."""
    pairs = zip(log.users.tolist(), log.items.tolist(), strict=True)
    digests = (digest(log.user_ids[user], log.item_ids[item]) for user, item in pairs)
    return np.fromiter(digests, np.uint64, len(log))
