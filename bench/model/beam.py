"""Constrained decoding over a prefix tree: beam search, and exact scoring of every identifier.

Every history is read once and its keys and values are shared by all prefixes. The prefixes alive at one depth are a
*query axis* of one decoder call: they share a cache of all tokens decoded so far, each token once, and a mask lets a
prefix see just its own ancestors. So no cache is ever copied or reordered, and the first step has one prefix, not a
beam of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.backbone.protocol import MASKED, Backbone, Cache
from bench.ids.limits import SCORED_AT_ONCE
from bench.model.trie import Trie

NEVER = float("-inf")
BLOCK = 64  # prefixes that exact ranking decodes together: of more, each attends to more that it does not see


@dataclass(frozen=True)
class Scoring:
    """How a prefix is scored: named, and reported with every result.

    ``normalize`` is where token probabilities sum to one: over the whole ``vocabulary``, as published systems do; over
    the tokens that occur in the ``catalogue``'s identifiers; or, after each ``prefix``, over the tokens that go on to
    an item, which makes the scores of all items a distribution. A complete identifier of L tokens with log-probability
    s scores ``s / L ** length_penalty``; 0 ranks by probability.
    """

    normalize: str = "vocabulary"
    length_penalty: float = 0.0

    def final(self, score: Tensor, length: int) -> Tensor:
        return score / float(length**self.length_penalty)

    def divisors(self, trie: Trie) -> Tensor:
        """``[depth + 1]``: what ``final`` divides by at each length."""
        lengths = [max(length, 1) ** self.length_penalty for length in range(trie.depth + 1)]
        return torch.tensor(lengths, dtype=torch.float32, device=trie.token.device)

    def bound(self, score: Tensor, length: int, longest: int) -> Tensor:
        """The best final score a prefix with this score can reach in ``length``..``max_length`` tokens."""
        return score / float(max(length**self.length_penalty, longest**self.length_penalty))


class TokenScores:
    """Log-probabilities of the next token under one of the normalizations."""

    def __init__(self, model: Backbone, trie: Trie, scoring: Scoring) -> None:
        self.model, self.trie, self.rows, self.column = model, trie, None, torch.arange(0)
        self.by_prefix = scoring.normalize == "prefix"
        if scoring.normalize == "catalogue":
            self.rows = torch.unique(trie.token[1:])  # without the root's, which no identifier holds
            self.column = torch.zeros(model.vocabulary_size, dtype=torch.long, device=trie.token.device)
            self.column[self.rows] = torch.arange(len(self.rows), device=trie.token.device)

    def __call__(self, hidden: Tensor, tokens: Tensor, exists: Tensor) -> Tensor:
        """``hidden [B, N, D]`` and continuations ``tokens [B, N, C]``, those that ``exist``, to log-probabilities."""
        if self.by_prefix:
            return self._among(hidden, tokens, exists)
        rough = self.model.rough_logits(hidden) if self.rows is None else None
        if rough is not None:
            return self._refined(rough.float(), hidden, tokens, exists)
        logits = self.model.logits(hidden, self.rows).float()
        columns = tokens if self.rows is None else self.column[tokens]
        return logits.log_softmax(-1).gather(-1, columns)

    def complete(self, nodes: Tensor) -> Tensor:
        """Whether nothing is to be decoded below: the end of an identifier, or, where scores are normalized by prefix,
        what leads to a single one, for whatever follows is certain.
        """
        if self.by_prefix:
            return self.trie.high[nodes] - self.trie.low[nodes] == 1
        return self.trie.count[nodes] == 0

    def columns(self, children: int) -> int:
        """Of how many tokens, at most, each of several prefixes with so many children in all gets a logit."""
        if self.by_prefix:
            return min(children, self.model.vocabulary_size)
        return self.model.vocabulary_size if self.rows is None else len(self.rows)

    def _among(self, hidden: Tensor, tokens: Tensor, exists: Tensor) -> Tensor:
        """Log-probabilities over the continuations alone: only of tokens that go on from some prefix are there logits,
        of codes those of one level.
        """
        column = torch.zeros(self.model.vocabulary_size, dtype=torch.long, device=tokens.device)
        column[tokens] = 1
        rows = column.nonzero()[:, 0]
        column[rows] = torch.arange(len(rows), device=rows.device)
        logits = self.model.logits(hidden, rows).float().gather(-1, column[tokens])
        return logits.masked_fill(~exists, MASKED).log_softmax(-1)

    def _refined(self, rough: Tensor, hidden: Tensor, tokens: Tensor, exists: Tensor) -> Tensor:
        """Log-probabilities over the vocabulary where its logits ``[B, N, V]`` are rough: those of the continuations
        are computed again in float32, and what they have of the sum of probabilities is replaced.
        """
        rows = torch.unique(tokens[exists])
        column = torch.zeros(self.model.vocabulary_size, dtype=torch.long, device=rows.device)
        column[rows] = torch.arange(len(rows), device=rows.device)
        logits = self.model.logits(hidden, rows).float().gather(-1, column[tokens]).masked_fill(~exists, NEVER)
        whole = rough.logsumexp(-1, keepdim=True)
        part = rough.gather(-1, tokens).masked_fill(~exists, NEVER).logsumexp(-1, keepdim=True)
        others = whole + torch.log1p(-(part - whole).clamp(max=-1e-6).exp())
        return logits - torch.logaddexp(others, logits.logsumexp(-1, keepdim=True))


@torch.no_grad()
def beam_search(
    model: Backbone,
    cache: Cache,
    trie: Trie,
    width: int,
    k: int,
    scoring: Scoring,
    excluded: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The best ``k`` identifiers of every user: leaves ``[B, k]`` and scores; -1 and -inf where none is left.

    Each step keeps the best ``width`` prefixes that go on; identifiers that end among the best ``width`` continuations
    are set aside, as published decoders do. It stops when no prefix can still reach the set-aside ones. ``excluded
    [B, E]`` are distinct leaves that may not be written (any filler beyond the leaves); a prefix that leads only to
    such leaves is not entered. ``cache`` must be fresh, and is used up.
    """
    users, device = cache.users, trie.token.device
    token_scores = TokenScores(model, trie, scoring)
    nodes = torch.zeros(users, 1, dtype=torch.long, device=device)
    scores = torch.zeros(users, 1, device=device)
    ancestors = torch.zeros(users, 1, 0, dtype=torch.bool, device=device)
    done_leaf = torch.full((users, k), -1, device=device)
    done_score = torch.full((users, k), NEVER, device=device)
    excluded = None if excluded is None else excluded.sort(-1).values
    for depth in range(trie.depth):
        hidden, ancestors = step(cache, trie, nodes, scores, ancestors, depth, token_scores)
        children, candidates = extended(trie, nodes, scores, hidden, token_scores, excluded)
        best, index = candidates.flatten(1).topk(min(2 * width, candidates[0].numel()))
        parents = index // candidates.shape[-1]
        nodes = children.flatten(1).gather(1, index)
        leaf = trie.count[nodes] == 0
        final = scoring.final(best, depth + 1).masked_fill(~leaf, NEVER)[:, :width]
        done_leaf, done_score = keep(done_leaf, done_score, trie.low[nodes[:, :width]], final)
        scores, kept = best.masked_fill(leaf, NEVER).topk(min(width, best.shape[1]))
        reach = scoring.bound(scores[:, 0], depth + 2, trie.depth)
        if bool((reach <= done_score[:, -1]).all()):
            break
        nodes, parents = nodes.gather(1, kept), parents.gather(1, kept)
        ancestors = ancestors.gather(1, parents[..., None].expand(-1, -1, ancestors.shape[-1]))
    return done_leaf.masked_fill(done_score == NEVER, -1), done_score


