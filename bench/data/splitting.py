"""The order of ties and the split that a contract names."""

from __future__ import annotations

from dataclasses import replace

from bench.contract import Contract
from bench.data.dataset import Dataset
from bench.data.global_time import global_time
from bench.data.joined import MIXED
from bench.data.splits import Split, leave_one_out
from bench.data.steps import leave_one_step_out
from bench.data.ties import arranged, rule, usual
from bench.errors import BenchError

SPLITS = {"leave-one-out": leave_one_out, "global-temporal": global_time}


def split(dataset: Dataset, contract: Contract, seed: int) -> Split:
    """The parts of a data set, whose ties are ``ordered``, under a contract."""
    if contract.ties == "drop-order":
        return leave_one_step_out(dataset, seed, contract.max_history, contract.validation_in_test_history)
    return SPLITS[contract.split](dataset, seed, contract.max_history, contract.validation_in_test_history)


def ordered(dataset: Dataset, contract: Contract) -> tuple[Dataset, Contract]:
    """The data set with its ties as the contract has them, and the contract that is then in force for it.

    A rule that changes nothing is left out of that contract: ``digest`` is how atomic files are read anyway, and the
    result must not be another one for saying so. A rule that was decided when the data set was made is in it, as if
    ``--set ties`` had named it. BenchError where data sets are joined that differ in this.
    """
    found = arranged(dataset, contract.ties)
    if contract.ties == "drop-order":
        return found, contract
    before = usual(dataset)
    if found.fingerprint == before.fingerprint:
        return before, replace(contract, ties="auto")
    if found.ties == MIXED:
        orders = ", ".join(f"{part.name}: {part.ties}" for part in found.parts)
        raise BenchError(
            f"the parts of '{found.name}' order what ties in time by different rules ({orders}); name one for all: "
            "--set ties=digest, ties=id or ties=file"
        )
    return found, replace(contract, ties=rule(found.ties))
