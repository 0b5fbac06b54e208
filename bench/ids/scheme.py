"""THE interface: what an item identifier is, and how a scheme makes them. One sitting.

A scheme turns the training view of a data set into identifiers, one for each item of the catalogue:

    class Alphabetical(IdScheme):
        name = "alphabetical"

        def fit(self, train: TrainView) -> TokenIds:
            vocabulary = Vocabulary.private("0123456789")
            numbers = np.argsort(np.argsort(train.items.ids))
            codes = [vocabulary.ids(f"{number:05d}") for number in numbers]
            return TokenIds.from_lists(codes, vocabulary)

and ``bench run --id-scheme ./mine.py:Alphabetical`` compares it, ``bench check ./mine.py:Alphabetical`` proves what is
promised here, and ``bench new my_scheme`` writes a package to start from. The harness never asks which scheme it has:
the kind of the identifiers decides how they are trained and decoded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import ItemTable, TrainView
from bench.errors import BenchError
from bench.ids.users import UserIds, refuse_unusable
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
    behind the places of an identifier, where there are such. ``ended``: the end token is written even where all lengths
    are equal, as it must be where the model has learnt from identifiers of other lengths as well. ``users`` are
    identifiers of the users of the training view, where a scheme makes such: a history whose user is known then begins
    with the user's, in training as in ranking.
    """

    tokens: NDArray[np.int32]
    lengths: NDArray[np.int32]
    vocabulary: Vocabulary
    template: Template = Template()
    codebooks: tuple[int, ...] = ()
    ended: bool = False
    users: UserIds | None = None

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
        return replace(self, tokens=tokens, lengths=lengths, ended=self.ends)

    def of_items(self, items: slice) -> TokenIds:
        """Some of the items alone, as if there were no others; users and what ends an identifier stay as they were."""
        lengths = self.lengths[:, items]
        return replace(self, tokens=self.tokens[:, items, : lengths.max()], lengths=lengths, ended=self.ends)

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """``[items]``: items with the same identifier (variant 0) share a number; all differ where ids are unique."""
        _, inverse = np.unique(self.tokens[0], axis=0, return_inverse=True)
        return np.asarray(inverse, np.int64).reshape(-1)

    @property
    def ends(self) -> bool:
        """Whether the end token is part of what is generated: needed where lengths differ, idle where they don't."""
        return self.ended or bool((self.lengths != self.lengths.flat[0]).any())


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
                    f"{len(self):,} items as the first feature's; found {shape} and {feature.known.shape}"
                )
            wrong = np.flatnonzero(~np.isfinite(feature.vectors).all(axis=1))
            if len(wrong):
                raise BenchError(
                    f"the vector of feature '{feature.name}' for catalogue item {wrong[0]} is not finite; "
                    f"{len(wrong):,} of {len(self):,} items have such a vector"
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


Ids = TokenIds | VectorIds


@dataclass(frozen=True)
class Stage:
    """One stretch of training, with an optimiser and a learning-rate schedule of its own.

    ``share`` is its part of the contract's training budget; shares of a scheme sum to 1. ``rate`` multiplies the
    contract's learning rate. It goes on from ``start``, by default from what the stage before it ended with.

    What is trained is the recommender of these identifiers or, where there is one, what ``learner`` makes of it:
    another ``Recommender``, such as one that holds it frozen beside a network of the scheme's own. Only parameters that
    require gradients are trained; it comes back in ``Trained``. A stage whose ``share`` is 0 trains nothing.

    ``mixture`` is asked before every epoch for the probability of each variant of the identifiers; without it all are
    equally likely. Without ``select`` validation is not looked at and the last weights are kept, not the best.
    ``snapshots`` are parts of the stage, such as 0.5, after which its weights are kept as well.
    """

    ids: Ids
    name: str = "train"
    share: float = 1.0
    rate: float = 1.0
    start: T5 | None = None
    learner: Callable[[Recommender], Recommender] | None = None
    mixture: Mixture | None = None
    select: bool = True
    snapshots: tuple[float, ...] = ()


Mixture = Callable[["Session"], NDArray[np.float64]]


@dataclass(frozen=True)
class Trained:
    """What a stage came to: the recommender or learner, its best score on validation (None without ``select``) and the
    snapshots asked for. ``number`` is the place of the stage among the scheme's.
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

    ``bound`` says why a trained model can't be given identifiers of another catalogue. A scheme that can make them has
    a ``transfer`` and sets it to "".
    ``collides = True`` declares that items may share an identifier, ``longest`` how many tokens one may have at most
    (the default leaves room for a history of 15 items); ``bench check`` holds a scheme to both, and to much else.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    leaks: ClassVar[bool] = False
    bound: ClassVar[str] = "its identifiers are private to the catalogue that they were made for"
    collides: bool = False
    longest: int = 32
    Settings: ClassVar[type[Any]] = NoSettings

    def __init__(self, settings: Any = None) -> None:
        self.settings = self.Settings() if settings is None else settings

    @abstractmethod
    def fit(self, train: TrainView) -> Ids:
        """Identifiers for every item of ``train.items``. Randomness comes from ``train.random()`` alone."""

    def require(self, items: ItemTable) -> None:  # noqa: B027 - most need nothing
        """BenchError where what the scheme needs is not in this catalogue. Asked before the first run."""

    def depends(self) -> str:
        """A digest of whatever else decides the identifiers, such as the content of a file that a setting names."""
        return ""

    def remarks(self, train: TrainView) -> Sequence[str]:
        """What somebody who reads the result should know, one line each: said before training and stored."""
        return ()

    def stages(self, train: TrainView, ids: Ids) -> Generator[Stage, Trained, Trained | None]:
        """What is trained, in order. What each stage came to comes back from its ``yield``; the one returned is tested,
        by default the last.
        """
        yield Stage(ids)
        return None

    def keep(self, folder: Path) -> None:  # noqa: B027 - most have nothing
        """Write what ``transfer`` will need beside the tested recommender, such as a generator that the stages have
        trained, into the folder of the cell. Called once, after the last stage.
        """

    def transfer(self, trained: Recommender, target: TrainView, kept: Path) -> Ids:
        """Identifiers for a catalogue that the model was not trained on, in the vocabulary of ``trained.ids``.

        ``target`` is that catalogue with its text; it has no sequences, for nothing is learnt on it. ``trained`` is
        what was tested, read back from its cell, and so is whatever ``keep`` wrote: it is in ``kept``. No parameter
        may change.
        """
        raise BenchError(f"{self.name} cannot name the items of '{target.dataset}': {self.bound}")
