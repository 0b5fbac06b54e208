"""T5 checkpoints in Hugging Face's format: read, written, and named sizes to start from scratch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.backbone import checkpoints, sizes
from bench.backbone.t5 import ACTIVATIONS, T5, T5Config
from bench.errors import BenchError, unknown

# Sizes trained from scratch. `mini` is for two cores; `tiger` is the T5 of TIGER (Rajput et al., 2023).
SIZES: dict[str, dict[str, Any]] = {
    "mini": {"d_model": 64, "d_kv": 16, "d_ff": 256, "heads": 4, "layers": 2, "decoder_layers": 2},
    "tiger": {"d_model": 128, "d_kv": 64, "d_ff": 1024, "heads": 6, "layers": 4, "decoder_layers": 4},
}

_CONFIG_KEYS = {  # ours -> Hugging Face's
    "vocabulary": "vocab_size",
    "d_model": "d_model",
    "d_kv": "d_kv",
    "d_ff": "d_ff",
    "heads": "num_heads",
    "layers": "num_layers",
    "decoder_layers": "num_decoder_layers",
    "dropout": "dropout_rate",
    "buckets": "relative_attention_num_buckets",
    "max_distance": "relative_attention_max_distance",
    "epsilon": "layer_norm_epsilon",
}
# Names of the one table of embeddings: of tensors that share their memory, safetensors keeps any.
EMBEDDINGS = ("shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
KINDS = ("t5", "mt5")  # Hugging Face's model types


def scratch(backbone: str, vocabulary: int, dropout: float) -> T5:
    """A T5 with random weights, of a named size or of a ``config.json``."""
    return T5(scratch_config(backbone, vocabulary, dropout))


def scratch_config(backbone: str, vocabulary: int, dropout: float) -> T5Config:
    """The configuration of a named size or of a ``config.json``, with the vocabulary and dropout given."""
    if backbone in SIZES:
        return T5Config(vocabulary=vocabulary, dropout=dropout, **SIZES[backbone])
    raw = read_config(Path(backbone)) | {"vocab_size": vocabulary, "dropout_rate": dropout}
    return parse_config(raw, tied=raw.get("tie_word_embeddings", True) is not False)


def read_config(path: Path) -> dict[str, Any]:
    """The fields of a ``config.json`` of a T5."""
    raw = checkpoints.read_config(path, KINDS)
    sizes.check(path, raw)
    return raw


def parse_config(raw: dict[str, Any], tied: bool) -> T5Config:
    """Our configuration from Hugging Face's. T5 1.1 is told by its unscaled output layer; mT5's never is scaled, and
    since Transformers 5 its configuration no longer says so.
    """
    gated, _, name = (raw.get("feed_forward_proj") or "relu").rpartition("-")
    name = "gelu_new" if (gated, name) == ("gated", "gelu") else name
    if name not in ACTIVATIONS:
        raise unknown("T5 activation", name, ACTIVATIONS)
    raw = {"num_decoder_layers": raw.get("num_layers")} | {k: v for k, v in raw.items() if v is not None}
    ours = {key: raw[theirs] for key, theirs in _CONFIG_KEYS.items() if theirs in raw}
    scaled = raw.get("scale_decoder_outputs", raw.get("tie_word_embeddings", True) and raw.get("model_type") != "mt5")
    return T5Config(**ours, activation=name, gated=bool(gated), tied=tied, scaled=bool(scaled))


def load(folder: Path, dropout: float | None = None) -> T5:
    """A T5 with the weights in ``folder`` (``config.json``, ``model.safetensors`` or its shards), and with whole-word
    embeddings where ``save_weights`` left some.
    """
    raw, weights = read_config(folder / "config.json"), checkpoints.read_weights(folder)
    if dropout is not None:
        raw["dropout_rate"] = dropout
    embedding = next((weights[name] for name in EMBEDDINGS if name in weights), None)
    if embedding is None:
        raise BenchError(f"the weights in '{folder}' hold no embedding table 'shared.weight'")
    head = weights.get("lm_head.weight")
    said, raw["vocab_size"] = raw.get("vocab_size") or len(embedding), len(embedding)
    model = T5(parse_config(raw, tied=head is None or torch.equal(head, embedding)))
    weights["shared.weight"] = embedding
    with checkpoints.filling(folder, "T5"):
        model.load_state_dict({ours: torch.cat([weights[name] for name in theirs]) for ours, theirs in names(model)})
    used = {name for _, theirs in names(model) for name in theirs}
    checkpoints.refuse_others(folder, weights, used, ["encoder.block.", "decoder.block."], (said, len(embedding)))
    checkpoints.read_whole_words(model, folder)
    return model


def save_weights(model: T5, folder: Path) -> None:
    """``model.safetensors``, and whole-word embeddings beside it, which only ``load`` reads."""
    checkpoints.write_weights(model, export_weights(model), folder)


def export_weights(model: T5) -> dict[str, Tensor]:
    """The weights under Hugging Face's names, as ``T5ForConditionalGeneration.from_pretrained`` reads them."""
    state = model.state_dict()
    exported: dict[str, Tensor] = {}
    for ours, theirs in names(model):
        for name, part in zip(theirs, state[ours].chunk(len(theirs)), strict=True):
            exported[name] = part.detach().cpu().clone()
    return exported


