"""What a finished run leaves behind: ``result.json`` and one row for each target of each test user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import bench
from bench.contract import CUTOFFS
from bench.data.dataset import Dataset
from bench.data.splits import Split
from bench.evaluation.metrics import Ranks, summaries
from bench.evaluation.warm_cold import ItemGroup, is_warm
from bench.files import sync_tree
from bench.results import digests, store
from bench.results.identity import Run
from bench.results.schema import GROUP_COLUMNS, Costs, GroupFacts, IdentifierFacts, Record, Scalar, to_json
from bench.results.table import PER_USER


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a scheme or a baseline came to on the test users. ``complete``: every item of the catalogue was ranked.

    ``item_groups`` are the same of warm and cold items alone; None, or nothing, where a kind was not measured.
    ``warnings`` are what a reader should know of what was read, in a line each.
    """

    ranks: Ranks
    complete: bool
    costs: dict[str, float | None]
    identifiers: dict[str, Any] | None = None
    training: dict[str, Any] | None = None
    item_groups: Mapping[str, ItemGroup | None] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def record(
    run: Run,
    split: Split,
    outcome: Outcome,
    environment: Mapping[str, Scalar],
    preset: str | None = None,
    audit: Mapping[str, Any] | None = None,
) -> Record:
    """The content of ``result.json``, but for the digests of the other files; ``audit`` is that of its data."""
    measured = {name: kind for name, kind in outcome.item_groups.items() if kind is not None}
    return Record(
        bench=bench.__version__,
        dataset=run.dataset,
        scheme=run.scheme,
        contract=run.contract,
        contract_id=run.contract_id,
        preset=preset,
        seed=run.seed,
        split=split_facts(split, bool(run.contract.get("zero_shot", False)), int(run.contract.get("adapted_on") or 0)),
        metrics=summaries(outcome.ranks, outcome.complete, CUTOFFS),
        item_groups={name: kind_facts(kind) for name, kind in measured.items()},
        identifiers=None if outcome.identifiers is None else IdentifierFacts.of(outcome.identifiers),
        costs=Costs(**outcome.costs),
        training=outcome.training,
        environment=environment,
        audit=audit or {},
        warnings=outcome.warnings,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        files={},
    )


def write(folder: Path, found: Record, table: pd.DataFrame) -> None:
    """What the report reads, into the folder with all other files of the run: last of all ``result.json``, with their
    digests, and its own beside it.
    """
    with store.writable(folder):
        table.to_parquet(folder / PER_USER, index=False)
        sync_tree(folder)  # before the seal: a power cut must not leave that alone, for with it all of a run is there
        files = digests.of_folder(folder, store.temporary(folder))
        store.write_json(folder / digests.RESULT, to_json(replace(found, files=files)))
        digests.seal(folder)


def split_facts(split: Split, zero_shot: bool = False, adapted: int = 0) -> dict[str, int]:
    """Users of each part, and where a user can have several targets, how many targets there are. In a ``zero_shot``
    test nobody trains or validates, of a model that was ``adapted`` so many users.
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
    if adapted:
        return {name: count for name, count in found.items() if name.startswith("test")} | {"train_users": adapted}
    return {name: 0 if zero_shot and not name.startswith("test") else count for name, count in found.items()}


def kind_facts(kind: ItemGroup) -> GroupFacts:
    """The metrics of warm or of cold items alone, and over how many of what."""
    metrics = summaries(kind.ranks, kind.complete, CUTOFFS)
    return GroupFacts(kind.items, len(kind.targets), len(kind.targets.items), metrics)


def per_user_table(
    dataset: Dataset,
    split: Split,
    ranks: Ranks,
    item_groups: Mapping[str, ItemGroup | None] | None = None,
    described: Mapping[str, NDArray[np.bool_]] | None = None,
) -> pd.DataFrame:
    """One row for each target of each test user. Ranks are null where the target was not retrieved.

    ``warm_rank`` and ``cold_rank`` are strict ranks among the items of the target's own kind, null for the other.
    ``described`` has further columns, of how each target stands to the newest item before it.
    """
    popularity = np.bincount(split.train.sequences.values, minlength=len(dataset.items))
    test, user_rows = split.test, split.test.user_rows
    among = {
        GROUP_COLUMNS[name]: _nullable(_among(kind, len(test.items))) for name, kind in (item_groups or {}).items()
    }
    return pd.DataFrame(
        {
            "user": [dataset.users[user] for user in test.users[user_rows]],
            "target": [dataset.items.ids[item] for item in test.items],
            "rank": _nullable(ranks.strict),
            "code_rank": _nullable(ranks.code_rank),
            "group_size": ranks.group_size.astype(np.int32),
            "popularity": popularity[test.items].astype(np.int32),
            "history_length": test.histories.lengths[user_rows].astype(np.int32),
            "cold": ~is_warm(split.train.sequences, len(dataset.items))[test.items],
            "interactions_before": test.seen.lengths[user_rows].astype(np.int32),
            **(described or {}),
            **among,
        }
    )


def _among(kind: ItemGroup | None, targets: int) -> NDArray[np.float64]:
    found = np.full(targets, np.inf)
    if kind is not None:
        found[kind.positions] = kind.ranks.strict
    return found


def _nullable(ranks: NDArray[np.float64]) -> pd.arrays.IntegerArray:
    found = np.isfinite(ranks)
    return pd.arrays.IntegerArray(np.where(found, ranks, 0).astype(np.int32), ~found)
