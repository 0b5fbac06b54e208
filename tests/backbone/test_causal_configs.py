"""Lines of a ``config.json`` of decoder-only models: each is computed as Transformers does, or refused by its name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from bench import backbone
from bench.backbone.causal import Causal
from bench.errors import BenchError

Make = Callable[..., tuple[Causal, Any]]

TOKENS = torch.arange(3, 147).view(3, 48) % 40
STRETCH = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
OLD, NEW = {**STRETCH, "type": "llama3"}, {**STRETCH, "rope_type": "llama3"}
LINES: list[tuple[str, dict[str, Any]]] = [  # the kind, and what is written over its config.json; null takes a line out
    ("qwen2", {"rms_norm_eps": 0.5}),
    ("llama", {"rms_norm_eps": 0.5}),
    ("qwen2", {"rope_parameters": None, "rope_theta": 70.0}),
    ("qwen2", {"rope_parameters": None, "rope_theta": 70.0, "rope_scaling": OLD}),
    ("llama", {"rope_parameters": None, "rope_theta": 70.0, "rope_scaling": NEW}),
    ("llama", {"rope_parameters": None, "rope_scaling": {**NEW, "rope_theta": 70.0}}),
    ("llama", {"rope_parameters": {"rope_type": "default"}, "rope_theta": 70.0}),
    ("llama", {"rope_parameters": {"rope_type": "default", "rope_theta": 70.0}, "rope_scaling": NEW}),
    ("llama", {"rope_parameters": None, "rope_scaling": {"type": "default"}}),
    ("qwen2", {"attention_bias": True}),
    ("qwen2", {"sliding_window": 4, "use_sliding_window": False, "layer_types": None}),
    ("llama", {"sliding_window": 4}),
]
SHAPES: list[dict[str, Any]] = [
    {"kind": "qwen2", "head_dim": 10},
    {"kind": "llama", "head_dim": 6, "num_key_value_heads": 4, "attention_bias": True},
    {"kind": "llama", "hidden_size": 36, "num_attention_heads": 6, "num_key_value_heads": 3, "tied": False},
]


def rewritten(theirs: Any, folder: Path, changes: dict[str, Any]) -> Path:
    theirs.save_pretrained(folder)
    path = folder / "config.json"
    lines = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({line: value for line, value in lines.items() if value is not None}))
    return folder


@torch.no_grad()
def both(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Ours and theirs, each read from the folder."""
    theirs = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    ours = backbone.load(folder).eval()
    assert isinstance(ours, Causal)
    return ours(TOKENS), theirs(TOKENS).logits


@pytest.mark.parametrize(("kind", "changes"), LINES, ids=str)
def test_a_line_is_read_as_transformers_reads_it(
    causal: Make, tmp_path: Path, kind: str, changes: dict[str, Any]
) -> None:
    ours, theirs = both(rewritten(causal(40, kind=kind)[1], tmp_path, changes))
    assert theirs.std() > 0.1
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("given", SHAPES, ids=str)
def test_heads_of_any_width_are_computed_alike(causal: Make, tmp_path: Path, given: dict[str, Any]) -> None:
    ours, theirs = both(rewritten(causal(40, **given)[1], tmp_path, {}))
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_an_output_layer_that_is_there_is_used_whatever_the_configuration_says(causal: Make, tmp_path: Path) -> None:
    """Transformers ties no tensors that differ."""
    rewritten(causal(40, tied=False)[1], tmp_path, {"tie_word_embeddings": True})
    ours, theirs = both(tmp_path)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_equal_tables_that_are_not_tied_are_trained_apart(causal: Make, tmp_path: Path) -> None:
    rewritten(causal(40, tied=False)[1], tmp_path, {})
    weights = load_file(tmp_path / "model.safetensors")
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    model = backbone.load(tmp_path)
    assert model.head is not None
    assert model.head.weight is not model.embedding.weight


def test_an_output_layer_that_is_missing_is_not_made_up(causal: Make, tmp_path: Path) -> None:
    """Transformers would draw one at random."""
    rewritten(causal(40)[1], tmp_path, {"tie_word_embeddings": False})
    with pytest.raises(BenchError, match=r"hold no output layer 'lm_head\.weight', and its config\.json ties none"):
        backbone.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"quantization_config": {"quant_method": "fp8"}}, "has a line quantization_config, which bench does not"),
        ({"original_max_position_embeddings": 16, "rope_scaling": NEW}, "has a line original_max_position_embeddings"),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "has partial_rotary_factor=0.5, which bench does not"),
        ({"partial_rotary_factor": 0.5}, "has partial_rotary_factor=0.5, which bench does not compute"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "has layer_types=['full_attention', 'sliding_atte"),
        ({"rope_parameters": {"full_attention": {"rope_theta": 5.0}}}, "must be a number or a name, the same for all"),
        ({"rope_scaling": {"rope_type": "linear", "factor": 2.0}}, "unknown kind of rotary positions 'linear'"),
        ({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, "unknown kind of rotary positions 'dynamic'"),
        ({"rope_scaling": {"rope_type": "longrope"}}, "unknown kind of rotary positions 'longrope'"),
    ],
    ids=str,
)
def test_what_is_not_computed_is_refused_by_name(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    lines = {"model_type": "llama", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**lines, "num_attention_heads": 2, **changes}))
    with pytest.raises(BenchError) as caught:
        backbone.scratch(str(path), 10, 0.0)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
