"""New rows for a language model: codes and item tokens in its vocabulary, behind its own words."""

from __future__ import annotations

import numpy as np
import torch

from bench.backbone.protocol import Backbone
from bench.vocabulary import Vocabulary


@torch.no_grad()
def extend(model: Backbone, before: Vocabulary, after: Vocabulary, seed: int) -> None:
    """Give a model rows for the tokens that ``after`` has and ``before`` has not, in the embeddings and in an output
    layer of its own.

    Each row is drawn from the normal distribution that has, channel by channel, the mean and variance of the model's
    own rows (Hewitt, 2021: a new word then starts as an average one, and takes no probability from the others).
    """
    first = before.tokenizer.get_vocab_size()
    model.resize_vocabulary(max(model.vocabulary_size, after.size))
    random = np.random.default_rng([seed, 0, 5])
    for layer in (model.embedding, model.head):
        if layer is not None:
            known = layer.weight[:first].float()
            drawn = random.standard_normal((len(layer.weight) - first, known.shape[1]), dtype=np.float32)
            layer.weight[first:] = known.mean(0) + known.std(0) * torch.from_numpy(drawn).to(known.device)
    model.own_from = first
