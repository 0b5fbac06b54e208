"""The interface: how a scheme makes item identifiers. What an identifier is: ``bench.ids.identifiers``.

A scheme turns the training view of a data set into identifiers, one for each item of the catalogue:

    class Alphabetical(IdScheme):
        name = "alphabetical"

        def fit(self, train: TrainView) -> TokenIds:
            vocabulary = Vocabulary.private("0123456789")
            numbers = np.argsort(np.argsort(train.items.ids))
            codes = [vocabulary.ids(f"{number:05d}") for number in numbers]
            return TokenIds.from_lists(codes, vocabulary)

and ``bench run --id-scheme ./mine.py:Alphabetical`` compares it, ``bench check ./mine.py:Alphabetical`` checks what is
required here, and ``bench new my_scheme`` writes a package to start from. The harness never asks which scheme it has:
the kind of the identifiers decides how they are trained and decoded.

Most schemes train once, on what ``fit`` returned, and need no ``stages``. One that pre-trains on several variants of
every identifier and then fine-tunes on the best of them says so in a few lines:

    def stages(self, train: TrainView, ids: Ids) -> Generator[Stage, Trained, Trained | None]:
        yield Stage(ids, "pre-train", budget_fraction=0.75, use_validation=False)
        tuned = []
        for variant in range(ids.variants):
            tuned.append((yield Stage(ids.only(variant), f"tune-{variant}", budget_fraction=0.25 / ids.variants)))
        return max(tuned, key=lambda trained: trained.validation or 0.0)

The harness trains what is yielded and sends back what came of it. A run that was interrupted replays the stages that
are finished from their checkpoints, so ``stages`` must yield the same stages again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import ItemTable, TrainView
from bench.errors import BenchError
from bench.ids.identifiers import Ids
from bench.ids.limits import CatalogueSize, Needs

# Floors above this one, which it may not import: bench.backbone.protocol.Backbone, bench.model.recommender.Recommender
# and bench.training.session.Session. A scheme imports and names them as it likes.
Backbone = Any
Recommender = Any
Session = Any

Mixture = Callable[[Session], NDArray[np.float64]]


@dataclass(frozen=True)
class Stage:
    """One stretch of training, with an optimizer and a learning-rate schedule of its own.

    ``budget_fraction`` is its part of the contract's training budget; the fractions of a scheme sum to at most 1.
    ``lr_scale`` multiplies the contract's learning rate. It starts from ``start``, by default from the end of the stage
    before it.

    What is trained is the recommender of these identifiers or, where there is one, what ``wrap_model`` makes of it:
    another ``Recommender``, such as one that holds it frozen beside a network of the scheme's own. Only parameters that
    require gradients are trained; it comes back in ``Trained``. A stage of ``budget_fraction`` 0 trains nothing.

    ``mixture`` is called before every epoch for the probability of each variant of the identifiers; without it all are
    equally likely. Without ``use_validation`` the last weights are kept, not the best. ``snapshots`` are fractions of
    the stage, such as 0.5, after which its weights are kept as well.
    """

    ids: Ids
    name: str = "train"
    budget_fraction: float = 1.0
    lr_scale: float = 1.0
    start: Backbone | None = None
    wrap_model: Callable[[Recommender], Recommender] | None = None
    mixture: Mixture | None = None
    use_validation: bool = True
    snapshots: tuple[float, ...] = ()


@dataclass(frozen=True)
class Trained:
    """What a stage came to: the recommender (or what ``wrap_model`` made of it), its best score on validation (None
    without ``use_validation``) and the snapshots asked for. ``number`` counts the scheme's stages from 0.
    """

    recommender: Recommender
    validation: float | None
    snapshots: tuple[Backbone, ...] = ()
    number: int = 0


@dataclass(frozen=True)
class NoSettings:
    """The settings of a scheme that has none."""


class IdScheme(ABC):
    """A way of naming items.

    ``name`` is ``family/variant``; ``version`` rises whenever the identifiers it makes can change, for results are tied
    to ``name@version``. ``Settings`` is a frozen dataclass, set with ``--set family.field=value``; a field
    with ``metadata={"transfer": True}`` is for ``transfer`` alone, and no model is trained again for it. One with
    ``{"later": True}`` came after results were stored: they stay those of its default.

    ``leaks = True`` asks for a ``LeakedView``: ``fit`` then sees validation and test. It is there to demonstrate a
    published leak; the name must say "leak", and every result says so too.

    ``supports_transfer`` says that a trained model can be given identifiers of another catalogue, by ``transfer``;
    where it can't, ``no_transfer_reason`` says why. ``allow_collisions`` declares that items may share an identifier,
    ``max_length`` how many tokens one may have (the default leaves room for a history of 15 items).
    ``bench check`` holds a scheme to all of these.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    leaks: ClassVar[bool] = False
    supports_transfer: bool = False
    no_transfer_reason: str = "its identifiers are private to the catalogue that they were made for"
    allow_collisions: bool = False
    max_length: int = 32
    Settings: ClassVar[type[Any]] = NoSettings

    def __init__(self, settings: Any = None) -> None:
        self.settings = self.Settings() if settings is None else settings

    @abstractmethod
    def fit(self, train: TrainView) -> Ids:
        """Identifiers for every item of ``train.items``. Randomness comes from ``train.random()`` alone.
        ``train.sequences`` cannot be changed, for the recommender trains on it: change a copy.
        """

    def validate_items(self, items: ItemTable) -> None:  # noqa: B027 - most need nothing
        """BenchError where what the scheme needs is not in this catalogue. Called before the first run."""

    def validate_unseen(self, items: ItemTable) -> None:
        """The same of a catalogue that ``transfer`` is to name."""
        self.validate_items(items)

    def cache_key(self) -> str:
        """A digest of whatever else decides the scores, such as the content of a file that a setting names.

        It is part of a run's identity: with another digest the run is another one.
        """
        return ""

    def needs(self, size: CatalogueSize) -> Needs | None:
        """What a run takes by the size of its catalogue, None where nobody has said. A run that this machine has no
        room for is refused before it starts, with the hint; a ``fit`` of more than a day on a processor is too.
        """
        return None

    def warnings(self, train: TrainView) -> Sequence[str]:
        """What a reader of the result should know, one line each: printed before training and stored."""
        return ()

    def stages(self, train: TrainView, ids: Ids) -> Generator[Stage, Trained, Trained | None]:
        """What is trained, in order. What each stage came to comes back from its ``yield``; the one returned is tested,
        by default the last.
        """
        yield Stage(ids)
        return None

    def save_state(self, folder: Path) -> None:  # noqa: B027 - most have nothing
        """Write what ``transfer`` will need beside the tested recommender, such as a generator that the stages have
        trained, into the folder of the run. Called once, after the last stage.
        """

    def transfer(self, trained: Recommender, target: TrainView, saved: Path) -> Ids:
        """Identifiers for a catalogue that the model was not trained on, in the vocabulary of ``trained.ids``.

        ``target`` is that catalogue with its text; it has no sequences, for nothing is learned on it. ``trained`` is
        what was tested, read back from its run, and so is whatever ``save_state`` wrote: it is in ``saved``. No
        parameter may change.
        """
        raise BenchError(f"{self.name} cannot name the items of '{target.dataset}': {self.no_transfer_reason}")
