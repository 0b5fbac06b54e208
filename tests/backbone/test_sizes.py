"""A configuration with numbers that no model has is one line, before anything is made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import backbone
from bench.errors import BenchError

TINY = {"model_type": "t5", "d_model": 16, "d_kv": 8, "d_ff": 32, "num_heads": 2, "num_layers": 1}


def made(tmp_path: Path, **changes: Any) -> Any:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**TINY, **changes}))
    return backbone.scratch(str(path), 50, 0.1)


def test_what_is_absent_or_null_has_its_default(tmp_path: Path) -> None:
    config = made(tmp_path, num_decoder_layers=None, feed_forward_proj=None, layer_norm_epsilon=None).config
    assert (config.decoder_layers, config.activation, config.epsilon, config.buckets) == (1, "relu", 1e-6, 32)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"d_model": 0}, "'d_model' of .* must be a whole number from 1 to 65,536; got '0'"),
        ({"d_model": True}, "has no whole number for d_model"),
        ({"num_heads": None}, "has no whole number for num_heads"),
        ({"num_layers": 10**6}, "'num_layers' of .* must be a whole number from 1 to 1,000; got '1000000'"),
        ({"num_decoder_layers": -1}, "'num_decoder_layers'"),
        ({"d_ff": 10**30}, "'d_ff'"),
        ({"vocab_size": "x"}, "'vocab_size'"),
        ({"relative_attention_num_buckets": 1.5}, "'relative_attention_num_buckets'"),
        ({"relative_attention_max_distance": 16}, "must be above 16, half of the buckets; got '16'"),
        ({"dropout_rate": 1}, "'dropout_rate' of .* must be a number from 0.0 to 0.999; got '1'"),
        ({"layer_norm_epsilon": float("nan")}, "'layer_norm_epsilon'"),
        ({"tie_word_embeddings": "no"}, "must be true or false; got 'no'"),
        ({"feed_forward_proj": 7}, "must be the name of an activation; got '7'"),
        ({"d_model": 65_536, "d_ff": 262_144, "num_layers": 1_000}, r"takes [\d,]+ GB, and this machine has"),
    ],
)
def test_numbers_that_no_model_has_are_one_line(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BenchError, match=said) as caught:
        made(tmp_path, **changes)
    assert "\n" not in str(caught.value)


QWEN = {"model_type": "qwen2", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
STRETCHED = {"factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 64}
LLAMA3 = {"rope_type": "llama3", **STRETCHED}


def causal(tmp_path: Path, **changes: Any) -> Any:
    return made(tmp_path, **{**dict.fromkeys(TINY), **QWEN, "num_attention_heads": 2, **changes})


def test_a_decoder_only_configuration_may_leave_out_what_has_a_default(tmp_path: Path) -> None:
    found = causal(tmp_path, head_dim=None, num_key_value_heads=None, rope_parameters=LLAMA3, layer_types=None).config
    assert (found.d_kv, found.kv_heads, found.scaling) == (8, 2, (8.0, 1.0, 4.0, 64.0))
    usual = {"partial_rotary_factor": 1.0, "layer_types": ["full_attention"], "rope_scaling": {"type": "default"}}
    assert causal(tmp_path, **usual).config.scaling is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_attention_heads": 0}, "'num_attention_heads' of .* must be a whole number from 1 to 1,024; got '0'"),
        ({"num_attention_heads": True}, "has no whole number for num_attention_heads"),
        ({"num_attention_heads": 3}, "'head_dim' of .* must be an even number"),
        ({"num_attention_heads": 32}, "'head_dim' of .* must be an even number.*; got '0'"),
        ({"num_key_value_heads": 3}, "must be a divisor of 2, the heads; got '3'"),
        ({"num_key_value_heads": "x"}, "'num_key_value_heads'"),
        ({"num_hidden_layers": 10**9}, "'num_hidden_layers' of .* must be a whole number from 1 to 1,000"),
        ({"num_hidden_layers": -1}, "'num_hidden_layers'"),
        ({"intermediate_size": 10**12}, "'intermediate_size'"),
        ({"rms_norm_eps": float("nan")}, "'rms_norm_eps'"),
        ({"rms_norm_eps": "x"}, "'rms_norm_eps'"),
        ({"rope_theta": -1}, "'rope_theta'"),
        ({"rope_parameters": [1]}, "'rope_parameters' of .* must be a table of numbers"),
        ({"rope_scaling": 5}, "'rope_scaling' of .* must be a table of numbers"),
        ({"rope_parameters": {"rope_theta": "x"}}, "'rope_parameters.rope_theta'"),
        ({"rope_parameters": {"rope_type": "llama3"}}, "'rope_parameters.factor' of .* must be a number"),
        ({"rope_parameters": {**LLAMA3, "factor": 0}}, "'rope_parameters.factor'"),
        ({"rope_parameters": {**LLAMA3, "high_freq_factor": 1}}, "must be below high_freq_factor"),
        ({"hidden_act": 5}, "unknown activation in .* '5'; known: silu"),
        ({"tie_word_embeddings": "no"}, "must be true or false; got 'no'"),
        ({"partial_rotary_factor": 0.5}, "has partial_rotary_factor=0.5, which bench does not compute"),
        ({"layer_types": ["sliding_attention"]}, r"has layer_types=\['sliding_attention'\], which bench does not"),
        ({"hidden_size": 65_536, "intermediate_size": 262_144, "num_hidden_layers": 1_000}, r"takes [\d,]+ GB"),
    ],
)
def test_the_same_of_decoder_only_models(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BenchError, match=said) as caught:
        causal(tmp_path, **changes)
    assert "\n" not in str(caught.value)


def test_nesting_without_end_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[" * 100_000)
    with pytest.raises(BenchError, match="nested too deeply"):
        backbone.scratch(str(tmp_path / "config.json"), 50, 0.1)
