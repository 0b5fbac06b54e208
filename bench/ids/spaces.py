"""One space for the texts of several catalogues: whatever is learned of it is learned on the training catalogues.

    space, vectors = learned(train, settings)      raw vectors, turned and whitened by axes of the training catalogue
    others = space.placed(target)                 the same axes, for a catalogue that nothing was learned on

Raw vectors of two catalogues can be compared where the encoder is made for none of them: hashed words, a sentence
encoder, the contract's backbone or a file of vectors. ``Placing`` is a scheme that names other catalogues by it.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench import tensors
from bench.data.dataset import TrainView
from bench.errors import BenchError
from bench.ids.identifiers import Ids
from bench.ids.scheme import IdScheme, Stage, Trained
from bench.ids.text import HASHED, OFFLINE, Embeddings, TextSettings, embed, embedded, projected, shards

Arrays = dict[str, NDArray[np.float32]]
SPACE = "space.safetensors"
WHAT, HINT = "the space of texts", "run the model again with --force"
OWN_WAY = ("fit", "stages", "quantize")  # methods of a class that may make what is inherited unfit
COMPARABLE = f"encoder={HASHED}, a sentence encoder or a file of vectors"


@dataclass(frozen=True, eq=False)
class TextSpace:
    """``mean [raw]`` and ``axes [raw, dimensions]`` of the training catalogue; None where vectors stay as encoded."""

    settings: TextSettings
    mean: Embeddings | None = None
    axes: Embeddings | None = None

    def placed(self, view: TrainView) -> Embeddings:
        """``[items, dimensions]``: the items of any catalogue."""
        found = raw(view, self.settings)
        if self.mean is None or self.axes is None:
            return found
        if found.shape[1] != len(self.mean):
            raise BenchError(
                f"the texts of '{view.dataset}' have vectors of {found.shape[1]} numbers, those that the space was "
                f"learned on {len(self.mean)}; give an encoder that makes one kind of vectors"
            )
        parts = (found[shard].astype(np.float64) for shard in shards(max(1, len(found))))
        return np.concatenate([np.asarray((part - self.mean) @ self.axes, np.float32) for part in parts])

    @property
    def arrays(self) -> Arrays:
        """What a run keeps of it."""
        return {} if self.mean is None or self.axes is None else {"space.mean": self.mean, "space.axes": self.axes}

    @classmethod
    def kept(cls, settings: TextSettings, arrays: Mapping[str, NDArray[np.float32]]) -> TextSpace:
        """The space whose ``arrays`` these are."""
        return cls(settings, arrays.get("space.mean"), arrays.get("space.axes"))

    @classmethod
    def of(cls, train: TrainView, settings: TextSettings) -> TextSpace:
        """The one that ``embed`` puts the items of a training catalogue into."""
        found = embedded(train, settings)
        return cls(settings, found.get("mean"), found.get("axes"))

    def save(self, folder: Path) -> None:
        """Into the folder of a run; nothing where vectors stay as encoded."""
        if self.arrays:
            tensors.write(folder / SPACE, self.arrays, {}, WHAT)

    @classmethod
    def saved(cls, settings: TextSettings, folder: Path) -> TextSpace:
        """The same, read back. BenchError where the file is missing or corrupt."""
        return cls.kept(settings, kept_in(folder, SPACE, WHAT) if settings.dimensions else {})


def learned(train: TrainView, settings: TextSettings) -> tuple[TextSpace, Embeddings]:
    """The space of a training catalogue, and its items in it."""
    if not settings.dimensions:
        return TextSpace(settings), raw(train, settings)
    found = projected(raw(train, settings), settings.dimensions, settings.whiten)
    space = TextSpace(settings, found["mean"], found["axes"])
    return space, space.placed(train)


def kept_in(folder: Path, name: str, what: str) -> dict[str, NDArray[Any]]:
    """The arrays of a file in the folder of a run. BenchError where it is missing or corrupt."""
    if not (folder / name).exists():
        raise BenchError(
            f"'{folder}' does not keep {what} ({name}), as runs do since unseen catalogues are named by it; {HINT}"
        )
    return tensors.read(folder / name, "np", what, HINT)[0]


def raw(view: TrainView, settings: TextSettings) -> Embeddings:
    """``[items, raw]``: as encoded."""
    return embed(view, replace(settings, dimensions=0, whiten=False))


def require_comparable(settings: TextSettings, whose: str) -> None:
    """BenchError where the encoder is made for one catalogue."""
    if settings.encoder == OFFLINE:
        raise BenchError(
            f"{whose} compares the texts of several catalogues, and {OFFLINE} is made for one; use {COMPARABLE}"
        )


class Placing(IdScheme):
    """A scheme over the texts of items that names an unseen catalogue in the space of the one that it was fitted on.

    ``places`` says whether it can at all; with an encoder that is made for one catalogue no scheme can. A class that
    makes its identifiers or trains in a way of its own says so itself, for what it inherits may not fit them; so does
    one with a ``transfer`` of its own, by ``supports_transfer``.
    """

    places: ClassVar[bool] = False
    space: TextSpace | None = None

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        encoder = getattr(self.settings, "encoder", OFFLINE)
        places = self.places and _declares(type(self), ("places", *OWN_WAY)) is _declares(type(self), ("places",))
        self.keeps = places and encoder != OFFLINE
        if _declares(type(self), ("supports_transfer",)) is not IdScheme:
            return
        self.supports_transfer = self.keeps
        if self.places and not places:
            self.no_transfer_reason = f"it has a way of its own to make identifiers or to train ({', '.join(OWN_WAY)}) "
            self.no_transfer_reason += "and does not say places = True"
        elif places and encoder == OFFLINE:
            self.no_transfer_reason = f"its texts are compared by {OFFLINE}, which is made for one catalogue; with "
            self.no_transfer_reason += f"{COMPARABLE} it can"

    def stages(self, train: TrainView, ids: Ids) -> Generator[Stage, Trained, Trained | None]:
        if self.keeps:
            self.learn(replace(train, cached_seconds=[]), ids)  # the texts were counted when identifiers were made
        yield Stage(ids)
        return None

    def learn(self, train: TrainView, ids: Ids) -> None:
        """What ``save_state`` writes, from the identifiers that were made and what they were made of."""
        self.space = TextSpace.of(train, self.settings)

    def save_state(self, folder: Path) -> None:
        if self.space is not None:
            self.space.save(folder)

    def placed(self, target: TrainView, saved: Path) -> Embeddings:
        """``[items, dimensions]``: the vectors of an unseen catalogue in the space that a run has kept."""
        return TextSpace.saved(self.settings, saved).placed(target)


def _declares(scheme: type, names: tuple[str, ...]) -> type:
    """The nearest of a class and those above it that has one of these of its own."""
    return next(each for each in scheme.__mro__ if any(name in vars(each) for name in names))
