"""What a run costs and where it ran: seconds, memory, environment, and what else the machine was doing."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import torch

from bench.privacy import shortened
from bench.versions import DISTRIBUTION, installed

MEASURED_EVERY = 0.1  # seconds
DATA_DIR = "--data-dir"
FOLDERS = (DATA_DIR, "--results")


class MemoryMeter:
    """Peak memory in MB while the context is open: of the GPU where there is one, else of this process.

    The process is sampled, since the kernel's own high-water mark never falls between the runs of one process; what
    earlier runs of the same command left behind is counted with it.
    """

    def __init__(self) -> None:
        self.peak_mb = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        process = psutil.Process()
        while not self._stop.wait(MEASURED_EVERY):
            self.peak_mb = max(self.peak_mb, process.memory_info().rss / 1e6)

    def __enter__(self) -> MemoryMeter:
        self.peak_mb = psutil.Process().memory_info().rss / 1e6
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if torch.cuda.is_available():
            self.peak_mb = torch.cuda.max_memory_allocated() / 1e6


def processor_seconds() -> float:
    """What this process has used of the processors so far, and its children that have ended. Those of the process are
    exact; the system counts children in hundredths of a second.
    """
    times = os.times()
    return time.process_time_ns() / 1e9 + times.children_user + times.children_system


class Stopwatch:
    """Seconds since it was made: of the wall clock, and of the processors by this process and its ended children."""

    def __init__(self) -> None:
        self.begin, self.processor_begin = time.monotonic(), processor_seconds()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.begin

    @property
    def processor_seconds(self) -> float:
        return processor_seconds() - self.processor_begin

    def lap(self) -> tuple[float, float]:
        """Both kinds of seconds, and start again."""
        seconds, processor = self.seconds, self.processor_seconds
        self.begin, self.processor_begin = self.begin + seconds, self.processor_begin + processor
        return seconds, processor


class LoadMeter:
    """How busy the machine is: seconds that were taken beside other load are no property of what ran."""

    def __init__(self) -> None:
        self.start, self.watch = load_average(), Stopwatch()

    def measured(self) -> dict[str, float]:
        """For the environment: the load average of a minute at the start and now, and the cores that this process and
        its ended children kept busy on average.
        """
        return {
            "load_average_start": self.start,
            "load_average_end": load_average(),
            "cores_used": round(self.watch.processor_seconds / max(self.watch.seconds, 1e-9), 2),
        }


def load_average() -> float:
    """Of the last minute."""
    return round(float(psutil.getloadavg()[0]), 2)


def environment(device: str, processes: int) -> dict[str, Any]:
    """Versions, machine and code revision: what one needs to know before doubting a number."""
    return {
        "python": platform.python_version(),
        "bench": installed(DISTRIBUTION),
        **{name: installed(name) for name in ("torch", "transformers", "accelerate", "numpy")},
        "platform": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name() if device.startswith("cuda") else "cpu",
        "cpu_threads": torch.get_num_threads(),
        "processes": processes,
        "git": revision(),
        "command": command(sys.argv[1:]),
    }


def command(words: Sequence[str]) -> str:
    """The command line that repeats a run, where data and models lie in the folder that it is given in. Of paths only
    the last part is told, and the folder of results not at all: where these are is nobody else's business.
    """
    told: list[str] = []
    options = [part for word in words for part in (word.split("=", 1) if word.startswith(FOLDERS) else [word])]
    for before, word in zip(["", *options], options, strict=False):
        if before == DATA_DIR:
            told += [DATA_DIR, Path(word).expanduser().absolute().name or "."]
        elif before not in FOLDERS and word not in FOLDERS:
            told.append(shortened(word))
    return shlex.join(["bench", *told])


def revision() -> str | None:
    """The git revision of bench's own source, with ``+`` where it has uncommitted changes; None outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True, check=True
        )
        status = subprocess.run(
            ["git", "status", "--porcelain", "-uno"], cwd=root, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+" if status.stdout.strip() else "")
