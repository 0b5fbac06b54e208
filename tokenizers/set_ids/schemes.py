"""Features of items as identifiers: a collaborative one, a semantic one, or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import ItemTable, TrainView
from bench.errors import BenchError
from bench.ids import embeddings, text
from bench.ids.collaborative import Cold, Scale, settled, trained_items
from bench.ids.identifiers import Feature, Template, VectorIds
from bench.ids.limits import CatalogueSize, Needs, vector_bytes
from bench.ids.prompts import NEUTRAL
from bench.ids.sasrec import Training, item_vectors, training_needs
from bench.ids.spaces import Placing
from bench.ids.text import TextSettings, embed, encoder_digest
from bench.vocabulary import Vocabulary

if TYPE_CHECKING:
    from bench.model.recommender import Recommender

OWN, SEMANTIC = "sasrec", "semantic"
WORDED = replace(NEUTRAL, separator="")
HINT = "use --set set.sasrec_negatives=1024, or a file of vectors (set.vectors)"
MARKS = Template("<history>", after="<next>")  # where there are no words


@dataclass(frozen=True)
class Common:
    """``attention`` and positions are those of the ``paper`` or of its published code (``repo``). The loss is
    over the whole catalogue, or over so many ``negatives`` of it.
    """

    attention: Literal["paper", "repo"] = "paper"
    negatives: int = 0

    def __post_init__(self) -> None:
        if self.negatives < 0:
            raise BenchError(f"setting 'negatives' must be 0 (the whole catalogue) or more; got {self.negatives}")


@dataclass(frozen=True)
class CollaborativeSettings(Common):
    """``vectors`` names a file with vectors of items (see ``bench.ids.embeddings``), or is ``sasrec``: the
    item table of a SASRec trained here, on training interactions, with the settings below ``cold``. That says what
    items without a training interaction get: the ``mean`` vector, ``zero``, or ``semantic``, no vector and no score.
    It reads the newest ``history`` items of a user, with 0 as many as the contract shows to the recommender, and its
    loss is over the whole catalogue, or over ``sasrec_negatives`` items drawn for each step.
    ``scale`` makes the vectors' mean square 1 (``unit``) or leaves them ``raw``; ``init`` is how the linear layer over
    them starts, ``xavier`` or as PyTorch makes it. SETRec's published code has scale=raw and init=pytorch.
    """

    vectors: str = OWN
    scale: Scale = "unit"
    init: Literal["xavier", "pytorch"] = "xavier"
    cold: Cold = "semantic"
    width: int = 64
    history: int = 0
    layers: int = 2
    heads: int = 2
    dropout: float = 0.3
    epochs: int = 8
    batch: int = 128
    learning_rate: float = 2e-3
    sasrec_negatives: int = field(default=0, metadata={"later": True})

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("width", "history", "layers", "heads", "epochs", "batch", "sasrec_negatives"):
            least = int(name not in ("history", "sasrec_negatives"))
            if getattr(self, name) < least:
                raise BenchError(f"setting '{name}' must be {least} or more; got {getattr(self, name)}")
        if self.width % self.heads:
            raise BenchError(f"setting 'width' must be a multiple of heads={self.heads}; got {self.width}")
        if not self.learning_rate > 0 or not 0 <= self.dropout < 1:
            raise BenchError(
                "settings 'learning_rate' and 'dropout' must be above 0, and at least 0 and below 1; "
                f"got {self.learning_rate} and {self.dropout}"
            )


@dataclass(frozen=True)
class SemanticSettings(TextSettings, Common):
    """The text and its embedding, of which an auto-encoder with these ``hidden`` layers makes so many ``slots``; its
    squared error counts ``alpha`` times in the loss, averaged over the history of each ``example`` or, as in SETRec's
    published code, over all history positions of a ``batch`` (``reconstruct_over``).
    """

    slots: int = 4
    hidden: tuple[int, ...] = (512, 256, 128)
    alpha: float = 0.7
    reconstruct_over: Literal["example", "batch"] = "example"

    def __post_init__(self) -> None:
        TextSettings.__post_init__(self)
        Common.__post_init__(self)
        if self.slots < 1 or min(self.hidden, default=1) < 1:
            raise BenchError(f"settings 'slots' and 'hidden' must be 1 or more; got {self.slots} and {self.hidden}")
        if not self.alpha >= 0:
            raise BenchError(f"setting 'alpha' must be 0 or more; got {self.alpha}")


@dataclass(frozen=True)
class Settings(CollaborativeSettings, SemanticSettings):
    """Those of both features."""

    def __post_init__(self) -> None:
        CollaborativeSettings.__post_init__(self)
        SemanticSettings.__post_init__(self)


class VectorSet(Placing):
    """Features in the order of their slots, under a sentence in the backbone's words or between two marks.

    Of an unseen catalogue the semantic slots alone say something: nobody has taken its items.
    """

    def validate_items(self, items: ItemTable) -> None:
        self.validate_unseen(items)
        if self.file:
            embeddings.bound(self.file, items, np.zeros(len(items), bool))

    def validate_unseen(self, items: ItemTable) -> None:
        """Their text: a file of collaborative vectors need not know them."""
        if isinstance(self.settings, TextSettings):
            text.validate_items(items, self.settings)

    def needs(self, size: CatalogueSize) -> Needs:
        """Of its features' making, one after the other, and of ranking by their vectors."""
        plan, width, slots, hidden, making = self.settings, 0, 0, 0, [Needs(0)]
        if isinstance(plan, SemanticSettings):
            making.append(text.embedding_needs(size, plan))
            width, slots, hidden = width + (plan.dimensions or 768), slots + plan.slots, sum(plan.hidden)
        if isinstance(plan, CollaborativeSettings):
            if plan.vectors == OWN:
                making.append(training_needs(size, self._training(size.max_history or round(size.history))))
            width, slots = width + plan.width, slots + 1
        memory = max(each.memory for each in making) + vector_bytes(size, width, slots, hidden)
        hint = HINT if getattr(plan, "sasrec_negatives", 1) == 0 and not self.file else ""
        return Needs(memory, sum(each.seconds for each in making), hint)

    def warnings(self, train: TrainView) -> Sequence[str]:
        """Where vectors from files come from."""
        words = text.warnings(train.items, self.settings) if isinstance(self.settings, TextSettings) else ()
        given = embeddings.bound(self.file, train.items, trained_items(train)).warnings if self.file else ()
        return [*words, *given]

    def identifiers(self, train: TrainView, *features: Feature) -> VectorIds:
        vocabulary, template = train.language, WORDED
        if vocabulary is None:
            template = MARKS
            vocabulary = Vocabulary.private([template.before, template.after])
        plan = self.settings
        over = plan.reconstruct_over if isinstance(plan, SemanticSettings) else "example"
        return VectorIds(features, vocabulary, template, plan.attention, plan.negatives, over)

    def collaborative(self, train: TrainView) -> Feature:
        plan, trained = self.settings, trained_items(train)
        if plan.vectors == OWN:
            found = item_vectors(train, self.training(train))
        else:
            found = embeddings.bound(self.file, train.items, trained).vectors
        vectors, known = settled(found, trained, plan.cold, plan.scale)
        return Feature("collaborative", vectors, known, init=plan.init)

    def training(self, train: TrainView) -> Training:
        return self._training(train.max_history or int(train.sequences.lengths.max(initial=1)))

    def _training(self, shown: int) -> Training:
        """Of the SASRec; ``shown`` are the items of a user that the recommender reads."""
        plan = self.settings
        return Training(
            width=plan.width,
            history=plan.history or shown,
            layers=plan.layers,
            heads=plan.heads,
            dropout=plan.dropout,
            epochs=plan.epochs,
            batch=plan.batch,
            rate=plan.learning_rate,
            negatives=plan.sasrec_negatives,
        )

    def semantic(self, train: TrainView) -> Feature:
        plan, vectors = self.settings, embed(train, self.settings)
        known = np.ones(len(vectors), bool)
        return Feature(SEMANTIC, vectors, known, plan.slots, plan.hidden, plan.alpha)

    def transfer(self, trained: Recommender, target: TrainView, saved: Path) -> VectorIds:
        ids = trained.ids
        if not isinstance(ids, VectorIds):
            raise TypeError(f"{self.name} makes sets of vectors; got {type(ids).__name__}")
        vectors = self.placed(target, saved)
        return replace(ids, features=tuple(_elsewhere(feature, vectors) for feature in ids.features))

    @property
    def file(self) -> str:
        """The file of collaborative vectors, "" where there is none."""
        vectors = getattr(self.settings, "vectors", OWN)
        return "" if vectors == OWN else str(vectors)

    def given(self) -> str:
        """The digest of a file of vectors. BenchError where it cannot be read."""
        try:
            return embeddings.digest(self.file) if self.file else ""
        except BenchError as error:
            raise BenchError(f"{error}; give {', '.join(embeddings.SUFFIXES)}, or '{OWN}'") from error


