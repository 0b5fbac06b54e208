"""The loss of tokens against a few that are drawn, where very many may follow: with a token for each item, as many as
there are items.

Shapes: R predictions, each in one of G states (what is written so far), n tokens that are drawn in all states together.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Logits = Callable[[Tensor], Tensor]  # vocabulary rows [U] to [R, U]


def drawn(sizes: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Of the tokens 0..``sizes [G]`` that may follow in each state: the states and tokens, ``[n]`` each, that stand for
    all. All of them where no more than ``count`` stand beside the right one, else ``count`` that are drawn uniformly,
    each once, so there may be a little fewer.
    """
    every = sizes <= count + 1
    state = torch.arange(len(sizes), device=sizes.device)
    whole = torch.repeat_interleave(state[every], sizes[every])
    begins = (sizes[every].cumsum(0) - sizes[every]).repeat_interleave(sizes[every])
    tokens = torch.arange(len(whole), device=sizes.device) - begins
    some = state[~every]
    # whole numbers of 62 bits: what a remainder prefers is beyond any count
    random = torch.randint(1 << 62, (len(some), count), device=sizes.device) % sizes[some, None]
    span = int(sizes.max()) if len(sizes) else 1
    found = torch.unique(some[:, None] * span + random)
    return torch.cat([whole, found // span]), torch.cat([tokens, found % span])


def losses(logits: Logits, labels: Tensor, state_of: Tensor, sizes: Tensor, state: Tensor, tokens: Tensor) -> Tensor:
    """``[R]``: the cross-entropy of each of ``labels [R]`` in its state ``state_of [R]``, in which ``sizes [G]`` tokens
    may follow, over itself and the vocabulary rows ``tokens [n]`` that were drawn in ``state [n]``.

    Logits of what was drawn are raised by the logarithm of how many others each stands for, so the sum under the
    softmax is estimated without bias; its logarithm is too low by what that estimate scatters. Where all were drawn
    this is the cross-entropy itself.
    """
    columns, column = torch.unique(torch.cat([tokens, labels]), return_inverse=True)
    own = column[len(tokens) :, None]
    among = torch.zeros(len(sizes), len(columns), dtype=torch.bool, device=labels.device)
    among[state, column[: len(tokens)]] = True
    others = among[state_of].scatter(1, own, False)
    stand_for = (sizes[state_of] - 1) / others.sum(1).clamp(min=1)
    found = logits(columns).float()
    raised = (found + stand_for.log()[:, None]).masked_fill(~others, float("-inf"))
    mine = found.gather(1, own)
    return torch.cat([raised, mine], 1).logsumexp(1) - mine[:, 0]
