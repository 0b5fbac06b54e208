"""What the pages say of stored results beyond a number: the report's answer and tables, places of rows, papers' scores.

``PARTS`` are filled into the pages by ``generate.py``, as its own are.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

import markup

from bench.report import figures, html
from bench.report import published as store
from bench.report.again import again
from bench.report.markdown import emphasised, table_lines
from bench.report.published import Claim
from bench.report.published_table import over_users
from bench.report.rows import HEADLINE, Row, Section, sections
from bench.report.sampling import resample
from bench.report.table import DASH, Chapter, Column, Table
from bench.report.tables import chapter
from bench.results.read import Result, load

RESULTS = Path(__file__).resolve().parents[1] / "results"
PUBLISHED = ("toys", "yelp")  # data of the published rows: a line of README for each, chapters of their own
FOLDERS = {data: f"{data}-cpu" for data in PUBLISHED}  # below results, by the name in marks
FOLDERS |= {"ties": "toys-ties", "decoder": "yelp-backbones"}
LEADING = ("set/setrec", "textual/title", "semantic/rqkmeans", "numeric/category+independent")  # one of each family
BESIDE = ("graph", "markov", "itemknn", "pop", "sasrec/ce", "gru4rec")  # what slices show next to them
COSTS = ("tokens per item", "parameters", "training FLOPs", "ID construction (s)", "processor (s)")
RANKING = ("inference (s per 1,000 users)", "peak memory (MB)")
SIZES = ("users", "sizes")  # notes that a table cannot be read without
DRAWN = ("quality", "compute", "cost")
SLICES = ("transition", "direction", "popularity", "history", "warm-cold")


@cache
def section(data: str) -> Section:
    """The rows of a folder of results, which is of one data set."""
    (found,) = sections(load(RESULTS / FOLDERS[data]))
    return found


@cache
def tables(data: str) -> Chapter:
    """What ``bench report`` makes of them."""
    return chapter(section(data))


def names(table: Table) -> list[str]:
    """What its lines are called, without marks behind the name."""
    return [str(cell.value) for cell in table.head.cells]


def cell_text(data: str, name: str, what: str) -> str:
    """A cell of a table as text, with its interval. ``what`` is ``quality/NDCG@10``: a table, and the title of a column
    or how that alone begins, with _ for a space. KeyError where there is no such table, row or column.
    """
    kind, _, title = what.replace("_", " ").partition("/")
    table = tables(data).table(kind)
    columns = table.columns if table else ()
    found = [each for each in columns if each.title == title] or [
        each for each in columns if each.title.startswith(title)
    ]
    if table is None or len(found) != 1 or names(table).count(name) != 1:
        raise KeyError(f"{data}: {name} {what}")
    cell = found[0].cells[names(table).index(name)]
    return escaped(f"{cell.text} [{cell.interval}]" if cell.interval else cell.text)


def escaped(text: str) -> str:
    return text.replace("<", "&lt;")


# -- the parts --------------------------------------------------------------------------------------------------------


def answer(data: str) -> str:
    """The paragraphs with which a report begins."""
    return "\n\n".join(map(emphasised, tables(data).answer))


def table(data: str, kind: str, columns: Collection[str] = (), rows: Collection[str] = ()) -> str:
    """A table of the report, some of its ``columns`` and ``rows``; all where none are named."""
    found = tables(data).table(kind)
    assert found is not None, f"a report on {data} has no table '{kind}'"
    kept = [at for at, name in enumerate(names(found)) if not rows or name in rows]
    chosen = [column for column in found.columns if not columns or column.title in columns]
    assert kept
    assert len(chosen) == len(columns or found.columns), f"{kind} of {data} has the columns {found.columns}"
    head, *rest = (_cut(column, kept) for column in (found.head, *chosen))
    said = [f"\n{note.title.capitalize()}: {emphasised(note.text)}." for note in found.notes if note.title in SIZES]
    return "\n".join([*table_lines(Table(found.name, found.title, head, tuple(rest), ())), *said])


def _cut(column: Column, kept: Sequence[int]) -> Column:
    return Column(column.title, tuple(column.cells[at] for at in kept), column.numeric)


def places(data: str) -> str:
    """Where each row is stored, and the command that makes it again."""
    runs = [(row, run) for row in section(data).rows for run in row.runs]
    lines = [[f"`{row.label}`", f"`{run.path}`", f"`{command(run)}`"] for row, run in runs]
    return markup.table(["row", f"below `results/{FOLDERS[data]}`", "made again by"], lines)


def command(run: Result) -> str:
    """The request that a report writes for this run, as options; what is default is left out."""
    asked = tomllib.loads(again([run]))
    settings = [f"{key}={_option(value)}" for key, value in asked.pop("set", {}).items()]
    options = [f"--{key} {_option(value)}" for key, value in asked.items() if (key, value) != ("seed", "0")]
    return " ".join(["bench run", *options, *(f"--set {each}" for each in settings), "--data-dir ~/data"])


def _option(value: object) -> str:
    assert isinstance(value, str | list), f"{value} of a table, which stands for a setting of a scheme"
    return value if isinstance(value, str) else ",".join(map(str, value))


def claims() -> str:
    """Every published score on data that we have rows of, by source and data set: what of ours stands beside it."""
    head = ["source", "data set", "scores", "beside rows of ours", "no row of ours for"]
    lines = [
        [source.title, data, str(len(found)), _beside(found), ", ".join(_alone(found)) or DASH]
        for source, data, found in _claims()
        if data in PUBLISHED
    ]
    return markup.table(head, lines)


def claims_elsewhere() -> str:
    """How many scores are of data that we have no rows of."""
    found = [(data, len(each)) for _, data, each in _claims() if data not in PUBLISHED]
    count = sum(number for _, number in found)
    return f"{count} scores on {', '.join(sorted({data for data, _ in found}))}"


def _claims() -> Iterator[tuple[store.Source, str, list[Claim]]]:
    published = store.load()
    for source in published.sources:
        for data, systems in source.values.items():
            every = [claim for system in systems for claim in store.claims(published, data, system)]
            yield source, data, [claim for claim in every if claim.source is source]


def _rows(claim: Claim) -> list[Row]:
    """Ours that stand for the system of a claim, on its data."""
    published = store.load()
    rows = section(claim.data).rows if claim.data in PUBLISHED else ()
    return [row for row in rows if claim.system in store.systems(published, row.first)]


def _alone(found: Sequence[Claim]) -> list[str]:
    return list(dict.fromkeys(claim.system for claim in found if not _rows(claim)))


def _beside(found: Sequence[Claim]) -> str:
    """``GRU4Rec (gru4rec): not comparable, because …``, for each system of which there is a row of ours."""
    said: dict[str, dict[str, None]] = {}
    for claim, row in ((each, row) for each in found for row in _rows(each)):
        estimate = over_users(row, claim.metric) if claim.metric in row.first.metrics["strict"] else None
        outcome = store.result_of(store.load(), claim, row.first, estimate)
        said.setdefault(f"{claim.system} (`{row.label}`)", {}).setdefault(f"{outcome.outcome}: {outcome.why}")
    return "; ".join(f"{system} {', '.join(outcomes)}" for system, outcomes in said.items()) or DASH


def pictures(data: str) -> str:
    """What the site draws (``drawn``), and the whole report of these rows."""
    known = {name: figures.PICTURES[name] for name in DRAWN}
    shown = [f"![{picture.title}]({data}-{name}.svg)\n\n*{picture.caption}*" for name, picture in known.items()]
    whole = f"[The whole report of these rows]({data}-report.html), with every table, pair and condition."
    return "\n\n".join([*shown, whole])


def drawn(data: str) -> Iterator[tuple[str, str]]:
    """The files that ``pictures`` speaks of: their names, and what is in them."""
    found = load(RESULTS / FOLDERS[data])
    with tempfile.TemporaryDirectory() as scratch:
        for name in DRAWN:
            path = Path(scratch) / f"{data}-{name}.svg"
            figures.write(name, found, path)
            yield path.name, path.read_text(encoding="utf-8")
    yield f"{data}-report.html", html.page(found, [tables(data)], again(found))


SHORT, LONG = "8m", "60m"  # of one core
TRANSFER = {  # rows of the table of unseen data: scheme, whether it was fitted there, and on what budget
    "`graph`, fitted on it": ("graph", True, ""),
    "`markov`, fitted on it": ("markov", True, ""),
    "`textual/title`, trained on it, 8 minutes": ("textual/title", True, SHORT),
    "`pop`, fitted on it": ("pop", True, ""),
    "`graph`, unseen: texts alone": ("graph", False, ""),
    "`unisrec/inductive`, unseen, 8 minutes": ("unisrec/inductive", False, SHORT),
    "`unisrec/inductive`, unseen, an hour": ("unisrec/inductive", False, LONG),
    "`set/semantic-only`, unseen, 8 minutes": ("set/semantic-only", False, SHORT),
    "`semantic/rqkmeans`, unseen, 8 minutes": ("semantic/rqkmeans", False, SHORT),
    "`textual/title`, unseen, 8 minutes": ("textual/title", False, SHORT),
    "`textual/title`, unseen, an hour": ("textual/title", False, LONG),
    "`random`": ("random", True, ""),
}
LASTING = {"": "", SHORT: ", 8 minutes", LONG: ", an hour"}  # what the budget of a row is called
ZERO = -1  # users of a data set of which a model has seen nothing
TARGETS = {"toys": "Toys", "beauty": "Beauty", "yelp": "Yelp", "ml-100k": "ML-100k"}
Transferred = tuple[str, str, int, str]  # data set, scheme, on how many of its users (0 for all), budget


def zero_shot() -> str:
    """NDCG@10 on each data set of models trained on the other three, beside what was fitted on it."""
    rows = _transferred()
    lines = [
        [said, *(_scored(rows.get((data, name, 0 if fitted else ZERO, budget))) for data in TARGETS)]
        for said, (name, fitted, budget) in TRANSFER.items()
    ]
    measured = [line for line in lines if {*line[1:]} != {DASH}]
    return markup.table(["", *TARGETS.values()], measured)


def few_shot() -> str:
    """NDCG@10 of models from elsewhere after they were adapted on some users of a data set."""
    rows = _transferred()
    counts = sorted({users for _, _, users, _ in rows if users > 0})
    adapted = dict.fromkeys((data, name, budget) for data, name, users, budget in rows if users > 0)
    lines = [
        [
            TARGETS[data],
            f"`{name}`{LASTING[budget]}",
            *(_scored(rows.get((data, name, users, budget))) for users in (ZERO, *counts)),
        ]
        for data, name, budget in sorted(adapted, key=_in_order)
    ]
    return markup.table(["tested on", "", "no user", *(f"{users:,} users" for users in counts)], lines)


def _in_order(adapted: tuple[str, str, str]) -> tuple[int, str, int]:
    """By data set, name, and the shorter budget first."""
    data, name, budget = adapted
    return list(TARGETS).index(data), name, list(LASTING).index(budget)


@cache
def _transferred() -> dict[Transferred, Row]:
    rows: dict[Transferred, Row] = {}
    for row in (row for found in sections(load(RESULTS / "zero-shot")) for row in found.rows):
        run = row.first
        users = (run.adapted_on or ZERO) if run.trained_on else 0
        key = run.dataset.name, run.scheme.name, users, run.contract.get("budget", "")
        assert key not in rows, f"two rows for one cell: {key}"
        rows[key] = row
    resample([run for row in rows.values() for run in row.runs], [HEADLINE])  # in one pass: drawing users is what costs
    return rows


def _scored(row: Row | None) -> str:
    if row is None:
        return DASH
    found = row.estimate(HEADLINE)
    interval = f" [{found.interval[0]:.4f}{DASH}{found.interval[1]:.4f}]" if found.interval else ""
    return f"{found.value:.4f}{interval}"


PEERS = {  # rows of tests/benchmarks/cornac_peer.py
    "bench": "`bench`, loss over what the tree allows (the default)",
    "bench-vocabulary": "`bench`, loss over all tokens",
    "tiger": "cornac's TIGER, its own codes of the same vectors",
    "tiger-codes": "cornac's TIGER, our codes",
    "tiger-codes-slower": "cornac's TIGER, our codes, at a third of the learning rate (0.001)",
    "letter-codes": "cornac's LETTER, our codes (its generator alone)",
}


def cornac() -> str:
    """What cornac's models reach and cost beside ours, as ``cornac_peer.py`` has stored it."""
    stored = json.loads((RESULTS / "cornac" / "toys.json").read_text(encoding="utf-8"))
    head = [
        "",
        "NDCG@10",
        "to the first row",
        "to the second",
        "training (s)",
        "ranking all users (s)",
        "peak memory (MB)",
    ]
    lines = [[PEERS[row["row"]], f"{row['ndcg']:.4f}", *_differences(row), *_spent(row)] for row in stored["rows"]]
    return markup.table(head, lines)


