"""What stands under a table of how rows were trained, searched and ranked, where that is not the same for all."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report.contracts import settings
from bench.report.labels import names
from bench.report.rows import Row
from bench.report.table import Note, strong
from bench.results.read import Result

DECODING = ("decoder", "beam_width", "beam", "normalize", "length_penalty", "length_normalization")  # of token lists
EXACT = "every item of the catalogue is scored"
OWN = "a model of its own is trained for the identifiers, beside the budget; of a budget of time its time is taken"
CLOSED = "no budget binds what only counts; its training is what it is"


def ranking(rows: Sequence[Row]) -> list[Note]:
    """How each row was ranked: the contract's lines on decoding bind lists of tokens alone."""
    ways: dict[str, list[str]] = {}
    for name, row in zip(names(rows), rows, strict=True):
        contract = row.first.contract
        said = {line: contract[line] for line in DECODING if line in contract}
        exact = row.baseline or row.further("decode_steps") or not said
        ways.setdefault(EXACT if exact else settings(said), []).append(name)
    return [Note("ranking", "; ".join(f"{', '.join(held)}: {way}" for way, held in ways.items()))]


def budgets(rows: Sequence[Row]) -> list[Note]:
    """What of the budgets is not the same for all, and what budgets of time or FLOPs were converted to."""
    named = list(zip(names(rows), rows, strict=True))
    closed = [name for name, row in named if row.baseline and row.cost("steps") is None]
    own = [name for name, row in named if row.cost("own_steps")]
    converted = {name: found for name, row in named if (found := (row.first.training or {}).get("budget"))}
    steps = [f"{name}: {each['asked']} is {each['steps']:,} steps" for name, each in converted.items()]
    again = [f"--budget {each['asked']}@{each['steps']} makes it again" for each in converted.values()]
    return [
        *([Note("closed form", f"{', '.join(closed)}: {CLOSED}")] if closed else []),
        *([Note("own training", f"{', '.join(own)}: {OWN}")] if own else []),
        *([Note("budget", "; ".join(map(", ".join, zip(steps, again, strict=True))))] if steps else []),
    ]


def searches(rows: Sequence[Row]) -> list[Note]:
    """Which rows were searched, where others were not, or less."""
    trials = {name: searched(row.first) for name, row in zip(names(rows), rows, strict=True)}
    if len(set(trials.values())) < 2:
        return []
    said = "; ".join(f"{name}: {what}" for name, what in trials.items() if what)
    return [Note("search", strong("settings were not searched alike for all rows") + f": {said}; the others: none")]


def searched(result: Result) -> str:
    """By how many trials, and on which data set, the settings of a result were chosen; "" for none."""
    search = (result.training or {}).get("search") or {}
    tried = len(search.get("trials", ()))
    return f"{tried} trials on {result.dataset.name}" if tried else result.scheme.found
