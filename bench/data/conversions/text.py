"""Text of items as a person sees it. Raw metadata hold entities (some escaped twice), markup, ``\\n`` written out,
lists where one value is meant, one value where lists are, and nothing in several forms.

The rules are part of a conversion: another rule is another version of it in ``sources.toml``.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Iterator

# Only entities that end in a semicolon: HTML also knows "&copy" without, and would find one in "R&copyright".
ENTITY = re.compile(r"&(?:#\d+|#[xX][0-9a-fA-F]+|[A-Za-z][A-Za-z0-9]*);")
UNSEEN = re.compile(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->", re.IGNORECASE | re.DOTALL)
TAG = re.compile(r"</?[A-Za-z][^<>]*>")  # not "I <3 you", and not "5 < 6"
WRITTEN_OUT = re.compile(r"\\[nrt]")  # a line break or tab as two characters
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b\u2028\u2029\ufeff]")
PLAIN = re.compile(r"[^<&\\\x00-\x1f\x7f-\x9f\u200b\u2028\u2029\ufeff]*")  # most texts: nothing is to be done
ESCAPED_AT_MOST = 3  # times


def clean(value: object) -> str:
    """One value as one line: entities undone however often they were escaped, no markup, single spaces. What is no
    text, or not there (None, NaN), is empty; of a list the first value that isn't.
    """
    if isinstance(value, list | tuple):
        return next(filter(None, map(clean, value)), "")
    if value is None or isinstance(value, bool | dict) or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    text = str(value)
    if PLAIN.fullmatch(text):
        return " ".join(text.split())
    text = _unescaped(text)
    text = TAG.sub(" ", UNSEEN.sub(" ", text))
    return " ".join(CONTROL.sub(" ", WRITTEN_OUT.sub(" ", text)).split())


def joined(value: object) -> str:
    """Names such as categories, each once, separated by ", ". They may be nested lists, or one text divided by ``|``.
    A comma within a name is left out, for it would make two of one.
    """
    names = (" ".join(clean(part).replace(",", " ").split()) for part in _parts(value))
    return ", ".join(dict.fromkeys(filter(None, names)))


def sentences(value: object) -> str:
    """A text that may come in pieces, such as a description, as one line."""
    return " ".join(filter(None, map(clean, value if isinstance(value, list | tuple) else [value])))


def _unescaped(text: str) -> str:
    for _ in range(ESCAPED_AT_MOST):
        text, before = ENTITY.sub(lambda found: html.unescape(found[0]), text), text
        if text == before:
            break
    return text


def _parts(value: object) -> Iterator[object]:
    if isinstance(value, list | tuple):
        inner: Iterable[object] = value
        for each in inner:
            yield from _parts(each)
    elif isinstance(value, str):
        yield from value.split("|")
    else:
        yield value
