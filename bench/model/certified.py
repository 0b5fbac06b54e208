"""The exact best k identifiers, with a certificate: beam search first, then every prefix that could still do better.

Log-probabilities only fall along a path. So the k-th score that a beam has found is a lower bound, and an identifier
that the beam has missed can be among the best k only below a prefix that was not entered and whose own score reaches
that bound. These prefixes are gone through, from the longest to the shortest; each identifier that is found may raise
the bound. Where none is left, the list is certified: it is the one that scoring every identifier gives.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.backbone.protocol import Backbone, Cache
from bench.model.beam import NEVER, Pending, Scoring, TokenScores, beam_search, extended, keep, step
from bench.model.trie import Trie

SLACK = 1e-4  # of a log-probability: two ways to sum one score differ by less


@torch.no_grad()
def certified_search(
    model: Backbone,
    cache: Cache,
    trie: Trie,
    width: int,
    k: int,
    scoring: Scoring,
    excluded: Tensor | None = None,
    block: int = 64,
) -> tuple[Tensor, Tensor]:
    """The best ``k`` of all identifiers of every user: leaves ``[B, k]`` and scores; -1 and -inf where none is left.

    Arguments are those of ``beam_search``. Of equal scores the lower leaf comes first. At most ``block`` prefixes of
    one depth are decoded together, so memory is bounded by block x depth.
    """
    missed: list[Pending] = []
    leaves, scores = beam_search(model, cache, trie, width, k, scoring, excluded, missed)
    without = None if excluded is None else excluded.sort(-1).values
    search = _Search(trie, scoring, TokenScores(model, trie, scoring), without, block, leaves, scores)
    for pending in reversed(missed):
        search.enter(pending, cache)
    return search.leaves, search.scores


@dataclass
class _Search:
    """What has been found so far, and how to go on."""

    trie: Trie
    scoring: Scoring
    token_scores: TokenScores
    excluded: Tensor | None
    block: int
    leaves: Tensor
    scores: Tensor

    def enter(self, pending: Pending, cache: Cache) -> None:
        """Go through all that could still be among the best; ``cache`` holds what their ancestors have decoded."""
        nodes, scores, parents = self.promising(pending)
        leaf = self.trie.count[nodes] == 0
        final = self.scoring.final(scores, pending.length).masked_fill(~leaf, NEVER)
        self.leaves, self.scores = keep(self.leaves, self.scores, self.trie.low[nodes], final)
        scores, order = scores.masked_fill(leaf, NEVER).sort(dim=1, descending=True)
        nodes, parents = nodes.gather(1, order), parents.gather(1, order)
        for start in range(0, nodes.shape[1], self.block):
            part = slice(start, start + self.block)
            alive = scores[:, part].masked_fill(~self.reaches(scores[:, part], pending.length), NEVER)
            count = int((alive > NEVER).sum(1).max())
            if not count:
                break  # they come in descending order
            columns = slice(start, start + count)
            ancestors = pending.ancestors.gather(1, _wide(parents[:, columns], pending.ancestors))
            self.expand(nodes[:, columns], alive[:, :count], ancestors, pending.length, cache)

    def promising(self, pending: Pending) -> tuple[Tensor, Tensor, Tensor]:
        """Nodes, scores and parents of what reaches the bound, best first: as many columns as the user with most."""
        scores = pending.scores.masked_fill(~self.reaches(pending.scores, pending.length), NEVER)
        count = int((scores > NEVER).sum(1).max())
        scores, order = scores.topk(count)
        return pending.nodes.gather(1, order), scores, order // pending.children

    def reaches(self, scores: Tensor, length: int) -> Tensor:
        bound = self.scoring.bound(scores, length, self.trie.depth)
        return (bound >= self.scores[:, -1:] - SLACK) & (scores > NEVER)

    def expand(self, nodes: Tensor, scores: Tensor, ancestors: Tensor, length: int, cache: Cache) -> None:
        """Decode prefixes ``[B, n]`` and enter what follows them."""
        needed = ancestors.flatten(0, 1).any(0)
        kept = torch.zeros(len(cache.positions), dtype=torch.bool, device=nodes.device)
        kept[: len(needed)] = needed  # a beam went on behind what these prefixes descend from
        below = cache.restricted(kept)
        shown = ancestors[..., needed]
        hidden, seen = step(below, self.trie, nodes, scores, shown, length, self.token_scores)
        children, candidates = extended(self.trie, nodes, scores, hidden, self.token_scores, self.excluded)
        flat = children.flatten(1), candidates.flatten(1)
        self.enter(Pending(length + 1, *flat, children.shape[-1], seen), below)


def _wide(index: Tensor, ancestors: Tensor) -> Tensor:
    return index[..., None].expand(-1, -1, ancestors.shape[-1])
