"""Diverse beam search (Vijayakumar et al., 2018) in groups of one, as IDGenRec writes identifiers with it: the group
beam search of Transformers 4.26.

A group is a single prefix. At each step groups choose in turn, and every earlier group that chose a token at this step
costs it ``penalty`` in the scores of the later ones; penalized scores accumulate. Where the end token comes first, the
prefix is kept with its score divided by its length, and the group goes on with its second token. The best prefixes
kept, as many as there are groups, are the result. A length counts the start token and not the end token.

A text is done as soon as, after some group's turn, as many prefixes as groups are kept and the worst of them is no
worse than that group's best score at this step over the length before it. Groups later in that step add nothing.

The groups are a query axis of one decoder call: they share the encoder's keys and values, and a mask lets a group see
its own tokens alone. Shapes: B texts, G groups, L tokens, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.backbone.protocol import MASKED, Backbone, Cache

NEVER = float("-inf")


@dataclass(frozen=True)
class Search:
    """Lengths count the start token: nothing ends below ``shortest``, nothing is longer than ``max_length``."""

    penalty: float
    shortest: int
    max_length: int
    groups: int


@dataclass(frozen=True, eq=False)
class Found:
    """``tokens [B, G, L]``, of which the first ``lengths [B, G]`` count; ``ended`` is false where the length limit cut.

    Best first by ``scores [B, G]``; -inf where fewer were found.
    """

    tokens: Tensor
    lengths: Tensor
    ended: Tensor
    scores: Tensor

    def offer(self, other: Found) -> Found:
        """The best of both. Where scores are equal a newcomer comes first, but drives nothing out."""
        newcomers = other.scores.masked_fill(other.scores <= self.scores[:, -1:], NEVER)
        pairs = {name: torch.cat([getattr(other, name), getattr(self, name)], 1) for name in vars(self)}
        pairs["scores"] = torch.cat([newcomers, self.scores], 1)
        order = pairs["scores"].argsort(dim=1, descending=True, stable=True)[:, : self.scores.shape[1]]
        tokens = pairs.pop("tokens").gather(1, order[..., None].expand(-1, -1, self.tokens.shape[-1]))
        return Found(tokens, **{name: values.gather(1, order) for name, values in pairs.items()})

    def column(self, group: int) -> Found:
        """One group alone."""
        return Found(*(getattr(self, name)[:, group : group + 1] for name in vars(self)))

    def where(self, chosen: Tensor, other: Found) -> Found:
        """The rows that are ``chosen [B]`` from here, the others from ``other``."""
        rows = chosen[:, None]
        return Found(
            torch.where(rows[..., None], self.tokens, other.tokens),
            *(torch.where(rows, getattr(self, name), getattr(other, name)) for name in ("lengths", "ended", "scores")),
        )


@torch.no_grad()
def diverse_beams(model: Backbone, cache: Cache, search: Search, start: int, end: int, forbidden: Tensor) -> Found:
    """The best ``search.groups`` prefixes of every text. ``forbidden [V]`` is true on tokens that are never written.

    ``cache`` must be fresh, and is used up.
    """
    texts, groups, most = cache.users, search.groups, search.max_length - 1
    device = forbidden.device
    live = torch.full((texts, groups, most), start, device=device)
    scores = torch.zeros(texts, groups, device=device)
    blank = torch.zeros(texts, groups, dtype=torch.long, device=device)
    kept = Found(live, blank, blank.bool(), torch.full_like(scores, NEVER))
    done = torch.zeros(texts, dtype=torch.bool, device=device)
    newest = torch.full((texts, groups), start, device=device)
    for depth in range(most):
        logged = _next(model, cache, newest, depth).masked_fill(forbidden, NEVER)
        if depth + 1 < search.shortest:
            logged[..., end] = NEVER
        ends, best, newest, scores = _choose(logged, scores, search.penalty, end)
        best = best / (depth + 1)
        kept, done = _keep(kept, done, Found(live, blank + depth, ends, best.masked_fill(~ends, NEVER)), best)
        if bool(done.all()):
            return kept
        live = live.clone()
        live[:, :, depth] = newest
    cut = Found(live, blank + most, blank.bool(), scores / search.max_length)
    return _keep(kept, done, cut, torch.full_like(scores, float("inf")))[0]


def _keep(kept: Found, done: Tensor, ended: Found, best: Tensor) -> tuple[Found, Tensor]:
    """What is kept, and which texts are done ``[B]``, when groups have had their turns one after the other.

    A group offers its column of ``ended``; its ``best [B, G]`` is what the worst that is kept is compared with.
    """
    for group, offers in enumerate((ended.scores > NEVER).any(0).tolist()):
        if offers:
            kept = kept.where(done, kept.offer(ended.column(group)))
        done = done | (kept.scores[:, -1] > NEVER) & (kept.scores[:, -1] >= best[:, group])
    return kept, done


def _next(model: Backbone, cache: Cache, newest: Tensor, depth: int) -> Tensor:
    """Log-probabilities ``[B, G, V]`` of the token after the ``newest [B, G]``."""
    groups, device = newest.shape[1], newest.device
    apart = (~torch.eye(groups, dtype=torch.bool, device=device)) * MASKED
    positions = torch.full((groups,), depth, device=device)
    hidden = model.decode(newest, cache, mask=apart.repeat(1, depth + 1), positions=positions)
    return model.logits(hidden).float().log_softmax(-1)


def _choose(logged: Tensor, scores: Tensor, penalty: float, end: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Whether the end comes first in each group, the best score, and the token to go on with and its score: all
    ``[B, G]``.
    """
    groups = logged.shape[1]
    # At most groups - 1 tokens are penalized, so the two best afterwards are among the groups + 1 best before.
    values, tokens = logged.topk(min(groups + 1, logged.shape[2]), dim=-1)
    earlier = tokens.new_empty(len(tokens), 0)
    columns: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    for group in range(groups):
        repeats = (tokens[:, group, :, None] == earlier[:, None]).sum(-1)
        best, position = (scores[:, group, None] + (values[:, group] - penalty * repeats)).topk(2, dim=-1)
        two = tokens[:, group].gather(1, position)
        ends = two[:, 0] == end
        token, score = (torch.where(ends, pair[:, 1], pair[:, 0]) for pair in (two, best))
        earlier = torch.cat([earlier, token[:, None]], 1)
        columns.append((ends, best[:, 0], token, score))
    ends, first, token, score = (torch.stack(column, 1) for column in zip(*columns, strict=True))
    return ends, first, token, score
