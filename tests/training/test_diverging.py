"""A training whose loss or weights are no numbers any more ends with an error, and is never validated or kept."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.errors import BenchError, DivergedError
from bench.training import checkpoint, loop
from bench.training.loop import Job, train

Jobs = Callable[..., Job]
DIVERGING = {"learning_rate": 1e20, "warmup": 0.0, "clip_norm": 0.0}  # any model does


@pytest.mark.parametrize("every", [1, 20])
def test_a_loss_that_is_no_number_ends_the_training(job: Jobs, monkeypatch: pytest.MonkeyPatch, every: int) -> None:
    """Where no look at the loss is due, at the end of the first epoch."""
    monkeypatch.setattr(loop, "LOG_EVERY", every)
    with pytest.raises(BenchError) as caught:
        train(job(**DIVERGING))
    text = str(caught.value)
    assert "learning_rate=1e+20" in text
    assert "--set learning_rate=3e+19" in text
    assert "at step 2 " in text or "at step 3 " in text
    assert "\n" not in text


def test_weights_that_are_no_numbers_are_not_validated(job: Jobs) -> None:
    """Patience would end this training before the first look at its loss, in step 20."""

    def validate() -> float:
        raise AssertionError("validated")

    with pytest.raises(DivergedError, match="a weight became nan or infinite at step 3 "):
        train(job(epochs=20, patience=2, validate=validate, **DIVERGING))


def test_a_gradient_that_is_no_number_in_the_last_step(job: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss of that step is one, and there is no validation."""
    made = job(use_validation=False)
    forward, calls = made.recommender.forward, itertools.count(1)

    def last_without_gradient(batch: Any) -> Tensor:
        loss = forward(batch)
        return loss + torch.sqrt(0 * loss) if next(calls) == 6 else loss

    monkeypatch.setattr(made.recommender, "forward", last_without_gradient)
    with pytest.raises(DivergedError, match="a weight became nan or infinite at step 6 "):
        train(made)
    assert checkpoint.load(made.path)[0].step == 3  # as the epoch before has left it
