"""Gives `bench` files with something wrong in them: what comes of each is right, or one line that says what is wrong.

    python tests/reliability/inputs.py --inputs 3000 --seed 0

Right is what a plain reader of another library makes of the same file, and for what bench has stored with a digest,
what was stored. Prints the figures as JSON; exit code 1 where an input ended otherwise: in a traceback, after too long,
or in something else than what the file says.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from reader import SECONDS, Reader
from readers import made

from bench.errors import BenchError

MEMORY = 8 << 30  # bytes that a file may make bench ask for, beside what it has


class TooLongError(BaseException):
    """No ``except Exception`` holds it up."""


@dataclass
class Figures:
    """What came of all inputs."""

    inputs: int = 0
    right: int = 0
    refused: int = 0
    tracebacks: int = 0
    hangs: int = 0
    wrong: int = 0
    by_reader: dict[str, list[int]] = field(default_factory=dict)  # right and refused
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0


@contextmanager
def limit(seconds: int) -> Iterator[None]:
    def end(number: int, frame: FrameType | None) -> None:
        raise TooLongError

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def give(reader: Reader, folder: Path, figures: Figures, name: str) -> None:
    """One input, which is in the folder already."""
    count = figures.by_reader.setdefault(reader.name, [0, 0])
    figures.inputs += 1
    try:
        with limit(SECONDS):
            found = reader.read(folder)
    except BenchError as error:
        figures.refused += 1
        count[1] += 1
        said = str(error)
        if "\n" in said or not said.strip() or len(said) > 3000:
            figures.wrong += 1
            figures.faults.append(f"{name}: no line that one can read: {said[:500]!r}")
        return
    except TooLongError:
        figures.hangs += 1
        figures.faults.append(f"{name}: more than {SECONDS} s")
        return
    except Exception as error:
        figures.tracebacks += 1
        where = error.__traceback__
        while where and where.tb_next:
            where = where.tb_next
        at = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else "?"
        figures.faults.append(f"{name}: {type(error).__name__}: {str(error)[:200]} at {at}")
        return
    _compare(reader, folder, found, figures, name)


def _compare(reader: Reader, folder: Path, found: Any, figures: Figures, name: str) -> None:
    try:
        expected = reader.truth(folder)
    except Exception as error:
        expected = f"a plain reader refuses it: {type(error).__name__}: {str(error)[:200]}"
    if found == expected:
        figures.right += 1
        figures.by_reader[reader.name][0] += 1
        return
    figures.wrong += 1
    figures.faults.append(f"{name}: read as {str(found)[:400]}, where {str(expected)[:400]}")


def fuzz(readers: list[Reader], count: int, seed: int, keep: Path | None = None) -> Figures:
    """``count`` inputs, by turns of every reader. Those that end wrong are kept in a folder, if there is one."""
    figures, begin = Figures(), time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        for number in range(count):
            reader, draw = readers[number % len(readers)], random.Random(f"{seed} {number}")
            folder = Path(home, str(number))
            reader.place(folder)
            path = folder / draw.choice(reader.mutable)
            mutation = draw.choice(reader.mutations(path.name))
            content = path.read_bytes()
            changed = mutation(content, draw)
            path.write_bytes(changed)
            faults = len(figures.faults)
            if changed != content:
                give(reader, folder, figures, f"{number} {reader.name}, {path.name} by {mutation.__name__}")
            if keep and len(figures.faults) > faults:
                shutil.copytree(folder, keep / str(number), dirs_exist_ok=True)
            shutil.rmtree(folder)
    figures.seconds = round(time.monotonic() - begin, 1)
    return figures


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="readers whose name begins so")
    parser.add_argument("--keep", type=Path, help="folder for inputs that end wrong")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        readers = [reader for reader in made(Path(home)) if reader.name.startswith(asked.only)]
        _limit_memory()
        figures = fuzz(readers, asked.inputs, asked.seed, asked.keep)
    print(json.dumps(asdict(figures), indent=2))
    sys.exit(bool(figures.faults))


if __name__ == "__main__":
    main()