def _differences(row: Mapping[str, Any]) -> list[str]:
    first = [row["difference"], *row["interval"]] if "interval" in row else None
    found = (first, row.get("to_vocabulary"))
    return [f"{each[0]:+.4f} [{each[1]:+.4f}, {each[2]:+.4f}]" if each else DASH for each in found]


def _spent(row: Mapping[str, Any]) -> list[str]:
    return [f"{row[name]:,.0f}" for name in ("training_seconds", "inference_seconds", "peak_memory_mb")]


PARTS: Mapping[str, Callable[[], str]] = {
    **{f"{data}-answer": partial(answer, data) for data in PUBLISHED},
    **{f"{data}-quality": partial(table, data, "quality", ("NDCG@10", "Hit@10")) for data in FOLDERS},
    **{f"{data}-{kind}": partial(table, data, kind, (), (*BESIDE, *LEADING)) for data in PUBLISHED for kind in SLICES},
    **{f"{data}-costs": partial(table, data, "costs", (*COSTS, *RANKING)) for data in PUBLISHED},
    **{f"{data}-places": partial(places, data) for data in FOLDERS},
    "toys-forecast-order": partial(table, "toys", "forecast-order"),
    **{f"{data}-pictures": partial(pictures, data) for data in PUBLISHED},
    "zero-shot": zero_shot,
    "few-shot": few_shot,
    "cornac": cornac,
    "claims": claims,
    "claims-elsewhere": claims_elsewhere,
}
