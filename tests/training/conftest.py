"""Trainings of milliseconds on the toy data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator

from bench.backbone.t5 import T5, T5Config
from bench.contract import Contract
from bench.data.dataset import Dataset
from bench.data.splits import leave_one_out
from bench.evaluation.metrics import ndcg
from bench.ids.identifiers import TokenIds
from bench.ids.scheme import Stage
from bench.model.recommender import Decoding, recommender_under
from bench.training.loop import Job
from bench.training.ranking import evaluate
from bench.vocabulary import Vocabulary

# Three steps an epoch, six in all, a validation after every epoch.
STAGE = ("budget_fraction", "lr_scale", "mixture", "use_validation", "snapshots")
CONTRACT = Contract(examples="one", epochs=2, batch_size=16, learning_rate=1e-2, patience=9)


@pytest.fixture
def job(toy: Dataset, tmp_path: Path) -> Callable[..., Job]:
    """``job(seed=0, path=…, progress=…, validate=…, **fields of the stage, **changes to the contract)``: always the
    same first weights.

    Every item is a token of its own, for that is learned fastest.
    """
    torch.set_num_threads(1)
    split = leave_one_out(toy)
    vocabulary = Vocabulary.private(toy.items.ids)
    ids = TokenIds.from_lists([vocabulary.ids([item]) for item in toy.items.ids], vocabulary)

    def make(seed: int = 0, path: Path = tmp_path / "stage-0.safetensors", **said: Any) -> Job:
        own = {name: said.pop(name) for name in ("progress", "validate") if name in said}
        stage = Stage(said.pop("ids", ids), **{name: said.pop(name) for name in STAGE if name in said})
        contract = replace(CONTRACT, **said)
        torch.manual_seed(1)
        shape = {"d_model": 16, "d_kv": 8, "d_ff": 32, "heads": 2, "layers": 1, "decoder_layers": 1}
        t5 = T5(T5Config(ids.vocabulary.size, dropout=contract.dropout, **shape))
        recommender = recommender_under(contract, stage.ids, t5)
        accelerator = Accelerator()

        def validate() -> float:
            ranks, _ = evaluate(recommender, split.validation, Decoding(), 20, accelerator)
            return float(ndcg(ranks.strict, 10).mean())

        score = own.pop("validate", validate)
        named = {"validate": lambda: {contract.selection: score()}}
        given = {"stage": stage, **named, "held_out": split.validation, "path": path, **own}
        return Job(recommender, split.train.sequences, contract, seed, accelerator=accelerator, **given)

    return make
