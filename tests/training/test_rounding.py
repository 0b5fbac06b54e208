"""Gradients of a batch that is summed in shares differ from those of the whole batch by rounding, and by nothing else.

Shares are what several processes compute, and what ``accumulate`` computes one after the other in a single process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from bench.ids.identifiers import Feature, Template, VectorIds
from bench.training.loop import Job, train
from bench.vocabulary import Vocabulary

Jobs = Callable[..., Job]
LINES: dict[str, Any] = {"use_validation": False, "dropout": 0.0, "epochs": 8, "weight_decay": 0.01, "clip_norm": 1.0}


def vectors() -> VectorIds:
    random, everything = np.random.default_rng(1), np.ones(30, bool)
    own = Feature("own", random.standard_normal((30, 5)).astype(np.float32), everything)
    text = random.standard_normal((30, 7)).astype(np.float32)
    features = own, Feature("text", text, everything, slots=2, hidden=(16,), reconstruction=0.7)
    return VectorIds(features, Vocabulary.private([*"abcde"]), Template("a b", after="c"))


def weights(job: Job, double: bool) -> torch.Tensor:
    if double:
        job.recommender.double()
    train(job)
    return torch.cat([parameter.detach().double().ravel() for parameter in job.recommender.parameters()])


def difference(job: Jobs, double: bool) -> float:
    """The largest between the weights after 24 steps over whole batches and over batches in two shares."""
    whole = weights(job(ids=vectors(), **LINES), double)
    shares = weights(job(ids=vectors(), accumulate=2, path=job().path.with_name("shares"), **LINES), double)
    return float((whole - shares).abs().max())


def test_what_shares_change_of_sets_of_vectors_is_gone_in_double_precision(
    job: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    single = difference(job, double=False)
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "float", lambda self, *_, **__: self.double())
        default = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            double = difference(job, double=True)
        finally:
            torch.set_default_dtype(default)
    assert 0 < single < 1e-2
    assert double < 1e-11
    assert single > 1e4 * double
