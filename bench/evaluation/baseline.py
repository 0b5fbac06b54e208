"""What a baseline is: it scores every item of the catalogue for a user.

    class Popularity(Baseline):
        name = "pop"

        def fit(self, train: TrainView) -> None:
            self.counts = np.bincount(train.sequences.values, minlength=len(train.items)).astype(np.float32)

        def score(self, histories: Sequences) -> NDArray[np.float32]:
            return np.tile(self.counts, (len(histories), 1))

A baseline that chooses by validation or takes its time is a ``TrainedBaseline``. Both are ranked by the same evaluation
as identifier schemes, on the same targets, and neither is ever given a test target.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.contract import Contract
from bench.data.dataset import ItemTable, Sequences, TrainView
from bench.data.splits import Targets
from bench.errors import BenchError
from bench.ids.limits import CatalogueSize, Needs
from bench.ids.scheme import NoSettings

# What of the contract can hold for a baseline: its data, and how it is trained where that is in steps.
BUDGET = (
    *("examples", "epochs", "target_examples", "budget", "max_steps", "batch_size"),
    *("optimizer", "schedule", "warmup", "clip_norm", "validate_every", "patience"),
)
DATA_VIEW = ("split", "max_history", "validation_in_test_history", "exclude_history", "ties")


@dataclass(frozen=True)
class Found:
    """Settings that a search has found: name to text, on which data set and in how many trials. They are used on that
    data set and on no other.
    """

    dataset: str
    trials: int
    settings: Mapping[str, str]

    @property
    def source(self) -> str:
        """In words, for the row."""
        return f"{self.trials} trials on {self.dataset}"


class AnyBaseline(ABC):
    """A recommender without identifiers; what the two kinds have in common.

    ``version`` rises whenever its scores can change, for results are tied to ``name@version``. ``Settings`` is a frozen
    dataclass, set with ``--set name.field=value``; ``presets`` holds the settings that a preset changes, by its name.
    ``ranges`` holds the choices that ``--tune`` draws settings from, by name; who has any has the settings ``tune``,
    how many trials, and ``fixed``, the names in ``ranges`` that were given and that the search leaves alone, as it
    does with ``sizes`` unless they are asked for. ``binds`` names the lines of the contract that hold for it too,
    ``follows`` the settings that another line becomes where it is given with ``--set``. ``searched`` are the results
    of earlier searches, by preset. ``leaks`` is that of an identifier scheme: ``fit`` sees validation and test, to
    demonstrate a leak, and the name must say so. ``probe``: it is a rule that only counts or draws, which a report
    shows before anything that is trained.

    ``saves_state`` says that a finished run can score again, by ``save_state`` and ``restore``: it then recommends, and
    is tested on every part of a joined data set. ``supports_transfer`` says that it can score a catalogue that it was
    not fitted on, by ``transfer``; where it can't, ``no_transfer_reason`` says why.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    leaks: ClassVar[bool] = False
    probe: ClassVar[bool] = False
    Settings: ClassVar[type[Any]] = NoSettings
    presets: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    ranges: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    sizes: ClassVar[tuple[str, ...]] = ()
    searched: ClassVar[Mapping[str, Found]] = {}
    binds: ClassVar[tuple[str, ...]] = DATA_VIEW
    follows: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    saves_state: ClassVar[bool] = False
    supports_transfer: bool = False
    no_transfer_reason: str = "scores only items that it was fitted on"

    def __init__(self, settings: Any = None) -> None:
        self.settings = self.Settings() if settings is None else settings

    def validate_items(self, items: ItemTable) -> None:  # noqa: B027 - most need nothing
        """BenchError where what it needs is not installed, or not in this catalogue. Asked before the first run.

        A library that its package names in ``bench.needs`` is shown by ``bench ls`` where it is missing.
        """

    def cache_key(self) -> str:
        """A digest of whatever else decides the scores, such as the content of a file that a setting names."""
        return ""

    def needs(self, size: CatalogueSize) -> Needs | None:
        """What a run takes by the size of its catalogue, None where nobody has said; ``seconds`` are those of a ``fit``
        that is not trained in steps. What this machine has no room for is refused before it starts.
        """
        return None

    def save_state(self, folder: Path) -> None:  # noqa: B027 - some have nothing to save
        """Write what ``restore`` and ``transfer`` will need into the folder of the run, as ``.safetensors``. Called
        once, after the test.
        """

    def restore(self, saved: Path) -> None:
        """Score as after ``fit``, from what ``save_state`` wrote and the other files of the run in ``saved``."""
        raise BenchError(f"{self.name} keeps nothing of its runs that could score again")

    @property
    def adapts(self) -> bool:
        """Whether it can go on learning from a few users of a catalogue that it was transferred to."""
        return False

    def transfer(self, target: TrainView, saved: Path) -> None:
        """The same for the items of a catalogue that it was not fitted on, from then on ``score``'s columns.

        ``target`` is that catalogue with its text; it has no sequences, for nothing is learned on it.
        """
        raise BenchError(f"{self.name} cannot score the items of '{target.dataset}': it {self.no_transfer_reason}")


