"""What a finished cell leaves behind: ``result.json`` and one row for each target of each test user."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import bench
from bench.data.dataset import Dataset
from bench.data.splits import Split
from bench.errors import BenchError
from bench.evaluation.baseline import AnyBaseline
from bench.evaluation.metrics import CUTOFFS, Ranks, summaries
from bench.evaluation.warm_cold import KINDS, Kind, is_warm
from bench.files import require_readable
from bench.ids import plugins
from bench.ids.scheme import IdScheme
from bench.report.results import SEVERAL_TARGETS
from bench.runs.described import described
from bench.runs.request import Request, stated_settings


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a scheme or a baseline came to on the test users. ``complete``: every item of the catalogue was ranked.

    ``kinds`` are the same of warm and cold items alone; None, or nothing, where a kind was not measured.
    """

    ranks: Ranks
    complete: bool
    costs: dict[str, float | None]
    identifiers: dict[str, Any] | None = None
    training: dict[str, Any] | None = None
    kinds: Mapping[str, Kind | None] = field(default_factory=dict)


def result(
    request: Request,
    split: Split,
    outcome: Outcome,
    environment: Mapping[str, Any],
    audit: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The content of ``result.json``; ``audit`` is what its data can and cannot measure."""
    return {
        "schema": 1 if split.test.counts is None else SEVERAL_TARGETS,
        "bench": bench.__version__,
        "dataset": dataset_facts(request),
        "scheme": {
            "name": request.subject.name,
            "version": request.subject.version,
            "settings": stated_settings(request.subject.settings),
            "kind": "baseline" if request.is_baseline else "scheme",
            "leaks": request.subject.leaks,
            **({"probe": True} if isinstance(request.subject, AnyBaseline) and request.subject.probe else {}),
            "source": plugins.source_digest(type(request.subject)),
        },
        "contract": request.conditions,
        "contract_id": request.cell.contract_id,
        "preset": request.preset,
        "seed": request.seed,
        "split": split_facts(split, request.zero_shot),
        "metrics": summaries(outcome.ranks, outcome.complete, CUTOFFS),
        **{name: kind_facts(outcome.kinds.get(name)) for name in KINDS},
        "identifiers": outcome.identifiers,
        "costs": outcome.costs,
        "training": outcome.training,
        "environment": environment,
        "audit": audit,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def split_facts(split: Split, zero_shot: bool = False) -> dict[str, int]:
    """Users of each part, and where a user can have several targets, how many targets there are. In a ``zero_shot``
    test nobody trains or validates.
    """
    found = {
        "train_users": int((split.train.sequences.lengths > 0).sum()),
        "validation_users": len(split.validation),
        "test_users": len(split.test),
    }
    if split.test.counts is not None:
        found |= {
            "train_interactions": len(split.train.sequences.values),
            "validation_targets": len(split.validation.items),
            "test_targets": len(split.test.items),
        }
    return {name: 0 if zero_shot and not name.startswith("test") else count for name, count in found.items()}


def kind_facts(kind: Kind | None) -> dict[str, Any] | None:
    """The metrics of warm or of cold items alone, and over how many of what; None where they were not measured."""
    if kind is None:
        return None
    return {
        "items": kind.items,
        "users": len(kind.targets),
        "targets": len(kind.targets.items),
        "metrics": summaries(kind.ranks, kind.complete, CUTOFFS),
    }


def made_by_other_source(folder: Path, subject: IdScheme | AnyBaseline) -> bool:
    """Whether a finished cell was made by a scheme of this name and version, but with other code."""
    source = plugins.source_digest(type(subject))
    try:
        return bool(stored(folder)["scheme"].get("source", source) != source)
    except (KeyError, AttributeError, TypeError) as error:
        raise _damaged(folder, error) from error


def stored(folder: Path) -> dict[str, Any]:
    """The ``result.json`` of a finished cell."""
    require_readable(folder / "result.json")
    try:
        return dict(json.loads((folder / "result.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(folder, error) from error


def _damaged(folder: Path, error: Exception) -> BenchError:
    return BenchError(f"'{folder / 'result.json'}' is damaged ({error}); run this cell with --force")


def dataset_facts(request: Request) -> dict[str, Any]:
    dataset = request.dataset
    return {
        "name": dataset.name,
        "fingerprint": request.fingerprint,
        "users": len(dataset.users),
        "items": len(dataset.items),
        "interactions": len(dataset.sequences.values),
        **({"parts": [part.name for part in dataset.parts]} if dataset.parts else {}),
    }


def per_user_table(
    dataset: Dataset, split: Split, ranks: Ranks, kinds: Mapping[str, Kind | None] | None = None
) -> pd.DataFrame:
    """One row for each target of each test user. Ranks are null where the target was not retrieved.

    ``warm_rank`` and ``cold_rank`` are strict ranks among the items of the target's own kind, null for the other.
    """
    popularity = np.bincount(split.train.sequences.values, minlength=len(dataset.items))
    test, owners = split.test, split.test.owners
    among = {f"{name}_rank": _nullable(_among(kind, len(test.items))) for name, kind in (kinds or {}).items()}
    return pd.DataFrame(
        {
            "user": [dataset.users[user] for user in test.users[owners]],
            "target": [dataset.items.ids[item] for item in test.items],
            "rank": _nullable(ranks.strict),
            "code_rank": _nullable(ranks.code_rank),
            "group_size": ranks.group_size.astype(np.int32),
            "popularity": popularity[test.items].astype(np.int32),
            "history_length": test.histories.lengths[owners].astype(np.int32),
            "cold": ~is_warm(split.train.sequences, len(dataset.items))[test.items],
            "interactions_before": test.held.lengths[owners].astype(np.int32),
            **described(dataset, split),
            **among,
        }
    )


def _among(kind: Kind | None, targets: int) -> NDArray[np.float64]:
    found = np.full(targets, np.inf)
    if kind is not None:
        found[kind.places] = kind.ranks.strict
    return found


def _nullable(ranks: NDArray[np.float64]) -> pd.arrays.IntegerArray:
    found = np.isfinite(ranks)
    return pd.arrays.IntegerArray(np.where(found, ranks, 0).astype(np.int32), ~found)
