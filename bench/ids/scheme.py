"""THE interface: what an item identifier is, and how a scheme makes them. One sitting.

A scheme turns the training view of a data set into identifiers, one for each item of the catalogue:

    class Alphabetical(IdScheme):
        name = "alphabetical"

        def fit(self, train: TrainView) -> TokenIds:
            vocabulary = Vocabulary.private("0123456789")
            numbers = np.argsort(np.argsort(train.items.ids))
            codes = [vocabulary.ids(f"{number:05d}") for number in numbers]
            return TokenIds.from_lists(codes, vocabulary)

and ``bench run --id-scheme ./mine.py:Alphabetical`` compares it. The harness never asks which scheme it has: the kind
of the identifiers decides how they are trained and decoded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import TrainView
from bench.errors import BenchError
from bench.ids.vocabulary import Vocabulary

if TYPE_CHECKING:
    from bench.model.recommender import Recommender
    from bench.model.t5 import T5
    from bench.training.session import Session

Variants = NDArray[np.int64] | int  # which of several identifiers of an item is meant: by example, or for all


@dataclass(frozen=True)
class Template:
    """How a history is written: ``before``, the items oldest first with ``separator`` between them, ``after``.

    The three are texts in the identifiers' vocabulary and are tokenised once; identifiers are spliced in as tokens.
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
    collision): they are then ranked as one slot and reported as such. ``codebooks`` are the sizes of the code books
    behind the places of an identifier, where there are such.
    """

    tokens: NDArray[np.int32]
    lengths: NDArray[np.int32]
    vocabulary: Vocabulary
    template: Template = Template()
    codebooks: tuple[int, ...] = ()

    @classmethod
    def from_lists(
        cls, codes: Sequence[Sequence[int]], vocabulary: Vocabulary, template: Template = Template()
    ) -> TokenIds:
        """One variant from a list of token ids for each item."""
        lengths = np.array([[len(code) for code in codes]], np.int32)
        tokens = np.full((1, len(codes), lengths.max(initial=0)), vocabulary.pad, np.int32)
        for item, code in enumerate(codes):
            tokens[0, item, : len(code)] = code
        return cls(tokens, lengths, vocabulary, template)

    def __post_init__(self) -> None:
        if self.tokens.ndim != 3 or self.lengths.shape != self.tokens.shape[:2]:
            raise BenchError(
                f"identifier tokens must be [variants, items, length] with lengths [variants, items]; "
                f"found {self.tokens.shape} and {self.lengths.shape}"
            )
        if (self.lengths < 1).any() or (self.lengths > self.tokens.shape[2]).any():
            bad = int(np.argwhere((self.lengths < 1) | (self.lengths > self.tokens.shape[2]))[0][1])
            raise BenchError(
                f"the identifier of catalogue item {bad} is empty or longer than its row; every item needs one"
            )
        inside = np.arange(self.tokens.shape[2]) < self.lengths[..., None]
        wrong = inside & (
            (self.tokens < 0)
            | (self.tokens >= self.vocabulary.size)
            | np.isin(self.tokens, [self.vocabulary.pad, self.vocabulary.eos])
        )
        if wrong.any():
            variant, item, place = (int(at) for at in np.argwhere(wrong)[0])
            raise BenchError(
                f"token {self.tokens[variant, item, place]} in the identifier of catalogue item {item} is not usable: "
                f"allowed are 0..{self.vocabulary.size - 1} without padding and end"
            )

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
        """One variant alone."""
        chosen = slice(variant, variant + 1)
        return TokenIds(self.tokens[chosen], self.lengths[chosen], self.vocabulary, self.template, self.codebooks)

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """``[items]``: items with the same identifier (variant 0) share a number; all differ where ids are unique."""
        _, inverse = np.unique(self.tokens[0], axis=0, return_inverse=True)
        return np.asarray(inverse, np.int64).reshape(-1)

    @property
    def ends(self) -> bool:
        """Whether the end token is part of what is generated: needed where lengths differ, idle where they don't."""
        return bool((self.lengths != self.lengths.flat[0]).any())


@dataclass(frozen=True, eq=False)
class Feature:
    """What ``slots`` vectors of every item are made of: ``vectors [items, width]``, which stay as they are, and a
    network over them, which is trained with the recommender.

    The network ends in the width of the recommender. It has ReLU layers of the ``hidden`` widths, or is one linear
    layer. With ``reconstruction`` its mirror image rebuilds the vectors, and the squared error joins the loss with that
    weight. ``known [items]`` is false where the feature says nothing of an item: its slots are then zero vectors, and
    no token of a history.
    """

    name: str
    vectors: NDArray[np.float32]
    known: NDArray[np.bool_]
    slots: int = 1
    hidden: tuple[int, ...] = ()
    reconstruction: float = 0.0


