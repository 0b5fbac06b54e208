"""What an item identifier is: data. Token sequences, sets of learned vectors, or codes in slots.

``TokenIds`` are words, codes and digits alike; ``VectorIds`` are sets of vectors; ``SlotIds`` have a code in each of
several slots. How a scheme makes them is in
``bench.ids.scheme``; the kind of the identifiers alone decides how they are trained and decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from operator import index
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.ids.grouping import equal_rows
from bench.ids.users import UserIds, refuse_unusable
from bench.vocabulary import Vocabulary

Variants = NDArray[np.int64] | int  # which of several identifiers of an item is meant: by example, or for all


@dataclass(frozen=True)
class Template:
    """How a history is written: ``before``, the items oldest first with ``separator`` between them, ``after``.

    The three are texts in the identifiers' vocabulary and are tokenized once; identifiers are spliced in as tokens.
    """

    before: str = ""
    separator: str = ""
    after: str = ""


@dataclass(frozen=True, eq=False)
class TokenIds:
    """Identifiers that are token sequences: words, codes and digits alike.

    ``tokens`` is ``[variants, items, length]``, right-padded with ``vocabulary.pad``; ``lengths`` is
    ``[variants, items]``. Neither padding nor the end token may occur inside an identifier. Where an item has several,
    its variants, training draws one for each example and ranking uses variant 0. Two items may share a sequence (a
    collision): they are then ranked as one slot and reported as such. ``codebooks`` are the sizes of the codebooks
    behind the positions of an identifier, where there are such. ``append_eos``: the end token is written even where all
    lengths are equal, as it must be where the model has learned from identifiers of other lengths too. ``users`` are
    identifiers of the users of the training view, where a scheme makes such: a history whose user is known then begins
    with the user's, in training as in ranking.
    """

    tokens: NDArray[np.int32]
    lengths: NDArray[np.int32]
    vocabulary: Vocabulary
    template: Template = Template()
    codebooks: tuple[int, ...] = ()
    append_eos: bool = False
    users: UserIds | None = None

    @classmethod
    def from_lists(
        cls, codes: Sequence[Sequence[int]], vocabulary: Vocabulary, template: Template = Template()
    ) -> TokenIds:
        """One variant from a list of token ids for each item. BenchError where one is no whole number."""
        lengths = np.fromiter(map(len, codes), np.int32, len(codes))[None]
        tokens = np.full((1, len(codes), lengths.max(initial=0)), vocabulary.pad, np.int32)
        try:
            flat = np.fromiter(map(index, chain.from_iterable(codes)), np.int32)
        except TypeError as error:  # else "12" would be the tokens 1 and 2, and 2.7 would be 2
            raise BenchError(f"tokens are whole numbers, as Vocabulary.ids gives them: {error}") from None
        tokens[np.arange(tokens.shape[2]) < lengths[..., None]] = flat
        return cls(tokens, lengths, vocabulary, template)

    def __post_init__(self) -> None:
        if self.tokens.ndim != 3 or self.lengths.shape != self.tokens.shape[:2]:
            raise BenchError(
                f"identifier tokens must be [variants, items, length] with lengths [variants, items]; "
                f"got {self.tokens.shape} and {self.lengths.shape}"
            )
        refuse_unusable(self.tokens, self.lengths, self.vocabulary)
        if self.users is not None:
            refuse_unusable(self.users.tokens[None], self.users.lengths[None], self.vocabulary, "user")

    def __len__(self) -> int:
        """Number of items."""
        return int(self.tokens.shape[1])

    @property
    def variants(self) -> int:
        """How many identifiers each item has."""
        return len(self.tokens)

    def code(self, item: int, variant: int = 0) -> tuple[int, ...]:
        """The token ids of one item, without padding."""
        return tuple(self.tokens[variant, item, : self.lengths[variant, item]].tolist())

    def only(self, variant: int) -> TokenIds:
        """One variant alone; what ends an identifier stays as it was."""
        lengths = self.lengths[variant : variant + 1]
        tokens = self.tokens[variant : variant + 1, :, : lengths.max()]
        return replace(self, tokens=tokens, lengths=lengths, append_eos=self.appends_eos)

    def of_items(self, items: slice) -> TokenIds:
        """Some of the items alone, as if there were no others; users and what ends an identifier stay as they were."""
        lengths = self.lengths[:, items]
        return replace(
            self, tokens=self.tokens[:, items, : lengths.max()], lengths=lengths, append_eos=self.appends_eos
        )

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """``[items]``: items with the same identifier (variant 0) share a number; all differ where ids are unique."""
        return equal_rows(self.tokens[0])

    @property
    def appends_eos(self) -> bool:
        """Whether the end token is part of what is generated: needed where lengths differ, idle where they don't."""
        return self.append_eos or bool((self.lengths != self.lengths.flat[0]).any())


@dataclass(frozen=True, eq=False)
class Feature:
    """What ``slots`` vectors of every item are made of: ``vectors [items, width]``, which stay as they are, and a
    network over them, which is trained with the recommender.

    The network ends in the width of the recommender. It has ReLU layers of the ``hidden`` widths, or is one linear
    layer; ``init`` says how its layers start, ``xavier``-normal with zero biases or as PyTorch makes them. With
    ``reconstruction`` its mirror image rebuilds the vectors, and the squared error joins the loss with that weight.
    ``known [items]`` is false where the feature says nothing of an item: its slots are then zero vectors, and no token
    of a history.
    """

    name: str
    vectors: NDArray[np.float32]
    known: NDArray[np.bool_]
    slots: int = 1
    hidden: tuple[int, ...] = ()
    reconstruction: float = 0.0
    init: Literal["xavier", "pytorch"] = "xavier"