def with_self(ancestors: Tensor) -> Tensor:
    """Ancestors ``[B, N, P]`` of N prefixes, with their own newest tokens appended: ``[B, N, P + N]``."""
    users, count, _ = ancestors.shape
    itself = torch.eye(count, dtype=torch.bool, device=ancestors.device).expand(users, -1, -1)
    return torch.cat([ancestors, itself], -1)


def step(
    cache: Cache,
    trie: Trie,
    nodes: Tensor,
    scores: Tensor,
    ancestors: Tensor,
    depth: int,
    token_scores: TokenScores,
) -> tuple[Tensor, Tensor]:
    """What is decoded of prefixes ``[B, N]`` with ``ancestors [B, N, P]``: hidden states ``[B, N, D]``, and the
    ancestors with the newest tokens, those of the prefixes that were decoded.

    What is not alive is not decoded, and its state is zero. Nor is, where scores are normalized by prefix, what leads
    to a single identifier: whatever follows is certain.
    """
    model, (users, count) = token_scores.model, nodes.shape
    alive = (scores > NEVER) & ~token_scores.complete(nodes)
    most = int(alive.sum(1).max())
    if most == count:
        ancestors = with_self(ancestors)
        return decoded(model, cache, trie.token[nodes], ancestors, depth), ancestors
    hidden = torch.zeros(users, count, model.d_model, device=nodes.device)
    if not most:
        return hidden, ancestors
    columns = alive.byte().argsort(dim=1, descending=True, stable=True)[:, :most]
    own = with_self(ancestors.gather(1, columns[..., None].expand(-1, -1, ancestors.shape[-1])))
    found = decoded(model, cache, trie.token[nodes.gather(1, columns)], own, depth)
    hidden = hidden.to(found.dtype).scatter(1, columns[..., None].expand_as(found), found)
    return hidden, F.pad(ancestors, (0, most)).scatter(1, columns[..., None].expand_as(own), own)


def decoded(model: Backbone, cache: Cache, tokens: Tensor, ancestors: Tensor, depth: int) -> Tensor:
    positions = torch.full((tokens.shape[1],), depth, device=tokens.device)
    return model.decode(tokens, cache, mask=(~ancestors) * MASKED, positions=positions)


