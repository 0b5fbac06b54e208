"""A finished run of a baseline at work, as ``bench.results.saved`` is one of identifiers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Sequences
from bench.data.splits import Targets
from bench.errors import BenchError
from bench.evaluation.baseline import Baseline, TrainedBaseline
from bench.evaluation.metrics import exclusion_mask
from bench.ids.limits import SCORED_AT_ONCE
from bench.results import digests, kept
from bench.results.read import Result
from bench.results.saved import AnySaved, Recommendation, contract_of, refuse_without_model
from bench.runs import subjects
from bench.training.ranking import scores_of


class SavedBaseline(AnySaved):
    """The baseline of a finished run, restored. BenchError where it keeps nothing, or its code has another version."""

    def __init__(self, result: Result, index: str | None = None) -> None:
        if index is not None:
            raise BenchError(
                f"index '{index}' was asked for, but {result.scheme.name} has no vectors to search; drop it"
            )
        refuse_without_model(result)
        self.result, self.contract = result, contract_of(result)
        self.baseline = restored(result)
        self.items, self.titles = kept.read_catalogue(result.folder)
        self.rows = {item: row for row, item in enumerate(self.items)}

    def recommend_many(
        self, histories: Sequence[Sequence[str]], k: int = 10, exclude_history: bool | None = None
    ) -> list[list[Recommendation]]:
        whole, exclude = self.read(histories, k), self.excludes(exclude_history)
        found, size = [], max(1, SCORED_AT_ONCE // len(self.items))
        for start in range(0, len(whole), size):
            seen = whole.rows(np.arange(start, min(start + size, len(whole))))
            found += [self._best(scores, k) for scores in self._scores(seen, exclude)]
        return found

    def _scores(self, seen: Sequences, exclude: bool) -> NDArray[np.float32]:
        """``[histories, items]``, -inf where an item is excluded. Their users are nobody's."""
        nobody = np.full(len(seen), -1, np.int64)
        asked = Targets(nobody, seen, np.zeros(len(seen), np.int32), max_history=self.contract.max_history)
        excluded = exclusion_mask(seen if exclude else None, len(seen), len(self.items), None)
        scores = scores_of(self.baseline, asked)
        return scores if excluded is None else np.where(excluded, np.float32(-np.inf), scores)

    def _best(self, scores: NDArray[np.float32], k: int) -> list[Recommendation]:
        """Equal scores are in the order of the catalogue."""
        order = np.argsort(-scores, kind="stable")[:k]
        chosen = [int(item) for item in order if np.isfinite(scores[item])]
        return [Recommendation(self.items[item], self.titles[item], float(scores[item]), "") for item in chosen]


def restored(result: Result) -> Baseline | TrainedBaseline:
    """The baseline of a finished run with its settings, ready to score."""
    cls = subjects.installed_baseline(result.scheme.name)
    if not cls.saves_state:
        raise BenchError(f"'{result.folder}' is the run of {cls.name}, a baseline of which no model is kept")
    if cls.version != result.scheme.version:
        raise BenchError(
            f"'{result.folder}' was made by version {result.scheme.version} of {cls.name}, and this is {cls.version}; "
            "run it again"
        )
    for name in (kept.STATE, kept.CATALOGUE):
        digests.check(result.folder, name, result.files)
    baseline = cls(subjects.settings(cls, as_text(result.scheme.settings, cls.Settings)))
    baseline.restore(result.folder)
    return baseline


def as_text(stored: Mapping[str, Any], cls: type[Any]) -> dict[str, str]:
    """Stored settings as ``--set`` takes them, where they differ from the defaults of the settings ``cls``."""
    defaults = {field.name: field.default for field in dataclasses.fields(cls)}
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}
    changed = {name: value for name, value in plain.items() if value != defaults.get(name, dataclasses.MISSING)}
    return {
        name: ",".join(map(str, value)) if isinstance(value, tuple) else str(value) for name, value in changed.items()
    }
