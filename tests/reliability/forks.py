"""`bench` in children of one process that has imported everything, so that a run takes a second, ended at a step.

A step is what ``bench.files.hook`` is told of: a file is about to be written, forced to the disk, renamed or removed.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import random
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from bench import cli, files

# Ends of a process: killed; killed while it writes a file; the power fails; asked to end; Ctrl-C.
KILL, TORN, POWER, TERM, INTERRUPT = "SIGKILL", "SIGKILL in a file", "power cut", "SIGTERM", "SIGINT"
ENDS = (KILL, TORN, POWER, TERM, INTERRUPT)
LEASE = ".lease-"  # in the name of a file that nobody forces to the disk: who held a run is of no use after a power cut


@dataclass(frozen=True)
class Stop:
    """At which step a process ends, from 0, and how."""

    step: int
    how: str = KILL


class Stopper:
    """Takes the place of ``files.hook``: counts steps, and ends the process at one."""

    def __init__(self, stop: Stop | None, results: Path) -> None:
        self.stop, self.results, self.steps = stop, results, 0
        self.last = ("", Path())
        self.on_disk = {state(path) for path in below(results)}

    def __call__(self, step: str, path: Path) -> None:
        kind, before = self.last
        if kind == "sync" and before.is_file():
            self.on_disk.add(state(before))
        self.last = (step, path)
        self.steps += 1
        if self.stop and self.steps > self.stop.step:
            self.end(step, path)

    def end(self, step: str, path: Path) -> None:
        how = self.stop.how if self.stop else KILL
        if how in (TERM, INTERRUPT):
            self.stop = None  # once
            os.kill(os.getpid(), signal.SIGTERM if how == TERM else signal.SIGINT)
            return
        if how == TORN:
            if step != "sync" or path.suffix != ".tmp":
                return  # until a file is written
            os.truncate(path, path.stat().st_size // 2)
        if how == POWER:
            self.cut()
        os.kill(os.getpid(), signal.SIGKILL)

    def cut(self) -> None:
        """What was not forced to the disk is gone, empty, or there in part."""
        draw = random.Random(self.steps)
        for path in below(self.results):
            if state(path) not in self.on_disk and LEASE not in path.name:
                size = path.stat().st_size
                choice = draw.choice(("gone", "empty", "half"))
                path.unlink() if choice == "gone" else os.truncate(path, size // 2 if choice == "half" else 0)


def below(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]


def state(path: Path) -> tuple[int, int, int]:
    """What changes when a file does, and not when it is renamed."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def begin(words: Sequence[object], results: Path, log: Path, stop: Stop | None = None) -> int:
    """Start ``bench words`` in a child; its number. What it prints goes to ``log``, its steps beside that."""
    child = os.fork()
    if not child:
        _become(words, results, log, stop)
    return child


def ended(child: int) -> int:
    """Wait for a child; its exit code, negative for the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def bench(words: Sequence[object], results: Path, log: Path, stop: Stop | None = None) -> int:
    """``bench words`` in a child, to its end; its exit code."""
    return ended(begin(words, results, log, stop))


def _become(words: Sequence[object], results: Path, log: Path, stop: Stop | None) -> NoReturn:
    _print_to(log)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it in what runs in its background
    stopper = files.hook = Stopper(stop, results)
    sys.argv, code = ["bench", *map(str, words)], 0
    try:
        cli.main()
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 70
    sys.stdout.flush()
    sys.stderr.flush()
    log.with_suffix(".steps").write_text(str(stopper.steps))
    os._exit(code)


def preload(commands: Sequence[Sequence[object]], log: Path) -> None:
    """Import whatever these commands import, so that children have it; then no child's collector looks at it again."""
    names = log.with_suffix(".modules")
    child = os.fork()
    if not child:
        _note_imports(commands, log, names)
    ended(child)
    for name in json.loads(names.read_text()):
        with contextlib.suppress(Exception):  # made by hand, or a part that is not for this machine
            importlib.import_module(name)
    gc.collect()
    gc.freeze()


def _note_imports(commands: Sequence[Sequence[object]], log: Path, names: Path) -> NoReturn:
    """Do the commands one after another in this process."""
    before = set(sys.modules)
    _print_to(log)
    for words in commands:
        sys.argv = ["bench", *map(str, words)]
        with contextlib.suppress(SystemExit):
            cli.main()
    names.write_text(json.dumps([name for name in sys.modules if name not in before]))
    os._exit(0)


def _print_to(log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
