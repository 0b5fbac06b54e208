"""``bench data audit``: what a data set can and cannot measure, as tables, as a paragraph, and as JSON."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from bench.data.audit.findings import Audit

EPILOG = (
    "Examples:\n\n`bench data audit toys --data-dir ~/data`\n\n`bench data audit toys --ties presumed`\n\n"
    "`bench data audit ./my_data --json`"
)


def audit(
    dataset: Annotated[str, typer.Argument(help="A known data set or a folder.")],
    ties: Annotated[str, typer.Option(help="Order of ties in time, as in `bench run --set ties=…`.")] = "auto",
    data_dir: Annotated[Path | None, typer.Option(envvar="BENCH_DATA_DIR", help="Folder with data sets.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """What a data set can and cannot measure: ties in time, order of item ids, strength of its sequences, texts."""
    from bench import machine
    from bench.console import Console
    from bench.data import sources
    from bench.data.audit.findings import audit as audited
    from bench.data.ties import arranged, rule

    found = audited(arranged(sources.find(dataset, data_dir), rule(ties)))
    if as_json:
        machine.show(found.plain())
        return
    console = Console()
    for table in (_facts(found), _strength(found)):
        console.print(table)
        console.print()
    console.print(found.conclusion)


def rows(found: Audit) -> list[tuple[str, str]]:
    """Label and value of every finding but the strength of the sequences."""
    order, statistics, texts = found.order, found.statistics, found.texts
    return [
        ("time stamps are positions", _yes(order.positional) + _but(order.unnumbered)),
        ("interactions tied in time with a neighbor", _percent(order.tied)),
        ("neighbors that ascend in item id", _percent(order.ascending)),
        ("the same of neighbors tied in time", _percent(order.ascending_in_ties)),
        ("the same in the order of the file", _percent(order.ascending_in_ties_of_file)),
        ("users whose id is shared (parted when read)", f"{found.merged_users:,}"),
        ("interactions that repeat an earlier item of the user", f"{statistics.repeated_pairs:,}"),
        ("test targets repeated from the history", _percent(statistics.repeated_targets)),
        ("test targets unseen in training", _percent(statistics.unseen_targets)),
        ("5-core", f"{_yes(found.core)} (fewest: user {found.fewest[0]:,}, item {found.fewest[1]:,})"),
        ("text columns", ", ".join(texts.columns) or "none"),
        ("items without text", f"{texts.empty:,}"),
        ("items that share their text", f"{texts.duplicated:,}"),
        ("language of the text (a guess)", texts.language),
    ]


def _facts(found: Audit) -> Table:
    from rich.table import Table

    table = Table("", found.name, box=None, title_justify="left")
    table.columns[1].justify = "right"
    for label, value in rows(found):
        table.add_row(label, value)
    return table


def _strength(found: Audit) -> Table:
    """NDCG@10 of recommenders that only count, for each way of shuffling: mean over draws, and their range."""
    from rich.table import Table

    from bench.data.audit.counting import ASKED

    strength = found.strength
    if strength is None:
        return Table("nobody has three interactions", box=None)
    names = list(next(iter(strength.scores.values())))
    users = f"{strength.users:,} users" + ("" if strength.share == 1 else f", {_percent(strength.share)} of all")
    table = Table(f"NDCG@10 ({users}; co-occurrence: {ASKED:,} at most)", *names, box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for variant, scores in strength.scores.items():
        table.add_row(variant, *(_range(score.mean, score.least, score.most) for score in scores.values()))
    return table


def _range(mean: float, least: float, most: float) -> str:
    return f"{mean:.4f}" + ("" if least == most else f" ({least:.4f}\N{EN DASH}{most:.4f})")


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


def _but(users: int) -> str:
    return f", but for {users:,} users" if users else ""


def _percent(share: float) -> str:
    return "none" if math.isnan(share) else f"{100 * share:.2f} %"
