r"""Half characters: JSON can escape one (``\ud800``), and no file, terminal or tokenizer can hold it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

ESCAPED = re.compile(r"\\u[dD][89a-fA-F]")
HALF = re.compile("[\ud800-\udfff]")


def require_whole(source: str, value: Any) -> Any:
    """The ``value`` that was read from the text ``source``. ValueError where a text in it has half a character."""
    if ESCAPED.search(source):  # whole characters may be escaped as two halves, which are one when they are read
        half = next((text for text in _texts(value) if HALF.search(text)), None)
        if half is not None:
            raise ValueError(f"half a character in {ascii(half)[:60]}")
    return value


def _texts(value: Any) -> Iterator[str]:
    """All texts in a JSON value, names of fields included."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict):
            waiting += [*each, *each.values()]
        elif isinstance(each, list | tuple | set):
            waiting += each
