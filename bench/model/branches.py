"""Prefixes of identifiers that have been decoded for many users, however many for each.

Users need different numbers of prefixes, and a rectangle of users by prefixes would be padding for the most part. So
the prefixes of one length are laid out in short rows, several to a user where it has many: a row is padded at its end
alone. What a row attends to is gathered for it, the history by user and the decoded tokens by ancestor, so a prefix
sees its own ancestors, whatever has been decoded for its user beside them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.backbone.protocol import LANES, MASKED, Backbone, Cache
from bench.model.trie import Trie

WIDTHS = (1, 3, 7, 15, 31)  # of rows: with the first token as many keys as processors take at once
GATHERED = 2  # prefixes that could be decoded while a row gathers the history that it attends to


class Branches:
    """Keys and values of decoded prefixes. Those that are kept have a number, by which longer ones name their parent.

    ``users`` and ``paths [n, depth]``, the numbers of all ancestors and of itself, are of those that are kept.
    """

    def __init__(self, model: Backbone, cache: Cache, trie: Trie) -> None:
        self.model, self.cache, self.trie = model, cache.aligned(), trie
        self.users = torch.empty(0, dtype=torch.long, device=trie.token.device)
        self.paths = self.users.new_empty(0, trie.depth)
        self.past: list[Tensor] = []  # with room behind those that are kept
        self._fresh: list[Tensor] = []
        self._ancestors = self.paths

    def decode(self, users: Tensor, nodes: Tensor, parents: Tensor, length: int) -> Tensor:
        """Hidden states ``[n, D]`` of prefixes of ``length`` tokens, in order of their ``users [n]``."""
        present, counts = torch.unique_consecutive(users, return_counts=True)
        width = best_width(counts)
        rows = (counts + width - 1) // width  # of each user
        first_places = (rows.cumsum(0) - rows) * width
        places = first_places.repeat_interleave(counts) + before_of_user(users)
        of_rows = present.repeat_interleave(rows)
        shape = len(of_rows), width
        filled = torch.zeros(shape[0] * width, dtype=torch.long, device=users.device)  # padding is prefix 0: unused
        filled[places] = torch.arange(len(users), device=users.device)
        self._ancestors = self.paths[parents, :length] if length else parents.new_empty(len(parents), 0)
        cache = self._gathered(of_rows, self._ancestors[filled.view(shape)])
        hidden = self.model.decode(
            self.trie.token[nodes][filled].view(shape),
            cache,
            mask=own_alone(width, length, users.device),
            positions=torch.full((width,), length, device=users.device),
        )
        self._fresh = [_newest(layer, width, places) for layer in cache.past]
        return hidden.flatten(0, 1)[places]

    def _gathered(self, users: Tensor, ancestors: Tensor) -> Cache:
        """A cache for rows of prefixes of these ``users [R]`` and ``ancestors [R, T, length]``. The first token, which
        starts the decoder, is the same for all of a row.
        """
        width, length = ancestors.shape[1:]
        if not length:
            return self.cache.gathered(users, [None] * len(self.cache.past), ancestors.new_empty(0))
        first = ancestors[:, 0, :1]  # a row begins with a prefix of its own user, whatever it is padded with
        later = ancestors[..., 1:].transpose(1, 2).flatten(1)
        index = torch.cat([first.expand(-1, 1 + unseen(width, length)), later], 1)
        past: list[Tensor | None] = [torch.unflatten(layer[index.flatten()], 0, index.shape) for layer in self.past]
        tokens = torch.arange(1, length, device=users.device).repeat_interleave(width)
        return self.cache.gathered(users, past, F.pad(tokens, (1 + unseen(width, length), 0)))

    def keep(self, which: Tensor, users: Tensor) -> Tensor:
        """Keep some of what was decoded last, ``which`` of them in ascending order: the numbers that they get."""
        first = len(self.users)
        numbers = torch.arange(first, first + len(which), device=users.device)
        self._make_room(first + len(which))
        for layer, fresh in zip(self.past, self._fresh, strict=True):
            layer[first : first + len(which)] = fresh[which]
        ancestors = self._ancestors[which]
        length = ancestors.shape[1]
        path = F.pad(ancestors, (0, self.paths.shape[1] - length))
        path[:, length:] = numbers[:, None]  # beyond its end, too: an ancestor that there surely is
        self.users = torch.cat([self.users, users[which]])
        self.paths = torch.cat([self.paths, path])
        return numbers

    def _make_room(self, count: int) -> None:
        if not self.past:
            self.past = [fresh.new_empty(count, *fresh.shape[1:]) for fresh in self._fresh]
        if count > len(self.past[0]):
            self.past = [_grown(layer, len(self.users), 2 * count) for layer in self.past]

    def needed(self, parents: Tensor) -> Tensor:
        """Which of those that are kept are among the ``parents`` or their ancestors."""
        found = torch.zeros(len(self.users), dtype=torch.bool, device=parents.device)
        found[self.paths[parents].flatten()] = True
        return found

    def forget(self, kept: Tensor) -> Tensor:
        """Keep only these, ``[n]`` bool, which hold the ancestors of each: their new numbers by their old ones."""
        numbers = kept.cumsum(0) - 1
        self.past = [layer[: len(kept)][kept] for layer in self.past]
        self.users, self.paths = self.users[kept], numbers[self.paths[kept]]
        return numbers


def before_of_user(users: Tensor) -> Tensor:
    """How many of the same user stand before each of ``users [n]``, which are in order."""
    _, counts = torch.unique_consecutive(users, return_counts=True)
    first = (counts.cumsum(0) - counts).repeat_interleave(counts)
    before: Tensor = torch.arange(len(users), device=users.device) - first
    return before


def best_width(counts: Tensor) -> int:
    """The width of rows that costs least where so many prefixes of each user are laid out."""
    widths = torch.tensor(WIDTHS, device=counts.device)[:, None]
    cost = ((counts + widths - 1) // widths).sum(1) * (widths[:, 0] + GATHERED)
    return WIDTHS[int(cost.argmin())]


def own_alone(width: int, length: int, device: torch.device) -> Tensor:
    """What is added to the attention of a row, ``[T, K]``: each of its prefixes sees the first token, its own at each
    later place, and itself.
    """
    itself = torch.eye(width, dtype=torch.bool, device=device)
    if not length:
        return (~itself) * MASKED
    first = torch.arange(1 + unseen(width, length), device=device).expand(width, -1) == 0
    return (~torch.cat([first, itself.repeat(1, length)], 1)) * MASKED


def unseen(width: int, length: int) -> int:
    """How often the first token is there again, unseen, so that no keys are left over from what is taken at once."""
    return -(1 + width * length) % LANES if width > 1 else 0


def _newest(layer: Tensor | None, width: int, places: Tensor) -> Tensor:
    if layer is None:
        raise TypeError("a backbone keeps what it decodes in its cache")
    return layer[:, -width:].flatten(0, 1)[places]


def _grown(layer: Tensor, count: int, room: int) -> Tensor:
    larger = layer.new_empty(room, *layer.shape[1:])
    larger[:count] = layer[:count]
    return larger
