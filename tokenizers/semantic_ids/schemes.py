"""From item text to codes to identifiers: the quantizers as identifier schemes."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import ItemTable, Sequences, TrainView
from bench.ids import text
from bench.ids.identifiers import Ids, TokenIds
from bench.ids.limits import FLOPS, CatalogueSize, Needs, token_bytes
from bench.ids.spaces import Placing
from bench.ids.text import embed, encoder_digest
from bench.vocabulary import Vocabulary
from semantic_ids import unseen
from semantic_ids.autoencoder import AutoEncoder
from semantic_ids.balanced import residual_balanced
from semantic_ids.collisions import Codes, collision_rate, resolve, resolve_new
from semantic_ids.fsq import Grid, ScalarAutoEncoder
from semantic_ids.learned import ResidualRefiner
from semantic_ids.quantizers import (
    SAMPLE,
    Quantized,
    Vectors,
    checked,
    product_kmeans,
    residual_kmeans,
    rotated,
    rotation,
    seconds_of_kmeans,
)
from semantic_ids.rqvae import ResidualAutoEncoder, use
from semantic_ids.settings import CodebookSettings, FsqSettings, RqVaeSettings, Settings
from semantic_ids.vectors_alone import State, blank, codebooks_state, encoded, load_network, network_state

if TYPE_CHECKING:
    from bench.model.recommender import Recommender

SPECIAL = 3  # rows of a private vocabulary before its own tokens
REPORT_EVERY = 5  # epochs between looks at the codes, each of which quantizes the catalogue


class Semantic(Placing):
    """Text, embedding, codes, collisions, tokens; what quantizes is left to the variant.

    An unseen catalogue gets the nearest codes of training items, where codes are the nearest of each level.
    """

    version = 2
    Settings: ClassVar[type[Any]] = Settings
    places = False
    no_transfer_reason = "what makes its codes is learned on the items of one catalogue, and is not kept"
    codebooks: unseen.Codebooks | None = None

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        self.allow_collisions = self.settings.collisions == "none"

    def validate_items(self, items: ItemTable) -> None:
        text.validate_items(items, self.settings)

    def needs(self, size: CatalogueSize) -> Needs:
        plan, embedding = self.settings, text.embedding_needs(size, self.settings)
        quantizing = size.items * (4.0 * self.copies * (plan.dimensions or 768) + 60 * plan.levels) + self.layers(size)
        memory = max(embedding.memory, quantizing, token_bytes(size, plan.levels + 1))
        return Needs(memory, embedding.seconds + self.quantizing_seconds(size))

    copies: ClassVar[float] = 5  # of the vectors, while they are quantized

    def layers(self, size: CatalogueSize) -> float:
        """Bytes of what is computed together of items on the way to their codes."""
        return 0.0

    def quantizing_seconds(self, size: CatalogueSize) -> float:
        """Of one core. K-means learns from a sample; all items are compared with all codes of each level."""
        plan = self.settings
        pairs = plan.levels * getattr(plan, "codes", 256) * (plan.dimensions or 768)
        return seconds_of_kmeans(size.items, pairs)

    def warnings(self, train: TrainView) -> Sequence[str]:
        return text.warnings(train.items, self.settings)

    def fit(self, train: TrainView) -> TokenIds:
        found = self.quantize(embed(train, self.settings), train)
        codes = [self.resolved(quantized, train) for quantized in found]
        return token_ids(codes, self.settings.levels, found[0].size)

    def resolved(self, found: Quantized, train: TrainView) -> Codes:
        plan, popularity = self.settings, None
        if plan.order == "popularity":
            popularity = np.bincount(train.sequences.values, minlength=len(train.items))
        return resolve(found.codes, found.size, found.distances, plan.collisions, plan.capacity, popularity)

    def cache_key(self) -> str:
        return encoder_digest(self.settings.encoder)

    def learn(self, train: TrainView, ids: Ids) -> None:
        super().learn(train, ids)
        vectors, tokens = checked(embed(train, self.settings)), _tokens(ids).tokens[0]
        self.codebooks = unseen.Codebooks.learned(vectors, tokens, self.settings.levels, self.way)

    def save_state(self, folder: Path) -> None:
        super().save_state(folder)
        if self.codebooks is not None:
            self.codebooks.save(folder)

    def transfer(self, trained: Recommender, target: TrainView, saved: Path) -> TokenIds:
        ids, plan, vectors = _tokens(trained.ids), self.settings, checked(self.placed(target, saved))
        tokens = unseen.Codebooks.saved(saved).tokens(vectors, self.way, plan.collisions)
        return replace(ids, tokens=tokens[None], lengths=np.full((1, len(tokens)), tokens.shape[1], np.int32))

    @abstractmethod
    def quantize(self, vectors: Vectors, train: TrainView) -> Sequence[Quantized]:
        """Codes of every item of the catalogue; several, the best first, where identifiers have variants."""

    # -- vectors alone (bench.ids.naming) -----------------------------------------------------------------------------

    way: ClassVar[Literal["residual", "product"]] = "residual"

    def fit_vectors(self, vectors: Vectors, seed: int) -> tuple[State, Codes]:
        found = self.quantize(vectors, alone_view(len(vectors), seed))[0]
        return codebooks_state(found), self._told_apart(found)

    def _told_apart(self, found: Quantized) -> Codes:
        return resolve(found.codes, found.size, found.distances, self.settings.collisions, self.settings.capacity)

    def encoded(self, state: State, vectors: Vectors) -> Quantized:
        return encoded(state, vectors, self.way)

    def encode_vectors(self, state: State, vectors: Vectors, known: Codes) -> Codes:
        plan, found = self.settings, self.encoded(state, vectors)
        return resolve_new(found.codes, known, found.size, found.distances, plan.collisions, plan.capacity)

    def written(self, codes: Sequence[int]) -> str:
        return " ".join(f"{letter(level)}{code}" for level, code in enumerate(codes))


def alone_view(items: int, seed: int) -> TrainView:
    """Items of which nothing but vectors is known: each is in a training part of its own, so that all are learned."""
    names = tuple(map(str, range(items)))
    each = Sequences(np.arange(items, dtype=np.int32), np.arange(items + 1, dtype=np.int64))
    return TrainView("vectors", ItemTable(names, {}), each, seed)


class RqKmeans(Semantic):
    """Residual k-means: every level clusters what the levels before left over."""

    name = "semantic/rqkmeans"
    places = True

    def quantize(self, vectors: Vectors, train: TrainView) -> Sequence[Quantized]:
        return [residual_kmeans(vectors, self.settings.levels, self.settings.codes, train.seed, train.device)]


class RqKmeansBalanced(RqKmeans):
    """Residual k-means with clusters of equal size, so that all codes of a level have as many items (OneRec)."""

    name = "semantic/rqkmeans-balanced"
    places = True

    def quantize(self, vectors: Vectors, train: TrainView) -> Sequence[Quantized]:
        return [residual_balanced(vectors, self.settings.levels, self.settings.codes, train.seed, train.device)]


class Pq(Semantic):
    """Product quantization: every level clusters a block of dimensions of its own (as VQ-Rec codes items)."""

    name = "semantic/pq"
    way = "product"
    places = True

    def quantize(self, vectors: Vectors, train: TrainView) -> Sequence[Quantized]:
        return [product_kmeans(vectors, self.settings.levels, self.settings.codes, train.seed, train.device)]


class Opq(Pq):
    """Product quantization after a learned rotation."""

    name = "semantic/opq"
    places = False

    def quantize(self, vectors: Vectors, train: TrainView) -> Sequence[Quantized]:
        return super().quantize(rotated(vectors, self.settings.levels), train)

    def fit_vectors(self, vectors: Vectors, seed: int) -> tuple[State, Codes]:
        turned, matrix = rotation(vectors, self.settings.levels)
        found = super().quantize(turned, alone_view(len(vectors), seed))[0]
        return codebooks_state(found, matrix), self._told_apart(found)


class Trained(Semantic):
    """A tokenizer with a network, trained on the items that training sequences hold."""

    @abstractmethod
    def tokenizer(self, vectors: Vectors, train: TrainView, items: NDArray[np.integer]) -> AutoEncoder:
        """Untrained, over the ``vectors [n, d]`` of the ``items [n]`` that it may learn from."""

    def fit_vectors(self, vectors: Vectors, seed: int) -> tuple[State, Codes]:
        every = np.arange(len(vectors))
        model = self.tokenizer(checked(vectors), alone_view(len(vectors), seed), every)
        for _ in model.epochs():
            pass
        return network_state(model), self._told_apart(model.quantize(vectors))

    def encoded(self, state: State, vectors: Vectors) -> Quantized:
        start = blank(state)
        model = self.tokenizer(start, alone_view(len(start), 0), np.arange(len(start)))
        load_network(model, state)
        return model.quantize(vectors)

    def layers(self, size: CatalogueSize) -> float:
        """The widest layer before and behind its activation, of as many items as go through it at once, and vectors."""
        widest = max(self.settings.hidden, default=0) + (self.settings.dimensions or 768)
        return float(8 * min(size.items, SAMPLE) * widest)

    def quantizing_seconds(self, size: CatalogueSize) -> float:
        plan, widths = self.settings, (self.settings.dimensions or 768, *self.settings.hidden)
        weights = 2.0 * sum(one * other for one, other in pairwise(widths))
        looks: float = plan.epochs * (3 + 1 / REPORT_EVERY)
        return float(2 * looks * size.items * weights / FLOPS + super().quantizing_seconds(size))

    def variants(self) -> int:
        """From how many of the last epochs codes are taken."""
        return 1

    def quantize(self, vectors: Vectors, train: TrainView) -> Sequence[Quantized]:
        # Checked as a whole: an error names the item by its index in the catalogue.
        plan, vectors, seen = self.settings, checked(vectors), np.unique(train.sequences.values)
        model = self.tokenizer(vectors if len(seen) == len(vectors) else vectors[seen], train, seen)
        kept, count = deque[Quantized](maxlen=self.variants()), len(seen)
        for epoch, error in enumerate(model.epochs(), start=1):
            train.count_training(-(-count // plan.batch), count, model.epoch_flops())
            stats = {"reconstruction": error}
            if epoch > plan.epochs - self.variants() or epoch % REPORT_EVERY == 0:
                kept.appendleft(model.quantize(vectors))
                codes = kept[0].codes
                stats |= {"collisions": collision_rate(codes), "codes used": min(use(codes, kept[0].size))}
            train.progress(epoch, plan.epochs, stats)
        return list(kept)


class RqVae(Trained):
    """Codes of an auto-encoder with residual codebooks (RQ-VAE, as TIGER has it)."""

    name = "semantic/rqvae"
    Settings = RqVaeSettings

    def tokenizer(self, vectors: Vectors, train: TrainView, items: NDArray[np.integer]) -> AutoEncoder:
        plan = self.settings
        return ResidualAutoEncoder(vectors, plan.levels, plan.codes, train.seed, plan.training(), train.device)


class RqKmeansPlus(Trained):
    """Residual k-means whose codebooks go on learning behind an encoder that begins as the identity (GPR, Zhang et al.,
    2025, RQ-Kmeans+).
    """

    name = "semantic/rqkmeans+"
    Settings = CodebookSettings

    def tokenizer(self, vectors: Vectors, train: TrainView, items: NDArray[np.integer]) -> AutoEncoder:
        plan = self.settings
        return ResidualRefiner(vectors, plan.levels, plan.codes, train.seed, plan.training(), train.device)


class Fsq(Trained):
    """An auto-encoder whose channels are rounded, a few of them to each code (Mentzer et al., 2023)."""

    name = "semantic/fsq"
    Settings = FsqSettings

    def tokenizer(self, vectors: Vectors, train: TrainView, items: NDArray[np.integer]) -> AutoEncoder:
        plan = self.settings
        return ScalarAutoEncoder(vectors, plan.levels, Grid(plan.grid), train.seed, plan.training(), train.device)


def _tokens(ids: Ids) -> TokenIds:
    if not isinstance(ids, TokenIds):
        raise TypeError(f"codes are sequences of tokens; got {type(ids).__name__}")
    return ids


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
