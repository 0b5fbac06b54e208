"""Ids that a reader takes for one and a program for two."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

NUMBER = re.compile(r"\d+(?:\.0+)?")


def notes(ids: Sequence[str], what: str) -> tuple[str, ...]:
    """That ids differ from others, of a ``what`` such as ``item``, by what a program or an editor changes alone."""
    return _differing(ids, what, str.strip, "by white space at their ends") + _differing(
        ids, what, _value, "in the spelling of one number or of letters"
    )


def _differing(ids: Sequence[str], what: str, bare: Callable[[str], str], how: str) -> tuple[str, ...]:
    changed = [name for name in ids if bare(name) != name]  # of most catalogues none, which is soon seen
    counts = Counter(map(bare, ids if changed else ()))
    twins = [name for name in changed if counts[bare(name)] > 1]
    if not twins:
        return ()
    other = next(name for name in ids if name != twins[0] and bare(name) == bare(twins[0]))
    return (
        f"{len(twins):,} {what} ids differ from another {how} alone, such as {_shown(twins[0], other)} and "
        f"{_shown(other, twins[0])}: each is a different {what}",
    )


def _value(name: str) -> str:
    """``007``, ``7.0`` and ``7`` are ``7``; letters with marks are one sign each."""
    if name.isascii() and not name[:1].isdigit():
        return name
    if NUMBER.fullmatch(name):
        return name.partition(".")[0].lstrip("0") or "0"
    return unicodedata.normalize("NFC", name)


def _shown(name: str, other: str) -> str:
    """A name, with its signs told apart where it looks like the other."""
    same = unicodedata.normalize("NFC", name) == unicodedata.normalize("NFC", other)
    return ascii(name) if same else repr(name)


def nearly(lacking: Sequence[str], known: Iterable[str]) -> str:
    """That an id which a catalogue is ``lacking`` is there but for what a spreadsheet changes; "" where none is."""
    by_bare: dict[str, str] = {}
    for name in known if lacking else ():
        by_bare.setdefault(_bare(name), name)
    pairs = ((name, by_bare[_bare(name)]) for name in lacking if _bare(name) in by_bare)
    same = "write ids as the same text in both files"
    pair = next(pairs, None)
    return f"{_quoted(*pair)} here may be {_quoted(*pair[::-1])} there: {same}" if pair else ""


def _quoted(name: str, other: str) -> str:
    shown = _shown(name, other)
    return shown if shown != repr(name) else f"'{name}'"


def _bare(name: str) -> str:
    """``="007"``, `` 7`` and ``7.0`` are ``7``, and letters with marks one sign each."""
    text = unicodedata.normalize("NFC", name).strip().strip(' \t="').casefold()
    return text.removesuffix(".0").lstrip("0") or text
