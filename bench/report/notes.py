"""What stands under a table: the data, the contract, the machine, and how its numbers are to be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.report.contracts import Contracts, differences, settings, varying
from bench.report.results import DatasetFacts, Result
from bench.report.rows import Row, differing

MACHINE = ("platform", "device", "cpu_threads", "processes")  # where these differ, so do seconds and memory

METRICS = (
    "Hit@k is the share of test users whose item is among the first k; NDCG@k the mean of 1/log2(rank + 1) within "
    "the first k; MRR@20 the mean of 1/rank within the first 20; an item further down counts 0"
)
STRICT = "items are ranked, not identifiers: items that share one share a slot, and the target counts as its last"
COLLISIONS = "; expected lets a slot show one of its items at random, optimistic lets collisions cost nothing"
INTERVALS = (
    "95 % percentile bootstrap over test users, none where all users have the same value; they are not paired, so two "
    "rows whose intervals overlap may still differ"
)
SEEDS = "; over several seeds, of each user's mean; ± is the standard deviation over seeds"
BOLD = "the best of the rows under one contract; a baseline counts under every contract that it agrees with"


@dataclass(frozen=True)
class Note:
    """One remark; what stands between ``**`` in its text is emphasised."""

    title: str
    text: str


def notes(dataset: DatasetFacts, rows: Sequence[Row], found: Contracts) -> list[Note]:
    """All that is needed to know what the table says, and to make it again."""
    return [
        _data(dataset),
        *_leaks(rows),
        *_contracts(found),
        *_baselines(rows, found),
        Note("split", _alike({name: cell.split for name, cell in _cells(rows).items()})),
        Note("seeds", _seeds(rows)),
        Note("schemes", "; ".join(_scheme(row.first) for row in rows)),
        *_environment(rows),
        *_reading(rows),
    ]


def _data(dataset: DatasetFacts) -> Note:
    sizes = f"{dataset.users:,} users, {dataset.items:,} items, {dataset.interactions:,} interactions"
    return Note("data", f"{dataset.name}: {sizes}; fingerprint {dataset.fingerprint}")


def _leaks(rows: Sequence[Row]) -> list[Note]:
    labels = ", ".join(row.label for row in rows if row.first.scheme.leaks)
    text = f"**{labels} saw the validation and test items**: kept to show what a leak is worth, and never the best"
    return [Note("leaks", text)] if labels else []


def _named(holder: Result) -> str:
    return holder.contract_id + (f" (preset {holder.preset})" if holder.preset else "")


def _contracts(found: Contracts) -> list[Note]:
    if not found.several:
        return [
            Note("contract", f"{_named(holder)}: {settings(holder.contract)}") for holder in found.by_letter.values()
        ]
    held = {letter: holder.contract for letter, holder in found.by_letter.items()}
    named = ", ".join(f"{letter} is {_named(holder)}" for letter, holder in found.by_letter.items())
    partial = [letter for letter, holder in found.by_letter.items() if holder.scheme.kind == "baseline"]
    unlike = varying(held, partial)
    return [
        Note("contracts", f"**the rows were not made under one contract**: {named}"),
        Note("differing", differences(unlike)),
        Note("the same", settings(next(iter(held.values())), without=unlike) or "nothing"),
    ]


def _baselines(rows: Sequence[Row], found: Contracts) -> list[Note]:
    """Baselines that stand under a contract which is not their own, and what makes them do so."""
    holders = list(found.by_letter.values())
    borrowing = [row for row in rows if row.baseline and row.first not in holders]
    if not borrowing:
        return []
    labels = ", ".join(row.label for row in borrowing)
    shared = dict.fromkeys(key for row in borrowing for key in row.first.contract if key in holders[0].contract)
    text = f"{labels}: not trained under the contract; of its settings they share {', '.join(shared) or 'none'}"
    return [Note("baselines", text)]


def _cells(rows: Sequence[Row]) -> dict[str, Result]:
    """Every cell by a name that is its own."""
    return {
        row.label + (f" seed {cell.seed}" if len(row.cells) > 1 else ""): cell for row in rows for cell in row.cells
    }


def _alike(named: Mapping[str, Mapping[str, Any]]) -> str:
    """What all holders have in common, then where they differ."""
    unlike = varying(named)
    shared = settings(next(iter(named.values())), without=unlike)
    return "; ".join(part for part in (shared, differences(unlike)) if part)


def _seeds(rows: Sequence[Row]) -> str:
    named = {row.label: {"seeds": ", ".join(str(seed) for seed in row.seeds)} for row in rows}
    if differing(list(named.values())):
        return "; ".join(f"{label}: {held['seeds']}" for label, held in named.items())
    return next(iter(named.values()))["seeds"]


def _scheme(result: Result) -> str:
    held = settings(result.scheme.settings)
    return f"{result.scheme.name}@{result.scheme.version}" + (f" ({held})" if held else "")


def _environment(rows: Sequence[Row]) -> list[Note]:
    named = {name: {"bench": cell.bench, **cell.environment} for name, cell in _cells(rows).items()}
    commands = dict.fromkeys(str(held.pop("command")) for held in named.values() if "command" in held)
    found = [Note("environment", _alike(named))]
    if differing([{key: held.get(key) for key in MACHINE} for held in named.values()]):
        found.append(Note("costs", "**measured on different machines**: seconds and memory do not compare"))
    return [*found, *(Note("made by", command) for command in commands)]


def _reading(rows: Sequence[Row]) -> list[Note]:
    several = any(len(row.cells) > 1 for row in rows)
    return [
        Note("metrics", METRICS),
        Note("strict", STRICT + (COLLISIONS if any(row.collides for row in rows) else "")),
        Note("intervals", INTERVALS + (SEEDS if several else "")),
        Note("bold", BOLD),
    ]
