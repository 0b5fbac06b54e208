"""The one exception a user meets.

Raised at the boundary where something from outside is wrong. The message is one line that says what was asked,
what was got and what is possible; `bench --debug` shows the traceback behind it.
"""

from __future__ import annotations

import difflib
import errno
import os
import re
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

LONGEST_WORD = 400  # characters
MOST = 240  # characters of what is shortened


class BenchError(Exception):
    """Something the user can fix: an unknown name, a broken file, an impossible setting.

    Its text is one line that a person can read, whatever a file has in the place of a number or a name. Where it ends
    in a ``hint`` of what to do, ``what`` is the text before it.
    """

    def __init__(self, what: str = "", hint: str = "") -> None:
        super().__init__(f"{what}; {hint}" if hint else what)
        self.what, self.hint = what, hint

    def __str__(self) -> str:
        line = super().__str__().replace("\r", "\\r").replace("\n", "\\n")
        return re.sub(rf"\S{{{LONGEST_WORD + 1},}}", lambda word: f"{word[0][: LONGEST_WORD // 2]}…", line)


class CorruptError(BenchError):
    """A file that bench has stored is not, or no longer, what it should be."""


class BusyError(BenchError):
    """Another process is at it; it may be free later."""


class LostError(BusyError):
    """Another process has taken over what this one was at, and took it for dead."""


class PartlyFailedError(BenchError):
    """Some of several runs have failed; ``done`` are the folders of the others."""

    def __init__(self, text: str, done: Sequence[Path]) -> None:
        super().__init__(text)
        self.done = list(done)


def in_one_line(error: BenchError | OSError) -> str:
    """What a user is told. What the operating system refuses, such as a name of 5,000 letters, is no fault of ours."""
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return _too_long(str(error.filename or ""))
    if isinstance(error, OSError):
        return f"{error.strerror or error}: '{str(error.filename or '')[:200]}'"
    return str(error)


def _too_long(path: str) -> str:
    """Of what the system calls a file name too long: a part of the path, or the whole."""
    name = max(path.split(os.sep), key=len)
    told = f"'{name[:40]}…' is a name of {len(name):,} letters" if len(name) > 40 else f"'{path[:40]}…' is a path"
    return f"{told}, which is too long for a file here; most disks take 255 bytes; give a shorter name"


def said(error: BaseException) -> str:
    """Any exception in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")


class DivergedError(BenchError):
    """The loss of a training is no number any more: a fault of its settings, and of nothing else."""


def shortened(text: str) -> str:
    """The first sentences of a text, whole: as many as fit, one at least, which loses its end only where it is longer
    than ``MOST`` by itself, at a word and with a mark.
    """
    first, *others = re.split(r"(?<=[.!?]) ", " ".join(text.split()))
    if len(first) > MOST:
        return textwrap.shorten(first, MOST, placeholder=" …")
    for sentence in others:
        if len(first) + len(sentence) >= MOST:
            break
        first = f"{first} {sentence}"
    return first.removesuffix(".")


def unknown(kind: str, asked: str, known: Iterable[str]) -> BenchError:
    """The error for a failed lookup, with the nearest known name: ``unknown preset 'cpuu'; did you mean 'cpu'?``"""
    names = sorted(known)
    near = difflib.get_close_matches(asked, names, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return BenchError(f"unknown {kind} '{asked}'; {hint}known: {', '.join(names) or 'none'}")


def an(noun: str) -> str:
    """``an item``, ``a user``."""
    return f"{'an' if noun[0] in 'aeio' else 'a'} {noun}"


def counted(number: int, what: str) -> str:
    """``1 row``, ``1,200 rows``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