@dataclass(frozen=True, eq=False)
class VectorIds:
    """Identifiers that are sets of learned vectors, one for each slot of each of the ``features`` (SETRec).

    One pass of the decoder gives one vector for every slot, and its inner products with the items' vectors score the
    whole catalogue. Scores of slots are summed within the first feature and within all others; the score of an item is
    ``1 - w`` of the one sum and ``w`` of the other, with a ``w`` that is chosen on validation. A history is the
    template's ``before``, its items' vectors in any order, and ``after``; there is no separator, as all vectors of an
    item share one position.

    In the ``attention`` of the ``paper`` a vector does not see the others of its item, and no slot of the decoder sees
    another. In that of the published code (``repo``) they do, and words after the items are as far from them as if each
    vector had a position of its own. The loss is over the whole catalogue, or over so many ``negatives`` drawn at
    random and the target. The squared error of a feature's reconstruction is averaged over the history of each
    ``example``, or over all history positions of the ``batch`` that a device computes at once, where long histories
    count more.
    """

    features: tuple[Feature, ...]
    vocabulary: Vocabulary
    template: Template
    attention: Literal["paper", "repo"] = "paper"
    negatives: int = 0
    reconstruct_over: Literal["example", "batch"] = "example"

    def __post_init__(self) -> None:
        if not self.features or min(feature.slots for feature in self.features) < 1 or self.negatives < 0:
            raise BenchError("identifiers that are vectors need a feature, a slot of each, and no negatives below 0")
        for feature in self.features:
            shape = feature.vectors.shape
            if len(shape) != 2 or shape[1] < 1 or feature.known.shape != shape[:1] or shape[0] != len(self):
                raise BenchError(
                    f"vectors of feature '{feature.name}' must be [items, width] and known [items], of "
                    f"{len(self):,} items as the first feature's; got {shape} and {feature.known.shape}"
                )
            wrong = np.flatnonzero(~np.isfinite(feature.vectors).all(axis=1))
            if len(wrong):
                raise BenchError(
                    f"the vector of feature '{feature.name}' for catalogue item {wrong[0]} is not finite; "
                    f"{len(wrong):,} of {len(self):,} items have such a vector"
                )
        _refuse_wordless(self.template, self.vocabulary, "vectors")

    def __len__(self) -> int:
        """Number of items."""
        return len(self.features[0].vectors)

    @property
    def slots(self) -> int:
        """Vectors of each item."""
        return sum(feature.slots for feature in self.features)

    @property
    def variants(self) -> int:
        return 1

    def only(self, variant: int) -> VectorIds:
        """The one variant there is."""
        return self

    def of_items(self, items: slice) -> VectorIds:
        """Some of the items alone, as if there were no others."""
        kept = [replace(f, vectors=f.vectors[items], known=f.known[items]) for f in self.features]
        return replace(self, features=tuple(kept))

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """``[items]``: every item is ranked on its own. Items of equal vectors tie, and ties count against a target."""
        return np.arange(len(self))


@dataclass(frozen=True, eq=False)
class SlotIds:
    """Identifiers that are one code in each of some slots, all written at once (RPG, Hou et al., KDD 2025).

    ``codes`` is ``[items, slots]``; ``sizes`` are the numbers of codes that each slot has. An item is one position of a
    history: the mean of its codes' embeddings. One hidden state gives, by a head for each slot, the probabilities of
    the slot's codes: the softmax of cosines over ``temperature``. The score of an item is the mean over slots of the
    log-probability of its code, so all items are ranked by one pass. Two items may share all codes (a collision): they
    are then ranked as one. A history is the template's ``before``, its items and ``after``, without a separator.
    """

    codes: NDArray[np.int32]
    sizes: tuple[int, ...]
    vocabulary: Vocabulary
    template: Template
    temperature: float = 0.07

    def __post_init__(self) -> None:
        shape, sizes = self.codes.shape, np.array(self.sizes)
        if len(shape) != 2 or shape[1] < 1 or sizes.shape != shape[1:]:
            raise BenchError(f"codes must be [items, slots] with a size for each slot; got {shape} and {self.sizes}")
        wrong = np.argwhere((self.codes < 0) | (self.codes >= sizes))
        if len(wrong):
            item, slot = wrong[0].tolist()
            raise BenchError(
                f"code {self.codes[item, slot]} of catalogue item {item} in slot {slot} is not in "
                f"0..{self.sizes[slot] - 1}"
            )
        if not self.temperature > 0:
            raise BenchError(f"the temperature of slots must be above 0; got {self.temperature}")
        _refuse_wordless(self.template, self.vocabulary, "slots")

    def __len__(self) -> int:
        """Number of items."""
        return len(self.codes)

    @property
    def slots(self) -> int:
        """Codes of each item."""
        return len(self.sizes)

    @property
    def variants(self) -> int:
        return 1

    def only(self, variant: int) -> SlotIds:
        """The one variant there is."""
        return self

    def of_items(self, items: slice) -> SlotIds:
        """Some of the items alone, as if there were no others."""
        return replace(self, codes=self.codes[items])

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """``[items]``: items with the same codes share a number; all differ where codes are unique."""
        return equal_rows(self.codes)


def _refuse_wordless(template: Template, vocabulary: Vocabulary, what: str) -> None:
    if template.separator or not vocabulary.encode(f"{template.before} {template.after}"):
        raise BenchError(
            f"the template of {what} must have words before or after the history, and no separator; got {template}"
        )


Ids = TokenIds | VectorIds | SlotIds
