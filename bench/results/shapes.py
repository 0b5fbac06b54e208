"""What ``result.json`` holds beside the fields that have a type of their own, and what its readers rely on.

A result may be a stranger's. What is wrong in it is told when it is read, where the file can be named, and not in the
middle of a report on others. Each raises TypeError, ValueError, KeyError or OverflowError.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bench.contract import CUTOFFS
from bench.evaluation.metrics import names
from bench.results.schema import LOAD, IdentifierFacts, Record

DEEPEST = 60  # lists and mappings in each other, of which a reader that recurses has more to go through than a parser
OF_MACHINES = (*LOAD, "cpu_threads", "processes")
OF_BUDGETS = ("steps", "used", "per_step", "spent")
ROUNDING = 1e-5  # by how much a stored mean may differ from the mean of its users


def require_plain(value: Any, depth: int = 0) -> None:
    """What any file, path and terminal holds: no half of a character, no number beyond all floats, no endless nest."""
    if depth > DEEPEST:
        raise ValueError("it is nested too deeply")
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, int):
        float(value)
    elif isinstance(value, Mapping):
        for name, entry in value.items():
            require_plain(name)
            require_plain(entry, depth + 1)
    elif isinstance(value, list):
        for entry in value:
            require_plain(entry, depth + 1)


def require(found: Record) -> None:
    """What reports make of a result can be made of this one."""
    for metrics in (found.metrics, *(kind.metrics for kind in found.item_groups.values())):
        _metrics(metrics)
    for name, cost in vars(found.costs).items():
        if not math.isfinite(cost or 0):
            raise ValueError(f"{name} is {cost}")
    for name, value in found.environment.items():
        _each(f"{name} of the environment", value, str | int | float | None)
        _each(f"{name} of the environment", value, int | float | None if name in OF_MACHINES else object)
    if found.identifiers is not None:
        _identifiers(found.identifiers)
    if found.training is not None:
        _training(_each("training", found.training, Mapping))


def _metrics(metrics: Mapping[str, Mapping[str, float]]) -> None:
    """All that every run has, and nothing outside 0 to 1, as which NaN counts too."""
    for reading, values in metrics.items():
        for name in dict.fromkeys((*names(CUTOFFS, complete=False), *values)):
            if not 0 <= values[name] <= 1 + ROUNDING:
                raise ValueError(f"{reading} {name} is {values[name]}")


def _identifiers(found: IdentifierFacts) -> None:
    for name, value in found.flat.items():
        if name not in found.further:
            _number(name, value)
    forecast = found.further.get("forecast")
    for name, value in forecast.items() if isinstance(forecast, Mapping) else ():
        for each in value if isinstance(value, list) else [value]:
            _number(name, each)


def _training(found: Mapping[str, Any]) -> None:
    for stage in _each("stages", found.get("stages") or [], list):
        _each("a stage", stage, Mapping)
    scores = ("loss", str(found.get("selection") or "validation"))
    for point in _each("curve", found.get("curve") or [], list):
        _number("step of the curve", _each("a point of the curve", point, Mapping)["step"])
        for name in scores:
            _number(f"{name} of the curve", point.get(name, 0))
    if budget := _each("budget", found.get("budget") or {}, Mapping):
        _number("steps", found.get("steps") or 0)
        _each("steps of the budget", budget["steps"], int)
        _each("what was asked as budget", budget["asked"], str)
        for name in OF_BUDGETS:
            _number(f"{name} of the budget", budget.get(name) or 0)
    if search := _each("search", found.get("search") or {}, Mapping):
        trials = _each("trials", search["trials"], list)
        for trial in trials:
            _each("settings of a trial", _each("a trial", trial, Mapping).get("settings", {}), Mapping)
        if trials and _each("what was chosen", search["chosen"], int) not in range(len(trials)):
            raise ValueError(f"trial {search['chosen']} of {len(trials)} was chosen")


def _number(name: str, value: Any) -> None:
    if isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}")
    _each(name, value, int | float)


def _each(name: str, value: Any, kind: Any) -> Any:
    """The value, where it is of this kind."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} is {value!r}")
    return value
