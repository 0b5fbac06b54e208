"""The learning rate, decay and clipping of each step."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.backbone.t5 import RelativeBias, RMSNorm
from bench.linear import Linear
from bench.model.vectors import mlp
from bench.training.loop import Job, decay_groups, train

Jobs = Callable[..., Job]


Weights = dict[str, Tensor]


def weights(job: Job) -> Weights:
    return {name: tensor.clone() for name, tensor in job.recommender.state_dict().items()}


def outcome(job: Job) -> tuple[Weights, dict[str, Any]]:
    """The weights after training and all of its state but the time it took."""
    state = {name: value for name, value in vars(train(job)).items() if not name.endswith("_seconds")}
    return weights(job), state


def interrupting(call: int) -> Callable[..., None]:
    """A callback that presses Ctrl-C in its ``call``-th call."""
    calls = itertools.count(1)

    def interrupt(*_: object) -> None:
        if next(calls) == call:
            os.kill(os.getpid(), signal.SIGINT)

    return interrupt


def test_the_schedule_sets_the_learning_rate(job: Jobs) -> None:
    """The first of six steps at full and at half rate: Adam's first move has the size of the rate."""
    moves = []
    for warmup in (0.0, 0.34):  # none or two steps
        path = Path(f"{job().path}-{warmup}")
        started = job(path=path, progress=interrupting(1), dropout=0.0, weight_decay=0.0, warmup=warmup)
        before = weights(started)
        with pytest.raises(KeyboardInterrupt):
            train(started)
        moves.append(max(float((after - before[name]).abs().max()) for name, after in weights(started).items()))
    assert moves == pytest.approx([0.01, 0.005], rel=1e-3)


def test_weight_decay_spares_norms_and_position_biases(job: Jobs) -> None:
    model = job().recommender
    decayed, cached_seconds = decay_groups(model, 0.3)
    assert (decayed["weight_decay"], cached_seconds["weight_decay"]) == (0.3, 0.0)
    kinds = {id(p): type(m) for m in model.modules() for p in m.parameters(recurse=False)}
    tables = [m.table.weight for m in model.modules() if isinstance(m, RelativeBias)]
    norms = [m.weight for m in model.modules() if isinstance(m, RMSNorm)]
    assert (len(tables), len(norms)) == (2, 7)
    assert {id(p) for p in cached_seconds["params"]} == {id(p) for p in [*tables, *norms]}
    assert {kinds[id(p)] for p in decayed["params"]} == {Linear, torch.nn.Embedding}
    assert len(decayed["params"]) + len(cached_seconds["params"]) == len(list(model.parameters()))


def test_weight_decay_spares_biases_of_linear_layers() -> None:
    model = mlp([3, 5, 2], "xavier")
    decayed, cached_seconds = decay_groups(model, 0.3)
    assert [p.ndim for p in decayed["params"]] == [2, 2]
    assert [p.ndim for p in cached_seconds["params"]] == [1, 1]


def test_a_step_decays_matrices_alone(job: Jobs, tmp_path: Path) -> None:
    with_decay, without = (
        outcome(job(path=tmp_path / str(decay), max_steps=1, weight_decay=decay, warmup=0.0))[0] for decay in (9.0, 0.0)
    )
    equal = {name for name in without if torch.equal(with_decay[name], without[name])}
    assert equal == {name for name in without if "norm" in name or ".bias." in name}


@pytest.mark.parametrize("clip_norm", [0.0, 1e-6])
def test_gradients_are_clipped_where_asked(job: Jobs, monkeypatch: pytest.MonkeyPatch, clip_norm: float) -> None:
    seen = []
    original = torch.optim.AdamW.step

    def step(self: Any, *rest: Any) -> Any:
        gradients = [p.grad for group in self.param_groups for p in group["params"]]
        seen.append(float(torch.nn.utils.get_total_norm(gradients)))
        return original(self, *rest)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    train(job(clip_norm=clip_norm, max_steps=2))
    assert (max(seen) <= 1.01e-6) == bool(clip_norm)
