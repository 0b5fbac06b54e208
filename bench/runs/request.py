"""What is asked for: one subject on one data set with one seed, under one contract."""

from __future__ import annotations

import hashlib
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.contract import Contract
from bench.data.dataset import Dataset, ItemTable, LeakedView, TrainView
from bench.data.joined import part_range
from bench.evaluation.baseline import AnyBaseline, Baseline, TrainedBaseline
from bench.evaluation.by_part import Parts
from bench.ids.scheme import IdScheme
from bench.ids.text import MissingTextError, TextSettings, stand_in
from bench.privacy import shortened, shortened_values
from bench.results import store
from bench.results.holders import NOBODY, Asked
from bench.results.identity import Run
from bench.results.schema import DatasetFacts, SchemeFacts
from bench.runs.search import Ranges
from bench.runs.subjects import source_digest

ADAPT_EPOCHS = 20  # passes over the users that a model is adapted on, of which validation keeps the best
ELSEWHERE = ("trained_on", "zero_shot", "adapted_on", "adapt_epochs")  # lines of a test of another run's model


@dataclass(frozen=True)
class Request:
    """A run to be made. ``preset`` is a label only; ``force`` runs a finished one again.

    ``recipe`` names the published way of training the subject that contract and settings follow, if any.
    ``asked`` is its command, and when that began: what was finished since is not run again by force.
    ``save_every``: seconds between two checkpoints, None for the default.
    ``backbone_digest`` tells checkpoints of one name or path apart (``backbone.content_digest``). ``trained_by`` is
    the request of the run whose model is tested on this data set; without it this one trains its own. ``found`` says
    which earlier search the settings come from. ``converted`` are the steps of a budget of time or FLOPs where they are
    known already. ``search`` is what to choose between, for a scheme; a baseline has it among its settings.
    ``tuned`` are lines of the contract that an earlier search has chosen for a scheme. ``adapted_on`` is the number of
    users of an unseen data set that the model is adapted on before it is tested there; ``adapt`` are the numbers for
    which that is done after the run. ``track`` names what else follows it (``bench.runs.tracking``). A ``limited``
    one is refused by a machine that is too small for it.
    """

    subject: IdScheme | Baseline | TrainedBaseline
    dataset: Dataset
    contract: Contract
    seed: int
    preset: str | None
    results: Path
    force: bool = False
    backbone_digest: str = ""
    trained_by: Request | None = None
    recipe: str = ""
    found: str = ""
    converted: int = 0
    search: Ranges | None = None
    tuned: tuple[tuple[str, str], ...] = ()
    asked: Asked = field(default=NOBODY, compare=False)
    save_every: float | None = None
    adapted_on: int = 0
    adapt: tuple[int, ...] = (0,)
    track: str = ""
    limited: bool = field(default=False, compare=False)

    def renews(self, stamp: int) -> bool:
        """Whether a run that was finished at that time (``store.stamp``) is to be run again."""
        return self.force and stamp < 1e9 * self.asked.began

    @property
    def is_done(self) -> bool:
        """Whether it is finished, and not to be run again."""
        stamp = store.stamp(self.run.folder(self.results))
        return stamp is not None and not self.renews(stamp)

    @property
    def is_baseline(self) -> bool:
        return isinstance(self.subject, AnyBaseline)

    @property
    def unseen(self) -> bool:
        """Whether the model that is tested was trained on other data sets than this one."""
        return self.trained_by is not None and part_range(self.trained_by.dataset, self.dataset) is None

    @property
    def zero_shot(self) -> bool:
        """Whether the model that is tested has seen nothing of this data set, not even of a few users."""
        return self.unseen and not self.adapted_on

    def view(self, train: TrainView) -> TrainView:
        """What the subject is fitted on, and cannot change: the training view, unless it declares that it leaks."""
        if train.items is self.dataset.items is not self.items:
            train = replace(train, items=self.items)
        if self.dataset.parts:
            train = replace(train, part_users=self.part_users, part_names=self.parts.names)
        train = LeakedView.of(train, self.dataset) if self.subject.leaks else train
        return replace(train, sequences=train.sequences.read_only())

    @property
    def part_users(self) -> tuple[int, ...]:
        """Users of each data set that was joined, in order; empty where there is one."""
        return tuple(len(part.users) for part in self.dataset.parts)

    @property
    def parts(self) -> Parts:
        """Names and users of each data set that was joined."""
        return Parts(tuple(part.name for part in self.dataset.parts), self.part_users)

    @property
    def items(self) -> ItemTable:
        """The catalogue as the subject reads it. BenchError where what it needs is not in it."""
        return self._items_and_stand_ins[0]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of the result should know of what the subject has read, in a line each."""
        count, items = self._items_and_stand_ins[1], len(self.dataset.items)
        line = f"{count:,} of {items:,} items have no text: their ids stand in for it (missing_text=id)"
        return (line,) if count else ()

    @cached_property
    def _items_and_stand_ins(self) -> tuple[ItemTable, int]:
        """Ids stand in for text only where the subject cannot do without."""
        items, subject = self.dataset.items, self.subject
        validate = subject.validate_items
        if self.unseen and isinstance(subject, IdScheme):
            validate = subject.validate_unseen
        try:
            validate(items)
        except MissingTextError:
            fields = subject.settings.fields if isinstance(subject.settings, TextSettings) else ()
            filled, count = stand_in(items, fields)
            bound = isinstance(subject, IdScheme) or "missing_text" in subject.binds
            if not count or self.contract.missing_text == "refuse" or not bound:
                raise
            validate(filled)
            return filled, count
        return items, 0

    @property
    def conditions(self) -> dict[str, Any]:
        """The part of the contract that binds the subject: of a baseline the protocol and what the baseline says."""
        contract = self.contract.lines
        if self.backbone_digest:
            contract["backbone"] = f"{shortened(self.contract.backbone)}@{self.backbone_digest}"
        if self.trained_by:
            home = self.trained_by.dataset
            contract["trained_on"] = f"{home.name}@{self.trained_by.fingerprint[:6]}"
            contract["zero_shot"] = self.zero_shot
        if self.adapted_on:
            contract |= {"adapted_on": self.adapted_on, "adapt_epochs": ADAPT_EPOCHS}
        if isinstance(self.subject, AnyBaseline):
            binding = ("protocol", *self.subject.binds, *ELSEWHERE)
            return {name: contract[name] for name in binding if name in contract}
        return contract

    @property
    def fingerprint(self) -> str:
        """Of the data. Time stamps count where the split is made of them: else their order alone does."""
        by_time = self.contract.split == "global-temporal"
        return self.dataset.dated_fingerprint if by_time else self.dataset.fingerprint

    @cached_property
    def run(self) -> Run:
        """What the result is, and where it belongs. Files that the subject reads are digested when first asked for;
        BenchError where one can't be read.
        """
        changed = changed_settings(self.subject.settings, self.unseen)
        return Run(self.dataset_facts, self.scheme_facts, self.conditions, self.seed, changed)

    @property
    def dataset_facts(self) -> DatasetFacts:
        data = self.dataset
        return DatasetFacts(
            name=data.name,
            fingerprint=self.fingerprint,
            users=len(data.users),
            items=len(data.items),
            interactions=len(data.sequences.values),
            parts=tuple(part.name for part in data.parts),
        )

    @property
    def scheme_facts(self) -> SchemeFacts:
        subject = self.subject
        return SchemeFacts(
            name=subject.name,
            version=subject.version,
            settings=stated_settings(subject.settings, self.unseen),
            kind="baseline" if self.is_baseline else "scheme",
            inputs=digest_of(subject.cache_key()),
            leaks=subject.leaks,
            source=source_digest(type(subject)),
            recipe=self.recipe,
            probe=isinstance(subject, AnyBaseline) and subject.probe,
            found=self.found,
            search=self.search.stated if self.search else dict(self.tuned),
        )


def digest_of(key: str) -> str:
    """16 hex digits over what a subject says of the files it reads; ``""`` where it reads none."""
    return hashlib.sha256(key.encode()).hexdigest()[:16] if key else ""


def stated_settings(settings: Any, unseen: bool = False) -> dict[str, Any]:
    """The settings that a result depends on: those for ``transfer`` only where an ``unseen`` data set is tested, and
    those that came ``later`` than stored results where they are not at their defaults.
    """
    without = {
        field.name
        for field in fields(settings)
        if (field.metadata.get("transfer") and not unseen)
        or (field.metadata.get("later") and not _differs(field, settings))
    }
    return shortened_values({name: value for name, value in asdict(settings).items() if name not in without})


def changed_settings(settings: Any, unseen: bool = False) -> dict[str, Any]:
    """Of those, the ones that differ from their defaults; one that has no default always does. One for ``transfer``
    counts too: tests that were stored before it was there did something else.
    """
    stated = stated_settings(settings, unseen)
    return {
        field.name: stated[field.name]
        for field in fields(settings)
        if field.name in stated and (field.metadata.get("transfer") or _differs(field, settings))
    }


def _differs(field: Field[Any], settings: Any) -> bool:
    default = field.default if field.default_factory is MISSING else field.default_factory()
    return bool(getattr(settings, field.name) != default)
