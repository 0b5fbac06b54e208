"""The contract's budget as RecBole trains it: as many steps as identifier schemes take, on as many examples.

A plan is plain JSON, so that it reaches RecBole's process with the job.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract import Contract
from bench.training.budget import schedule, stage_steps, steps_per_epoch, whole_steps
from bench.training.examples import one_row_of_each

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """``total`` optimizer steps in epochs of ``per_epoch``; 0 where a budget of time or FLOPs is still to be converted.

    The other fields are lines of the contract; ``pretrain`` is the fraction of the steps that come first in models
    that pre-train, ``converted`` the steps of a budget of time or FLOPs.
    """

    total: int
    per_epoch: int
    examples: str
    batch_size: int
    validate_every: int
    patience: int
    schedule: str
    warmup: float
    budget: str
    max_steps: int
    pretrain: float = 0.0
    converted: int = 0

    @property
    def plain(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def first(self) -> int:
        """Steps of pre-training."""
        return min(stage_steps(self.total, 0.0, self.pretrain), max(0, self.total - 1)) if self.pretrain else 0

    def epochs(self, steps: int) -> int:
        """Begun in so many steps."""
        return -(-steps // self.per_epoch)

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of a step of a stage as a fraction of its peak."""
        return schedule(self.schedule, self.warmup, step, steps)

    def looks(self, epoch: int, epochs: int) -> bool:
        """Whether validation is due at the end of an epoch, which counts from 0."""
        return epoch + 1 == epochs or (epoch + 1) % self.validate_every == 0

    def batches(self, users: Rows, seed: int, epoch: int) -> list[Rows]:
        """The rows of every batch of an epoch, where ``users[r]`` owns row ``r``."""
        rows = one_row_of_each(users, seed, epoch) if self.examples == "one" else np.arange(len(users))
        order = np.random.default_rng([seed, epoch, 1]).permutation(rows)
        return np.array_split(order, steps_per_epoch(len(rows), self.batch_size))


def plan(contract: Contract, users: Rows, converted: int, pretrain: float) -> Plan:
    """That of a model trained on rows of these users."""
    examples = len(users) if contract.examples == "all" else len(np.unique(users))
    known = converted or not contract.budget
    return Plan(
        total=whole_steps(contract, examples, converted) if known else 0,
        per_epoch=steps_per_epoch(examples, contract.batch_size),
        examples=contract.examples,
        batch_size=contract.batch_size,
        validate_every=contract.validate_every,
        patience=contract.patience,
        schedule=contract.schedule,
        warmup=contract.warmup,
        budget=contract.budget,
        max_steps=contract.max_steps,
        pretrain=pretrain,
        converted=converted,
    )


class Batches:
    """What RecBole's trainer goes through in an epoch: these rows, put together by its own loader."""

    shuffle = True

    def __init__(self, loader: Any, rows: list[Rows]) -> None:
        self.loader, self.rows = loader, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Any]:
        return (self.loader.collate_fn(rows) for rows in self.rows)
