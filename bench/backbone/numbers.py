"""A pretrained model knows numbers as quantities and years; here they are names, and may be learned anew."""

from __future__ import annotations

import numpy as np
import torch

from bench.backbone.protocol import Backbone
from bench.vocabulary import Vocabulary

NUMBERS = 30_000


def number_tokens(vocabulary: Vocabulary) -> list[int]:
    """All tokens with a digit that the numbers 0..29,999 are written with, in order: 517 of T5's.

    The bare word mark, which T5 writes before many numbers and before other words as well, is not among them.
    """
    codes = vocabulary.encode_batch([vocabulary.as_name(str(number)) for number in range(NUMBERS)])
    return sorted(token for token in {token for code in codes for token in code} if _has_digit(vocabulary, token))


def _has_digit(vocabulary: Vocabulary, token: int) -> bool:
    return any(letter.isdigit() for letter in vocabulary.tokenizer.id_to_token(token) or "")


@torch.no_grad()
def redraw_numbers(backbone: Backbone, vocabulary: Vocabulary, seed: int) -> None:
    """Draw the embeddings of ``number_tokens`` from N(0, 1), and their rows of an output layer of its own likewise.

    This is OpenP5's ``random_initialize`` (Xu et al., 2024). BenchError where the vocabulary is no language model's.
    """
    vocabulary.require_language_model("reinitialize=numbers")
    rows = number_tokens(vocabulary)
    random = np.random.default_rng([seed, 0, 4])
    for layer in (backbone.embedding, backbone.head):
        if layer is not None:
            drawn = random.standard_normal((len(rows), layer.weight.shape[1]), dtype=np.float32)
            layer.weight[rows] = torch.from_numpy(drawn).to(layer.weight.device)
