"""Which files with interactions a scheme opens, itself or by a program that it starts."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.data import sources

INTERACTIONS = ".inter"
OTHERS = (".item", ".npy", ".safetensors")  # files beside interactions that a scheme may well be told to read
# Events of Python in which a path may stand; of a program that is started, anywhere in its arguments.
EVENTS = ("open", "os.link", "os.symlink", "os.rename", "subprocess.Popen", "os.system", "os.posix_spawn", "os.exec")


def places(dataset: str, data_dir: Path | None) -> list[str]:
    """The files and folders that a data set is read from."""
    found = (sources.located(part.strip(), data_dir) or Path(part.strip()).expanduser() for part in dataset.split("+"))
    return [os.path.realpath(path) for path in found if path.exists()]


@contextmanager
def watched(known: Sequence[str] = (), allowed: Sequence[str] = (), own: Sequence[str] = ()) -> Iterator[list[str]]:
    """Files with interactions that are opened within the block by Python code, or handed to another program.

    Such are all ``.inter`` files, and whatever a data set is read from, but for the files that are ``allowed``: those
    that settings name. What lies in a folder of the subject's ``own`` it has written there itself.
    """
    opened: list[str] = []
    watching = True
    given = {os.path.realpath(os.path.expanduser(path)) for path in allowed if path}
    inside = tuple(os.path.realpath(folder) + os.sep for folder in own)

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event in EVENTS:
            for path in _paths(event, arguments):
                mine = os.path.realpath(path).startswith(inside)
                if not mine and path not in opened and _holds_interactions(path, known, given):
                    opened.append(path)

    sys.addaudithook(note)  # a hook stays for good, but the process ends soon
    try:
        yield opened
    finally:
        watching = False


def _paths(event: str, arguments: Sequence[Any]) -> Iterator[str]:
    """The texts among the arguments of an event; a command line is taken apart."""
    waiting = list(arguments[:2] if event != "open" else arguments[:1])
    while waiting:
        each = waiting.pop()
        if isinstance(each, list | tuple):
            waiting += each
        elif isinstance(each, str | bytes | os.PathLike):
            text = os.fsdecode(each)
            yield from [text] if event in ("open", "os.link", "os.symlink", "os.rename") else text.split()


def _holds_interactions(path: str, known: Sequence[str], allowed: set[str]) -> bool:
    real = os.path.realpath(path.strip("'\""))
    if real in allowed:
        return False
    if real.endswith(INTERACTIONS) or path.endswith(INTERACTIONS):
        return True
    inside = any(real == place or real.startswith(place + os.sep) for place in known)
    return inside and os.path.isfile(real) and not real.endswith(OTHERS)