class Baseline(AnyBaseline):
    """A baseline that learns from the training view at once and knows users by their histories alone.

    It adapts by being fitted on the few users: what they alone are worth is what transfer has to beat.
    """

    @property
    def adapts(self) -> bool:
        return True

    @abstractmethod
    def fit(self, train: TrainView) -> None:
        """Learn from the training view. Randomness comes from ``train.random()`` alone."""

    @abstractmethod
    def score(self, histories: Sequences) -> NDArray[np.float32]:
        """``[histories, items]``, higher is better, all finite.

        A row depends on its own history alone, never on the rows beside it: histories arrive in batches of any size.
        Equal scores are ties, which the evaluation ranks as a miss would want them: the target last.
        """


@dataclass(frozen=True)
class TrainingContext:
    """What a ``TrainedBaseline`` has at hand while it trains.

    ``folder`` is its own; what it writes there is found again by a run that was interrupted, and gone when it is
    finished. ``log`` is a text file that stays with the result. ``contract`` holds in the lines that it ``binds``; what
    ``exclude_history`` excludes from validation is ``validation.seen``, not only what is shown. ``converted`` are the
    steps that a budget of time or FLOPs is known to be, 0 where that is still to be found out. ``progress`` is told
    step, total and stats for the progress bar and ``log.jsonl``; ``say`` shows a person a line.
    """

    folder: Path
    log: Path
    contract: Contract
    converted: int = 0
    progress: Callable[[int, int, Mapping[str, float]], None] = lambda step, total, stats: None
    say: Callable[[str], None] = lambda line: None


@dataclass(frozen=True)
class Facts:
    """What a trained baseline has cost, as in ``result.json``; None for what was not measured.

    ``parameters`` decide one thing more: None or 0 says that there are no weights, so that a report adds no noise of
    training. A baseline with weights has to count them.

    ``processor_seconds`` are those of training and validation together, ``preparation_seconds`` went into files and
    imports. ``training`` is its curve and whatever explains it. ``steps`` are optimizer steps, ``target_examples`` the
    items that they predicted, ``looks`` those at validation; all of them are of every trial of a search.
    """

    parameters: float | None
    training_seconds: float
    validation_seconds: float | None = None
    processor_seconds: float | None = None
    preparation_seconds: float | None = None
    peak_memory_mb: float | None = None
    training: dict[str, Any] = field(default_factory=dict)
    training_flops: float | None = None
    steps: float | None = None
    target_examples: float | None = None
    looks: float | None = None


def checked_facts(found: object, name: str) -> Facts:
    """BenchError where they are none, or hold what JSON does not."""
    if not isinstance(found, Facts):
        raise BenchError(f"facts of {name} must return bench.evaluation.baseline.Facts; got {type(found).__name__}")
    try:
        json.dumps(asdict(found))
    except (TypeError, ValueError) as error:
        raise BenchError(f"facts of {name} must hold plain numbers and texts, as JSON does: {error}") from error
    return found


class TrainedBaseline(AnyBaseline):
    """A baseline that trains with early stopping on validation, maybe in another process. One process of a run has it.

    One that has ``adapt`` adapts.

    ``close`` is called whatever happens, also after Ctrl-C.
    """

    binds: ClassVar[tuple[str, ...]] = (*DATA_VIEW, "selection", "validation_users")

    @property
    def adapts(self) -> bool:
        return type(self).adapt is not TrainedBaseline.adapt

    @abstractmethod
    def fit(self, train: TrainView, validation: Targets, context: TrainingContext) -> None:
        """Learn from the training view; ``validation`` is for selection alone."""

    def adapt(self, train: TrainView, validation: Targets, context: TrainingContext) -> None:
        """Go on learning, after ``transfer``, from a view in which only a few users have interactions; ``validation``
        is of these users alone.
        """
        raise BenchError(f"{self.name} cannot be adapted to '{train.dataset}': it {self.no_transfer_reason}")

    @abstractmethod
    def score(self, users: NDArray[np.int64], histories: Sequences) -> NDArray[np.float32]:
        """``[users, items]``, as in ``Baseline``; ``users`` are rows of the training sequences, -1 for the unknown."""

    @abstractmethod
    def facts(self) -> Facts:
        """Asked once, after the last score."""

    def close(self) -> None:
        """Let go of processes and files."""
