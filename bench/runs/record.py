"""What a finished cell leaves behind: ``result.json`` and one row for each test user."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
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
from bench.ids import plugins
from bench.ids.scheme import IdScheme
from bench.report.results import SCHEMA
from bench.runs.request import Request


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a scheme or a baseline came to on the test users. ``complete``: every item of the catalogue was ranked."""

    ranks: Ranks
    complete: bool
    costs: dict[str, float | None]
    identifiers: dict[str, Any] | None = None
    training: dict[str, Any] | None = None


def result(request: Request, split: Split, outcome: Outcome, environment: dict[str, Any]) -> dict[str, Any]:
    """The content of ``result.json``."""
    return {
        "schema": SCHEMA,
        "bench": bench.__version__,
        "dataset": dataset_facts(request.dataset),
        "scheme": {
            "name": request.subject.name,
            "version": request.subject.version,
            "settings": asdict(request.subject.settings),
            "kind": "baseline" if request.is_baseline else "scheme",
            "leaks": request.subject.leaks,
            "source": plugins.source_digest(type(request.subject)),
        },
        "contract": request.conditions,
        "contract_id": request.cell.contract_id,
        "preset": request.preset,
        "seed": request.seed,
        "split": {
            "train_users": 0 if request.zero_shot else len(split.train.sequences),
            "validation_users": 0 if request.zero_shot else len(split.validation),
            "test_users": len(split.test),
        },
        "metrics": summaries(outcome.ranks, outcome.complete, CUTOFFS),
        "identifiers": outcome.identifiers,
        "costs": outcome.costs,
        "training": outcome.training,
        "environment": environment,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def made_by_other_source(folder: Path, subject: IdScheme | AnyBaseline) -> bool:
    """Whether a finished cell was made by a scheme of this name and version, but with other code."""
    source = plugins.source_digest(type(subject))
    try:
        stored = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        return bool(stored["scheme"].get("source", source) != source)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BenchError(f"'{folder / 'result.json'}' is damaged ({error}); run this cell with --force") from error


def dataset_facts(dataset: Dataset) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "users": len(dataset.users),
        "items": len(dataset.items),
        "interactions": len(dataset.sequences.values),
        **({"parts": [part.name for part in dataset.parts]} if dataset.parts else {}),
    }


def per_user_table(dataset: Dataset, split: Split, ranks: Ranks) -> pd.DataFrame:
    """One row for each test user. Ranks are null where the target was not retrieved."""
    popularity = np.bincount(split.train.sequences.values, minlength=len(dataset.items))
    test = split.test
    return pd.DataFrame(
        {
            "user": [dataset.users[user] for user in test.users],
            "target": [dataset.items.ids[item] for item in test.items],
            "rank": _nullable(ranks.strict),
            "code_rank": _nullable(ranks.code_rank),
            "group_size": ranks.group_size.astype(np.int32),
            "popularity": popularity[test.items].astype(np.int32),
            "history_length": test.histories.lengths.astype(np.int32),
        }
    )


def _nullable(ranks: NDArray[np.float64]) -> pd.arrays.IntegerArray:
    found = np.isfinite(ranks)
    return pd.arrays.IntegerArray(np.where(found, ranks, 0).astype(np.int32), ~found)
