"""Under which conditions the rows of a table were made, and which of them may be compared.

Two schemes compare only under the same contract, whose first line is the protocol: the version of the code that all
rows share. Unequal versions of one scheme never compare. A baseline is not trained by the
harness: it compares with whatever agrees with it on the keys that its own contract holds (split, history, candidates).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

from bench.report.table import strong
from bench.results.read import Result

if TYPE_CHECKING:
    from bench.report.rows import Row  # which asks here whose seeds a row may borrow


def comparable(one: Row, other: Row) -> bool:
    """Whether the better of two rows may be called better; what leaks is beyond compare, and so is what other code
    made: under another protocol, or by another version of the same scheme.
    """
    leaks = one.first.scheme.leaks or other.first.scheme.leaks
    return one is other or (agree(one.first, other.first) and not leaks and not other_code(one.first, other.first))


def other_code(one: Result, other: Result) -> str:
    """What of the code that two results were computed by is unequal, in words; "" where nothing is known to be."""
    if one.protocol != other.protocol:
        return f"protocol {one.protocol} and protocol {other.protocol}"
    mine, theirs = one.scheme, other.scheme
    if (mine.name, mine.kind) == (theirs.name, theirs.kind) and mine.version != theirs.version:
        return f"version {mine.version} and version {theirs.version} of {mine.name}"
    return ""


def unequal_versions(rows: Sequence[Row]) -> list[str]:
    """The rows of each scheme of which there are several versions: ``one@1, one@2``."""
    by_scheme: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        by_scheme.setdefault((row.first.scheme.kind, row.first.scheme.name), []).append(row)
    multi_version = (found for found in by_scheme.values() if len({row.first.scheme.version for row in found}) > 1)
    return [", ".join(dict.fromkeys(row.label for row in found)) for found in multi_version]


def agree(one: Result, other: Result) -> bool:
    """Whether two results were made under one contract, as far as a baseline's own contract speaks of it."""
    if one.scheme.kind != "baseline" and other.scheme.kind != "baseline":
        return one.contract == other.contract
    shared = [key for key in one.contract if key in other.contract]
    return all(one.contract[key] == other.contract[key] for key in shared)


@dataclass(frozen=True, eq=False)
class Contracts:
    """The distinct contracts of a table by letter, and for each row the letters that it stands under."""

    by_letter: Mapping[str, Result]
    letters: tuple[str, ...]

    @property
    def mixed(self) -> bool:
        return len(self.by_letter) > 1


def contracts(rows: Sequence[Row]) -> Contracts:
    """Letters in order of the rows; a baseline takes those it agrees with, or one of its own."""
    found: dict[str, Result] = {}
    letters = []
    for row in sorted(rows, key=lambda row: row.baseline):
        fitting = [letter for letter, holder in found.items() if agree(row.first, holder)]
        if not fitting:
            fitting = [_letter(len(found))]
            found[fitting[0]] = row.first
        letters.append((row, ", ".join(fitting)))
    of_row = {id(row): letter for row, letter in letters}
    return Contracts(found, tuple(of_row[id(row)] for row in rows))


def _letter(number: int) -> str:
    """A, B, … Z, A1, B1, …"""
    turn, position = divmod(number, len(ascii_uppercase))
    return ascii_uppercase[position] + (str(turn) if turn else "")


def settings(values: Mapping[str, Any], without: Collection[str] = ()) -> str:
    """``beam=20, backbone=mini``: settings on one line."""
    return ", ".join(f"{key}={_plain(value)}" for key, value in values.items() if key not in without)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def varying(named: Mapping[str, Mapping[str, Any]], partial: Collection[str] = ()) -> dict[str, dict[str, list[str]]]:
    """Settings in which the named holders differ: ``{"beam": {"20": ["A"], "50": ["B"]}}``.

    An absent setting is a difference, except for holders in ``partial``, which only speak about what they hold.
    """
    found = {}
    for key in dict.fromkeys(key for values in named.values() for key in values):
        holders: dict[str, list[str]] = {}
        for name, values in named.items():
            if key in values or name not in partial:
                holders.setdefault(_plain(values[key]) if key in values else "absent", []).append(name)
        if len(holders) > 1:
            found[key] = holders
    return found


def differences(found: Mapping[str, Mapping[str, Sequence[str]]]) -> str:
    """What ``varying`` found, on one line with the keys emphasised: ``beam=20 (A), 50 (B)``."""
    return "; ".join(
        strong(key) + "=" + ", ".join(f"{value} ({', '.join(names)})" for value, names in holders.items())
        for key, holders in found.items()
    )
