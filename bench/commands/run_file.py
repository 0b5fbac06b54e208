"""A request for runs as a file: ``bench run --config FILE.toml``, and the file that ``--write-config`` writes.

    id-scheme = ["textual", "numeric"]
    dataset = "toys"
    seed = "0-4"
    preset = "cpu"

    [set]
    epochs = 30

    [set.textual]
    words = 6

Keys are the options of ``bench run`` without their dashes; options that are given on the command line take their place.
A file may hold several requests, as tables of ``[[request]]``; what stands above them holds for all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from bench import toml
from bench.contract import BUDGETS
from bench.errors import BenchError, unknown
from bench.files import output
from bench.settings import value as read_as

REQUESTS, SET = "request", "set"
NOT_IN_FILES = ("ctx", "config", "write-config", "dry-run")
NEGATED = {"keep-going": "--stop-at-failure", "parts": "--no-parts"}
LARGEST = 10**1000  # a whole number in a file
SHORT = ("split", "decoder", "budget")  # options that are lines of ``set``

Options = dict[str, Any]


@dataclass(frozen=True)
class Option:
    """An option of the command: the ``name`` and type of its parameter, its default, the least that a number may be."""

    name: str
    kind: Any
    default: Any
    least: float | None


def options_of(command: Callable[..., object]) -> dict[str, Option]:
    """What may stand in a file, and the option behind it, as the signature of the command says."""
    found: dict[str, Option] = {}
    # Not get_type_hints, which in Python 3.10 puts `| None` around all that has None for a default.
    for name, parameter in signature(command, eval_str=True).parameters.items():
        hint = parameter.annotation
        kind, *described = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        least = next((each.min for each in described), None)
        found[name.rstrip("_").replace("_", "-")] = Option(name, kind, parameter.default, least)
    return {key: option for key, option in found.items() if key not in NOT_IN_FILES}


def requests(path: Path, known: Mapping[str, Option]) -> list[Options]:
    """The requests of a file, as values of the command's parameters. BenchError for a key or value that is none."""
    table = toml.read(path)
    parts = table.pop(REQUESTS, [{}])
    if not (isinstance(parts, list) and parts and all(isinstance(part, dict) for part in parts)):
        raise BenchError(f"'{path}': {REQUESTS} stands for tables, each below a line [[{REQUESTS}]]")
    return [options(f"'{path}'", {**table, **part, **_settings(table, part)}, known) for part in parts]


def _settings(table: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """Of ``set``, lines are added to those that hold for all."""
    found = [given[SET] for given in (table, part) if SET in given]
    return {SET: [line for given in found for line in lines(given)]} if found else {}


def options(where: str, table: Mapping[str, Any], known: Mapping[str, Option]) -> Options:
    """Values of the command's parameters. ``where`` the table is from stands in errors."""
    for key in table:
        if key not in known:
            raise unknown(f"key in {where}", key, {*known, REQUESTS} - {key})
    return {known[key].name: _read(f"{where}: {key}", value, known[key]) for key, value in table.items()}


def _read(what: str, value: Any, option: Option) -> Any:
    value = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
    if option.name == "set_":
        return _last(lines(value))
    if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(each, list | dict) for each in value)):
        raise BenchError(f"{what} must be a text, a number, true, false, or a list of texts or numbers; got {value}")
    if option.kind in (Path, Path | None):
        if not isinstance(value, str | Path) or "\0" in str(value):
            raise BenchError(f"{what} must be the name of a file or folder; got {value!r}")
        return Path(value)
    found = read_as(_text(value), option.kind, what)
    if option.least is not None and found < option.least:
        raise BenchError(f"{what} must be {option.least:g} or more; got {found}")
    return found


