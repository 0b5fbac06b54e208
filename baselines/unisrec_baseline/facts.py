"""What UniSRec's training came to, as it is stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.evaluation.baseline import Facts
from bench.evaluation.by_part import at_step
from bench.training.checkpoint import TrainingState
from unisrec_baseline.network import Network
from unisrec_baseline.training import Stage

Done = tuple[Stage, TrainingState]


def facts_of(network: Network, done: Sequence[Done], preparation: float, converted: dict[str, Any]) -> Facts:
    """Sums over the stages; the best validation is that of the last."""
    states = [state for _, state in done]
    flops = [state.training_flops for state in states]
    return Facts(
        parameters=float(sum(weights.numel() for weights in network.parameters())),
        training_seconds=sum(state.training_seconds for state in states),
        validation_seconds=sum(state.validation_seconds for state in states),
        processor_seconds=sum(state.processor_seconds for state in states),
        preparation_seconds=preparation,
        training_flops=None if None in flops else float(sum(flop or 0 for flop in flops)),
        steps=float(sum(state.step for state in states)),
        target_examples=float(sum(state.target_examples for state in states)),
        looks=float(sum(state.looks for state in states)),
        training=_training(done, converted),
    )


def _training(done: Sequence[Done], converted: dict[str, Any]) -> dict[str, Any]:
    stage, last = done[-1]
    return {
        "steps": sum(state.step for _, state in done),
        "epochs": sum(state.epoch for _, state in done),
        "best_step": stage.before + last.best_step,
        "best_validation": last.best,
        **at_step(last.curve, last.best_step),
        "stages": [{"name": stage.name, "steps": state.step, "best_validation": state.best} for stage, state in done],
        "curve": [{"stage": stage.name, **point} for stage, state in done for point in state.curve],
        **({"budget": converted} if converted else {}),
    }
