"""What an optimizer step takes: the only place where a clock has a say, and it has it once for each row.

Seconds are measured over a few steps of a copy of the recommender, which are thrown away: random numbers of a step
depend on nothing before it (``bench.training.loop``), so a run after a probe is bit for bit a run without one. FLOPs
are counted from shapes, over the whole first epoch, and need no probe.
"""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.contract import Amount
from bench.data.dataset import Progress
from bench.errors import BenchError
from bench.training.cost import processor_seconds
from bench.training.epoch import Planner
from bench.training.examples import of_epoch, sliding_windows
from bench.training.loop import Job, train

WARMING, PROBED = 2, 20  # steps: the first ones pay for memory that later ones find ready


def step_cost(job: Job, budget: Amount) -> float:
    """Processor seconds, of all processes together, or FLOPs of a step; the number is that of the main process."""
    return step_flops(job) if budget.unit == "FLOPs" else step_seconds(job)


def step_seconds(job: Job) -> float:
    """The mean over ``PROBED`` steps of a copy. Every process of a run takes part."""
    marks: dict[int, float] = {}

    def mark(step: int, total: int, stats: Mapping[str, float]) -> None:
        marks[step] = processor_seconds()

    with tempfile.TemporaryDirectory() as folder:
        train(_short(job, Path(folder) / "probe.safetensors", mark))
    mine: float = (marks[WARMING + PROBED] - marks[WARMING]) / PROBED
    return mine * int(job.accelerator.num_processes)  # their shares of a batch differ by one example at most


def wall_seconds(job: Job, steps: int) -> float:
    """The mean of a few steps of a copy by the clock on the wall, the first ones aside."""
    marks: dict[int, float] = {}

    def mark(step: int, total: int, stats: Mapping[str, float]) -> None:
        marks[step] = time.monotonic()

    with tempfile.TemporaryDirectory() as folder:
        train(_short(job, Path(folder) / "probe.safetensors", mark, steps))
    return (marks[WARMING + steps] - marks[WARMING]) / steps


def _short(job: Job, path: Path, mark: Progress, steps: int = PROBED) -> Job:
    """The job for a few steps, with nothing that anybody looks at."""
    steps += WARMING
    contract = replace(
        job.contract, epochs=steps, target_examples=0, budget="", max_steps=steps, warmup=0.0, schedule="constant"
    )
    stage = replace(job.stage, budget_fraction=1.0, mixture=None, use_validation=False, snapshots=())
    return replace(
        job,
        recommender=copy.deepcopy(job.recommender),
        contract=contract,
        stage=stage,
        before=0.0,
        path=path,
        progress=mark,
        converted=0,
        fraction=1.0,
    )


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