def lines(value: Any) -> list[str]:
    """``key=value`` of a table of settings, in which a scheme has a table of its own, or of a list of such texts."""
    if isinstance(value, str | list | tuple):
        return [value] if isinstance(value, str) else [str(line) for line in value]
    if not isinstance(value, Mapping):
        raise BenchError(f"{SET} is a table of settings, or a list of texts such as 'epochs=30'; got {value}")
    found: list[str] = []
    for key, inner in value.items():
        if isinstance(inner, dict):
            found += [f"{key}.{line}" for line in lines(inner)]
        else:
            found.append(f"{key}={_text(inner)}")
    return found


def _text(value: Any) -> str:
    """As ``--set`` takes it."""
    if isinstance(value, list | tuple):
        return ",".join(map(_text, value))
    if isinstance(value, int) and abs(value) >= LARGEST:  # Python writes no number of so many digits
        raise BenchError(f"a number is too large; got one of {value.bit_length():,} bits")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _last(found: Sequence[str]) -> list[str]:
    """Of several values for one setting the last."""
    return list({line.partition("=")[0]: line for line in found}.values())


def merged(of_file: Options, given: Options, on_command_line: Collection[str]) -> Options:
    """What the command line says, and of the rest what the file says. Of ``set`` line by line; one budget takes the
    place of another.
    """
    mine = list(given["set_"] or [])
    said = {line.partition("=")[0] for line in mine}
    own = _with_budgets(said | {name for name in SHORT if name in on_command_line})
    kept = [line for line in of_file.get("set_", []) if line.partition("=")[0] not in own]
    silent = {*on_command_line, *(own & {*SHORT})}
    return {**given, **{name: value for name, value in of_file.items() if name not in silent}, "set_": [*kept, *mine]}


def _with_budgets(names: set[str]) -> set[str]:
    return names | {*BUDGETS} if names & {*BUDGETS} else names


def write(path: Path, found: Sequence[Options], known: Mapping[str, Option]) -> None:
    """The requests as a file, without what is at its default."""
    tables = [_table(each, known) for each in found]
    content = tables[0] if len(tables) == 1 else {REQUESTS: tables}
    with output(path, "the request") as unfinished:
        unfinished.write_text(toml.written(content), encoding="utf-8")


def words(found: Options, known: Mapping[str, Option]) -> list[str]:
    """The command line that says the same, without the name of the command."""
    said: list[str] = []
    for key, value in _said(found, known).items():
        if key == SET:
            said += [word for line in value for word in ("--set", line)]
        elif isinstance(value, bool):
            said.append(f"--{key}" if value else NEGATED[key])
        else:
            said += [f"--{key}", str(value)]
    return said


def _said(found: Options, known: Mapping[str, Option]) -> dict[str, Any]:
    """What is not at its default, by key."""
    return {key: found[option.name] for key, option in known.items() if found[option.name] != option.default}


def _table(found: Options, known: Mapping[str, Option]) -> dict[str, Any]:
    said = _said(found, known)
    settings = settings_table(said.pop(SET, ()))
    kept = {key: str(value) if isinstance(value, Path) else value for key, value in said.items() if value is not None}
    return {**kept, **({SET: settings} if settings else {})}


def settings_table(found: Sequence[str]) -> dict[str, Any]:
    """``key=value`` and ``scheme.key=value`` as a table, in which each scheme has one. BenchError for other texts."""
    table: dict[str, Any] = {}
    for line in found:
        key, equals, value = line.partition("=")
        if not equals:
            raise BenchError(f"--set takes key=value; got '{line}'")
        scheme, dot, name = key.partition(".")
        inside = table.setdefault(scheme, {}) if dot else table
        if not isinstance(inside, dict) or isinstance(table.get(key), dict):
            raise BenchError(f"--set gives '{scheme}' a value, and settings of its own as well; got '{line}'")
        inside[name if dot else key] = _number(value)
    return table


def _number(text: str) -> str | int | float | bool:
    """The number or truth that is written exactly so; else the text itself."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        with suppress(ValueError):
            if repr(kind(text)) == text and math.isfinite(float(text)):
                return kind(text)
    return text
