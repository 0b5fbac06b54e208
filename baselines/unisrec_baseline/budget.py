"""The steps of both stages, and what a step costs where the budget is processor time or FLOPs."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from bench import files
from bench.contract import amount
from bench.files import write_json
from bench.flops import TRAINING, attention, product
from bench.results import budgets
from bench.training.budget import CONVERTED, convert, stage_steps, whole_steps
from bench.training.cost import processor_seconds
from bench.training.examples import of_epoch
from bench.training.probe import FIRST, WARMING, to_measure
from unisrec_baseline.model import Model
from unisrec_baseline.training import Job, Stage, train


def stages(job: Job, model: Model, fraction: float, known: int, whole_network: bool) -> list[Stage]:
    """Pre-training with a ``fraction`` of the steps, and fine-tuning, of the ``whole_network`` or all but the encoder.

    ``known`` are the steps of a budget of time or FLOPs; where they are not known, what comes first converts it.
    """
    network, fixed = model.network, () if whole_network else ("encoder.",)
    tuned = [weights for name, weights in network.named_parameters() if not name.startswith(tuple(fixed))]
    first = Stage("pre-train", 0, model.pre_training, list(network.parameters()), flops=step_flops(job, model, 0))
    second = Stage("fine-tune", 0, model.fine_tuning, tuned, flops=step_flops(job, model, model.items))
    if job.contract.budget and not known:
        known = _converted(job, first if fraction else second)
    whole = whole_steps(job.contract, examples_of(job), known)
    steps = stage_steps(whole, 0.0, fraction)
    return [replace(first, total=steps), replace(second, total=whole - steps, before=steps)]


def examples_of(job: Job) -> int:
    """Of an epoch."""
    return len(of_epoch(job.windows, job.contract, job.part_users, job.seed, 0))


def _converted(job: Job, stage: Stage) -> int:
    kept, allowed = job.folder / CONVERTED, amount(job.contract.budget)
    if not kept.exists():
        cost = float(stage.flops or 0) if allowed.unit == "FLOPs" else step_seconds(job, stage)
        write_json(kept, asdict(convert(job.contract.budget, allowed, cost)))
        write_json(kept, budgets.agreed(job.folder.parent, files.read_json(kept)))
    return int(json.loads(kept.read_text(encoding="utf-8"))["steps"])


def step_seconds(job: Job, stage: Stage) -> float:
    """Processor seconds of a step, measured on as many as a scheme's."""
    return _mean(job, stage, to_measure(_mean(job, stage, FIRST)))


def _mean(job: Job, stage: Stage, steps: int) -> float:
    """Processor seconds of a step: the mean over so many, whose weights are thrown away."""
    marks: dict[int, float] = {}

    def mark(step: int, total: int, stats: Mapping[str, float]) -> None:
        marks.setdefault(step, processor_seconds())

    before = copy.deepcopy(job.network.state_dict())
    with tempfile.TemporaryDirectory() as folder:
        contract = replace(job.contract, validate_every=1 << 30, patience=1 << 30, warmup=0.0, schedule="constant")
        probe = replace(
            job,
            contract=contract,
            folder=Path(folder),
            validate=lambda: {contract.selection: 0.0},
            tell=mark,
        )
        train(probe, replace(stage, total=WARMING + steps))
    job.network.load_state_dict(before)
    return (marks[WARMING + steps] - marks[WARMING]) / steps


def step_flops(job: Job, model: Model, catalogue: int) -> int:
    """Of a step whose batch has histories of mean length. The adaptor reads all items of the ``catalogue`` where it is
    compared with, else (0) those of the batch.
    """
    settings, windows, raw = job.settings, job.windows, model.text.shape[1]
    batch = min(job.contract.batch_size, examples_of(job))
    length = max(1, round(float((windows.targets - windows.starts).mean())))
    views, rows = (1, batch * length) if catalogue else (2, 2 * batch * length)
    read = catalogue or batch + round(batch * length * (1 + settings.word_drop_share))  # views share their items
    adaptor = product(settings.experts * raw * (settings.width + 2), read)  # gates and noise are two more
    block = 4 * settings.width**2 + 2 * settings.width * settings.inner
    encoder = settings.layers * (product(block, rows) + attention(views * batch, length, length, settings.width))
    compared = product(settings.width * (catalogue or batch), views * batch)
    return TRAINING * (encoder + compared) + (TRAINING - 1) * adaptor  # texts need no gradients
