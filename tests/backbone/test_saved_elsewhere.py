"""Checkpoints as other programs save them, each against Transformers' own logits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import MT5Config, MT5ForConditionalGeneration, T5Config, T5ForConditionalGeneration

from bench.backbone import huggingface

SHAPE: dict[str, Any] = {"vocab_size": 40, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_heads": 2, "num_layers": 1}
SOURCE, TARGET = torch.arange(3, 19).view(2, 8), torch.arange(4, 12).view(2, 4)


def agree(folder: Path, peer: torch.nn.Module) -> None:
    """The largest difference of logits is rounding."""
    with torch.no_grad():
        theirs = peer.eval()(input_ids=SOURCE, decoder_input_ids=TARGET).logits
        ours = huggingface.load(folder).eval()(SOURCE, torch.ones_like(SOURCE).bool(), TARGET)
    assert float(theirs.abs().max()) > 1e-2
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("tied", [True, False])
def test_an_mt5_that_transformers_saved_again(tmp_path: Path, tied: bool) -> None:
    """Its output is never scaled, whatever the configuration says of tied embeddings."""
    torch.manual_seed(0)
    MT5ForConditionalGeneration(MT5Config(**SHAPE, tie_word_embeddings=tied)).save_pretrained(tmp_path / "first")
    peer = MT5ForConditionalGeneration.from_pretrained(tmp_path / "first")
    peer.save_pretrained(tmp_path / "again")
    for folder in ("first", "again"):
        agree(tmp_path / folder, MT5ForConditionalGeneration.from_pretrained(tmp_path / folder))


@pytest.mark.parametrize("feed_forward", ["relu", "gated-gelu"])
def test_a_t5_that_transformers_saved_again(tmp_path: Path, feed_forward: str) -> None:
    torch.manual_seed(0)
    T5ForConditionalGeneration(T5Config(**SHAPE, feed_forward_proj=feed_forward)).save_pretrained(tmp_path / "first")
    peer = T5ForConditionalGeneration.from_pretrained(tmp_path / "first")
    peer.save_pretrained(tmp_path / "again", max_shard_size="10KB")
    assert len(list((tmp_path / "again").glob("*.safetensors"))) > 1
    agree(tmp_path / "again", peer)


@pytest.mark.parametrize("kept", huggingface.EMBEDDINGS)
def test_whichever_name_of_the_shared_table_was_kept(tmp_path: Path, kept: str) -> None:
    torch.manual_seed(0)
    peer = T5ForConditionalGeneration(T5Config(**SHAPE))
    peer.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    table = next(weights[name] for name in huggingface.EMBEDDINGS if name in weights)
    others = {name: tensor for name, tensor in weights.items() if name not in huggingface.EMBEDDINGS}
    save_file({**others, kept: table}, tmp_path / "model.safetensors", {"format": "pt"})
    agree(tmp_path, peer)


def test_what_a_trainer_leaves_beside_the_weights_is_not_opened(tmp_path: Path) -> None:
    torch.manual_seed(0)
    peer = T5ForConditionalGeneration(T5Config(**SHAPE))
    peer.save_pretrained(tmp_path)
    for name in ("training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth"):
        (tmp_path / name).write_bytes(b"not a pickle at all")
    (tmp_path / "trainer_state.json").write_text(json.dumps({"global_step": 5}))
    agree(tmp_path, peer)
