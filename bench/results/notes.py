"""Small files without a digest, on which nothing rests: how far a run is, who is at it, what ended it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, TypeVar, get_origin, get_type_hints

from bench import files

T = TypeVar("T")


def read_note(path: Path, kind: type[T]) -> T | None:
    """The dataclass that was noted. None where there is none, or a field of it is missing, unknown or of another type:
    a note that is not whole is as good as none.
    """
    try:
        return fitted(files.read_json(path), kind)
    except (OSError, ValueError):
        return None


def fitted(found: Any, kind: type[T]) -> T | None:
    """The same of a value that was read already."""
    try:
        note = kind(**found)
    except TypeError:
        return None
    kinds = get_type_hints(kind)
    return note if all(_fits(value, kinds[name]) for name, value in found.items()) else None


def _fits(value: Any, kind: Any) -> bool:
    plain = get_origin(kind) or kind
    if isinstance(value, bool):
        return plain is bool
    if plain is float:
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, plain)
