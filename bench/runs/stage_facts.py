"""What is known of the stages of a training: their costs, what is stored of them, and what a checkpoint belongs to."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from bench.ids import storage
from bench.ids.scheme import Stage
from bench.model.recommender import Recommender
from bench.training.checkpoint import TrainingState

TRAINING_COSTS = (
    "training_seconds",
    "validation_seconds",
    "processor_seconds",
    "training_flops",
    "tokens_read",
    "tokens_written",
    "target_examples",
    "looks",
)  # fields of a training state, summed over stages


def training_costs(states: Sequence[TrainingState]) -> dict[str, float | None]:
    found = {name: total([getattr(state, name) for state in states]) for name in TRAINING_COSTS}
    return {**found, "steps": total([state.step for state in states])}


def total(values: Sequence[float | None]) -> float | None:
    """None where one of them is not known."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def stage_summary(stage: Stage, state: TrainingState) -> dict[str, Any]:
    """How a stage ended, and what its mixture of variants noted."""
    return {
        "name": stage.name,
        "budget_fraction": stage.budget_fraction,
        "steps": state.step,
        "best_validation": state.best if stage.use_validation else None,
        "mixture": state.mixture_state,
    }


def identity(stage: Stage, recommender: Recommender) -> str:
    """What a checkpoint belongs to: the stage, its identifiers and all weights it starts from. 12 hex digits."""
    plan = (
        stage.name,
        stage.budget_fraction,
        stage.lr_scale,
        stage.use_validation,
        stage.snapshots,
        stage.ids.template,
        recommender.backbone.signature,
    )
    seen, facts = storage.parts(stage.ids)
    digest = hashlib.sha256(repr((plan, facts)).encode())
    digest.update(stage.ids.vocabulary.fingerprint.encode())
    weights = (parameter.detach().cpu() for parameter in recommender.parameters())
    halves = (weight.view(torch.int16) if weight.dtype == torch.bfloat16 else weight for weight in weights)
    for array in (*seen.values(), *(half.numpy() for half in halves)):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:12]
