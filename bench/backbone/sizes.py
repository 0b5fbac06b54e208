"""Whether the numbers in a ``config.json`` of a T5 can be those of a model, before one is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from bench.errors import BenchError

WHOLE = {  # the least and the most that a field may hold
    "d_model": (1, 65_536),
    "d_kv": (1, 8_192),
    "d_ff": (1, 262_144),
    "num_heads": (1, 1_024),
    "num_layers": (1, 1_000),
    "num_decoder_layers": (1, 1_000),
    "vocab_size": (1, 10_000_000),
    "relative_attention_num_buckets": (4, 4_096),
    "relative_attention_max_distance": (3, 1_000_000),
}
REQUIRED = ("d_model", "d_kv", "d_ff", "num_heads", "num_layers")
REAL = {"dropout_rate": (0.0, 0.999), "layer_norm_epsilon": (1e-30, 1.0)}
FLAGS = ("tie_word_embeddings", "scale_decoder_outputs")


def check(path: Path, raw: Mapping[str, Any]) -> None:
    """BenchError where a field is missing, of another type, or a number that no model has, and where the model would
    not fit into the memory of this machine. Fields that are null count as absent.
    """
    given = {name: value for name, value in raw.items() if value is not None}
    missing = [name for name in REQUIRED if isinstance(given.get(name), bool) or not isinstance(given.get(name), int)]
    if missing:
        raise BenchError(f"the T5 configuration '{path}' has no whole number for {', '.join(missing)}")
    for limits, kinds, what in ((WHOLE, int, "a whole number"), (REAL, (int, float), "a number")):
        for name, (least, most) in limits.items():
            value = given.get(name, least)
            if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
                raise _wrong(path, name, f"{what} from {least:,} to {most:,}", value)
    for name in FLAGS:
        if not isinstance(given.get(name, True), bool):
            raise _wrong(path, name, "true or false", given[name])
    if not isinstance(given.get("feed_forward_proj", ""), str):
        raise _wrong(path, "feed_forward_proj", "the name of an activation", given["feed_forward_proj"])
    _check_buckets(path, given)
    _check_memory(path, given)


def _check_buckets(path: Path, given: Mapping[str, Any]) -> None:
    """Half of the buckets are of single distances; the others divide those up to the largest."""
    buckets, most = given.get("relative_attention_num_buckets", 32), given.get("relative_attention_max_distance", 128)
    if most <= buckets // 2:
        raise _wrong(path, "relative_attention_max_distance", f"above {buckets // 2}, half of the buckets", most)


def _check_memory(path: Path, given: Mapping[str, Any]) -> None:
    size = 4 * _parameters(given)  # bytes in float32
    room = psutil.virtual_memory().total
    if size > room:
        raise BenchError(
            f"the T5 of '{path}' takes {size / 1e9:,.0f} GB, and this machine has {room / 1e9:,.0f} GB of memory; "
            "name a smaller one"
        )


def _parameters(given: Mapping[str, Any]) -> int:
    """Of the blocks and the embeddings, about."""
    encoder: int = given["num_layers"]
    decoder: int = given.get("num_decoder_layers", encoder)
    attention = 4 * given["d_model"] * given["num_heads"] * given["d_kv"]
    inner = 3 * given["d_model"] * given["d_ff"]
    table = given.get("vocab_size", 1) * given["d_model"]
    return int(encoder * (attention + inner) + decoder * (2 * attention + inner) + table)


def _wrong(path: Path, name: str, possible: str, got: object) -> BenchError:
    return BenchError(f"'{name}' of the T5 configuration '{path}' must be {possible}; got {str(got)[:40]!r}")