@dataclass(frozen=True, eq=False)
class VectorIds:
    """Identifiers that are sets of learned vectors, one for each slot of each of the ``features`` (SETRec).

    One pass of the decoder gives one vector for every slot, and its inner products with the items' vectors score the
    whole catalogue. Scores of slots are summed within the first feature and within all others; the score of an item is
    ``1 - w`` of the one sum and ``w`` of the other, with a ``w`` that is chosen on validation. A history is the
    template's ``before``, its items' vectors in any order, and ``after``; there is no separator, as all vectors of an
    item share one position.

    ``attention`` is that of the encoder: in the ``paper`` a vector does not see the others of its item, in the
    published code (``repo``) it does. The loss is over the whole catalogue, or over so many ``negatives`` drawn at
    random and the target.
    """

    features: tuple[Feature, ...]
    vocabulary: Vocabulary
    template: Template
    attention: Literal["paper", "repo"] = "paper"
    negatives: int = 0

    def __post_init__(self) -> None:
        if not self.features or min(feature.slots for feature in self.features) < 1 or self.negatives < 0:
            raise BenchError("identifiers that are vectors need a feature, a slot of each, and no negatives below 0")
        for feature in self.features:
            shape = feature.vectors.shape
            if len(shape) != 2 or shape[1] < 1 or feature.known.shape != shape[:1] or shape[0] != len(self):
                raise BenchError(
                    f"vectors of feature '{feature.name}' must be [items, width] and known [items], of "
                    f"{len(self):,} items as the first feature's; found {shape} and {feature.known.shape}"
                )
            wrong = ~np.isfinite(feature.vectors).all(axis=1)
            if wrong.any():
                raise BenchError(
                    f"the vector of feature '{feature.name}' for catalogue item {wrong.argmax()} is not finite; "
                    f"{wrong.sum():,} of {len(self):,} items have such a vector"
                )
        if self.template.separator or not self.vocabulary.encode(f"{self.template.before} {self.template.after}"):
            raise BenchError(
                "the template of vectors must have words before or after the history, and no separator; "
                f"found {self.template}"
            )

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

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """``[items]``: every item is ranked on its own. Items of equal vectors tie, and ties count against a target."""
        return np.arange(len(self))


Ids = TokenIds | VectorIds


@dataclass(frozen=True)
class Stage:
    """One stretch of training, with an optimiser and a learning-rate schedule of its own.

    ``share`` is its part of the contract's training budget; shares of a scheme sum to 1. ``rate`` multiplies the
    contract's learning rate. It goes on from ``start``, by default from what the stage before it ended with.

    ``mixture`` is asked before every epoch for the probability of each variant of the identifiers; without it all are
    equally likely. Without ``select`` validation is not looked at and the last weights are kept, not the best.
    ``snapshots`` are parts of the stage, such as 0.5, after which its weights are kept as well.
    """

    ids: Ids
    name: str = "train"
    share: float = 1.0
    rate: float = 1.0
    start: T5 | None = None
    mixture: Mixture | None = None
    select: bool = True
    snapshots: tuple[float, ...] = ()


Mixture = Callable[["Session"], NDArray[np.float64]]


@dataclass(frozen=True)
class Trained:
    """What a stage came to: the recommender, its best score on validation (None without ``select``) and the snapshots
    asked for. ``number`` is the place of the stage among the scheme's.
    """

    recommender: Recommender
    validation: float | None
    snapshots: tuple[T5, ...] = ()
    number: int = 0


@dataclass(frozen=True)
class NoSettings:
    """The settings of a scheme that has none."""


class IdScheme(ABC):
    """A way of naming items.

    ``name`` is ``family/variant``; ``version`` rises whenever the identifiers it makes can change, for results are tied
    to ``name@version``. ``Settings`` is a frozen dataclass, set with ``--set family.field=value``.

    ``leaks = True`` asks for a ``LeakedView``: ``fit`` then sees validation and test. It is there to demonstrate a
    published leak; the name must say "leak", and every result says so too.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    leaks: ClassVar[bool] = False
    Settings: ClassVar[type[Any]] = NoSettings

    def __init__(self, settings: Any = None) -> None:
        self.settings = self.Settings() if settings is None else settings

    @abstractmethod
    def fit(self, train: TrainView) -> Ids:
        """Identifiers for every item of ``train.items``. Randomness comes from ``train.random()`` alone."""

    def depends(self) -> str:
        """A digest of whatever else decides the identifiers, such as the content of a file that a setting names."""
        return ""

    def stages(self, train: TrainView, ids: Ids) -> Generator[Stage, Trained, Trained | None]:
        """What is trained, in order. What each stage came to comes back from its ``yield``; the one returned is tested,
        by default the last.
        """
        yield Stage(ids)
        return None
