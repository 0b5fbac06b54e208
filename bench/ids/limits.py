"""What making identifiers and running on them takes, by the size of a catalogue: said before anything starts.

Figures are of one processor core and of what grows with the catalogue. They are meant to be right within a factor of
four: enough to tell gigabytes from terabytes, and an hour from a month.
"""

from __future__ import annotations

from dataclasses import dataclass

DAY = 86400.0
PARAMETER = 16  # bytes of one that is trained: itself, its gradient, two moments
NODE = 96  # bytes of a node of a tree of identifiers, and of its copies
PART = 1 << 15  # items whose vectors are computed together for a loss
FLOPS = 3e10  # that one core does in a second, in matrix products of training
SCORED_AT_ONCE = 1 << 24  # scores of users and items, or tokens, in memory at a time while ranking: 64 MB
SCORE = 48  # bytes that each of them takes at the peak, sorted and looked up


@dataclass(frozen=True)
class CatalogueSize:
    """What a run is about, before it is read closely. ``max_history`` (0: no limit), ``batch``, the ``width`` of the
    backbone and the ``negatives`` of a loss over tokens (0: all) are the contract's.
    """

    items: int
    users: int
    interactions: int
    max_history: int = 20
    batch: int = 128
    width: int = 64
    negatives: int = 0

    @property
    def history(self) -> float:
        """Items of a user that are read, about."""
        mean = self.interactions / max(self.users, 1)
        return min(mean, self.max_history) if self.max_history else mean


@dataclass(frozen=True)
class Needs:
    """``memory`` in bytes at the peak of the run, beside what any run takes; ``seconds`` of one core that making the
    identifiers takes; and a ``hint``, what to set so that it is less, such as ``--set set.sasrec_negatives=1024``.
    """

    memory: float
    seconds: float = 0.0
    hint: str = ""


def users_of_width(width: int) -> int:
    """Users that a model of a width ranks at once on a CPU, if they have few scores."""
    return max(4, 4096 // width)


def scored_bytes(scores: int, width: int) -> float:
    """What it takes at the peak to rank so many items, or tokens, for users of a batch, beside the model."""
    return float(SCORE * max(scores, min(users_of_width(width) * scores, SCORED_AT_ONCE)))


def token_bytes(size: CatalogueSize, length: float, vocabulary: int = 0) -> float:
    """Of token sequences, about ``length`` tokens each: their tables, the tree with what teacher forcing needs of it,
    and a ``vocabulary`` that is trained, with the scores that a batch gives to all of it or to what is drawn, or users
    while they are ranked.
    """
    tables = size.items * (32 * length + 60)
    tree = size.items * min(length, 2.5) * NODE
    trained = vocabulary * size.width * PARAMETER
    loss = 24.0 * min(vocabulary, size.negatives or vocabulary) * size.batch
    return tables + tree + trained + max(loss, scored_bytes(vocabulary, size.width))


def vector_bytes(size: CatalogueSize, width: int, slots: int, hidden: int = 0) -> float:
    """Of sets of vectors: the features, ``width`` numbers for each item in all, with copies while they are compared,
    and the vectors that ranking makes; and, for the loss, those of a part of the catalogue with the layers that they
    come from, ``hidden`` numbers for each item.
    """
    part = min(size.items, PART) * 14.0 * (hidden + slots * size.width)
    return size.items * (12.0 * width + 4.0 * slots * size.width) + part


def slot_bytes(size: CatalogueSize, slots: int) -> float:
    """Of codes in slots."""
    return size.items * (12.0 * slots + 40)
