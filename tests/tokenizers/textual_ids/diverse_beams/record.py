"""Writes the files beside it: a small T5, and what Transformers 4.26 finds with it by group beam search.

Newer releases stop by another rule or have no group beam search, so this runs in an environment of its own:

    python3.10 -m venv old && old/bin/pip install "transformers==4.26.*" "numpy<2" torch safetensors
    old/bin/python record.py

The weights are random, and such that many sequences end early.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file

FOLDER = Path(__file__).parent
SEED, VOCABULARY, PAD, END, UNKNOWN = 7, 40, 0, 1, 2
CONFIG: dict[str, Any] = {
    "model_type": "t5",
    "vocab_size": VOCABULARY,
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 32,
    "num_heads": 2,
    "num_layers": 1,
    "num_decoder_layers": 2,
    "dropout_rate": 0.0,
    "tie_word_embeddings": False,
    "decoder_start_token_id": PAD,
}
SEARCHES = [(1.0, 1, 11, 10), (4.0, 1, 11, 10), (2.0, 11, 21, 10), (1.0, 1, 8, 4)]  # penalty, min, max, groups
COPIES = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")  # of shared.weight
COMMON, TO_END = 0.8, 0.6  # what all embeddings have in common, and how much of it leads to the end token


def drawn(name: str, shape: torch.Size) -> torch.Tensor:
    """Norms near 1, embeddings and position biases of deviation 1, linear layers that keep the scale, but a sharper
    output layer.
    """
    values = torch.randn(shape)
    if "layer_norm" in name:
        return 1 + 0.2 * values
    if name == "lm_head.weight":
        values *= 2 * shape[-1] ** -0.5
        values[END] += TO_END
        return values
    if "shared" in name:
        return values + COMMON
    return values if "relative_attention_bias" in name else values * shape[-1] ** -0.5


def record() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    model = transformers.T5ForConditionalGeneration(transformers.T5Config(**CONFIG)).eval()
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items() if name not in COPIES}
    weights = {name: drawn(name, shape).half() for name, shape in shapes.items()}
    model.load_state_dict({**weights, **dict.fromkeys(COPIES, weights["shared.weight"])})
    lengths = torch.randint(2, 12, (40,)).tolist()
    sources = [[*torch.randint(3, VOCABULARY, (length,)).tolist(), END] for length in lengths]
    found = [{"search": search, "lists": [lists(model, source, *search) for source in sources]} for search in SEARCHES]
    made = {"transformers": transformers.__version__, "sources": sources, "found": found}
    (FOLDER / "lists.json").write_text(json.dumps(made, separators=(",", ":")) + "\n")
    (FOLDER / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    save_file(weights, FOLDER / "model.safetensors")


def lists(model: Any, source: list[int], penalty: float, least: int, most: int, groups: int) -> list[list[Any]]:
    """Of each sequence, best first: its score, whether it ended, and the tokens between start and end."""
    found = model.generate(
        torch.tensor([source]),
        num_beams=groups,
        num_beam_groups=groups,
        num_return_sequences=groups,
        diversity_penalty=penalty,
        min_length=least,
        max_length=most,
        suppress_tokens=[PAD, UNKNOWN],
        output_scores=True,
        return_dict_in_generate=True,
    )
    made = []
    for tokens, score in zip(found.sequences[:, 1:].tolist(), found.sequences_scores.tolist(), strict=True):
        stop = tokens.index(END) if END in tokens else len(tokens)
        made.append([round(score, 4), END in tokens, tokens[:stop]])
    return made


if __name__ == "__main__":
    record()
