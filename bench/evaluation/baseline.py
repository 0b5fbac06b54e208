"""What a baseline is: it scores every item of the catalogue for a history.

    class Popularity(Baseline):
        name = "pop"

        def fit(self, train: TrainView) -> None:
            self.counts = np.bincount(train.sequences.values, minlength=len(train.items)).astype(np.float32)

        def score(self, histories: Sequences) -> NDArray[np.float32]:
            return np.tile(self.counts, (len(histories), 1))

Baselines are ranked by the same evaluation as identifier schemes, on the same targets.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Sequences, TrainView
from bench.ids.scheme import NoSettings


class Baseline(ABC):
    """A recommender without identifiers.

    ``version`` rises whenever its scores can change, for results are tied to ``name@version``. ``Settings`` is a frozen
    dataclass, set with ``--set name.field=value``. ``leaks`` is that of an identifier scheme: ``fit`` sees validation
    and test, to demonstrate a leak, and the name must say so.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    leaks: ClassVar[bool] = False
    Settings: ClassVar[type[Any]] = NoSettings

    def __init__(self, settings: Any = None) -> None:
        self.settings = self.Settings() if settings is None else settings

    @abstractmethod
    def fit(self, train: TrainView) -> None:
        """Learn from the training view. Randomness comes from ``train.random()`` alone."""

    @abstractmethod
    def score(self, histories: Sequences) -> NDArray[np.float32]:
        """``[histories, items]``, higher is better, all finite.

        A row depends on its own history alone, never on the rows beside it: histories arrive in batches of any size.
        Equal scores are ties, which the evaluation ranks as a miss would want them: the target last.
        """