def extended(
    trie: Trie, nodes: Tensor, scores: Tensor, hidden: Tensor, token_scores: TokenScores, excluded: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Children ``[B, N, C]`` of the nodes and the scores of the prefixes through them; -inf where there is none."""
    count = trie.count[nodes].masked_fill(scores == NEVER, 0)
    child = torch.arange(max(int(count.max()), 1), device=nodes.device)
    exists = child < count[..., None]
    children = torch.where(exists, trie.first[nodes][..., None] + child, 0)
    candidates = scores[..., None] + token_scores(hidden, trie.token[children], exists)
    if excluded is not None:
        exists = exists & ~only(trie, children, excluded)
    return children, candidates.masked_fill(~exists, NEVER)


def only(trie: Trie, nodes: Tensor, excluded: Tensor) -> Tensor:
    """Whether all leaves below a node are among the sorted ``excluded [B, E]``: nodes ``[B, ...]`` to bool."""
    flat = nodes.flatten(1)
    low, high = trie.low[flat], trie.high[flat]
    inside = torch.searchsorted(excluded, high) - torch.searchsorted(excluded, low)
    return (inside == high - low).view_as(nodes)


def keep(leaves: Tensor, scores: Tensor, new_leaves: Tensor, new_scores: Tensor) -> tuple[Tensor, Tensor]:
    """The best of two lists, by score and then by leaf number."""
    leaves, scores, count = torch.cat([leaves, new_leaves], 1), torch.cat([scores, new_scores], 1), leaves.shape[1]
    order = leaves.argsort(dim=1, stable=True)
    order = order.gather(1, scores.gather(1, order).argsort(dim=1, descending=True, stable=True))[:, :count]
    return leaves.gather(1, order), scores.gather(1, order)


@torch.no_grad()
def score_all(model: Backbone, cache: Cache, trie: Trie, scoring: Scoring, block: int = BLOCK) -> Tensor:
    """The final score of every identifier for every user, ``[B, leaves]``: each distinct prefix is decoded once, but
    for those after which nothing is open (``TokenScores.complete``).

    The tree is walked depth first in blocks of at most ``block`` nodes of one depth, the same for all users, and of
    each block so many are scored together as have ``SCORED_AT_ONCE`` logits. So memory is bounded by block x depth and
    by the children of a single prefix, beside the scores that are returned. ``cache`` must be fresh, and is used up.
    """
    users, device = cache.users, trie.token.device
    result = torch.full((users, len(trie.item_of_leaf)), NEVER, device=device)
    token_scores, divisors = TokenScores(model, trie, scoring), scoring.divisors(trie)

    def walk(nodes: Tensor, scores: Tensor, ancestors: Tensor, cache: Cache, depth: int) -> None:
        ancestors = with_self(ancestors)
        hidden = decoded(model, cache, trie.token[nodes].expand(users, -1), ancestors, depth)
        children, candidates = every_child(trie, nodes, scores, hidden, token_scores)
        parents = torch.repeat_interleave(torch.arange(len(nodes), device=device), trie.count[nodes])
        complete = token_scores.complete(children)
        leaves = trie.low[children[complete]]
        result[:, leaves] = candidates[:, complete] / divisors[trie.lengths[leaves]]
        inner = torch.nonzero(~complete).flatten()
        for rows in torch.split(inner, block) if len(inner) else ():
            seen = ancestors[:, parents[rows]]
            needed = seen[0].any(0)
            walk(children[rows], candidates[:, rows], seen[..., needed], cache.restricted(needed), depth + 1)

    root = torch.zeros(1, dtype=torch.long, device=device)
    none = torch.zeros(1, 1, 0, dtype=torch.bool, device=device)
    walk(root, torch.zeros(users, 1, device=device), none, cache, 0)
    return result


def every_child(
    trie: Trie, nodes: Tensor, scores: Tensor, hidden: Tensor, token_scores: TokenScores
) -> tuple[Tensor, Tensor]:
    """All children ``[n]`` of ``nodes [N]``, which are the same for all users, in order, and the scores ``[B, n]`` of
    the prefixes through them.
    """
    counts, parts = trie.count[nodes], []
    for part in stretches(counts.tolist(), len(scores), token_scores.columns):
        shared = nodes[part].expand(len(scores), -1)
        children, candidates = extended(trie, shared, scores[:, part], hidden[:, part], token_scores, None)
        exists = torch.arange(children.shape[-1], device=nodes.device) < counts[part, None]
        parts.append((children[0][exists], candidates[:, exists]))
    return torch.cat([children for children, _ in parts]), torch.cat([scores for _, scores in parts], 1)


def stretches(counts: list[int], users: int, columns: Callable[[int], int]) -> list[slice]:
    """Nodes with so many children each in stretches of as many as have ``SCORED_AT_ONCE`` logits of all users together,
    where prefixes with n children in all have ``columns(n)`` each; one node at least.
    """
    found, begin, total = list[slice](), 0, 0
    for node, count in enumerate(counts):
        if node > begin and users * (node + 1 - begin) * columns(total + count) > SCORED_AT_ONCE:
            found.append(slice(begin, node))
            begin, total = node, 0
        total += count
    return [*found, slice(begin, len(counts))]
