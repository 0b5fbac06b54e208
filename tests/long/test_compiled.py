"""Training through ``torch.compile``: the same weights but for rounding, and the same bits after an interruption."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from bench.backbone.t5 import T5, T5Config
from bench.contract import Contract
from bench.data.dataset import Sequences
from bench.ids.identifiers import TokenIds
from bench.ids.scheme import Stage
from bench.model.recommender import recommender_under
from bench.training.loop import Job, train
from bench.vocabulary import Vocabulary

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore")]  # PyTorch warns while it compiles
LETTERS = "abcdefghij"
VOCABULARY = Vocabulary.private(LETTERS)
IDS = TokenIds.from_lists([VOCABULARY.ids([a, b]) for a, b in zip(LETTERS, LETTERS[::-1], strict=True)], VOCABULARY)
SHAPE = {"d_model": 16, "d_kv": 8, "d_ff": 32, "heads": 2, "layers": 1, "decoder_layers": 1}
LINES: dict[str, Any] = {"training": "shared", "epochs": 3, "batch_size": 24, "dropout": 0.0, "learning_rate": 1e-2}


def nothing(*_: object) -> None:
    pass


def interrupting(step: int, *_: object) -> None:
    if step == 3:
        os.kill(os.getpid(), signal.SIGINT)


def trained(path: Path, progress: Callable[..., None] = nothing, **lines: Any) -> torch.Tensor:
    """All weights after a training of a second, compiling aside."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    torch._dynamo.reset()
    contract = Contract(**{**LINES, **lines})
    recommender = recommender_under(contract, IDS, T5(T5Config(VOCABULARY.size, dropout=contract.dropout, **SHAPE)))
    random = np.random.default_rng(0)
    sequences = Sequences.from_rows([random.integers(0, 10, random.integers(3, 9)).tolist() for _ in range(40)])
    given = (0, Stage(IDS, use_validation=False), dict, None, path, 0.0, progress)
    train(Job(recommender, sequences, contract, *given, accelerator=Accelerator(cpu=True)))
    return torch.cat([parameter.detach().flatten() for parameter in recommender.parameters()])


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_what_is_compiled_trains_alike(tmp_path: Path, dropout: float) -> None:
    """With dropout too: what is compiled drops what is not compiled drops."""
    lines = {"dropout": dropout}
    plain, compiled = (trained(tmp_path / str(compile), compile=compile, **lines) for compile in (False, True))
    torch.testing.assert_close(plain, compiled, atol=1e-5, rtol=1e-4)


def test_what_is_compiled_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", compile=True, dropout=0.1)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "stopped", interrupting, compile=True, dropout=0.1)
    assert torch.equal(whole, trained(tmp_path / "stopped", compile=True, dropout=0.1))
