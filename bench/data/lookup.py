"""Items by their original ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from bench.errors import BenchError


def indices(places: Mapping[str, int], named: Sequence[str]) -> list[int]:
    """Catalogue indices of the items that are ``named``; an unknown one is a BenchError with the nearest known."""
    for name in named:
        if not isinstance(name, str):
            raise BenchError(f"ids of items are text; got {type(name).__name__} {name!r}; write '{name}'")
        if name not in places:
            close = get_close_matches(name, list(places), n=1)
            hint = f"did you mean '{close[0]}'? " if close else ""
            first = next(iter(places))
            raise BenchError(f"unknown item '{name}'; {hint}items are named as in the item file, e.g. '{first}'")
    return [places[name] for name in named]
