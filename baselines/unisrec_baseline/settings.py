"""The settings of UniSRec. Sizes are those of the other sequential baselines here; the paper's are in brackets."""

from __future__ import annotations

from dataclasses import dataclass

from bench.errors import BenchError
from bench.ids.text import HASHED, TextSettings

FRACTIONS = ("dropout", "adaptor_dropout", "item_drop", "word_drop", "word_drop_share")


@dataclass(frozen=True)
class Settings(TextSettings):
    """``fields``, ``separator`` and ``encoder`` say what text is read, and how. ``dimensions`` and ``whiten`` turn and
    whiten its vectors before the network does so itself, by axes of the training catalogues alone.
    """

    encoder: str = HASHED  # (BERT)
    dimensions: int = 0  # 0: those of the encoder
    whiten: bool = False
    width: int = 64  # (300)
    experts: int = 8
    layers: int = 2
    heads: int = 2
    inner: int = 256
    dropout: float = 0.5
    adaptor_dropout: float = 0.2
    temperature: float = 0.07
    sequence_weight: float = 1e-3  # of the contrast between sequences
    item_drop: float = 0.2  # part of the items of a history that its other view lacks
    word_drop: float = 0.2  # part of the words of every text that the other view lacks
    word_drop_share: float = 0.1  # part of the histories whose other view lacks words; others lack items
    pretrain_fraction: float | None = None  # of the steps; none: all of them on several data sets, else 0
    tune_encoder: bool = False  # whether fine-tuning after pre-training changes the encoder of sequences as well
    learning_rate: float = 1e-3
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in FRACTIONS:
            self._require(name, 0 <= getattr(self, name) < 1, "at least 0 and below 1")
        for name in ("width", "experts", "layers", "heads", "inner"):
            self._require(name, getattr(self, name) >= 1, "1 or more")
        self._require("width", self.width % self.heads == 0, f"a multiple of heads, {self.heads}")
        self._require("temperature", self.temperature > 0, "above 0")
        self._require("learning_rate", self.learning_rate > 0, "above 0")
        for name in ("sequence_weight", "weight_decay"):
            self._require(name, getattr(self, name) >= 0, "0 or more")
        fraction = self.pretrain_fraction
        self._require("pretrain_fraction", fraction is None or 0 <= fraction <= 1, "none, or from 0 to 1")

    def _require(self, name: str, holds: bool, allowed: str) -> None:
        if not holds:
            raise BenchError(f"setting '{name}' must be {allowed}; got {getattr(self, name)}")
