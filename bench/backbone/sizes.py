"""Whether the numbers in a ``config.json`` can be those of a model, before one is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.errors import BenchError


@dataclass(frozen=True)
class Limits:
    """Of a ``kind`` of configuration: fields that it must have, and the least and the most that one may hold."""

    kind: str
    required: tuple[str, ...]
    whole: Mapping[str, tuple[int, int]]
    real: Mapping[str, tuple[float, float]]
    flags: tuple[str, ...]


T5 = Limits(
    "T5",
    ("d_model", "d_kv", "d_ff", "num_heads", "num_layers"),
    {
        "d_model": (1, 65_536),
        "d_kv": (1, 8_192),
        "d_ff": (1, 262_144),
        "num_heads": (1, 1_024),
        "num_layers": (1, 1_000),
        "num_decoder_layers": (1, 1_000),
        "vocab_size": (1, 10_000_000),
        "relative_attention_num_buckets": (4, 4_096),
        "relative_attention_max_distance": (3, 1_000_000),
    },
    {"dropout_rate": (0.0, 0.999), "layer_norm_epsilon": (1e-30, 1.0)},
    ("tie_word_embeddings", "scale_decoder_outputs"),
)
CAUSAL = Limits(
    "decoder-only",
    ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    {
        "hidden_size": (1, 65_536),
        "intermediate_size": (1, 262_144),
        "num_hidden_layers": (1, 1_000),
        "num_attention_heads": (1, 1_024),
        "num_key_value_heads": (1, 1_024),
        "head_dim": (2, 8_192),
        "vocab_size": (1, 10_000_000),
        "max_position_embeddings": (1, 1 << 31),
    },
    {"rms_norm_eps": (1e-30, 1.0), "rope_theta": (1.0, 1e12)},
    ("tie_word_embeddings", "attention_bias", "mlp_bias", "use_sliding_window"),
)
STRETCH = ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")  # of Llama 3.1


def check(path: Path, raw: Mapping[str, Any]) -> None:
    """BenchError where a field of a T5 is missing, of another type, or a number that no model has, and where the model
    would not fit into the memory of this machine. Fields that are null count as absent.
    """
    given = _within(path, raw, T5)
    if not isinstance(given.get("feed_forward_proj", ""), str):
        raise _wrong(path, T5, "feed_forward_proj", "the name of an activation", given["feed_forward_proj"])
    _check_buckets(path, given)
    _check_memory(path, T5, _of_t5(given))


def check_causal(path: Path, raw: Mapping[str, Any]) -> None:
    """The same of a Qwen2 or Llama. BenchError also where heads do not divide, and for rotations that are none."""
    given = _within(path, raw, CAUSAL)
    heads, width = given["num_attention_heads"], given["hidden_size"]
    shared, depth = given.get("num_key_value_heads", heads), given.get("head_dim", width // heads)
    if heads % shared:
        raise _wrong(path, CAUSAL, "num_key_value_heads", f"a divisor of {heads}, the heads", shared)
    if not depth or depth % 2:
        raise _wrong(path, CAUSAL, "head_dim", "an even number, since channels turn in pairs", depth)
    for name in ("rope_parameters", "rope_scaling"):
        if name in given:
            _check_rotation(path, name, given[name])
    _check_memory(path, CAUSAL, _of_causal(given, 2 * (heads + shared) * depth))


def _within(path: Path, raw: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """What is not null, each within its limits."""
    given = {name: value for name, value in raw.items() if value is not None}
    missing = [name for name in limits.required if not _is_number(given.get(name), int)]
    if missing:
        raise BenchError(f"the {limits.kind} configuration '{path}' has no whole number for {', '.join(missing)}")
    for name, (least, most) in limits.whole.items():
        value = given.get(name, least)
        if not (_is_number(value, int) and least <= value <= most):
            raise _wrong(path, limits, name, f"a whole number from {least:,} to {most:,}", value)
    for name, (low, high) in limits.real.items():
        value = given.get(name, low)
        if not (_is_number(value, int | float) and low <= value <= high):
            raise _wrong(path, limits, name, f"a number from {low:,} to {high:,}", value)
    for name in limits.flags:
        if not isinstance(given.get(name, True), bool):
            raise _wrong(path, limits, name, "true or false", given[name])
    return given


def _is_number(value: object, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _check_buckets(path: Path, given: Mapping[str, Any]) -> None:
    """Half of the buckets are of single distances; the others divide those up to the largest."""
    buckets, most = given.get("relative_attention_num_buckets", 32), given.get("relative_attention_max_distance", 128)
    if most <= buckets // 2:
        raise _wrong(path, T5, "relative_attention_max_distance", f"above {buckets // 2}, half of the buckets", most)


def _check_rotation(path: Path, name: str, found: object) -> None:
    """Of old configurations ``rope_scaling``, of new ones ``rope_parameters``."""
    if not isinstance(found, Mapping):
        raise _wrong(path, CAUSAL, name, "a table of numbers", found)
    for part in (line for line, value in found.items() if isinstance(value, Mapping)):
        raise _wrong(path, CAUSAL, f"{name}.{part}", "a number or a name, the same for all layers", found[part])
    stretches = found.get("rope_type", found.get("type")) == "llama3"
    least, most = CAUSAL.real["rope_theta"]
    wanted = {line: (1e-6, 1e9) for line in STRETCH if stretches} | {"rope_theta": (least, most)}
    for line, (low, high) in wanted.items():
        value = found.get(line)
        if (value is None and line in STRETCH) or not (
            value is None or (_is_number(value, int | float) and low <= value <= high)
        ):
            raise _wrong(path, CAUSAL, f"{name}.{line}", f"a number from {low:,} to {high:,}", value)
    if stretches and not found["low_freq_factor"] < found["high_freq_factor"]:
        raise _wrong(path, CAUSAL, f"{name}.low_freq_factor", "below high_freq_factor", found["low_freq_factor"])


def _check_memory(path: Path, limits: Limits, parameters: int) -> None:
    size = 4 * parameters  # bytes in float32
    room = psutil.virtual_memory().total
    if size > room:
        raise BenchError(
            f"the {limits.kind} model of '{path}' takes {size / 1e9:,.0f} GB, and this machine has "
            f"{room / 1e9:,.0f} GB of memory; name a smaller one"
        )


def _of_t5(given: Mapping[str, Any]) -> int:
    """Parameters of the blocks and the embeddings, about."""
    encoder: int = given["num_layers"]
    decoder: int = given.get("num_decoder_layers", encoder)
    attention = 4 * given["d_model"] * given["num_heads"] * given["d_kv"]
    inner = 3 * given["d_model"] * given["d_ff"]
    table = given.get("vocab_size", 1) * given["d_model"]
    return int(encoder * (attention + inner) + decoder * (2 * attention + inner) + table)


def _of_causal(given: Mapping[str, Any], attention: int) -> int:
    """The same, with so many outputs of attention's layers."""
    width = given["hidden_size"]
    layer = width * attention + 3 * width * given["intermediate_size"]
    return int(given["num_hidden_layers"] * layer + given.get("vocab_size", 1) * width)


def _wrong(path: Path, limits: Limits, name: str, possible: str, got: object) -> BenchError:
    return BenchError(f"'{name}' of the {limits.kind} configuration '{path}' must be {possible}; got {str(got)[:40]!r}")