def _elsewhere(feature: Feature, vectors: NDArray[np.float32]) -> Feature:
    """The feature of another catalogue, of which the semantic ``vectors [items, width]`` are known and no others."""
    if feature.name == SEMANTIC:
        return replace(feature, vectors=vectors, known=np.ones(len(vectors), bool))
    nothing = np.zeros((len(vectors), feature.vectors.shape[1]), np.float32)
    return replace(feature, vectors=nothing, known=np.zeros(len(vectors), bool))


class SetRec(VectorSet):
    """One collaborative slot and several semantic ones (SETRec, Lin et al., 2025).

    The published code has attention=repo, scale=raw, init=pytorch and reconstruct_over=batch, over embeddings by
    encoder=sentence-transformers/sentence-t5-base with dimensions=0. What else it does is no setting here: it reads the
    newest 50 items of a user and trains on the first of them too, without a history; it pads on the left; it chooses
    the weight of the features on the test set. It reads semantic vectors from a file, which here come from text alone.
    """

    name = "set/setrec"
    version = 2
    places = True
    Settings: ClassVar[type[Any]] = Settings

    def fit(self, train: TrainView) -> VectorIds:
        semantic = self.semantic(train)  # first: that text is missing is known at once
        return self.identifiers(train, self.collaborative(train), semantic)

    def cache_key(self) -> str:
        return self.given() + encoder_digest(self.settings.encoder)


class CfOnly(VectorSet):
    """SETRec's control without text: the collaborative slot alone."""

    name = "set/cf-only"
    version = 2
    places = False
    no_transfer_reason = "it knows items by who took them, and nobody has taken those of an unseen catalogue"
    Settings: ClassVar[type[Any]] = CollaborativeSettings

    def fit(self, train: TrainView) -> VectorIds:
        return self.identifiers(train, self.collaborative(train))

    def cache_key(self) -> str:
        return self.given()


class SemanticOnly(VectorSet):
    """SETRec's control without interactions: the semantic slots alone."""

    name = "set/semantic-only"
    places = True
    Settings: ClassVar[type[Any]] = SemanticSettings

    def fit(self, train: TrainView) -> VectorIds:
        return self.identifiers(train, self.semantic(train))

    def cache_key(self) -> str:
        return encoder_digest(self.settings.encoder)
