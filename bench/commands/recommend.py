"""``bench recommend``: what a finished run recommends, on the terminal or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Column, Table

from bench import machine
from bench.console import WHOLE, Console, bold, visible
from bench.results.saved import AnySaved, Recommendation


def show(saved: AnySaved, histories: Sequence[Sequence[str]], k: int, exclude: bool | None, as_json: bool) -> None:
    """Print ``k`` items for every history."""
    found = saved.recommend_many(histories, k, exclude)
    if as_json:
        machine.show(plain(saved, histories, found))
        return
    console, result = Console(), saved.result
    console.print(bold(result.scheme.name), f"on {result.dataset.name}, seed {result.seed}")
    for history, ranked in zip(histories, found, strict=True):
        _print(console, saved, history, ranked)


def plain(
    saved: AnySaved, histories: Sequence[Sequence[str]], found: Sequence[Sequence[Recommendation]]
) -> dict[str, Any]:
    """The same as plain values."""
    result = saved.result
    return {
        "run": result.path,
        "scheme": result.scheme.name,
        "dataset": result.dataset.name,
        "seed": result.seed,
        "recommended": [
            {"history": list(history), "items": [asdict(item) for item in ranked]}
            for history, ranked in zip(histories, found, strict=True)
        ],
    }


def _print(console: Console, saved: AnySaved, history: Sequence[str], ranked: Sequence[Recommendation]) -> None:
    read = [(item, saved.titles[saved.rows[item]]) for item in history]
    shown = ", ".join(f"{item} {title}".rstrip() for item, title in read)
    console.print(f"after {visible(shown) or 'nothing'}", soft_wrap=True)
    named = [] if saved.result.identifiers is None else ["identifier"]
    table = Table("", Column("item", **WHOLE), "title", "score", *named, box=None, pad_edge=False)
    table.columns[3].justify = "right"
    for rank, one in enumerate(ranked, start=1):
        identifier = [visible(one.identifier)] if named else []
        table.add_row(str(rank), one.item, visible(one.title), f"{one.score:.3f}", *identifier)
    console.show(table)
