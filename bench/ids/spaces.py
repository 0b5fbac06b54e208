"""One space for the texts of several catalogues: whatever is learned of it is learned on the training catalogues.

    space, vectors = learned(train, settings)      raw vectors, turned and whitened by axes of the training catalogue
    others = space.placed(target)                 the same axes, for a catalogue that nothing was learned on

Raw vectors of two catalogues can be compared where the encoder is made for none of them: hashed words, a sentence
encoder or a file of vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import TrainView
from bench.errors import BenchError
from bench.ids.text import HASHED, OFFLINE, Embeddings, TextSettings, embed, projected

Arrays = dict[str, NDArray[np.float32]]


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
        return np.asarray((found.astype(np.float64) - self.mean) @ self.axes, np.float32)

    @property
    def arrays(self) -> Arrays:
        """What a run keeps of it."""
        return {} if self.mean is None or self.axes is None else {"space.mean": self.mean, "space.axes": self.axes}

    @classmethod
    def kept(cls, settings: TextSettings, arrays: Mapping[str, NDArray[np.float32]]) -> TextSpace:
        """The space whose ``arrays`` these are."""
        return cls(settings, arrays.get("space.mean"), arrays.get("space.axes"))


def learned(train: TrainView, settings: TextSettings) -> tuple[TextSpace, Embeddings]:
    """The space of a training catalogue, and its items in it."""
    if not settings.dimensions:
        return TextSpace(settings), raw(train, settings)
    found = projected(raw(train, settings), settings.dimensions, settings.whiten)
    space = TextSpace(settings, found["mean"], found["axes"])
    return space, space.placed(train)


def raw(view: TrainView, settings: TextSettings) -> Embeddings:
    """``[items, raw]``: as encoded."""
    return embed(view, replace(settings, dimensions=0, whiten=False))


def require_comparable(settings: TextSettings, whose: str) -> None:
    """BenchError where the encoder is made for one catalogue."""
    if settings.encoder == OFFLINE:
        raise BenchError(
            f"{whose} compares the texts of several catalogues, and {OFFLINE} is made for one; use encoder={HASHED}, "
            "a sentence encoder or a file of vectors"
        )
