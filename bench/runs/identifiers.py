"""``bench ids show``: the identifiers of a scheme on a data set, in figures and examples, without training anything."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.data import sources
from bench.data.dataset import ItemTable, LeakedView
from bench.data.splits import Split, leave_one_out
from bench.errors import BenchError
from bench.ids import diagnostics
from bench.ids.scheme import Ids, IdScheme
from bench.runs.fitting import fitted, language
from bench.runs.matrix import Plan, resolve
from bench.runs.progress import Display

SIBLINGS = 5
WIDTH = 60  # of an item's text


@dataclass(frozen=True)
class Shown:
    """What is shown of one scheme: its figures, and of some items the identifier and the nearest others."""

    scheme: str
    dataset: str
    figures: dict[str, Any]
    items: list[dict[str, Any]]


def show(plan: Plan, items: list[str], examples: int, as_json: bool) -> None:
    """Print every scheme of the plan on every data set of it; the named items, or ``examples`` of them."""
    shown = [found for name in plan.datasets for found in _shown(plan, name, items, examples)]
    if as_json:
        print(json.dumps([vars(found) for found in shown], indent=1, ensure_ascii=False))
        return
    console = Console(highlight=False)
    for found in shown:
        _print(console, found)


def _shown(plan: Plan, name: str, items: list[str], examples: int) -> list[Shown]:
    subjects, contract, _ = resolve(plan)
    dataset = sources.find(name, plan.data_dir)
    split = leave_one_out(dataset, plan.seeds[0], contract.max_history, contract.validation_in_test_history)
    split = replace(split, train=replace(split.train, language=language(contract)))
    chosen = _chosen(dataset.items, items, examples, plan.seeds[0])
    found = []
    for scheme in subjects:
        if isinstance(scheme, IdScheme):
            title = f"{scheme.name} on {dataset.name}"
            view = LeakedView.of(split.train, dataset) if scheme.leaks else split.train
            ids, _ = fitted(scheme, view, plan.results, title, Display())
            found.append(Shown(scheme.name, dataset.name, _figures(ids, split), _described(ids, dataset.items, chosen)))
    return found


def _figures(ids: Ids, split: Split) -> dict[str, Any]:
    drift = {"drift": diagnostics.drift(ids)} if ids.variants > 1 else {}
    return diagnostics.figures(ids, split.test.items) | drift


def _chosen(items: ItemTable, named: list[str], examples: int, seed: int) -> list[int]:
    """Catalogue indices of the named items, or of some drawn at random, always the same."""
    if not named:
        return sorted(np.random.default_rng(seed).permutation(len(items))[:examples].tolist())
    place = {name: index for index, name in enumerate(items.ids)}
    for name in named:
        if name not in place:
            close = get_close_matches(name, items.ids, n=1)
            hint = f"did you mean '{close[0]}'? " if close else ""
            raise BenchError(f"unknown item '{name}'; {hint}items are named as in the item file, e.g. '{items.ids[0]}'")
    return [place[name] for name in named]


def _described(ids: Ids, items: ItemTable, chosen: list[int]) -> list[dict[str, Any]]:
    def one(item: int) -> dict[str, Any]:
        text = next((column[item] for column in items.text.values() if column[item]), "")
        return {"item": items.ids[item], "text": text, "identifier": diagnostics.written(ids, item)}

    near = {item: diagnostics.nearest(ids, item, SIBLINGS) for item in chosen}
    return [one(item) | {"siblings": [one(other) | how for other, how in near[item]]} for item in chosen]


def _print(console: Console, shown: Shown) -> None:
    figures = shown.figures
    console.print(f"[bold]{shown.scheme}[/] on {shown.dataset}", markup=True)
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column()
    facts.add_column(justify="right")
    for label, value in (
        ("tokens per item, mean and most", f"{figures['tokens_mean']:.2f}, {figures['tokens_max']}"),
        ("vocabulary", f"{figures['vocabulary']:,}"),
        ("items that share an identifier", f"{figures['collision_rate']:.2%}"),
        ("the same, weighted by test interactions", f"{figures['collision_rate_test']:.2%}"),
        ("items in the largest such group", f"{figures['largest_group']:,}"),
    ):
        facts.add_row(label, value)
    console.print(facts)
    if "distinct_tokens" in figures:
        _print_places(console, figures)
    if "drift" in figures:
        _print_drift(console, figures["drift"])
    for item in shown.items:
        _print_item(console, item)


def _print_places(console: Console, figures: dict[str, Any]) -> None:
    columns = {
        "tokens": [f"{tokens:,}" for tokens in figures["distinct_tokens"]],
        "entropy, bits": [f"{bits:.2f}" for bits in figures["entropy_bits"]],
        "items sharing the prefix": [f"{share:.2%}" for share in figures["shared_prefix"]],
        "codebook used": [f"{share:.1%}" for share in figures.get("codebook_use", [])],
    }
    table = Table("place", *(name for name, cells in columns.items() if cells), box=None, pad_edge=False)
    for place, row in enumerate(zip(*filter(None, columns.values()), strict=True), start=1):
        table.add_row(str(place), *row)
    console.print(table)


def _print_drift(console: Console, drift: dict[str, list[float]]) -> None:
    table = Table("variants apart", "identifier changed", "first token changed", box=None, pad_edge=False)
    for distance, (anywhere, first) in enumerate(zip(drift["any"], drift["first"], strict=True), start=1):
        table.add_row(str(distance), f"{anywhere:.1%}", f"{first:.2%}")
    console.print(table)


def _print_item(console: Console, item: dict[str, Any]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    for style in ("bold", "", "dim", "dim"):
        table.add_column(style=style, no_wrap=style != "dim")
    table.add_row(item["identifier"], item["item"], item["text"][:WIDTH], "")
    for other in item["siblings"]:
        near = f"{other['shared']} shared" if "shared" in other else f"cosine {other['cosine']:.2f}"
        table.add_row(f"  {other['identifier']}", other["item"], other["text"][:WIDTH], near)
    console.print(table)
