"""What stands under a table of how rows were trained, searched and ranked, where that is not the same for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.contract import UNITS
from bench.report.contracts import settings
from bench.report.labels import names
from bench.report.rows import Row
from bench.report.table import Note, strong
from bench.results.read import Result

# of token lists; the precision only where it is not that of all
DECODING = (
    "decoder",
    "beam_width",
    "beam",
    "normalize",
    "length_penalty",
    "length_normalization",
    "decoding_precision",
)
EXACT = "every item of the catalogue is scored"
OWN = "a model of its own is trained for the identifiers"
OWN_BESIDE = (
    "beside the budget, which fixes what the recommender learns from; own steps, examples and FLOPs are among the "
    "costs, and --budget compares at equal cost"
)
OWN_TIME = "all processor time that the identifiers take is taken off the budget"
OWN_FLOPS = "its FLOPs are taken off the budget"
OWN_UNKNOWN = "nothing is taken off the budget for it, for its FLOPs were not known when the budget became steps"
OFF = 0.1  # part of the time measured that a step may take more or less, unsaid
MISSED = "steps took more or less processor time than was measured before training, and so did the budget of time"
CLOSED = "no budget binds what only counts; its training is what it is"
LOOKS = "validation was not read as often for all rows"
WEIGHT = "each look at validation chooses a weight between the vectors of an item as well"
MIXTURE = "which variants of identifiers are trained on is learned from validation users who select nothing"
REVISIONS = "the rows were not made by one revision of the code"
UNCOMMITTED = "the rows were made with changes of the code that were not committed"


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
    converted = {name: found for name, row in named if (found := (row.first.training or {}).get("budget"))}
    steps = [f"{name}: {each['asked']} is {each['steps']:,} steps" for name, each in converted.items()]
    again = [f"--budget {each['asked']}@{each['steps']} makes it again" for each in converted.values()]
    return [
        *([Note("closed form", f"{', '.join(closed)}: {CLOSED}")] if closed else []),
        *_own_training(named),
        *([Note("budget", "; ".join(map(", ".join, zip(steps, again, strict=True))))] if steps else []),
        *_off(named),
    ]


def _own_training(named: Sequence[tuple[str, Row]]) -> list[Note]:
    """Rows whose identifiers were trained for, and whether that is a part of their budget."""
    found: dict[str, list[str]] = {}
    for name, row in named:
        if row.cost("own_steps"):
            found.setdefault(_taken(row), []).append(name)
    said = "; ".join(f"{', '.join(held)}: {OWN}, {way}" for way, held in found.items())
    return [Note("own training", said)] if said else []


def _taken(row: Row) -> str:
    """What its own training takes off the budget of a row."""
    budget = str(row.first.contract.get("budget") or "")
    if not budget:
        return OWN_BESIDE
    if budget[-1:].lower() in UNITS:
        return OWN_TIME
    # steps that were given with the budget, or converted when FLOPs were not counted, had nothing taken off
    taken = [((run.training or {}).get("budget") or {}).get("spent") for run in row.runs]
    return OWN_FLOPS if all(taken) else OWN_UNKNOWN


def own_flops(run: Result) -> float | None:
    """FLOPs of what a run has trained for its identifiers, 0 where that is nothing; None where they are not known."""
    return run.costs.own_flops if run.costs.own_steps else 0.0


def _off(named: Sequence[tuple[str, Row]]) -> list[Note]:
    """Rows whose steps took another time than was measured before they were trained."""
    said = []
    for name, row in named:
        training = row.first.training or {}
        budget, steps = training.get("budget") or {}, training.get("steps") or 0
        if not (budget.get("used") and budget.get("per_step") and steps):
            continue
        each = budget["used"] / steps
        if abs(each / budget["per_step"] - 1) > OFF:
            said.append(f"{name}: {each:.3g} s a step, {budget['per_step']:.3g} s measured")
    return [Note("budget missed", f"{MISSED}: {'; '.join(said)}")] if said else []


def looks(rows: Sequence[Row]) -> list[Note]:
    """How often validation was read for each row that trains, where that differs, and what else was learned from it."""
    named = list(zip(names(rows), rows, strict=True))
    read: dict[float, list[str]] = {}
    for name, row in named:
        times = row.cost("looks")
        if times is not None and row.cost("steps") is not None:
            read.setdefault(times, []).append(name)
    said = "; ".join(f"{', '.join(read[times])}: {times:g}" for times in sorted(read, reverse=True))
    weighed = ", ".join(name for name, row in named if row.further("semantic_weight"))
    mixed = ", ".join(name for name, row in named if _mixed(row.first))
    return [
        *([Note("looks", f"{strong(LOOKS)}: {said}")] if len(read) > 1 else []),
        *([Note("weights", f"{weighed}: {WEIGHT}")] if weighed else []),
        *([Note("variants", f"{mixed}: {MIXTURE}")] if mixed else []),
    ]


def _mixed(result: Result) -> bool:
    """Whether one of its stages noted how its variants were mixed."""
    return any(stage.get("mixture") for stage in (result.training or {}).get("stages", ()))


def revisions(rows: Sequence[Row]) -> list[Note]:
    """Where rows come from several revisions of the code, or from changes that were never committed."""
    made: dict[str, list[str]] = {}
    for name, row in zip(names(rows), rows, strict=True):
        for revision in dict.fromkeys(str(run.environment.get("git") or "unknown") for run in row.runs):
            made.setdefault(revision, []).append(name)
    said = "; ".join(f"{', '.join(held)}: {revision}" for revision, held in made.items())
    if len(made) > 1:
        return [Note("revisions", strong(REVISIONS) + f" (+: with changes that were not committed): {said}")]
    uncommitted = any(revision.endswith("+") for revision in made)
    return [Note("revisions", strong(UNCOMMITTED) + f": {said}")] if uncommitted else []


def searches(rows: Sequence[Row]) -> list[Note]:
    """Which rows were searched, where others were not, or less."""
    trials = {name: searched(row.first) for name, row in zip(names(rows), rows, strict=True)}
    if len(set(trials.values())) < 2:
        return []
    said = "; ".join(f"{name}: {what}" for name, what in trials.items() if what)
    return [Note("search", strong("settings were not searched alike for all rows") + f": {said}; the others: none")]


def resized(rows: Sequence[Row]) -> list[Note]:
    """Rows whose model is of another size than the contract says, since a search chose it."""
    chosen = {name: _chosen_size(row.first) for name, row in zip(names(rows), rows, strict=True)}
    said = "; ".join(f"{name}: {size}" for name, size in chosen.items() if size)
    return [Note("sizes", strong("a search chose another backbone than the contract's") + f": {said}")] if said else []


def _search(result: Result) -> dict[str, Any]:
    """What is stored of the search that chose its settings; empty where there was none."""
    return (result.training or {}).get("search") or {}


def _chosen_size(result: Result) -> str:
    search = _search(result)
    trials = search.get("trials", ())
    settings = trials[search["chosen"]].get("settings", {}) if trials else {}
    size = str(settings.get("backbone", ""))
    return "" if size == str(result.contract.get("backbone", size)) else size


def searched_more(rows: Sequence[Row]) -> set[Row]:
    """Of the rows that train in steps, those that were searched in more trials than another."""
    tried = {row: trials(row.first) for row in rows if row.cost("steps") is not None or trials(row.first)}
    return {row for row, count in tried.items() if count > min(tried.values())}


def trials(result: Result) -> int:
    """How many chose the settings of a result, on whatever data set."""
    search = _search(result)
    earlier = result.scheme.found.partition(" ")[0]
    return len(search.get("trials", ())) or (int(earlier) if earlier.isdecimal() else 0)


def searched(result: Result) -> str:
    """By how many trials, and on which data set, the settings of a result were chosen; "" for none."""
    search = _search(result)
    tried = len(search.get("trials", ()))
    return f"{tried} trials on {result.dataset.name}" if tried else result.scheme.found
