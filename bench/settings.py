"""Settings given as text, made into a typed frozen dataclass.

A settings class is a frozen dataclass whose fields are int, float, bool, str, ``Literal[...]``, ``X | None`` or
``tuple[X, ...]``. A ``hint`` in a field's metadata ends the error for a value that the field can't have, where what is
meant is likely elsewhere. A field with ``transfer`` in its metadata decides how an unseen catalogue is named, and
nothing else: it belongs to tests on unseen data sets, and to no model. One with ``later`` came after results were
stored: at its default it is not stored, so that new results are of the same row as those. The same parser serves
identifier schemes, baselines and the run itself.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from bench.errors import BenchError, unknown

T = TypeVar("T")

WORDS = {"true": True, "false": False}


def parse(cls: type[T], overrides: Mapping[str, str], what: str) -> T:
    """An instance of the dataclass ``cls``: its defaults, with ``overrides`` (field name -> text) read as typed.

    ``what`` names one field in errors ("setting of textual/title"). BenchError for an unknown field, a text that is not
    of the field's type, or a field that has no default and isn't given.
    """
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    for name in overrides:
        if name not in fields:
            raise unknown(what, name, fields)
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in overrides:
            raise BenchError(f"{what} '{name}' must be given: {describe(hints[name])}")
    given = ((name, text, fields[name].metadata.get("hint", "")) for name, text in overrides.items())
    return cls(**{name: value(text, hints[name], f"{what} '{name}'", hint) for name, text, hint in given})


def value(text: str, kind: Any, what: str, hint: str = "") -> Any:
    """``text`` read as a value of the type ``kind``; a BenchError that names ``what`` where it isn't one, with the hint
    where there is one.
    """
    try:
        return _read(text.strip(), kind)
    except (ValueError, KeyError):
        problem = f"{what} must be {describe(kind)}; got '{text}'"
        raise BenchError(f"{problem}; {hint}" if hint else problem) from None


def describe(kind: Any) -> str:
    """A type in the user's words: "a whole number", "one of salient, title", "a number or none"."""
    if _optional(kind):
        return f"{describe(_inner(kind))} or none"
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    if get_origin(kind) is tuple:
        return f"a list, each {describe(get_args(kind)[0])}, with commas between"
    return _reader(kind)[1]


def _read(text: str, kind: Any) -> Any:
    """Raises ValueError or KeyError where the text is not of the type."""
    if _optional(kind):
        return None if text.lower() == "none" else _read(text, _inner(kind))
    if get_origin(kind) is Literal:
        return {str(choice): choice for choice in get_args(kind)}[text]
    if get_origin(kind) is tuple:
        return tuple(_read(part.strip(), get_args(kind)[0]) for part in text.split(","))
    return _reader(kind)[0](text)


def _reader(kind: Any) -> tuple[Callable[[str], Any], str]:
    readers: dict[Any, tuple[Callable[[str], Any], str]] = {
        int: (int, "a whole number"),
        float: (_finite, "a number"),
        bool: (lambda text: WORDS[text.lower()], "true or false"),
        str: (str, "text"),
    }
    if kind not in readers:
        raise TypeError(
            f"a settings field can't be of type {kind}; use int, float, bool, str, Literal, X | None, tuple"
        )
    return readers[kind]


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _optional(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType) and type(None) in get_args(kind)


def _inner(kind: Any) -> Any:
    """``X`` of ``X | None``."""
    return next(part for part in get_args(kind) if part is not type(None))
