"""How warm items are found among warm ones, and cold among cold, beside the whole catalogue."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bench.evaluation.metrics import Floats
from bench.evaluation.seed_noise import UNIT, widened
from bench.evaluation.statistics import ends, mean_and_sd
from bench.evaluation.warm_cold import ITEM_GROUPS
from bench.report.numbers import metric_title
from bench.report.quality import stored
from bench.report.rows import HEADLINE, Estimate, Read, Row
from bench.report.sampling import means_of
from bench.report.table import DASH, Cell, Column, Note
from bench.results.read import Result
from bench.results.schema import GroupFacts

MEANING = (
    "cold items have no training interaction, warm ones have; in their columns only items of the kind are ranked, only "
    "targets of the kind count, and users without one do not count, so columns are means over different users; a dash "
    "stands where a kind has no target or fewer than 20 items, or where the run is older than this measure"
)
CUTOFF = 10  # of both metrics of the table
INTERVALS = "95 %, over the users of a column and over training seeds, made as those of the quality table"


def told_apart(row: Row) -> bool:
    """Whether anything is known that differs from the whole catalogue: not where all its items are warm."""
    warm = row.first.item_groups.get("warm")
    return bool(row.first.item_groups) and not (warm is not None and warm.items == row.first.dataset.items)


def warm_cold(rows: Sequence[Row]) -> list[Column]:
    """Strict NDCG@10 and recall@10, which is Hit@10 where a user has one target: of all, warm and cold items."""
    titled = ((HEADLINE, HEADLINE), ("recall@10", _recall(rows)))
    return [_column(rows, metric, title, kind) for metric, title in titled for kind in ("all", *ITEM_GROUPS)]


def _recall(rows: Sequence[Row]) -> str:
    return "recall@10" if any("recall@10" in row.first.metrics["strict"] for row in rows) else "hit@10"


def _column(rows: Sequence[Row], metric: str, title: str, kind: str) -> Column:
    names = [metric if metric in row.first.metrics["strict"] else "hit@10" for row in rows]
    found = _estimates(rows, names, kind)
    fields = [
        f"metrics.strict.{name}" if kind == "all" else f"item_groups.{kind}.metrics.strict.{name}" for name in names
    ]
    ranks = "rank" if kind == "all" else f"{kind}_rank"
    cells = (
        Cell(
            f"{estimate.value:.4f}" if estimate else DASH,
            stored(row, field, f"per_user.parquet:{ranks}"),
            estimate.value if estimate else None,
            estimate.sd if estimate else None,
            estimate.interval if estimate else None,
        )
        for row, field, estimate in zip(rows, fields, found, strict=True)
    )
    return Column(f"{metric_title(title)} {kind}", tuple(cells))


def _estimates(rows: Sequence[Row], names: Sequence[str], kind: str) -> list[Estimate | None]:
    """None where a seed has not measured the kind."""
    named = list(zip(rows, names, strict=True))
    if kind == "all":
        return [row.estimate(name) for row, name in named]
    values = {at: found for at, (row, name) in enumerate(named) if (found := _values(row, name, kind)) is not None}
    varying = [at for at, found in values.items() if np.ptp(found)]
    resampled = dict(zip(varying, means_of([values[at].mean(axis=0) for at in varying]), strict=True))
    return [
        _estimate(row, name, kind, resampled.get(at)) if at in values else None for at, (row, name) in enumerate(named)
    ]


def _values(row: Row, name: str, kind: str) -> Floats | None:
    """``[seeds, users]``."""
    if any(kind not in run.item_groups for run in row.runs):
        return None
    return np.stack([run.table.item_groups[kind].values(name) for run in row.runs])


def _estimate(row: Row, name: str, kind: str, resampled: Floats | None) -> Estimate:
    """Without an interval where all users have one value, so that there is nothing ``resampled``."""
    value, sd = mean_and_sd([run.item_groups[kind].metrics["strict"][name] for run in row.runs])
    if resampled is None:
        return Estimate(value, None, sd)
    part = row.noise(_of_kind(kind, name)).of_mean(value, len(row.runs))
    return Estimate(value, widened(ends(resampled), value, part, limits=UNIT), sd)


def _of_kind(kind: str, name: str) -> Read:
    def read(run: Result) -> float | None:
        return run.item_groups[kind].metrics["strict"].get(name) if kind in run.item_groups else None

    return read


def beneath(rows: Sequence[Row]) -> list[Note]:
    """What the item groups are, how many items, users and targets each has, and what chance would reach."""
    title = metric_title(_recall(rows))
    return [
        Note("warm and cold", MEANING, legend=True),
        Note("sizes", _said(rows, _size)),
        Note("chance", f"{title} of a random order of the items of a kind: {_said(rows, _chance)}"),
        Note("intervals", INTERVALS, legend=True),
    ]


def _said(rows: Sequence[Row], of_kind: Callable[[str, GroupFacts], str]) -> str:
    said = dict.fromkeys("; ".join(of_kind(name, kind) for name, kind in row.first.item_groups.items()) for row in rows)
    return " or, under another contract, ".join(text for text in said if text)


def _size(name: str, kind: GroupFacts) -> str:
    return f"{name}: {kind.items:,} items, {kind.targets:,} targets of {kind.users:,} users"


def _chance(name: str, kind: GroupFacts) -> str:
    return f"{name} {min(1.0, CUTOFF / kind.items):.4f}"
