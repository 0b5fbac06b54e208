"""Gradients of a batch that is summed in shares differ from those of the whole batch by rounding, and by nothing else.

Shares are what several processes compute. Sets of vectors show the difference most: the loss of their features is far
smaller than that of the items.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from bench.ids.identifiers import Feature, Template, VectorIds
from bench.training.epoch import Planner
from bench.training.examples import of_epoch, sliding_windows
from bench.training.loop import Job
from bench.vocabulary import Vocabulary

Jobs = Callable[..., Job]
LINES: dict[str, Any] = {"use_validation": False, "dropout": 0.0}


def vectors() -> VectorIds:
    random, everything = np.random.default_rng(1), np.ones(30, bool)
    own = Feature("own", random.standard_normal((30, 5)).astype(np.float32), everything)
    text = random.standard_normal((30, 7)).astype(np.float32)
    features = own, Feature("text", text, everything, slots=2, hidden=(16,), reconstruction=0.7)
    return VectorIds(features, Vocabulary.private([*"abcde"]), Template("a b", after="c"))


def difference(job: Job, processes: int) -> float:
    """The largest between the gradients of a batch and the sum over the shares of so many processes, relative to the
    largest gradient.
    """
    model, contract = job.recommender.train(), job.contract
    examples = of_epoch(sliding_windows(job.sequences, contract.max_history), contract, (), job.seed, 0)
    plan = Planner(model, contract, job.seed).epoch(examples, [1.0], 0)
    rows, found = plan.batches[0], []
    for shares in ([rows], [rows[rank::processes] for rank in range(processes)]):
        model.zero_grad()
        for share in shares:
            (model(plan.batch(share)) / plan.predictions(rows)).backward()
        parts = [parameter.grad for parameter in model.parameters()]
        found.append(torch.cat([part.double().ravel() for part in parts if part is not None]))
    return float((found[0] - found[1]).abs().max() / found[0].abs().max())


@pytest.mark.parametrize("processes", [2, 4])
def test_what_shares_change_is_gone_in_double_precision(
    job: Jobs, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    single = difference(job(ids=vectors(), **LINES), processes)
    assert 0 < single < 2e-6
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    double = job(ids=vectors(), **LINES)
    double.recommender.double()
    assert difference(double, processes) < 1e-14
