"""What is asked for: one subject on one data set with one seed, under one contract."""

from __future__ import annotations

from dataclasses import MISSING, Field, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from bench.data.dataset import Dataset, LeakedView, TrainView
from bench.data.joined import place
from bench.evaluation.baseline import AnyBaseline, Baseline, TrainedBaseline
from bench.ids.scheme import IdScheme
from bench.runs.config import Contract, digest
from bench.runs.store import Cell


@dataclass(frozen=True)
class Request:
    """A cell to run. ``preset`` is a label only; ``force`` runs a finished cell again.

    ``backbone_digest`` tells checkpoints of one name or path apart (``huggingface.content_digest``). ``trained_by`` is
    the request of the cell whose model is tested on this data set; without it the cell trains one.
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

    @property
    def is_baseline(self) -> bool:
        return isinstance(self.subject, AnyBaseline)

    @property
    def zero_shot(self) -> bool:
        """Whether the model that is tested has seen nothing of this data set."""
        return self.trained_by is not None and place(self.trained_by.dataset, self.dataset) is None

    def view(self, train: TrainView) -> TrainView:
        """What the subject is fitted on: the training view, unless it declares that it leaks."""
        return LeakedView.of(train, self.dataset) if self.subject.leaks else train

    @property
    def conditions(self) -> dict[str, Any]:
        """The part of the contract that binds the subject: of a baseline it binds what the baseline says."""
        contract = self.contract.lines
        if self.backbone_digest:
            contract["backbone"] += f"@{self.backbone_digest}"
        if self.trained_by:
            home = self.trained_by.dataset
            contract["trained_on"] = f"{home.name}@{home.fingerprint[:6]}"
            contract["zero_shot"] = self.zero_shot
        if isinstance(self.subject, AnyBaseline):
            return {name: contract[name] for name in self.subject.binds if name in contract}
        return contract

    @property
    def fingerprint(self) -> str:
        """Of the data. Time stamps count where the split is made of them: else their order alone does."""
        by_time = self.contract.split == "ratio"
        return self.dataset.dated_fingerprint if by_time else self.dataset.fingerprint

    @property
    def cell(self) -> Cell:
        """Where the result belongs."""
        data, subject = self.dataset, self.subject
        changed = changed_settings(subject.settings)
        contract_id = digest(self.conditions)
        home = self.trained_by.dataset.name if self.trained_by else ""
        return Cell(data.name, self.fingerprint, subject.name, subject.version, changed, contract_id, self.seed, home)


def stated_settings(settings: Any) -> dict[str, Any]:
    """What is stored of settings: all but those ``added`` since and still at their default (see ``config.added``)."""
    changed = changed_settings(settings)
    added = {field.name for field in fields(settings) if "added" in field.metadata}
    return {name: value for name, value in asdict(settings).items() if name in changed or name not in added}


def changed_settings(settings: Any) -> dict[str, Any]:
    """The settings that differ from their defaults; one that has no default always does."""
    plain = asdict(settings)
    return {field.name: plain[field.name] for field in fields(settings) if _differs(field, settings)}


def _differs(field: Field[Any], settings: Any) -> bool:
    default = field.default if field.default_factory is MISSING else field.default_factory()
    return bool(getattr(settings, field.name) != default)
