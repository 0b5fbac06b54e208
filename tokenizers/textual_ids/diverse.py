"""Diverse beam search (Vijayakumar et al., 2018) in groups of one, as IDGenRec writes identifiers with it.

A group is a single prefix. At each step groups choose in turn, and every earlier group that chose a token at this step
costs it ``penalty`` in the scores of the later ones; penalised scores accumulate. Where the end token comes first, the
prefix is set aside with its score divided by its length, and the group goes on with its second token. The best prefixes
set aside, as many as there are groups, are the result. A length counts the start token and not the end token.

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
    longest: int
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

    def best_of(self, other: Found) -> Found:
        """The best of both, those of ``self`` first where scores are equal."""
        pairs = {name: torch.cat([getattr(self, name), getattr(other, name)], 1) for name in vars(self)}
        order = pairs["scores"].argsort(dim=1, descending=True, stable=True)[:, : self.scores.shape[1]]
        tokens = pairs.pop("tokens").gather(1, order[..., None].expand(-1, -1, self.tokens.shape[-1]))
        return Found(tokens, **{name: values.gather(1, order) for name, values in pairs.items()})

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

    A text is done when as many prefixes as groups are set aside and none of the live ones, over its length so far, is
    better than the worst of them. ``cache`` must be fresh, and is used up.
    """
    texts, groups, most = cache.users, search.groups, search.longest - 1
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
        ends, at_end, newest, scores = _choose(logged, scores, search.penalty, end)
        set_aside = Found(live, blank + depth, ends, (at_end / (depth + 1)).masked_fill(~ends, NEVER))
        kept = kept.where(done, kept.best_of(set_aside))
        live = live.clone()
        live[:, :, depth] = newest
        done = done | (kept.scores[:, -1] >= scores.amax(1) / (depth + 2))
        if bool(done.all()):
            return kept
    cut = Found(live, blank + most, blank.bool(), scores / search.longest)
    return kept.where(done, kept.best_of(cut))


def _next(model: Backbone, cache: Cache, newest: Tensor, depth: int) -> Tensor:
    """Log-probabilities ``[B, G, V]`` of the token after the ``newest [B, G]``."""
    groups, device = newest.shape[1], newest.device
    apart = (~torch.eye(groups, dtype=torch.bool, device=device)) * MASKED
    positions = torch.full((groups,), depth, device=device)
    hidden = model.decode(newest, cache, mask=apart.repeat(1, depth + 1), positions=positions)
    return model.logits(hidden).float().log_softmax(-1)


def _choose(logged: Tensor, scores: Tensor, penalty: float, end: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Whether the end comes first in each group, the score there, and the token to go on with and its score: all
    ``[B, G]``.
    """
    groups = logged.shape[1]
    # At most groups - 1 tokens are penalised, so the two best afterwards are among the groups + 1 best before.
    values, tokens = logged.topk(min(groups + 1, logged.shape[2]), dim=-1)
    taken = tokens.new_empty(len(tokens), 0)
    columns: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    for group in range(groups):
        repeats = (tokens[:, group, :, None] == taken[:, None]).sum(-1)
        best, place = (scores[:, group, None] + values[:, group] - penalty * repeats).topk(2, dim=-1)
        two = tokens[:, group].gather(1, place)
        ends = two[:, 0] == end
        token, score = (torch.where(ends, pair[:, 1], pair[:, 0]) for pair in (two, best))
        taken = torch.cat([taken, token[:, None]], 1)
        columns.append((ends, best[:, 0], token, score))
    ends, at_end, token, score = (torch.stack(column, 1) for column in zip(*columns, strict=True))
    return ends, at_end, token, score
