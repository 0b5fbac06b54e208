"""The exact best k identifiers, with a certificate: prefixes are gone through best first, until none could do better.

Log-probabilities only fall along a path. So the score of a prefix bounds that of every identifier below it, and once
the k-th best identifier that was found is above all prefixes that are still open, the list is certified: it is the one
that scoring every identifier gives. A prefix whose own score is above the k-th best identifier's has to be decoded by
whatever proves that. Taken best first, one at a time, no other one is; here a few of every user are taken at a time,
and a user is done when none of its own is left.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from bench.backbone.protocol import Backbone, Cache
from bench.ids.limits import SCORED_AT_ONCE
from bench.model.beam import NEVER, Scoring, TokenScores, extended, keep, only
from bench.model.branches import Branches, before_of_user
from bench.model.trie import Trie

SLACK = 1e-4  # of a log-probability: two ways to sum one score differ by less
AT_ONCE = 62  # prefixes of a user, rows full: fewer find the bound with fewer in vain, more fill the processor
ROOM = 256  # decoded prefixes of a user that are kept for what follows them
APART = 1e6  # between the keys of two users; only the order in which prefixes are taken rests on it


@torch.no_grad()
def certified_search(
    model: Backbone,
    cache: Cache,
    trie: Trie,
    k: int,
    scoring: Scoring,
    excluded: Tensor | None = None,
    at_once: int = AT_ONCE,
    room: int = ROOM,
) -> tuple[Tensor, Tensor]:
    """The best ``k`` of all identifiers of every user: leaves ``[B, k]`` and scores; -1 and -inf where none is left.

    Arguments are those of ``beam_search``. Of equal scores the lower leaf comes first. Of each user ``at_once``
    prefixes are decoded at a time. From where ``room`` of them are kept, the longest go first, so memory is bounded by
    room + at_once x depth, however little is ruled out.
    """
    search = _Search(model, cache, trie, k, scoring, excluded)
    while len(search.open.users):
        search.expand(search.take(at_once, room))
    return search.leaves.masked_fill(search.scores == NEVER, -1), search.scores


@dataclass
class _Open:
    """Prefixes that are not decoded yet, one a row: their last nodes, scores, bounds and lengths, and the numbers of
    their parents among the ``Branches``.
    """

    users: Tensor
    nodes: Tensor
    scores: Tensor
    bounds: Tensor
    lengths: Tensor
    parents: Tensor

    def rows(self, chosen: Tensor) -> _Open:
        return _Open(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def and_more(self, more: _Open) -> _Open:
        return _Open(*(torch.cat([getattr(self, f.name), getattr(more, f.name)]) for f in fields(self)))


class _Search:
    """What has been found so far, and what is open."""

    def __init__(
        self, model: Backbone, cache: Cache, trie: Trie, k: int, scoring: Scoring, excluded: Tensor | None
    ) -> None:
        device = trie.token.device
        self.trie, self.scoring, self.token_scores = trie, scoring, TokenScores(model, trie, scoring)
        self.excluded = None if excluded is None else excluded.sort(-1).values
        self.branches = Branches(model, cache, trie)
        self.leaves = torch.full((cache.users, k), -1, device=device)
        self.scores = torch.full((cache.users, k), NEVER, device=device)
        self.complete, self.divisors = self.token_scores.complete, scoring.divisors(trie)
        users = torch.arange(cache.users, device=device)
        roots = torch.zeros_like(users)
        nothing = torch.zeros(cache.users, device=device)
        self.open = _Open(users, roots, nothing, nothing, roots, roots)
        if bool(self.complete(roots).all()):  # a single identifier, and certain
            none_left = torch.zeros_like(users, dtype=torch.bool)
            if self.excluded is not None:
                none_left = only(trie, roots[:, None], self.excluded)[:, 0]
            self.found(users[~none_left], roots[~none_left], nothing[~none_left])
            self.open = self.open.rows(users[:0])

    def reaches(self, users: Tensor, bounds: Tensor) -> Tensor:
        return (bounds >= self.scores[users, -1] - SLACK) & (bounds > NEVER)

    def take(self, at_once: int, room: int) -> _Open:
        """The best open prefixes of every user, which are open no longer; of a user without room the longest."""
        allowed, open_ = self.in_room(room), self.open
        best_first = (open_.users * APART - open_.bounds.double().clamp(min=-APART / 2)).argsort()  # user by user
        best_first = best_first[allowed[best_first]]
        chosen = best_first[before_of_user(open_.users[best_first]) < at_once]
        left = torch.ones_like(allowed)
        left[chosen] = False
        self.open = open_.rows(left)
        return open_.rows(chosen)

    def in_room(self, room: int) -> Tensor:
        """Which open prefixes may be taken, ``[n]`` bool: of a user who needs more than ``room`` of those that are kept
        only the longest, so that it comes to an end with some. What nobody needs is forgotten where that is most.
        """
        open_, branches, users = self.open, self.branches, len(self.scores)
        if len(branches.users) <= room:
            return torch.ones_like(open_.users, dtype=torch.bool)
        needed = branches.needed(open_.parents)
        crowded = torch.bincount(branches.users[needed], minlength=users) > room
        longest = open_.lengths.new_zeros(users).scatter_reduce(0, open_.users, open_.lengths, "amax")
        if int(needed.sum()) < len(needed) // 2:
            open_.parents = branches.forget(needed)[open_.parents]
        return ~crowded[open_.users] | (open_.lengths == longest[open_.users])

    def expand(self, taken: _Open) -> None:
        """Decode prefixes, in order of their users, and enter what follows them."""
        for length in torch.unique(taken.lengths).tolist():
            part = taken.rows(taken.lengths == length)
            hidden = self.branches.decode(part.users, part.nodes, part.parents, length)
            self.enter(part, hidden, length + 1)
        self.open = self.open.rows(self.reaches(self.open.users, self.open.bounds))

    def enter(self, parents: _Open, hidden: Tensor, length: int) -> None:
        """What follows the ``parents``, now of ``length`` tokens: found, where it is complete, or open."""
        parts = [self.following(parents, hidden, rows, length) for rows in self.together(parents.nodes)]
        of, nodes, scores = (torch.cat(several) for several in zip(*parts, strict=True))
        complete = self.complete(nodes)
        self.found(parents.users[of[complete]], nodes[complete], scores[complete])
        of, nodes, scores = of[~complete], nodes[~complete], scores[~complete]
        bounds = self.scoring.bound(scores, length, self.trie.depth)
        near = self.reaches(parents.users[of], bounds)
        of, nodes, scores, bounds = of[near], nodes[near], scores[near], bounds[near]
        which, number = torch.unique(of, return_inverse=True)
        numbers = self.branches.keep(which, parents.users)[number]
        more = _Open(parents.users[of], nodes, scores, bounds, torch.full_like(nodes, length), numbers)
        self.open = self.open.and_more(more)

    def together(self, nodes: Tensor) -> list[Tensor]:
        """The rows of ``nodes [n]`` in groups whose children are scored at once: ``alike``, and as many as have
        ``SCORED_AT_ONCE`` logits.
        """
        counts, found = self.trie.count[nodes], list[Tensor]()
        for rows in alike(counts):
            size = max(1, SCORED_AT_ONCE // self.token_scores.columns(int(counts[rows].sum())))
            found += torch.split(rows, size)
        return found

    def following(self, parents: _Open, hidden: Tensor, rows: Tensor, length: int) -> tuple[Tensor, Tensor, Tensor]:
        """The children of some parents that can be among the best: whose they are, their nodes and scores."""
        excluded = None if self.excluded is None else self.excluded[parents.users[rows]]
        given = parents.nodes[rows, None], parents.scores[rows, None], hidden[rows, None]
        children, scores = extended(self.trie, *given, self.token_scores, excluded)
        children, scores = children[:, 0], scores[:, 0]
        bounds = self.scoring.bound(scores, length, self.trie.depth)
        near = self.reaches(parents.users[rows, None], bounds)
        return rows[near.nonzero()[:, 0]], children[near], scores[near]

    def found(self, users: Tensor, nodes: Tensor, scores: Tensor) -> None:
        """Identifiers, which are among the best so far or not."""
        leaves = self.trie.low[nodes]
        scores = scores / self.divisors[self.trie.lengths[leaves]]
        near = scores >= self.scores[users, -1]
        users, leaves, scores = users[near], leaves[near], scores[near]
        if not len(users):
            return
        order = users.argsort(stable=True)
        rows = users[order]
        columns = before_of_user(rows)
        shape = len(self.scores), int(columns.max()) + 1
        page = self.leaves.new_full(shape, -1), self.scores.new_full(shape, NEVER)
        for values, flat in zip(page, (leaves, scores), strict=True):
            values[rows, columns] = flat[order]
        self.leaves, self.scores = keep(self.leaves, self.scores, *page)


def alike(counts: Tensor) -> list[Tensor]:
    """Rows in groups of nearly as many children, within a factor of four, so that no group is padding alone."""
    sizes = torch.log2(counts.clamp(min=1).double()).long() // 2
    return [(sizes == size).nonzero()[:, 0] for size in torch.unique(sizes).tolist()]
