"""The settings of quantizers: what all share, what those with codebooks, and what those with a network."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal

from bench.errors import BenchError
from bench.ids.text import TextSettings
from semantic_ids.autoencoder import Init, Schedule, Training
from semantic_ids.collisions import Rule


def at_least(settings: object, **least: int) -> None:
    """BenchError where a setting is lower than this."""
    for name, lowest in least.items():
        if getattr(settings, name) < lowest:
            raise BenchError(f"setting '{name}' must be {lowest} or more; got {getattr(settings, name)}")


@dataclass(frozen=True)
class Levels(TextSettings):
    """The text, its embedding, and ``levels`` codes. ``collisions`` says what happens to items with equal codes: a
    further ``counter`` token, another last code (``reassign``, ``sinkhorn``), or ``none``. Of the counter: with a
    ``capacity`` above 0 no more items than that share their codes, others get a near one that has room; items are
    numbered in the order of the ``catalogue`` or of ``popularity`` in training, the most popular first.
    """

    levels: int = 3
    collisions: Rule = "counter"
    capacity: int = 0
    order: Literal["catalogue", "popularity"] = "catalogue"

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, levels=1, capacity=0)


@dataclass(frozen=True)
class Settings(Levels):
    """As ``Levels``, of codebooks of ``codes`` each."""

    codes: int = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, codes=2)


@dataclass(frozen=True)
class Network(TextSettings):
    """How an auto-encoder is trained (see ``autoencoder.Training``)."""

    hidden: tuple[int, ...] = (512, 256)
    epochs: int = 60
    batch: int = 1024
    learning_rate: float = 1e-3
    schedule: Schedule = "linear"
    init: Init = "xavier"
    optimizer: Literal["adam", "adagrad"] = "adam"

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, epochs=1, batch=1)
        if min(self.hidden, default=1) < 1:
            raise BenchError(f"setting 'hidden' must be 1 or more; got {self.hidden}")
        if not self.learning_rate > 0:
            raise BenchError(f"setting 'learning_rate' must be above 0; got {self.learning_rate}")

    def training(self) -> Training:
        known = {field.name: getattr(self, field.name) for field in fields(Training) if hasattr(self, field.name)}
        return Training(**{**known, "rate": self.learning_rate})  # a scheme may have a `rate` of something else


@dataclass(frozen=True)
class CodebookSettings(Network, Settings):
    """As ``Settings`` and ``Network``, with codebooks that are learned. Against codes that fall out of use: one that
    was not used for ``reset_after`` steps moves to a vector of the batch (0: never), and ``balance`` is the weight of
    what the loss adds for uneven use.
    """

    beta: float = 0.25
    commitment: Literal["all", "first"] = "all"
    reset_after: int = 0
    balance: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, reset_after=0)
        if not self.balance >= 0:
            raise BenchError(f"setting 'balance' must be 0 or more; got {self.balance}")


@dataclass(frozen=True)
class RqVaeSettings(CodebookSettings):
    """As ``CodebookSettings``, with codes of ``latent`` dimensions that follow moving averages (``decay``).

    The defaults are for minutes on two cores. The published tokenizer (MTGRec) has hidden=2048,1024,512,256,
    latent=128, epochs=10000, batch=2048, optimizer=adagrad, schedule=constant, init=pytorch and commitment=first, on
    embeddings by encoder=sentence-transformers/sentence-t5-base with dimensions=128 and whiten=true. Its codebooks
    begin with scikit-learn's k-means and not with faiss's, and it takes its variants from the last epochs as
    ``semantic/mtgrec`` does.
    """

    latent: int = 24
    decay: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, latent=1)
        if not 0 <= self.decay < 1:
            raise BenchError(f"setting 'decay' must be at least 0 and below 1; got {self.decay}")


@dataclass(frozen=True)
class FsqSettings(Network, Levels):
    """As ``Levels`` and ``Network``. A level has a channel for each of ``grid``, which is rounded to so many values: by
    default a level has 8 x 6 x 5 = 240 codes, the grid that the paper gives for about 256 (table 1).
    """

    grid: tuple[int, ...] = (8, 6, 5)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.grid or min(self.grid) < 2:
            raise BenchError(f"setting 'grid' must be 2 or more of each channel; got {self.grid}")


@dataclass(frozen=True)
class LatentSettings(CodebookSettings):
    """As ``CodebookSettings``, with codes of ``latent`` dimensions."""

    latent: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, latent=2)
        if self.latent % 2:
            raise BenchError(f"setting 'latent' must be even, for the two heads of a SASRec; got {self.latent}")


@dataclass(frozen=True)
class AlignedSettings(LatentSettings):
    """``alpha`` is the weight of the collaborative loss: the codes of an item are to tell its vector from those of a
    batch. ``vectors`` names a file with vectors of items (see ``bench.ids.embeddings``), or is ``sasrec``: those of a
    SASRec trained here on training interactions, for ``sasrec_epochs``, against the whole catalogue or
    ``sasrec_negatives`` items drawn for each step.
    """

    alpha: float = 0.02
    vectors: str = "sasrec"
    sasrec_epochs: int = 8
    sasrec_negatives: int = field(default=0, metadata={"later": True})

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, sasrec_epochs=1, sasrec_negatives=0)
        if not self.alpha > 0:
            raise BenchError(f"setting 'alpha' must be above 0; got {self.alpha}; without it: semantic/letter-no-cf")


@dataclass(frozen=True)
class DiverseSettings(LatentSettings):
    """``diversity`` is the weight of the diversity loss, and ``clusters`` how many groups of equal size the codes of
    each level are put into, anew every ``regroup`` epochs.
    """

    diversity: float = 1e-4
    clusters: int = 10
    regroup: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, clusters=1, regroup=1)
        if not self.diversity > 0:
            raise BenchError(
                f"setting 'diversity' must be above 0; got {self.diversity}; without it: semantic/letter-no-diversity"
            )


@dataclass(frozen=True)
class LetterSettings(AlignedSettings, DiverseSettings):
    """Both. The paper has levels=4 and many more epochs."""
