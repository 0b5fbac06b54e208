"""From item text to codes to identifiers: the quantizers as identifier schemes."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from bench.data.dataset import ItemTable, TrainView
from bench.errors import BenchError
from bench.ids import text
from bench.ids.identifiers import TokenIds
from bench.ids.scheme import IdScheme
from bench.ids.text import TextSettings, embed, encoder_digest
from bench.vocabulary import Vocabulary
from semantic_ids.collisions import Codes, Rule, collision_rate, resolve
from semantic_ids.quantizers import Quantized, Vectors, checked, product_kmeans, residual_kmeans, rotated
from semantic_ids.rqvae import Init, ResidualAutoEncoder, Schedule, Training, use

SPECIAL = 3  # rows of a private vocabulary before its own tokens
REPORT_EVERY = 5  # epochs between looks at the codes, each of which quantizes the catalogue


@dataclass(frozen=True)
class Settings(TextSettings):
    """The text, its embedding, and ``levels`` codebooks of ``codes`` each. ``collisions`` says what happens to items
    with equal codes: a further ``counter`` token, another last code (``reassign``, ``sinkhorn``), or ``none``.
    """

    levels: int = 3
    codes: int = 256
    collisions: Rule = "counter"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("levels", 1), ("codes", 2)):
            if getattr(self, name) < least:
                raise BenchError(f"setting '{name}' must be {least} or more; got {getattr(self, name)}")


@dataclass(frozen=True)
class RqVaeSettings(Settings):
    """As ``Settings``, and how the auto-encoder is trained (see ``rqvae.Training``).

    The defaults are for minutes on two cores. The published tokenizer (MTGRec) has hidden=2048,1024,512,256,
    latent=128, epochs=10000, batch=2048, optimizer=adagrad, schedule=constant, init=pytorch and commitment=first, on
    embeddings by encoder=sentence-transformers/sentence-t5-base. Its codebooks begin with scikit-learn's k-means and
    not with faiss's, and it takes its variants from the last epochs as ``semantic/mtgrec`` does.
    """

    hidden: tuple[int, ...] = (512, 256)
    latent: int = 24
    epochs: int = 60
    batch: int = 1024
    learning_rate: float = 1e-3
    schedule: Schedule = "linear"
    init: Init = "xavier"
    optimizer: Literal["adam", "adagrad"] = "adam"
    beta: float = 0.25
    decay: float = 0.99
    commitment: Literal["all", "first"] = "all"
    reset_dead_codes: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("latent", "epochs", "batch", *(("hidden",) if min(self.hidden, default=1) < 1 else ())):
            if name == "hidden" or getattr(self, name) < 1:
                raise BenchError(f"setting '{name}' must be 1 or more; got {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise BenchError(f"setting 'learning_rate' must be above 0; got {self.learning_rate}")
        if not 0 <= self.decay < 1:
            raise BenchError(f"setting 'decay' must be at least 0 and below 1; got {self.decay}")


class Semantic(IdScheme):
    """Text, embedding, codes, collisions, tokens; what quantizes is left to the variant."""

    version = 2
    Settings: ClassVar[type[Any]] = Settings
    no_transfer_reason = "its codes are learnt, with their text embedding, on the items of one catalogue"

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        self.allow_collisions = self.settings.collisions == "none"

    def validate_items(self, items: ItemTable) -> None:
        text.validate_items(items, self.settings)

    def warnings(self, train: TrainView) -> Sequence[str]:
        return text.warnings(train.items, self.settings)

    def fit(self, train: TrainView) -> TokenIds:
        found = self.quantize(embed(train, self.settings), train)
        return token_ids([self.resolved(quantized) for quantized in found], self.settings.levels, found[0].size)

    def resolved(self, found: Quantized) -> Codes:
        return resolve(found.codes, found.size, found.distances, self.settings.collisions)

    def cache_key(self) -> str:
        return encoder_digest(self.settings.encoder)

    @abstractmethod
    def quantize(self, vectors: Vectors, train: TrainView) -> Sequence[Quantized]:
        """Codes of every item of the catalogue; several, the best first, where identifiers have variants."""


class RqKmeans(Semantic):
    """Residual k-means: every level clusters what the levels before left over."""

    name = "semantic/rqkmeans"

    def quantize(self, vectors: Vectors, train: TrainView) -> Sequence[Quantized]:
        return [residual_kmeans(vectors, self.settings.levels, self.settings.codes, train.seed)]


class Pq(Semantic):
    """Product quantization: every level clusters a block of dimensions of its own (as VQ-Rec codes items)."""

    name = "semantic/pq"

    def quantize(self, vectors: Vectors, train: TrainView) -> Sequence[Quantized]:
        return [product_kmeans(vectors, self.settings.levels, self.settings.codes, train.seed)]


class Opq(Pq):
    """Product quantization after a learned rotation."""

    name = "semantic/opq"

    def quantize(self, vectors: Vectors, train: TrainView) -> Sequence[Quantized]:
        return super().quantize(rotated(vectors, self.settings.levels), train)


class RqVae(Semantic):
    """An auto-encoder with residual codebooks, trained on the items that training sequences hold."""

    name = "semantic/rqvae"
    Settings = RqVaeSettings

    def variants(self) -> int:
        """From how many of the last epochs codes are taken."""
        return 1

    def quantize(self, vectors: Vectors, train: TrainView) -> Sequence[Quantized]:
        # Checked as a whole: an error names the item by its index in the catalogue.
        plan, vectors, seen = self.settings, checked(vectors), np.unique(train.sequences.values)
        model = ResidualAutoEncoder(vectors[seen], plan.levels, plan.codes, train.seed, self.training())
        kept: deque[Quantized] = deque(maxlen=self.variants())
        for epoch, error in enumerate(model.epochs(), start=1):
            train.count_training(-(-len(model.vectors) // plan.batch), len(model.vectors))
            stats = {"reconstruction": error}
            if epoch > plan.epochs - self.variants() or epoch % REPORT_EVERY == 0:
                kept.appendleft(model.quantize(vectors))
                codes = kept[0].codes
                stats |= {"collisions": collision_rate(codes), "codes used": min(use(codes, kept[0].size))}
            train.progress(epoch, plan.epochs, stats)
        return list(kept)

    def training(self) -> Training:
        plan = self.settings
        return Training(
            hidden=plan.hidden,
            latent=plan.latent,
            epochs=plan.epochs,
            batch=plan.batch,
            rate=plan.learning_rate,
            schedule=plan.schedule,
            init=plan.init,
            optimizer=plan.optimizer,
            beta=plan.beta,
            decay=plan.decay,
            commitment=plan.commitment,
            reset_dead_codes=plan.reset_dead_codes,
        )


def token_ids(variants: Sequence[Codes], levels: int, size: int) -> TokenIds:
    """Codes ``[items, levels (+ 1)]`` of every variant as tokens ``a0…``, ``b0…``: a codebook of its own for every
    level, as large as need be for the counter.
    """
    codes = np.stack(variants)
    sizes = [size] * levels + [int(codes[:, :, level].max()) + 1 for level in range(levels, codes.shape[2])]
    vocabulary = Vocabulary.private(
        f"{letter(level)}{code}" for level, size in enumerate(sizes) for code in range(size)
    )
    tokens = codes + SPECIAL + np.cumsum([0, *sizes[:-1]])
    lengths = np.full(codes.shape[:2], codes.shape[2], np.int32)
    return TokenIds(tokens.astype(np.int32), lengths, vocabulary, codebooks=tuple(sizes))


def letter(level: int) -> str:
    """The mark of a level's tokens: a to z, then aa."""
    return chr(ord("a") + level % 26) * (level // 26 + 1)
