"""The split that a contract names."""

from __future__ import annotations

from bench.contract import Contract
from bench.data.dataset import Dataset
from bench.data.global_time import global_time
from bench.data.splits import Split, leave_one_out

SPLITS = {"leave-one-out": leave_one_out, "global-temporal": global_time}


def split(dataset: Dataset, contract: Contract, seed: int) -> Split:
    """The parts of a data set under a contract."""
    return SPLITS[contract.split](dataset, seed, contract.max_history, contract.validation_in_test_history)
