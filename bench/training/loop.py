"""The training loop: one stage of one recommender, the same for every scheme.

    torchrun --nproc-per-node 2 -m bench run --id-scheme textual --dataset toys

trains data-parallel and, dropout aside, as one process with the same global batches would: every process knows the
whole plan of an epoch, takes its share of each batch, and divides by the predictions of the *whole* batch, so averaged
gradients are those of one process.

Read ``train`` and then ``_Run.epoch``; the rest is what they call, in that order.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn

from bench import ranks
from bench.backbone.protocol import Backbone, load_trained_state, trained_state
from bench.contract import Contract
from bench.data.dataset import Progress, Sequences, silent
from bench.data.splits import Targets
from bench.errors import BenchError, DivergedError
from bench.ids.scheme import Stage
from bench.model.recommender import Recommender, to_device
from bench.training import checkpoint
from bench.training.arithmetic import computed, multiplying
from bench.training.budget import schedule, stage_steps, steps_per_epoch, whole_steps
from bench.training.checkpoint import TrainingState
from bench.training.cost import Stopwatch
from bench.training.epoch import Epoch, Planner
from bench.training.examples import Examples, Rows, of_epoch, of_targets, sliding_windows
from bench.training.feeding import Feed, Step
from bench.training.session import Session
from bench.training.signals import deferred_interrupts

LOG_EVERY = 20  # steps between looks at the loss, each of which waits for the device
MEET_EVERY = 2.0  # seconds that a signal to one of several processes may wait, where steps are slow
SAVE_EVERY = 60.0  # seconds


@dataclass
class Job:
    """What one stage trains. ``validate`` gives the selection metric by its name, and what else is logged beside it;
    ``progress`` is told step, total and stats.

    ``held_out`` are validation users whose scores select nothing: what a mixture of variants may learn from. ``before``
    is the fraction of the budget that earlier stages had. ``converted`` are the steps of the whole run where its budget
    is one of time or FLOPs, of which a trial of a search has a ``fraction``. ``part_users`` are the users of each data
    set that was joined.
    """

    recommender: Recommender
    sequences: Sequences
    contract: Contract
    seed: int
    stage: Stage
    validate: Callable[[], Mapping[str, float]]
    held_out: Targets
    path: Path
    before: float = 0.0
    progress: Progress = silent
    save_every: float | None = None  # seconds; SAVE_EVERY where nothing is said
    accelerator: Accelerator = field(default_factory=Accelerator)
    converted: int = 0
    fraction: float = 1.0
    part_users: tuple[int, ...] = ()
    batches: Callable[[Epoch], list[Rows]] | None = None  # of an epoch; None: all, in its order


def train(job: Job) -> TrainingState:
    """Train to the end of the budget or of patience, and leave the recommender with its best validated weights.

    Resumes from ``job.path`` if a checkpoint is there. On Ctrl-C or a termination signal the step is finished and
    saved, and KeyboardInterrupt raised.
    """
    run = _Run(job)
    state, stage, contract = run.state, job.stage, job.contract
    if not run.total and stage.use_validation and not state.curve:
        run.validate()  # there is nothing to train, but something to calibrate and to report
    while not state.finished:
        run.epoch()
        run.require_finite_weights()
        run.keep_snapshots()
        last = state.step >= run.total
        if stage.use_validation and (last or (state.epoch + 1) % contract.validate_every == 0):
            run.validate()
        state.epoch, state.batch = state.epoch + 1, 0
        state.finished = last or state.stale >= contract.patience
        run.save()
    run.load_best()
    return state


class _Run:
    """A stage under way: model, optimizer and state, which only ever change together between two steps."""

    def __init__(self, job: Job) -> None:
        self.clock, self.lapped = Stopwatch(), 0.0  # processor seconds of the last lap
        self.unshared = 0.0  # processor seconds of this process that the state, which is of all processes, has not yet
        self.saved = self.met = time.monotonic()  # the last checkpoint, and the last meeting of all processes
        self.met_at, self.next_meeting = 0, 0  # steps
        self.job, self.contract, self.state = job, job.contract, TrainingState()
        if job.stage.use_validation and job.stage.snapshots:
            raise BenchError(
                f"stage '{job.stage.name}' asks for snapshots and selects by validation, which may end it before "
                "one is due; set use_validation=False"
            )
        self.windows = sliding_windows(job.sequences, self.contract.max_history)
        if not len(self.windows):
            raise BenchError("no training example: every training sequence has fewer than two items")
        examples = len(self.examples(0))
        steps = steps_per_epoch(examples, self.contract.batch_size)
        if examples // steps < job.accelerator.num_processes:
            raise BenchError(
                f"batches of {examples // steps} examples cannot be shared by {job.accelerator.num_processes} "
                "processes; start fewer, or raise batch_size"
            )
        self.total = self.steps_of_stage(examples)
        self.epochs = -(-self.total // steps)
        optimizer = torch.optim.AdamW(decay_groups(job.recommender, self.contract.weight_decay), lr=0.0)
        job.recommender.to(job.accelerator.device)
        self.model, self.optimizer = job.accelerator.prepare(job.recommender, optimizer)
        self.best: dict[str, Tensor] = {}
        self.state.finished = not self.total
        if kept := ranks.shared(lambda: checkpoint.load(job.path) if job.path.exists() else None):
            self.restore(*kept)
            self.met_at = self.state.step

    def steps_of_stage(self, examples: int) -> int:
        """Its part of the budget, where an epoch has so many ``examples``. One without a part trains nothing, and needs
        no budget of time or FLOPs to have been converted.
        """
        job = self.job
        if not job.stage.budget_fraction:
            return 0
        whole = max(1, round(job.fraction * whole_steps(self.contract, examples, job.converted)))
        return stage_steps(whole, job.before, job.stage.budget_fraction)

    def examples(self, epoch: int) -> Examples:
        return of_epoch(self.windows, self.contract, self.job.part_users, self.job.seed, epoch)

    def epoch(self) -> None:
        """All steps of the current epoch that are still to be done."""
        job, contract, state, accelerator = self.job, self.contract, self.state, self.job.accelerator
        rank, processes = accelerator.process_index, accelerator.num_processes
        if state.batch == 0:
            state.probabilities = self.probabilities()
        planner = Planner(job.recommender, contract, job.seed)
        plan = planner.epoch(self.examples(state.epoch), state.probabilities, state.epoch)
        feed = Feed(accelerator.device, rank, processes, contract.accumulate)
        job.recommender.train()
        with computed(job.recommender.backbone, contract), deferred_interrupts() as signals:
            batches = job.batches(plan) if job.batches else plan.batches
            left = batches[state.batch : state.batch + self.total - state.step]
            for step in feed.steps(plan, left):
                ranks.at(f"step {state.step + 1} of stage '{job.stage.name}'")
                seed_everything(job.seed, state.step, rank)
                for group in self.optimizer.param_groups:
                    group["lr"] = self.learning_rate()
                loss = self.backward(step, plan.predictions(step.rows))
                if contract.clip_norm:
                    accelerator.clip_grad_norm_(self.model.parameters(), contract.clip_norm)
                self.optimizer.step()
                self.optimizer.zero_grad()
                state.step, state.batch = state.step + 1, state.batch + 1
                state.count(plan.work(step.rows), plan.targets(step.rows))
                stop = self.look(loss, signals)
                if stop or self.save_due():
                    self.save()
                if stop:
                    raise KeyboardInterrupt
        if self.shared(len(signals))[0]:  # one that came behind the last look, while the step was saved
            self.save()
            raise KeyboardInterrupt

    def backward(self, step: Step, predictions: int) -> Tensor:
        """The gradients of all parts of a step, and its loss. Processes meet once, in the last part."""
        accelerator, loss = self.job.accelerator, torch.zeros((), device=self.job.accelerator.device)
        # Averaging over processes divides by their number, so the share is scaled up by it.
        scale = accelerator.num_processes if step.counted else 0
        for number, part in enumerate(step.parts, 1):
            with nullcontext() if number == len(step.parts) else accelerator.no_sync(self.model):
                with multiplying(self.contract.precision, accelerator.device):
                    found = self.model(to_device(part, accelerator.device)) * scale / predictions
                accelerator.backward(found)
            loss = loss + found.detach()
        return loss

    def probabilities(self) -> list[float]:
        """Of every variant of the identifiers, for the epoch that begins."""
        variants, mixture = self.job.recommender.ids.variants, self.job.stage.mixture
        if mixture is None:
            return [1 / variants] * variants
        accelerator = self.job.accelerator
        said: list[Any] = [None, None]
        if accelerator.is_main_process:  # one process measures: on all, rounding could make them draw apart
            with ranks.alone():
                said = [np.asarray(mixture(self.session()), np.float64), self.state.mixture_state]
        if accelerator.num_processes > 1:
            broadcast_object_list(said)
        found, self.state.mixture_state = said
        if found.shape != (variants,) or not (found >= 0).all() or abs(found.sum() - 1) > 1e-6:
            raise BenchError(
                f"the mixture of stage '{self.job.stage.name}' must give {variants} probabilities that sum to 1; "
                f"got {found.tolist()}"
            )
        return [float(probability) for probability in found / found.sum()]

    def session(self) -> Session:
        return Session(
            recommender=self.job.recommender,
            optimizer=self.optimizer,
            training=self.windows,
            held_out=of_targets(self.job.held_out),
            examples=len(self.examples(self.state.epoch)),
            epoch=self.state.epoch,
            epochs=self.epochs,
            learning_rate=self.learning_rate(),
            seed=self.job.seed,
            state=self.state.mixture_state,
            precision=self.contract.precision,
        )

    def learning_rate(self) -> float:
        """Of the next step."""
        peak = self.job.stage.lr_scale * self.contract.learning_rate
        return peak * schedule(self.contract.schedule, self.contract.warmup, self.state.step, self.total)

    def look(self, loss: Tensor, signals: Sequence[int]) -> bool:
        """Report the step, with its loss where that is due; whether to stop.

        Signals reach processes one by one, and all must stop at one step. They meet where the loss is logged and, if
        steps are slow, every ``MEET_EVERY`` seconds or so: not at every step.
        """
        step, multi_process, asked = self.state.step, self.job.accelerator.num_processes > 1, False
        logged = step % LOG_EVERY == 0 or step == self.total
        stats: dict[str, float] = {}
        if logged or (multi_process and step >= self.next_meeting):
            self.state.training_seconds += self.lap()
            value, asked = self.meet(float(loss.detach()) if logged else 0.0, bool(signals))
            stats = {"loss": self.finite(value)} if logged else {}
        self.log(stats)
        return asked if multi_process else bool(signals)

    def meet(self, loss: float, signaled: bool) -> tuple[float, bool]:
        """The mean loss of all processes and whether one of them got a signal; and when they meet again."""
        step, processes = self.state.step, self.job.accelerator.num_processes
        seconds, self.met = time.monotonic() - self.met, time.monotonic()
        # whole milliseconds add up exactly, so every process computes the same step for the next meeting
        losses, signals, milliseconds = self.shared(loss, float(signaled), round(1000 * seconds))
        each = max(1.0, milliseconds / processes) / max(1, step - self.met_at)
        self.met_at, self.next_meeting = step, step + max(1, int(1000 * MEET_EVERY / each))
        return losses / processes, signals > 0

    def shared(self, *values: float) -> list[float]:
        """The sum over all processes of each value; the processor seconds of all are counted on the way."""
        accelerator, sums = self.job.accelerator, [*values, self.unshared]
        if accelerator.num_processes > 1:
            sums = accelerator.reduce(torch.tensor(sums, dtype=torch.float64, device=accelerator.device)).tolist()
        self.state.processor_seconds += sums.pop()
        self.unshared = 0.0
        return sums

    def lap(self) -> float:
        """Seconds since the last call."""
        seconds, self.lapped = self.clock.lap()
        self.unshared += self.lapped
        return seconds

    def finite(self, loss: float) -> float:
        if not math.isfinite(loss):
            raise self.diverged(f"the training loss became {loss}")
        return loss

    def require_finite_weights(self) -> None:
        """DivergedError before weights are validated or kept that are no numbers: an epoch may end between two looks at
        the loss, and the last step may have a loss and no gradient.
        """
        trained = (weight for weight in self.job.recommender.parameters() if weight.requires_grad)
        if not all(weight.isfinite().all() for weight in trained):
            raise self.diverged("a weight became nan or infinite")

    def diverged(self, what: str) -> DivergedError:
        rate = self.contract.learning_rate
        return DivergedError(
            f"{what} at step {self.state.step:,} with learning_rate={rate:g}; lower it, e.g. "
            f"--set learning_rate={rate / 3:.1g}"
        )

    def log(self, stats: Mapping[str, float]) -> None:
        """Tell progress; stats are points of the curve."""
        if stats:
            self.state.curve.append({"step": self.state.step, **stats})
        self.job.progress(self.state.step, self.total, stats)

    def validate(self) -> None:
        """Validate, and keep the weights if none were better."""
        if self.save_due():
            self.save()  # all steps of the epoch are done: resuming, it begins with this validation
        self.state.training_seconds += self.lap()
        self.job.recommender.eval()
        found = self.job.validate()
        score = found[self.contract.selection]
        self.state.validation_seconds += self.lap()
        self.state.validation_processor_seconds += self.lapped * self.job.accelerator.num_processes
        self.state.looks += 1
        self.state.stale += 1
        if score > self.state.best:  # also the first: a recommender that never hits is still the best so far
            self.state.best, self.state.best_step, self.state.stale = score, self.state.step, 0
            self.best = {name: tensor.detach().clone() for name, tensor in trained_state(self.job.recommender).items()}
        self.log(found)

    def keep_snapshots(self) -> None:
        """Write the weights of every snapshot that is due at the end of this epoch."""
        for part in self.job.stage.snapshots:
            if self.state.epoch + 1 == max(1, round(part * self.epochs)) and self.job.accelerator.is_main_process:
                weights = trained_state(self.job.recommender.backbone)
                checkpoint.save(snapshot_path(self.job, part), TrainingState(step=self.state.step), weights)

    def save_due(self) -> bool:
        every = self.job.save_every
        return time.monotonic() - self.saved > (SAVE_EVERY if every is None else every)

    def save(self) -> None:
        """Write a checkpoint; one process does, each by its own clock."""
        self.state.training_seconds += self.lap()
        if self.job.accelerator.is_main_process:
            spent = self.state.processor_seconds + self.unshared
            tensors = checkpoint.pack(trained_state(self.job.recommender), self.optimizer.state_dict(), self.best)
            checkpoint.save(self.job.path, replace(self.state, processor_seconds=spent), tensors)
        self.saved = time.monotonic()

    def restore(self, state: TrainingState, tensors: Mapping[str, Tensor]) -> None:
        self.state = state
        model, moments, self.best = checkpoint.unpack(tensors)
        load_trained_state(self.job.recommender, model)
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})

    def load_best(self) -> None:
        if self.job.stage.use_validation and self.best:
            load_trained_state(self.job.recommender, self.best)
        ranks.spread(trained_state(self.job.recommender).values())
        self.job.recommender.eval()
        self.let_go()
        self.state.training_seconds += self.lap()
        self.shared()

    def let_go(self) -> None:
        """Free what only training needed; moments by name, since the optimizer is still held here."""
        self.optimizer.state.clear()
        self.job.accelerator.free_memory()


def snapshot_path(job: Job, part: float) -> Path:
    """Where the weights after a fraction of the stage are kept."""
    return job.path.with_name(f"{job.path.stem}-at-{part:g}.safetensors")


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameters with and without weight decay, told apart by module type: names match nothing in half of the world."""
    no_decay = {id(p) for m in model.modules() if isinstance(m, Backbone) for p in m.undecayed()}
    no_decay |= {id(m.bias) for m in model.modules() if isinstance(m, nn.Linear)}
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if id(p) not in no_decay], "weight_decay": weight_decay},
        {"params": [p for p in parameters if id(p) in no_decay], "weight_decay": 0.0},
    ]


def seed_everything(seed: int, step: int, process: int) -> None:
    """Randomness of a step depends on nothing before it, so a resumed run needs no random state and repeats exactly."""
    torch.manual_seed(int(np.random.SeedSequence([seed, step, process]).generate_state(1, np.uint64)[0]) >> 1)