def export_config(config: T5Config, pad: int = 0, eos: int = 1) -> dict[str, Any]:
    """The ``config.json`` that belongs to ``export_weights``."""
    activation = "gelu" if (config.gated, config.activation) == (True, "gelu_new") else config.activation
    return {
        "architectures": ["T5ForConditionalGeneration"],
        "model_type": "t5",
        "feed_forward_proj": f"gated-{activation}" if config.gated else activation,
        "tie_word_embeddings": config.scaled,
        "scale_decoder_outputs": config.scaled,
        "pad_token_id": pad,
        "eos_token_id": eos,
        "decoder_start_token_id": pad,
        **{theirs: getattr(config, ours) for ours, theirs in _CONFIG_KEYS.items()},
    }


def names(model: T5) -> Iterator[tuple[str, list[str]]]:
    """Each of our parameters with the Hugging Face parameters it is made of, stacked along the first axis."""
    yield "embedding.weight", ["shared.weight"]
    if model.head is not None:
        yield "head.weight", ["lm_head.weight"]
    for side, decoder in (("encoder", False), ("decoder", True)):
        first = f"{side}.block.0.layer.0.SelfAttention"
        yield f"{side}.bias.table.weight", [f"{first}.relative_attention_bias.weight"]
        yield f"{side}.norm.weight", [f"{side}.final_layer_norm.weight"]
        for layer in range(len(getattr(model, side).blocks)):
            yield from _block_names(
                f"{side}.blocks.{layer}", f"{side}.block.{layer}.layer", decoder, model.config.gated
            )


def _block_names(ours: str, theirs: str, decoder: bool, gated: bool) -> Iterator[tuple[str, list[str]]]:
    parts = [("attention", "0.SelfAttention", "0")] + ([("cross", "1.EncDecAttention", "1")] if decoder else [])
    for name, module, number in parts:
        yield f"{ours}.{name}.query.weight", [f"{theirs}.{module}.q.weight"]
        yield f"{ours}.{name}.key_value.weight", [f"{theirs}.{module}.k.weight", f"{theirs}.{module}.v.weight"]
        yield f"{ours}.{name}.output.weight", [f"{theirs}.{module}.o.weight"]
        yield f"{ours}.{name}_norm.weight", [f"{theirs}.{number}.layer_norm.weight"]
    last = len(parts)
    inner = ["wi_0", "wi_1"] if gated else ["wi"]
    yield f"{ours}.feed_forward.inner.weight", [f"{theirs}.{last}.DenseReluDense.{name}.weight" for name in inner]
    yield f"{ours}.feed_forward.outer.weight", [f"{theirs}.{last}.DenseReluDense.wo.weight"]
    yield f"{ours}.feed_forward_norm.weight", [f"{theirs}.{last}.layer_norm.weight"]
