"""The training loop: one stage of one recommender, the same for every scheme.

    torchrun --nproc-per-node 2 -m bench run --id-scheme textual --dataset toys

trains data-parallel and, dropout aside, as one process with the same global batches would: every process knows the
whole plan of an epoch, takes its share of each batch, and divides by the predictions of the *whole* batch, so averaged
gradients are those of one process.
"""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn

from bench.backbone.protocol import Backbone, load_trained_state, trained_state
from bench.contract import Contract
from bench.data.dataset import Progress, Sequences, silent
from bench.data.splits import Targets
from bench.errors import BenchError
from bench.ids.scheme import Stage
from bench.model.recommender import Recommender, to_device
from bench.training import checkpoint
from bench.training.checkpoint import TrainingState
from bench.training.examples import (
    Examples,
    Rows,
    bucketed_batches,
    draw_prompts,
    draw_variants,
    of_targets,
    one_of_each,
    sliding_windows,
)
from bench.training.session import Session

LOG_EVERY = 20  # steps between looks at the loss, each of which waits for the device
SAVE_EVERY = 60.0  # seconds


@dataclass
class Job:
    """What one stage trains. ``validate`` gives the selection metric; ``progress`` is told step, total and figures.

    ``held_out`` are validation users whose scores select nothing: what a mixture of variants may learn from. ``before``
    is the share of the budget that earlier stages had.
    """

    recommender: Recommender
    sequences: Sequences
    contract: Contract
    seed: int
    stage: Stage
    validate: Callable[[], float]
    held_out: Targets
    path: Path
    before: float = 0.0
    progress: Progress = silent
    accelerator: Accelerator = field(default_factory=Accelerator)


def train(job: Job) -> TrainingState:
    """Train to the end of the budget or of patience, and leave the recommender with its best validated weights.

    Goes on from ``job.path`` if a checkpoint is there. On Ctrl-C or a termination signal the step is finished and
    saved.
    """
    run = _Run(job)
    if job.path.exists():
        run.restore()
    if not run.total and job.stage.use_validation:
        run.select()  # there is nothing to train, but something to calibrate and to report
    while not run.state.finished:
        run.epoch()
    run.load_best()
    return run.state


def snapshot_path(job: Job, part: float) -> Path:
    """Where the weights after a part of the stage are kept."""
    return job.path.with_name(f"{job.path.stem}-at-{part:g}.safetensors")


