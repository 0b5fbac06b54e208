"""A small T5 with nothing left at its initial value, and Transformers' T5 with the same weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from transformers import T5Config as PeerConfig
from transformers import T5ForConditionalGeneration

from bench.backbone import huggingface
from bench.backbone.t5 import T5, RMSNorm, T5Config

MakeT5 = Callable[..., T5]
MakePeer = Callable[[T5], T5ForConditionalGeneration]

SMALL: dict[str, Any] = {
    "vocabulary": 40,
    "d_model": 16,
    "d_kv": 5,
    "d_ff": 24,
    "heads": 3,
    "layers": 2,
    "decoder_layers": 3,
    "buckets": 8,
    "max_distance": 20,
}


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tensors this small are slower on several threads."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def t5() -> MakeT5:
    """``t5(seed, **changes)``: a small T5 in ``eval`` mode, whose norms and position biases are random too."""

    def make(seed: int = 0, **changes: Any) -> T5:
        torch.manual_seed(seed)
        model = T5(T5Config(**{**SMALL, **changes}))
        for module in model.modules():
            if isinstance(module, RMSNorm):
                nn.init.uniform_(module.weight, 0.5, 1.5)
        for stack in (model.encoder, model.decoder):
            nn.init.normal_(stack.bias.table.weight)
        return model.eval()

    return make


@pytest.fixture(scope="session")
def peer() -> MakePeer:
    """Transformers' T5 with the same weights. It ties the output layer whatever it is told: untied here by hand."""

    def make(ours: T5) -> T5ForConditionalGeneration:
        theirs = T5ForConditionalGeneration(PeerConfig(**huggingface.export_config(ours.config)))
        weights = huggingface.export_weights(ours)
        head = weights.pop("lm_head.weight", None)
        lacking, unexpected = theirs.load_state_dict(weights, strict=False)
        assert not unexpected
        assert set(lacking) <= {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"}
        if head is not None:
            theirs.lm_head.weight = nn.Parameter(head)
        return theirs.eval()

    return make
