"""Numeric identifiers: every item is a number, written in digits.

``numeric/random`` numbers items in random order: a control, for such an identifier tells nothing about its item.
``numeric/sequential`` numbers them as they first appear in the users' training histories, so that items bought
together are often numbered together. Both start at 1001 as OpenP5 does (Xu et al., SIGIR 2024, 2306.11134).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import TrainView
from bench.errors import BenchError
from bench.ids.scheme import IdScheme, Template, TokenIds
from bench.ids.vocabulary import Vocabulary

__all__ = ["Random", "Sequential"]

SENTENCE = Template(before="This user chose items numbered", separator=",", after=". Number of the next choice:")


@dataclass(frozen=True)
class Settings:
    first: int = 1001  # the smallest number

    def __post_init__(self) -> None:
        if self.first < 0:
            raise BenchError(f"setting of numeric 'first' must be 0 or more; found {self.first}")


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
        numbers = np.empty(len(train.items), np.int64)
        numbers[self.order(train)] = np.arange(len(train.items)) + self.settings.first
        texts = [str(number) for number in numbers]
        if train.language is None:
            digits = Vocabulary.private("0123456789,")
            return TokenIds.from_lists([digits.ids(text) for text in texts], digits, Template(separator=","))
        ids = TokenIds.from_lists(train.language.encode_batch(texts), train.language, SENTENCE)
        require_unique(ids)
        return ids


class Random(Numeric):
    """Items numbered in random order, drawn from the seed."""

    name = "numeric/random"

    def order(self, train: TrainView) -> NDArray[np.integer]:
        return train.random().permutation(len(train.items))


class Sequential(Numeric):
    """Items numbered by first appearance, user after user in the data set's order; the family's default.

    Only training interactions are walked. Items that don't occur in them come last, in random order: numbered as the
    held-out parts run, two new items of one user would be neighbours, and "the last number plus one" would predict
    the test item.
    """

    name = "numeric/sequential"

    def order(self, train: TrainView) -> NDArray[np.integer]:
        seen, first = np.unique(train.sequences.values, return_index=True)
        unseen = np.setdiff1d(np.arange(len(train.items)), seen)
        return np.concatenate([seen[np.argsort(first)], train.random().permutation(unseen)])


def require_unique(ids: TokenIds) -> None:
    """Two numbers may differ as text and still be one in a vocabulary that doesn't know all digits."""
    alike = np.bincount(ids.groups)[ids.groups] > 1
    unreadable = (ids.tokens[0] == ids.vocabulary.unk).any(axis=1) | alike
    if unreadable.any():
        raise BenchError(
            f"the backbone's vocabulary can't tell {unreadable.sum():,} of {len(ids):,} numbers apart; "
            "numeric identifiers need one with all ten digits, or a backbone from scratch, e.g. --set backbone=mini"
        )
