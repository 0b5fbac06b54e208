"""Checkpoints of Qwen2 and Llama in Hugging Face's format: read, written, and named sizes to start from scratch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.backbone import checkpoints, sizes
from bench.backbone.causal import Causal, Llama, Qwen2
from bench.backbone.causal_layers import CausalConfig, Rotary
from bench.errors import BenchError, unknown

KINDS: dict[str, type[Causal]] = {"qwen2": Qwen2, "llama": Llama}  # Hugging Face's model types
ARCHITECTURES = {"qwen2": "Qwen2ForCausalLM", "llama": "LlamaForCausalLM"}
# As many parameters as T5 `mini` and `tiger` have beside their embeddings, to two hundredths.
MINI = {"d_model": 64, "d_ff": 232, "layers": 4, "heads": 4, "kv_heads": 2, "d_kv": 16}
TIGER = {"d_model": 128, "d_ff": 1104, "layers": 8, "heads": 6, "kv_heads": 2, "d_kv": 64}
SIZES: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen-mini": ("qwen2", MINI),
    "qwen-tiger": ("qwen2", TIGER),
    "llama-mini": ("llama", {**MINI, "bias": False}),
    "llama-tiger": ("llama", {**TIGER, "bias": False}),
}

_CONFIG_KEYS = {  # ours -> Hugging Face's
    "vocabulary": "vocab_size",
    "d_model": "hidden_size",
    "d_ff": "intermediate_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "d_kv": "head_dim",
    "epsilon": "rms_norm_eps",
    "tied": "tie_word_embeddings",
    "context": "max_position_embeddings",
}
_NAMES = {"embedding.": "model.embed_tokens.", "layers.": "model.layers.", "norm.": "model.norm.", "head.": "lm_head."}


def scratch(backbone: str, vocabulary: int, dropout: float) -> Causal:
    """A decoder-only model with random weights, of a named size or of a ``config.json``."""
    if backbone in SIZES:
        kind, size = SIZES[backbone]
        return KINDS[kind](CausalConfig(vocabulary=vocabulary, dropout=dropout, **size))
    raw = read_config(Path(backbone))
    return KINDS[raw["model_type"]](parse_config({**raw, "vocab_size": vocabulary}, dropout))


def read_config(path: Path) -> dict[str, Any]:
    """The fields of a ``config.json`` of a decoder-only model that we can compute."""
    raw = checkpoints.read_config(path, KINDS)
    sizes.check_causal(path, raw)
    if raw.get("hidden_act", "silu") != "silu":
        raise unknown(f"activation in '{path}'", str(raw["hidden_act"]), ["silu"])
    for line in ("mlp_bias", "use_sliding_window"):
        if raw.get(line):
            raise BenchError(f"'{path}' has {line}=true, which bench does not compute; it reads models without")
    for line in ("quantization_config", "original_max_position_embeddings"):
        if raw.get(line):
            raise BenchError(f"'{path}' has a line {line}, which bench does not compute; it reads models without")
    rope = raw.get("rope_scaling") or raw.get("rope_parameters") or {}
    partial = rope.get("partial_rotary_factor", raw.get("partial_rotary_factor"))
    for line, found, usual in (
        ("partial_rotary_factor", partial, 1),
        ("layer_types", raw.get("layer_types"), "full_attention"),
    ):
        if any(each not in (usual, None) for each in (found if isinstance(found, list) else [found])):
            raise BenchError(f"'{path}' has {line}={found}, which bench does not compute; it reads models with {usual}")
    return raw


def parse_config(raw: dict[str, Any], dropout: float = 0.0) -> CausalConfig:
    """Our configuration from Hugging Face's, old or new (the rotation moved into ``rope_parameters`` in its 5)."""
    heads, qwen = raw["num_attention_heads"], raw["model_type"] == "qwen2"
    implied = {"num_key_value_heads": heads, "head_dim": raw["hidden_size"] // heads, "tie_word_embeddings": False}
    given = implied | {key: value for key, value in raw.items() if value is not None}
    ours = {name: given[theirs] for name, theirs in _CONFIG_KEYS.items() if theirs in given}
    rope = {"rope_theta": given.get("rope_theta")} | (given.get("rope_scaling") or given.get("rope_parameters") or {})
    return CausalConfig(
        **ours,
        bias=qwen or bool(given.get("attention_bias", False)),
        output_bias=not qwen and bool(given.get("attention_bias", False)),
        dropout=dropout,
        theta=float(rope.get("rope_theta") or 10000.0),
        scaling=_scaling(rope),
    )


def _scaling(rope: dict[str, Any]) -> tuple[float, float, float, float] | None:
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return None
    if kind != "llama3":
        raise unknown("kind of rotary positions", str(kind), ["default", "llama3"])
    factor, low, high, context = (float(rope[name]) for name in sizes.STRETCH)
    return factor, low, high, context


def load(folder: Path, dropout: float | None = None) -> Causal:
    """The model in ``folder`` (``config.json``, ``model.safetensors`` or its shards), and its whole-word embeddings
    where ``save_weights`` left some. Without a ``dropout`` it has none: published models are trained without.
    """
    raw, weights = read_config(folder / "config.json"), checkpoints.read_weights(folder)
    embedding, head = weights.get("model.embed_tokens.weight"), weights.get("lm_head.weight")
    if embedding is None:
        raise BenchError(f"the weights in '{folder}' hold no embedding table 'model.embed_tokens.weight'")
    tied = bool(raw.get("tie_word_embeddings"))
    if head is None and not tied:
        raise BenchError(
            f"the weights in '{folder}' hold no output layer 'lm_head.weight', and its config.json ties none"
        )
    # Where both are there and differ, the configuration is wrong, and Transformers keeps both.
    tied = tied and (head is None or torch.equal(head, embedding))
    said = raw.get("vocab_size") or len(embedding)
    raw |= {"vocab_size": len(embedding), "tie_word_embeddings": tied}
    with torch.device("meta"):
        model = KINDS[raw["model_type"]](parse_config(raw, dropout or 0.0))
    with checkpoints.filling(folder, raw["model_type"]):
        state = {ours: weights[theirs] for ours, theirs in names(model)}
        model.load_state_dict(state, assign=True)
    used = [theirs for _, theirs in names(model)]
    checkpoints.refuse_others(folder, weights, used, ["model.layers."], (said, len(embedding)))
    model.rotary = Rotary(model.config)  # its table is computed, not read
    model.requires_grad_()
    checkpoints.read_whole_words(model, folder)
    return model


def save_weights(model: Causal, folder: Path) -> None:
    """``model.safetensors``, and whole-word embeddings beside it, which only ``load`` reads."""
    checkpoints.write_weights(model, export_weights(model), folder)


def export_weights(model: Causal) -> dict[str, Tensor]:
    """The weights under Hugging Face's names, as its own classes read them."""
    state = model.state_dict()
    return {theirs: state[ours].detach().cpu().clone() for ours, theirs in names(model)}


def export_config(model: Causal, pad: int, eos: int) -> dict[str, Any]:
    """The ``config.json`` that belongs to ``export_weights``."""
    c = model.config
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": c.theta}
    if c.scaling is not None:
        rope |= {"rope_type": "llama3", **dict(zip(sizes.STRETCH, c.scaling, strict=True))}
        rope["original_max_position_embeddings"] = int(c.scaling[-1])
    biased = {} if model.kind == "qwen2" else {"attention_bias": c.output_bias}
    return {
        "architectures": [ARCHITECTURES[model.kind]],
        "model_type": model.kind,
        "hidden_act": "silu",
        "rope_parameters": rope,
        "pad_token_id": pad,
        "bos_token_id": None,
        "eos_token_id": eos,
        **biased,
        **{theirs: getattr(c, ours) for ours, theirs in _CONFIG_KEYS.items()},
    }


def names(model: Causal) -> Iterator[tuple[str, str]]:
    """Each of our parameters with Hugging Face's name of it."""
    for ours in model.state_dict():
        if not ours.startswith("whole_words."):
            yield ours, theirs_of(ours)


def theirs_of(ours: str) -> str:
    """Hugging Face's name of one of our parameters or modules: what stands inside a layer is called alike."""
    prefix = next(prefix for prefix in _NAMES if ours.startswith(prefix))
    return _NAMES[prefix] + ours.removeprefix(prefix)
