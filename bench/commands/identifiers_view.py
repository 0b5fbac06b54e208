"""``bench ids show`` on a terminal: one scheme in detail, several side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from bench.commands.identifiers import SchemeSummary
from bench.console import Console, bold, visible

WIDTH = 60  # of an item's text
SHORT = 28
SIDE_BY_SIDE = 4  # schemes that have columns of their own, with all figures
LEVELS = 4  # of a figure that has one for each
FEW = ("neighbor_lift", "text_recall", "capacity_tail", "churn")  # figures of many schemes


def show(shown: Sequence[SchemeSummary]) -> None:
    """All schemes on one data set."""
    console = Console()
    for failed in (found for found in shown if found.problem):
        console.print(f"{failed.scheme} can't name the items of {failed.dataset}: {failed.problem}")
    made = [found for found in shown if not found.problem]
    if len(made) == 1:
        _print_one(console, made[0])
    elif made:
        _print_schemes(console, made)


def _print_schemes(console: Console, shown: Sequence[SchemeSummary]) -> None:
    """The stats of every scheme, then each item under all of them."""
    console.print("identifiers on", bold(shown[0].dataset))
    table = Table(
        "scheme",
        "mean tokens",
        "max tokens",
        "vocabulary",
        "collision rate",
        "test-weighted",
        "largest group",
        box=None,
        pad_edge=False,
    )
    table.columns[0].no_wrap = True
    for column in table.columns[1:]:
        column.justify = "right"
    for found in shown:
        (_, tokens), *others = _facts(found.stats)
        table.add_row(found.scheme, *tokens.split(", "), *(value for _, value in others))
    console.print(table)
    console.print(
        "collision rate: items that share an identifier; test-weighted: the same, weighted by test interactions"
    )
    _print_forecasts(console, {found.scheme: found.stats["forecast"] for found in shown})
    same = [found.scheme for found in shown if found.changed == 0]
    if same:
        console.print(f"training changed none of the identifiers of {', '.join(same)}")
    made = {found.scheme: found.items for found in shown}
    made |= {f"{found.scheme}, trained": found.trained for found in shown if found.trained}
    for items in zip(*made.values(), strict=True):
        _print_side_by_side(console, list(made), items)


def _print_side_by_side(console: Console, schemes: Sequence[str], items: Sequence[dict[str, Any]]) -> None:
    """One item: its nearest by text, then for every scheme how like these are, and its siblings."""
    first = items[0]
    console.print()
    console.print(bold(first["item"]), visible(first["text"][:WIDTH]), soft_wrap=True)
    near = "; ".join(f"{_short(other)} ({other['similarity']:.2f})" for other in first["nearest"])
    if near:
        console.print(f"nearest by text, with their cosine: {near}")
    table = Table("scheme", "identifier", "siblings, with tokens shared or cosine", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    if near:
        table.add_column("the same of the nearest by text", justify="right")
    for scheme, item in zip(schemes, items, strict=True):
        siblings = "; ".join(f"{_short(other)} ({_alike(other)})" for other in item["siblings"][:3])
        row = [scheme, item["identifier"], siblings]
        table.add_row(*map(visible, row), *([" ".join(map(_alike, item["nearest"]))] if near else []))
    console.print(table)


def _alike(other: dict[str, Any]) -> str:
    """Tokens shared of identifiers that are tokens, the cosine of those that are vectors."""
    return str(other["shared"]) if "shared" in other else f"{other['cosine']:.2f}"


def _short(item: dict[str, Any]) -> str:
    text = str(item["text"] or item["item"])
    return text if len(text) <= SHORT else text[: SHORT - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _facts(stats: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("tokens per item, mean and max", f"{stats['tokens_mean']:.2f}, {stats['tokens_max']}"),
        ("vocabulary", f"{stats['vocabulary']:,}"),
        ("items that share an identifier", f"{stats['collision_rate']:.2%}"),
        ("the same, weighted by test interactions", f"{stats['collision_rate_test']:.2%}"),
        ("items in the largest such group", f"{stats['largest_group']:,}"),
    ]


def _print_one(console: Console, shown: SchemeSummary) -> None:
    stats = shown.stats
    console.print(bold(shown.scheme), f"on {shown.dataset}")
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column()
    facts.add_column(justify="right")
    for label, value in _facts(stats):
        facts.add_row(label, value)
    console.print(facts)
    if "distinct_tokens" in stats:
        _print_positions(console, stats)
    if "drift" in stats:
        _print_drift(console, stats["drift"])
    _print_forecasts(console, {shown.scheme: stats["forecast"]})
    _print_changes(console, shown)
    after = {item["item"]: item for item in shown.trained}
    for item in shown.items:
        _print_item(console, item)
        if item["item"] in after:
            console.print("after training:")
            _print_item(console, after[item["item"]])


def _print_changes(console: Console, shown: SchemeSummary) -> None:
    """What a finished run has made of the identifiers, if there is one: those of the shown items before and after."""
    if shown.changed is None:
        return
    count = f"{shown.changed:,}" if shown.changed else "none"
    console.print(f"training changed {count} of the identifiers")
    if shown.trained:
        table = Table("item", "before training", "after training", box=None, pad_edge=False)
        for before, after in zip(shown.items, shown.trained, strict=True):
            table.add_row(*map(visible, (before["item"], before["identifier"], after["identifier"])))
        console.print(table)


def _print_positions(console: Console, stats: dict[str, Any]) -> None:
    columns = {
        "tokens": [f"{tokens:,}" for tokens in stats["distinct_tokens"]],
        "entropy, bits": [f"{bits:.2f}" for bits in stats["entropy_bits"]],
        "items sharing the prefix": [f"{share:.2%}" for share in stats["shared_prefix"]],
        "codebook used": [f"{share:.1%}" for share in stats.get("codebook_use", [])],
    }
    table = Table("position", *(name for name, cells in columns.items() if cells), box=None, pad_edge=False)
    for position, row in enumerate(zip(*filter(None, columns.values()), strict=True), start=1):
        table.add_row(str(position), *row)
    console.print(table)


def _print_drift(console: Console, drift: dict[str, list[float]]) -> None:
    table = Table("variants apart", "identifier changed", "first token changed", box=None, pad_edge=False)
    for distance, (anywhere, first) in enumerate(zip(drift["any"], drift["first"], strict=True), start=1):
        table.add_row(str(distance), f"{anywhere:.1%}", f"{first:.2%}")
    console.print(table)


def _print_forecasts(console: Console, forecasts: Mapping[str, Mapping[str, Any]]) -> None:
    """What may tell how well schemes will do: a line for each figure, a column for each scheme."""
    names = list(dict.fromkeys(name for found in forecasts.values() for name in found))
    table = Table("before training", *forecasts, box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for name in names:
        table.add_row(name.replace("_", " "), *(_figure(found.get(name)) for found in forecasts.values()))
    if len(forecasts) <= SIDE_BY_SIDE:
        console.print(table)
        return
    turned = Table("before training", *(name.replace("_", " ") for name in FEW), box=None, pad_edge=False)
    turned.columns[0].no_wrap = True
    for scheme, found in forecasts.items():
        turned.add_row(scheme, *(_figure(found.get(name)) for name in FEW))
    console.print(turned)


def _figure(value: float | list[float] | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float | int) else " ".join(f"{part:.3g}" for part in value[:LEVELS])


def _print_item(console: Console, item: dict[str, Any]) -> None:
    """An item, then its siblings and its nearest by text, each with how like their identifiers are."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for style in ("bold", "", "dim", "dim"):
        table.add_column(style=style, no_wrap=style != "dim")
    table.add_row(*map(visible, (item["identifier"], item["item"], item["text"][:WIDTH])), "")
    for kind in ("siblings", "nearest"):
        for other in item[kind]:
            near = f", {other['similarity']:.2f} alike in text" if kind == "nearest" else ""
            cells = (
                f"  {other['identifier']}",
                other["item"],
                other["text"][:WIDTH],
                f"{_alike(other)} {'shared' if 'shared' in other else 'cosine'}{near}",
            )
            table.add_row(*map(visible, cells))
    console.print(table)
