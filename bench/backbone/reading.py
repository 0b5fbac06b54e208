"""Texts as vectors by the recommender's own backbone: the mean of what it makes of their tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from bench.backbone.protocol import Backbone
from bench.data.dataset import Progress
from bench.vocabulary import Vocabulary

LONGEST = 2048  # tokens of a text that are read
AT_ONCE = 1 << 13  # tokens read together


@torch.no_grad()
def mean_states(
    model: Backbone, vocabulary: Vocabulary, texts: Sequence[str], progress: Progress
) -> NDArray[np.float32]:
    """``[texts, D]``: the last hidden states of each text's tokens, averaged (SETRec, section 3.1, does so of Qwen).

    Texts of like length are read together; what a text comes to does not depend on the others.
    """
    codes = [code[:LONGEST] or [vocabulary.pad] for code in vocabulary.encode_batch(texts)]
    order = sorted(range(len(codes)), key=lambda row: len(codes[row]))
    found = np.zeros((len(codes), model.d_model), np.float32)
    begin = 0
    while begin < len(order):
        longest = len(codes[order[min(begin + AT_ONCE, len(order)) - 1]])
        rows = order[begin : begin + max(1, AT_ONCE // longest)]
        found[rows] = _means(model, [codes[row] for row in rows], vocabulary.pad)
        begin += len(rows)
        progress(begin, len(order), {})
    return found


def _means(model: Backbone, codes: Sequence[Sequence[int]], pad: int) -> NDArray[np.float32]:
    lengths = torch.tensor([len(code) for code in codes])
    width = int(lengths.max())
    tokens = torch.tensor([[*code, *[pad] * (width - len(code))] for code in codes])
    mask = torch.arange(width) < lengths[:, None]
    states = model.hidden_states(tokens.to(model.device), mask.to(model.device)).float().cpu()
    means: NDArray[np.float32] = ((states * mask[..., None]).sum(1) / lengths[:, None]).numpy()
    return means
