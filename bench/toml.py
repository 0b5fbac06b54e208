"""TOML, read and written: requests for runs as files."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.errors import BenchError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BARE = re.compile(r"[A-Za-z0-9_-]+")


def read(path: Path) -> dict[str, Any]:
    """The content of a file. BenchError in one line where it cannot be read."""
    try:
        found: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # ValueError: of TOML, of UTF-8, of numbers without end
        raise BenchError(f"'{path}' cannot be read: {' '.join(str(error).split())}") from error
    return found


def written(table: Mapping[str, Any], where: str = "") -> str:
    """A table as text: plain values first, then its tables below ``where``, and lists of tables. BenchError for a text
    that no file in UTF-8 can hold.
    """
    plain = {key: value for key, value in table.items() if not _tables(value)}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in plain.items()]
    for key, value in table.items():
        name = f"{where}.{_key(key)}" if where else _key(key)
        if isinstance(value, Mapping):
            lines += ["", f"[{name}]", written(value, name).rstrip("\n")]
        elif _tables(value):
            for each in value:
                lines += ["", f"[[{name}]]", written(each, name).rstrip("\n")]
    return "\n".join(lines).strip("\n") + "\n"


def _tables(value: object) -> bool:
    """Whether it is a table, or a list of some."""
    return isinstance(value, Mapping) or (
        isinstance(value, list) and bool(value) and all(isinstance(each, Mapping) for each in value)
    )


def _key(key: str) -> str:
    return key if BARE.fullmatch(key) else _text(key)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(_value, value))}]"
    return _text(str(value))


def _text(text: str) -> str:
    """JSON's text is TOML's, but for the one control character that JSON lets through."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise BenchError(f"{text!r} is no text in UTF-8, which a file of TOML is in")
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