class _Run:
    """A stage under way: model, optimiser and state, which only ever change together between two steps."""

    def __init__(self, job: Job) -> None:
        self.job, self.contract, self.state = job, job.contract, TrainingState()
        if job.stage.use_validation and job.stage.snapshots:
            raise BenchError(
                f"stage '{job.stage.name}' asks for snapshots and selects by validation, which may end it before "
                "one is due; set use_validation=False"
            )
        self.windows = sliding_windows(job.sequences, self.contract.max_history)
        if not len(self.windows):
            raise BenchError("no training example: every training sequence has fewer than two items")
        optimiser = torch.optim.AdamW(decay_groups(job.recommender, self.contract.weight_decay), lr=0.0)
        job.recommender.to(job.accelerator.device)
        self.model, self.optimiser = job.accelerator.prepare(job.recommender, optimiser)
        self.best: dict[str, Tensor] = {}
        examples = len(self.examples(0))
        steps = -(-examples // self.contract.batch_size)  # of an epoch
        whole = min(self.contract.epochs * steps, self.contract.max_steps or self.contract.epochs * steps)
        ends = round(
            whole * (job.before + job.stage.budget_fraction)
        )  # rounded where stages meet, so they sum to the whole
        self.total = max(1, ends - round(whole * job.before)) if job.stage.budget_fraction else 0
        self.state.finished = not self.total
        self.epochs = -(-self.total // steps)
        self.saved = time.monotonic()
        if examples // steps < job.accelerator.num_processes:
            raise BenchError(
                f"batches of {examples // steps} examples cannot be shared by {job.accelerator.num_processes} "
                "processes; start fewer, or raise batch_size"
            )

    def examples(self, epoch: int) -> Examples:
        every = self.contract.examples == "all"
        return self.windows if every else one_of_each(self.windows, self.job.seed, epoch)

    def epoch(self) -> None:
        """The rest of the current epoch, then validation if one is due."""
        state, examples = self.state, self.examples(self.state.epoch)
        if state.batch == 0:
            state.probabilities = self.probabilities()
        variants = draw_variants(len(examples), state.probabilities, self.job.seed, state.epoch)
        prompts = draw_prompts(len(examples), self.job.recommender.prompts, self.job.seed, state.epoch)
        lengths = self.job.recommender.input_lengths(examples.histories(), variants, prompts)
        batches = bucketed_batches(lengths, self.contract.batch_size, self.job.seed, state.epoch)
        self.job.recommender.train()
        with deferred_interrupts() as asked:
            for rows in batches[state.batch : state.batch + self.total - state.step]:
                self.step(examples, variants, prompts, rows)
                stop = self.agreed(bool(asked))
                if stop or time.monotonic() - self.saved > SAVE_EVERY:
                    self.save()
                if stop:
                    raise KeyboardInterrupt
        state.epoch, state.batch = state.epoch + 1, 0
        self.keep_snapshots()
        last = state.step >= self.total
        if self.job.stage.use_validation and (last or state.epoch % self.contract.validate_every == 0):
            self.select()
        state.finished = last or state.stale >= self.contract.patience
        self.save()

    def probabilities(self) -> list[float]:
        """Of every variant of the identifiers, for the epoch that begins."""
        variants, mixture = self.job.recommender.ids.variants, self.job.stage.mixture
        if mixture is None:
            return [1 / variants] * variants
        begin, accelerator = time.monotonic(), self.job.accelerator
        said: list[Any] = [None, None]
        if accelerator.is_main_process:  # one process measures: on all, rounding could make them draw apart
            said = [np.asarray(mixture(self.session()), np.float64), self.state.memory]
        if accelerator.num_processes > 1:
            broadcast_object_list(said)
        found, self.state.memory = said
        self.state.seconds += time.monotonic() - begin
        if found.shape != (variants,) or not (found >= 0).all() or abs(found.sum() - 1) > 1e-6:
            raise BenchError(
                f"the mixture of stage '{self.job.stage.name}' must give {variants} probabilities that sum to 1; "
                f"found {found.tolist()}"
            )
        return [float(probability) for probability in found / found.sum()]

    def session(self) -> Session:
        return Session(
            recommender=self.job.recommender,
            optimiser=self.optimiser,
            training=self.windows,
            held_out=of_targets(self.job.held_out),
            examples=len(self.examples(self.state.epoch)),
            epoch=self.state.epoch,
            epochs=self.epochs,
            learning_rate=self.learning_rate(),
            seed=self.job.seed,
            state=self.state.memory,
        )

    def learning_rate(self) -> float:
        """Of the next step."""
        return (
            self.job.stage.lr_scale * self.contract.learning_rate * schedule(self.contract, self.state.step, self.total)
        )

    def keep_snapshots(self) -> None:
        """Write the weights of every snapshot that falls to the end of this epoch."""
        for part in self.job.stage.snapshots:
            if self.state.epoch == max(1, round(part * self.epochs)) and self.job.accelerator.is_main_process:
                weights = trained_state(self.job.recommender.backbone)
                checkpoint.save(snapshot_path(self.job, part), TrainingState(step=self.state.step), weights)

    def step(self, examples: Examples, variants: Rows, prompts: Rows, rows: Rows) -> None:
        """One optimiser step on this process's share of a global batch."""
        begin, job, state = time.monotonic(), self.job, self.state
        rank, processes = job.accelerator.process_index, job.accelerator.num_processes
        seed_everything(job.seed, state.step, rank)
        mine = rows[rank::processes]
        written = variants[mine], prompts[mine]
        collated = job.recommender.collate(examples.histories(mine), examples.items(mine), *written)
        batch = to_device(collated, job.accelerator.device)
        # Averaging over processes divides by their number, so the share is scaled up by it.
        loss = self.model(batch) * processes / max(1, job.recommender.targets(examples.items(rows), variants[rows]))
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate()
        job.accelerator.backward(loss)
        if self.contract.clip_norm:
            job.accelerator.clip_grad_norm_(self.model.parameters(), self.contract.clip_norm)
        self.optimiser.step()
        self.optimiser.zero_grad()
        state.step, state.batch = state.step + 1, state.batch + 1
        if state.step % LOG_EVERY == 0 or state.step == self.total:
            self.log({"loss": self.finite(loss)})
        else:
            job.progress(state.step, self.total, {})
        state.seconds += time.monotonic() - begin

    def agreed(self, asked: bool) -> bool:
        """Whether any process was asked to stop: signals reach processes one by one, and all must stop at one step."""
        accelerator = self.job.accelerator
        if accelerator.num_processes == 1:
            return asked
        return bool(accelerator.reduce(torch.tensor(float(asked), device=accelerator.device)) > 0)

    def finite(self, loss: Tensor) -> float:
        value = float(self.job.accelerator.reduce(loss.detach(), reduction="mean"))
        if not math.isfinite(value):
            raise BenchError(
                f"the training loss became {value} at step {self.state.step:,} with learning_rate="
                f"{self.contract.learning_rate:g}; lower it, e.g. --set learning_rate="
                f"{self.contract.learning_rate / 3:.1g}"
            )
        return value

    def select(self) -> None:
        """Validate, and keep the weights if none were better."""
        if time.monotonic() - self.saved > SAVE_EVERY:
            self.save(resume_at_end=True)
        begin = time.monotonic()
        self.job.recommender.eval()
        score = self.job.validate()
        self.state.seconds += time.monotonic() - begin
        self.state.stale += 1
        if score > self.state.best:  # also the first: a recommender that never hits is still the best so far
            self.state.best, self.state.best_step, self.state.stale = score, self.state.step, 0
            self.best = {name: tensor.detach().clone() for name, tensor in trained_state(self.job.recommender).items()}
        self.log({self.contract.selection: score})

    def log(self, figures: Mapping[str, float]) -> None:
        self.state.curve.append({"step": self.state.step, **figures})
        self.job.progress(self.state.step, self.total, figures)

    def save(self, resume_at_end: bool = False) -> None:
        """Write a checkpoint; with ``resume_at_end`` one that goes on just before the validation of the epoch."""
        if self.job.accelerator.is_main_process:
            state = self.state
            if resume_at_end:
                state = TrainingState(**{**vars(state), "epoch": state.epoch - 1, "batch": 10**9})
            tensors = checkpoint.pack(trained_state(self.job.recommender), self.optimiser.state_dict(), self.best)
            checkpoint.save(self.job.path, state, tensors)
        self.saved = time.monotonic()

    def restore(self) -> None:
        self.state, tensors = checkpoint.load(self.job.path)
        model, moments, self.best = checkpoint.unpack(tensors)
        load_trained_state(self.job.recommender, model)
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": moments, "param_groups": groups})

    def load_best(self) -> None:
        if self.job.stage.use_validation and self.best:
            load_trained_state(self.job.recommender, self.best)
        self.job.recommender.eval()
        self.job.accelerator.free_memory()


def schedule(contract: Contract, step: int, total: int) -> float:
    """The learning rate of a step as a part of its peak: linear warm-up, then the contract's decay to zero."""
    warmup = round(contract.warmup * total)
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, total - warmup)
    return {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}[contract.schedule]


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameters with and without weight decay, told apart by module type: names match nothing in half of the world."""
    cached_seconds = {id(p) for m in model.modules() if isinstance(m, Backbone) for p in m.undecayed()}
    cached_seconds |= {id(m.bias) for m in model.modules() if isinstance(m, nn.Linear)}
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if id(p) not in cached_seconds], "weight_decay": weight_decay},
        {"params": [p for p in parameters if id(p) in cached_seconds], "weight_decay": 0.0},
    ]


def seed_everything(seed: int, step: int, process: int) -> None:
    """Randomness of a step depends on nothing before it, so a resumed run needs no random state and repeats exactly."""
    torch.manual_seed(int(np.random.SeedSequence([seed, step, process]).generate_state(1, np.uint64)[0]) >> 1)


@contextlib.contextmanager
def deferred_interrupts() -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM only leave a note in the list, so that a step is never cut in two; a second one is obeyed at
    once.
    """
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield asked  # Python delivers signals to the main thread alone
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
