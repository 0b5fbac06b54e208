"""Identifiers that are plain numbers, written in digits: which item gets which.

They start at 1001 as OpenP5's do (Xu et al., SIGIR 2024, 2306.11134).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import TrainView
from bench.errors import BenchError
from bench.ids.identifiers import Template, TokenIds
from bench.ids.limits import CatalogueSize, Needs, token_bytes
from bench.ids.prompts import SEPARATOR
from bench.ids.scheme import IdScheme
from bench.vocabulary import Vocabulary

if TYPE_CHECKING:
    from bench.model.recommender import Recommender

Order = Literal["original", "random", "short-to-long", "long-to-short"]
POWERS = 10 ** np.arange(19)  # that 64 bits hold
WORDED = Template("The user interacted with items numbered:", SEPARATOR, ". The number of the next item is:")


@dataclass(frozen=True)
class Settings:
    first: int = 1001  # the smallest number

    def __post_init__(self) -> None:
        if self.first < 0:
            raise BenchError(f"setting of numeric 'first' must be 0 or more; got {self.first}")


@dataclass(frozen=True)
class SequentialSettings(Settings):
    order: Order = "original"  # in which users are walked


@dataclass(frozen=True)
class P5Settings(SequentialSettings):
    first: int = 1
    order: Order = "random"


class Numeric(IdScheme):
    """Numbers the catalogue in the order that ``order`` gives, and writes each number in the vocabulary at hand.

    A language model reads the number as any other text, in pieces of one or more digits. From scratch, a token is a
    digit, and a history is nothing but numbers with commas between.
    """

    Settings = Settings

    @abstractmethod
    def order(self, train: TrainView) -> NDArray[np.integer]:
        """``[items]``: all catalogue indices, the item with the smallest number first."""

    def fit(self, train: TrainView) -> TokenIds:
        if train.language is None:
            return self.numbered(train, Vocabulary.private("0123456789,"), Template(separator=","))
        return self.numbered(train, train.language, WORDED)

    def needs(self, size: CatalogueSize) -> Needs:
        return Needs(
            token_bytes(size, len(str(size.items + self.settings.first))) + 250.0 * size.items, 3e-6 * size.items
        )

    def numbered(self, train: TrainView, vocabulary: Vocabulary, template: Template) -> TokenIds:
        """The numbers of the catalogue in a vocabulary that has all ten digits, be it as words or as tokens."""
        numbers = np.empty(len(train.items), np.int64)
        numbers[self.order(train)] = np.arange(len(train.items)) + self.settings.first
        if not vocabulary.language_model:
            return in_digits(numbers, vocabulary, template)
        texts = [vocabulary.as_name(str(number)) for number in numbers.tolist()]
        ids = TokenIds.from_lists(vocabulary.encode_batch(texts), vocabulary, template)
        require_unique(ids)
        return ids


class Random(Numeric):
    """Items numbered in random order, drawn from the seed; those of an unseen catalogue likewise."""

    name = "numeric/random"
    supports_transfer = True

    def transfer(self, trained: Recommender, target: TrainView, kept: Path) -> TokenIds:
        """A control: the unseen catalogue gets numbers that the model can write, and that tell it nothing."""
        return self.numbered(target, trained.ids.vocabulary, trained.ids.template)

    def order(self, train: TrainView) -> NDArray[np.integer]:
        return train.random().permutation(len(train.items))


class Sequential(Numeric):
    """Items numbered by first appearance, user after user; the family's default.

    Users are walked in the data set's order, in random order, or by the length of their training history (How to
    Index, SIGIR-AP 2023, 2305.06569). Items that don't occur in what is walked come last, in random order: numbered
    as the held-out parts run, two new items of one user would be neighbors, and "the last number plus one" would
    predict the test item.
    """

    name = "numeric/sequential"
    no_transfer_reason = "its numbers follow the training histories of the catalogue, of which an unseen one has none"
    Settings = SequentialSettings

    def order(self, train: TrainView) -> NDArray[np.integer]:
        random = train.random()
        walked = train.sequences.rows(self.users(train, random)).values
        seen, first = np.unique(walked, return_index=True)
        unseen = np.setdiff1d(np.arange(len(train.items)), seen)
        return np.concatenate([seen[np.argsort(first)], random.permutation(unseen)])

    def users(self, train: TrainView, random: np.random.Generator) -> NDArray[np.integer]:
        """``[users]``: who is walked first, second, ...; users of equal length stay in the data set's order."""
        lengths = train.sequences.lengths
        if self.settings.order == "random":
            return random.permutation(len(lengths))
        weights = {"original": 0, "short-to-long": 1, "long-to-short": -1}
        return np.argsort(weights[self.settings.order] * lengths, kind="stable")


class P5Leak(Sequential):
    """P5's own numbering (RecSys 2022, 2203.13366): the same walk, but along the held-out items too.

    A user's last new items get consecutive numbers, the tested one among them. Kept to show that leak, and for
    nothing else: the baseline ``max+1-leak`` reads the test item off these numbers without any training.
    """

    name = "numeric/p5-leak"
    leaks = True
    Settings = P5Settings


def in_digits(numbers: NDArray[np.int64], vocabulary: Vocabulary, template: Template) -> TokenIds:
    """Numbers ``[items]`` of 0 or more, a token for each digit."""
    rows = np.array(vocabulary.ids("0123456789"), np.int32)
    lengths = 1 + np.searchsorted(POWERS[1:], numbers, side="right")
    below = lengths[:, None] - 1 - np.arange(lengths.max(initial=0))  # digits behind each
    tokens = rows[numbers[:, None] // POWERS[np.maximum(below, 0)] % 10]
    tokens[below < 0] = vocabulary.pad
    return TokenIds(tokens[None], lengths.astype(np.int32)[None], vocabulary, template)


def require_unique(ids: TokenIds) -> None:
    """Two numbers may differ as text and still be one in a vocabulary that doesn't know all digits."""
    alike = np.bincount(ids.groups)[ids.groups] > 1
    unreadable = (ids.tokens[0] == ids.vocabulary.unk).any(axis=1) | alike
    if unreadable.any():
        raise BenchError(
            f"the backbone's vocabulary can't tell {unreadable.sum():,} of {len(ids):,} numbers apart; "
            "numeric identifiers need one with all ten digits, or a backbone from scratch, e.g. --set backbone=mini"
        )
