"""What an optimizer step of a model of RecBole takes: processor seconds and floating-point operations."""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from recbole_baselines.plan import Batches

if TYPE_CHECKING:
    from recbole_baselines.training import Model

WARMING, TIMED, COUNTED = 2, 20, 3  # steps


def step_flops(owner: Model, loader: Any) -> float | None:
    """Of matrix products and convolutions, forward and backward: the mean over ``COUNTED`` steps; None where PyTorch
    counts none. No weight is changed.
    """
    counter = FlopCounterMode(display=False)
    batches = list(islice(_first(owner, loader), COUNTED))
    owner.model.train()
    with counter:
        for batch in batches:
            _backward(owner, batch)
    owner.model.zero_grad()
    return counter.get_total_flops() / len(batches) or None


def step_seconds(owner: Model, loader: Any) -> float:
    """Of the processor: the mean over ``TIMED`` steps, or as many as there are. The model is no use afterwards."""
    optimizer, begin, steps = torch.optim.AdamW(owner.model.parameters()), time.process_time(), 0
    owner.model.train()
    batches = list(islice(_first(owner, loader), WARMING + TIMED))
    warming = WARMING if len(batches) > WARMING else 0
    for number, batch in enumerate(batches):
        if number == warming:
            begin = time.process_time()
        _backward(owner, batch)
        optimizer.step()
        optimizer.zero_grad()
        steps += number >= warming
    return max((time.process_time() - begin) / steps, 1e-9)


def _first(owner: Model, loader: Any) -> Batches:
    """The batches of the first epoch."""
    assert owner.plan, "what only counts takes no steps"
    return Batches(loader, owner.plan.batches(owner.owners, owner.job["seed"], 0))


def _backward(owner: Model, batch: Any) -> None:
    loss = owner.loss(batch.to(owner.config["device"]))
    parts = loss if isinstance(loss, tuple) else (loss,)
    torch.stack(parts).sum().backward()  # type: ignore[no-untyped-call]
