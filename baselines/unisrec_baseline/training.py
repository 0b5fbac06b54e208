"""UniSRec's own loop: as many steps, on as many examples and with as many looks at validation as the contract gives.

A stage is resumed from its checkpoint. Every step seeds itself, so a run that was interrupted has the same bits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.contract import Contract
from bench.errors import DivergedError
from bench.training import checkpoint
from bench.training.budget import schedule, steps_per_epoch
from bench.training.checkpoint import TrainingState
from bench.training.cost import Stopwatch
from bench.training.examples import Examples, of_epoch
from bench.training.loop import LOG_EVERY, SAVE_EVERY, seed_everything
from bench.training.signals import deferred_interrupts
from unisrec_baseline.network import Network
from unisrec_baseline.settings import Settings

Rows = NDArray[np.int64]
Loss = Callable[[Examples, Rows, np.random.Generator], Tensor]
Tell = Callable[[int, int, Mapping[str, float]], None]


@dataclass(frozen=True)
class Stage:
    """``total`` steps of ``parameters`` by ``loss``, which is given examples, rows of them and a generator. ``before``
    are steps of earlier stages, ``flops`` those of a step. With ``look_first`` the weights it begins with may be the
    best as well.
    """

    name: str
    total: int
    loss: Loss
    parameters: Sequence[torch.nn.Parameter]
    before: int = 0
    flops: int | None = None
    look_first: bool = False


@dataclass(frozen=True)
class Job:
    """What all stages share. ``validate`` gives the selection metric by its name, and what else is logged beside it."""

    network: Network
    windows: Examples
    contract: Contract
    settings: Settings
    seed: int
    folder: Path
    validate: Callable[[], Mapping[str, float]]
    tell: Tell
    part_users: tuple[int, ...] = ()


def train(job: Job, stage: Stage) -> TrainingState:
    """Train to the end of the stage or of patience, and leave the network with its best validated weights."""
    run = _Run(job, stage)
    state, contract = run.state, job.contract
    if stage.look_first and not state.looks:
        run.validate()
    while not state.finished:
        run.epoch()
        last = state.step >= stage.total
        if last or (state.epoch + 1) % contract.validate_every == 0:
            run.validate()
        state.epoch, state.batch = state.epoch + 1, 0
        state.finished = last or state.stale >= contract.patience
        run.save()
    job.network.load_state_dict(run.best or job.network.state_dict())
    job.network.eval()
    return state


class _Run:
    """A stage under way: weights, optimizer and state, which only ever change together between two steps."""

    def __init__(self, job: Job, stage: Stage) -> None:
        self.job, self.stage, self.clock, self.saved = job, stage, Stopwatch(), time.monotonic()
        self.state, self.best = TrainingState(finished=not stage.total), dict[str, Tensor]()
        self.parameters = list(stage.parameters)
        self.optimizer = torch.optim.AdamW(self.parameters, lr=0.0, weight_decay=job.settings.weight_decay)
        self.path = job.folder / f"{stage.name}.safetensors"
        if self.path.exists():
            self.restore()

    def epoch(self) -> None:
        """All steps of the current epoch that are still to be done."""
        job, state, contract = self.job, self.state, self.job.contract
        number = self.stage.before + state.epoch  # another shuffle in each stage
        examples = of_epoch(job.windows, contract, job.part_users, job.seed, number)
        order = np.random.default_rng([job.seed, number, 1]).permutation(len(examples))
        batches = np.array_split(order, steps_per_epoch(len(examples), contract.batch_size))
        job.network.train()
        with deferred_interrupts() as signals:
            left = batches[state.batch : state.batch + self.stage.total - state.step]
            for rows in left:
                loss = self.step(examples, rows)
                self.count(len(rows))
                due = state.step % LOG_EVERY == 0 or rows is left[-1]
                self.log({"loss": self.finite(float(loss.detach()))} if due else {})
                if signals or time.monotonic() - self.saved > SAVE_EVERY:
                    self.save()
                if signals:
                    raise KeyboardInterrupt
        if signals:  # one that came behind the last look, while the step was saved
            self.save()
            raise KeyboardInterrupt

    def step(self, examples: Examples, rows: Rows) -> Tensor:
        contract, at = self.job.contract, self.stage.before + self.state.step
        seed_everything(self.job.seed, at, 0)
        rate = self.job.settings.learning_rate
        for group in self.optimizer.param_groups:
            group["lr"] = rate * schedule(contract.schedule, contract.warmup, self.state.step, self.stage.total)
        loss = self.stage.loss(examples, rows, np.random.default_rng([self.job.seed, at, 2]))
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if contract.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.parameters, contract.clip_norm)
        self.optimizer.step()
        return loss

    def count(self, examples: int) -> None:
        state, flops = self.state, self.stage.flops
        state.step, state.batch = state.step + 1, state.batch + 1
        state.target_examples += examples
        state.training_flops = None if flops is None or state.training_flops is None else state.training_flops + flops

    def finite(self, loss: float) -> float:
        if not math.isfinite(loss):
            rate = self.job.settings.learning_rate
            raise DivergedError(
                f"the training loss became {loss} at step {self.state.step:,} with unisrec.learning_rate={rate:g}; "
                f"lower it, e.g. --set unisrec.learning_rate={rate / 3:.1g}"
            )
        return loss

    def validate(self) -> None:
        """Validate, and keep the weights if none were better."""
        self.lap("training_seconds")
        self.job.network.eval()
        found = self.job.validate()
        score = found[self.job.contract.selection]
        self.lap("validation_seconds")
        state = self.state
        state.looks, state.stale = state.looks + 1, state.stale + 1
        if score > state.best:
            state.best, state.best_step, state.stale = score, state.step, 0
            self.best = {name: tensor.detach().clone() for name, tensor in self.job.network.state_dict().items()}
        self.log(found)

    def log(self, stats: Mapping[str, float]) -> None:
        step = self.stage.before + self.state.step
        if stats:
            self.state.curve.append({"step": step, **stats})
        self.job.tell(step, self.stage.before + self.stage.total, stats)

    def lap(self, name: str) -> None:
        seconds, processor = self.clock.lap()
        setattr(self.state, name, getattr(self.state, name) + seconds)
        self.state.processor_seconds += processor

    def save(self) -> None:
        self.lap("training_seconds")
        tensors = checkpoint.pack(self.job.network.state_dict(), self.optimizer.state_dict(), self.best)
        checkpoint.save(self.path, self.state, tensors)
        self.saved = time.monotonic()

    def restore(self) -> None:
        self.state, tensors = checkpoint.load(self.path)
        model, moments, self.best = checkpoint.unpack(tensors)
        self.job.network.load_state_dict(model)
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
