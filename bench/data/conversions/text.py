"""Values of raw metadata as text: lists where one value is meant, one value where lists are, and nothing in several
forms. What is text in them is cleaned by ``bench.data.markup``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from bench.data import markup


def clean(value: object) -> str:
    """One value as one line: entities undone however often they were escaped, no markup, single spaces. What is no
    text, or not there (None, NaN), is empty; of a list the first value that isn't.
    """
    if isinstance(value, list | tuple):
        return next(filter(None, map(clean, value)), "")
    if value is None or isinstance(value, bool | dict) or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return markup.plain(str(value))


def joined(value: object) -> str:
    """Names such as categories, each once, separated by ", ". They may be nested lists, or one text divided by ``|``.
    A comma within a name is left out, for it would make two of one.
    """
    names = (" ".join(clean(part).replace(",", " ").split()) for part in _parts(value))
    return ", ".join(dict.fromkeys(filter(None, names)))


def sentences(value: object) -> str:
    """A text that may come in pieces, such as a description, as one line."""
    return " ".join(filter(None, map(clean, value if isinstance(value, list | tuple) else [value])))


def _parts(value: object) -> Iterator[object]:
    if isinstance(value, list | tuple):
        inner: Iterable[object] = value
        for each in inner:
            yield from _parts(each)
    elif isinstance(value, str):
        yield from value.split("|")
    else:
        yield value
