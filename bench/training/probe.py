"""What an optimizer step takes: the only place where a clock has a say, and it has it once for each row.

Seconds are measured over a few steps of a copy of the recommender, which are thrown away: random numbers of a step
depend on nothing before it (``bench.training.loop``), so a run after a probe is bit for bit a run without one. FLOPs
are counted from shapes, over the whole first epoch, and need no probe.
"""

from __future__ import annotations

import copy
import functools
import math
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench import ranks
from bench.contract import Amount
from bench.data.dataset import Progress
from bench.errors import BenchError
from bench.model.recommender import Recommender
from bench.training.cost import processor_seconds
from bench.training.epoch import Epoch, Planner
from bench.training.examples import Rows, of_epoch, sliding_windows
from bench.training.loop import Job, train

WARMING = 2  # steps that pay for memory that later ones find ready
FIRST = 4  # steps that say how many more are needed
FEWEST, MOST, ENOUGH = 20, 60, 3.0  # steps, and the processor seconds of one process between them
LOOKED_AT = 2048  # batches of an epoch, which come in random order


def step_cost(job: Job, budget: Amount) -> float:
    """Processor seconds, of all processes together, or FLOPs of a step; the number is that of the main process."""
    return step_flops(job) if budget.unit == "FLOPs" else step_seconds(job)


def step_seconds(job: Job) -> float:
    """The mean over steps of a copy, on batches of all lengths. Every process of a run takes part."""
    rough = _mean(job, FIRST, processor_seconds)
    steps = ranks.shared(lambda: to_measure(rough))
    # their shares of a batch differ by one example at most
    return _mean(job, steps, processor_seconds) * int(job.accelerator.num_processes)


def to_measure(rough: float) -> int:
    """On how many steps one is measured that takes ``rough`` seconds."""
    return min(MOST, max(FEWEST, math.ceil(ENOUGH / max(rough, 1e-9))))


def wall_seconds(job: Job, steps: int) -> float:
    """The same of so many steps, by the clock on the wall."""
    return _mean(job, steps, time.monotonic)


def _mean(job: Job, steps: int, clock: Callable[[], float]) -> float:
    """Seconds by a clock between two steps of a copy, ``steps`` times, the first ones aside."""
    marks: dict[int, float] = {}

    def mark(step: int, total: int, stats: Mapping[str, float]) -> None:
        marks[step] = clock()

    warming = steps if job.contract.compile else WARMING  # each kind of batch is compiled when it first comes
    with tempfile.TemporaryDirectory() as folder:
        train(_short(job, Path(folder) / "probe.safetensors", mark, warming, steps))
    return (marks[warming + steps] - marks[warming]) / steps


def _short(job: Job, path: Path, mark: Progress, warming: int, steps: int) -> Job:
    """The job for a few steps, with nothing that anybody looks at."""
    whole = warming + steps
    contract = replace(
        job.contract, epochs=whole, target_examples=0, budget="", max_steps=whole, warmup=0.0, schedule="constant"
    )
    stage = replace(job.stage, budget_fraction=1.0, mixture=None, use_validation=False, snapshots=())
    return replace(
        job,
        recommender=_copied(job.recommender),
        contract=contract,
        stage=stage,
        before=0.0,
        path=path,
        progress=mark,
        converted=0,
        fraction=1.0,
        batches=functools.partial(probed, warming=warming, steps=steps),
    )


def _copied(recommender: Recommender) -> Recommender:
    """A copy that may be trained. What is frozen is shared: the base of an adapter may fill half of the memory."""
    return copy.deepcopy(recommender, {id(p): p for p in recommender.parameters() if not p.requires_grad})


def probed(plan: Epoch, warming: int, steps: int) -> list[Rows]:
    """Batches of an epoch: ``steps`` that lie evenly from the least to the most work, behind ``warming`` others, the
    largest of all first.
    """
    batches = plan.batches[:LOOKED_AT]
    order = np.argsort([plan.work(rows).flops or 0 for rows in batches], kind="stable")

    def evenly(count: int) -> list[Rows]:
        return [batches[order[int((number + 0.5) * len(order) / count)]] for number in range(count)]

    return [batches[order[-1]], *evenly(warming)][:warming] + evenly(steps)


def step_flops(job: Job) -> float:
    """The mean over the first epoch. BenchError where the recommender does not count them."""
    windows = sliding_windows(job.sequences, job.contract.max_history)
    examples = of_epoch(windows, job.contract, job.part_users, job.seed, 0)
    variants = job.recommender.ids.variants
    uniform = [1 / variants] * variants
    plan = Planner(job.recommender, job.contract, job.seed).epoch(examples, uniform, 0)
    counted = [plan.work(rows).flops for rows in plan.batches]
    known = [flops for flops in counted if flops is not None]
    if len(known) < len(counted):
        raise BenchError(
            f"a budget of FLOPs was asked for, but {type(job.recommender).__name__} does not count its own; give "
            "processor time, such as --budget 30m"
        )
    return float(np.mean(known))
