"""Small decoder-only models of ours, each beside Transformers' own model with the same weights."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, Qwen2Config, Qwen2ForCausalLM

from bench.backbone import causal_files
from bench.backbone.causal import Causal

SIZE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "max_position_embeddings": 256}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2}  # two queries share a key
PEERS = {"qwen2": (Qwen2Config, Qwen2ForCausalLM), "llama": (LlamaConfig, LlamaForCausalLM)}


@pytest.fixture(scope="session", autouse=True)
def single_thread(one_thread: None) -> None:
    """Tensors this small are slower on several threads."""


MakeCausal = Callable[..., tuple[Causal, Any]]


def their_model(
    vocabulary: int, seed: int = 0, tied: bool = True, kind: str = "qwen2", **lines: Any
) -> PreTrainedModel:
    """Transformers' model, with weights larger than they start, so that what is read decides."""
    torch.manual_seed(seed)
    config, model = PEERS[kind]
    given = {**SIZE, **HEADS, "vocab_size": vocabulary, "tie_word_embeddings": tied, **lines}
    theirs = model(config(attn_implementation="eager", **given)).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.1 if parameter.dim() == 1 else parameter * 6)
        for name, parameter in theirs.named_parameters():
            if "norm" in name:
                parameter.uniform_(0.5, 1.5)
    return theirs


@pytest.fixture(scope="session")
def causal() -> MakeCausal:
    """``causal(vocabulary, seed, tied, kind)``: ours, read from what Transformers' model beside it has saved."""

    def make(
        vocabulary: int, seed: int = 0, tied: bool = True, kind: str = "qwen2", **lines: Any
    ) -> tuple[Causal, Any]:
        theirs = their_model(vocabulary, seed, tied, kind, **lines)
        with tempfile.TemporaryDirectory() as folder:
            theirs.save_pretrained(folder)
            return causal_files.load(Path(folder)).eval(), theirs

    return make
