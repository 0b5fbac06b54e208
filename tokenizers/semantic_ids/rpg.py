"""RPG: many codes of an item, all written at once (Hou et al., KDD 2025, arXiv 2506.05781)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np

from bench.data.dataset import ItemTable, TrainView
from bench.errors import BenchError
from bench.ids import text
from bench.ids.identifiers import SlotIds, Template
from bench.ids.limits import CatalogueSize, Needs, slot_bytes
from bench.ids.prompts import NEUTRAL
from bench.ids.scheme import IdScheme
from bench.ids.storage import slots_in_words
from bench.ids.text import TextSettings, embed, encoder_digest
from bench.vocabulary import Vocabulary
from semantic_ids.collisions import Codes, resolve, resolve_new
from semantic_ids.quantizers import Vectors, product_kmeans, rotated, rotation, seconds_of_kmeans
from semantic_ids.settings import at_least
from semantic_ids.vectors_alone import State, codebooks_state, encoded

MARKS = Template("<history>", after="<next>")  # where there are no words


@dataclass(frozen=True)
class RpgSettings(TextSettings):
    """The text, its embedding, and ``slots`` codebooks of ``codes`` each, over blocks of dimensions after a rotation.

    A catalogue of fewer than 256 items is too small to learn a rotation from: ``quantizer=pq`` does without.
    Items with equal codes get the nearest free code of the last slot (``reassign``), or are ranked as one (``none``).
    ``temperature`` is that of the softmax over a slot's codes. The paper has 16 to 64 slots of 256 codes, and
    temperatures of 0.03 to 0.07.
    """

    slots: int = 32
    codes: int = 256
    quantizer: Literal["opq", "pq"] = "opq"
    collisions: Literal["reassign", "none"] = "reassign"
    temperature: float = 0.07

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, slots=1, codes=2)
        if not self.temperature > 0:
            raise BenchError(f"setting 'temperature' must be above 0; got {self.temperature}")


class Rpg(IdScheme):
    """Optimized product quantization of text, all codes written at once (RPG): a slot for each block."""

    name = "set/rpg"
    Settings: ClassVar[type[Any]] = RpgSettings
    no_transfer_reason = "its codes are learned, with their text embedding, on the items of one catalogue"

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        self.allow_collisions = self.settings.collisions == "none"

    def validate_items(self, items: ItemTable) -> None:
        text.validate_items(items, self.settings)

    def warnings(self, train: TrainView) -> Sequence[str]:
        return text.warnings(train.items, self.settings)

    def needs(self, size: CatalogueSize) -> Needs:
        plan, embedding = self.settings, text.embedding_needs(size, self.settings)
        width = plan.dimensions or 768
        quantizing = size.items * (4.0 * 5 * width + 20 * plan.slots)
        seconds = seconds_of_kmeans(size.items, plan.codes * width)
        return Needs(max(embedding.memory, quantizing) + slot_bytes(size, plan.slots), embedding.seconds + seconds)

    def cache_key(self) -> str:
        return encoder_digest(self.settings.encoder)

    def fit(self, train: TrainView) -> SlotIds:
        plan = self.settings
        vectors = embed(train, plan)
        if plan.quantizer == "opq":
            vectors = rotated(vectors, plan.slots)
        found = product_kmeans(vectors, plan.slots, plan.codes, train.seed, train.device)
        codes = resolve(found.codes, found.size, found.distances, plan.collisions)
        vocabulary, template = train.language, replace(NEUTRAL, separator="")
        if vocabulary is None:
            vocabulary, template = Vocabulary.private([MARKS.before, MARKS.after]), MARKS
        return SlotIds(codes.astype(np.int32), (found.size,) * plan.slots, vocabulary, template, plan.temperature)

    # -- vectors alone (bench.ids.naming) -----------------------------------------------------------------------------

    def fit_vectors(self, vectors: Vectors, seed: int) -> tuple[State, Codes]:
        plan, matrix = self.settings, None
        if plan.quantizer == "opq":
            vectors, matrix = rotation(vectors, plan.slots)
        found = product_kmeans(vectors, plan.slots, plan.codes, seed)
        return codebooks_state(found, matrix), resolve(found.codes, found.size, found.distances, plan.collisions)

    def encode_vectors(self, state: State, vectors: Vectors, known: Codes) -> Codes:
        found = encoded(state, vectors, "product")
        return resolve_new(found.codes, known, found.size, found.distances, self.settings.collisions)

    def written(self, codes: Sequence[int]) -> str:
        return slots_in_words(codes)
