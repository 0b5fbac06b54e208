"""Several runs at once on this machine: worker processes that share the results folder, as those of many machines do.

The workers know nothing of each other. This process starts them, shows how far all runs are, starts a worker again that
was killed, and ends them where it is stopped itself.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.live import Live
from rich.text import Text

from bench import threads
from bench.errors import BenchError
from bench.results import store
from bench.runs import overview
from bench.runs.limits import too_many
from bench.runs.many import refuse
from bench.runs.matrix import Plan
from bench.runs.overview import Overview
from bench.runs.prepared import Prepared
from bench.runs.progress import LINE_EVERY, Display, one_line
from bench.runs.worker import as_json

LOOK_EVERY = 1.0  # seconds
END_SECONDS = 120.0  # that a worker has to save what it has done, when it is asked to end
KILLS = 5  # of workers that had just been started, after which no other is started
SHORT = 3.0  # seconds: less than a worker needs to begin


class Worker:
    """A worker process, whose lines are shown as they come."""

    def __init__(self, number: int, plan: Plan, display: Display) -> None:
        self.number, self.display, self.last, self.begin = number, display, "", time.monotonic()
        words = [sys.executable, "-m", "bench.runs.worker", str(os.getpid()), as_json(plan), *sys.argv[1:]]
        # A session of its own: Ctrl-C reaches this process alone, which then asks each worker once.
        self.process = subprocess.Popen(
            words, stderr=subprocess.PIPE, text=True, env=environment(number, plan), start_new_session=True
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stderr
        with self.process.stderr as lines:
            for line in lines:
                self.last = line.rstrip() or self.last
                self.display.say(f"[{self.number}] {line.rstrip()}")

    @property
    def code(self) -> int | None:
        return self.process.poll()

    def end(self, before: float) -> None:
        """Wait until it has ended, and kill it where it has not by then."""
        try:
            self.process.wait(max(0.1, before - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.process.wait()
        self.reader.join(timeout=5)


def environment(number: int, plan: Plan) -> dict[str, str]:
    """As many threads as the request says, and one of the GPUs, by turns."""
    found = {**os.environ, threads.VARIABLE: str(threads.asked(plan.threads)), "PYTHONUNBUFFERED": "1"}
    devices = gpus(os.environ)
    if devices:
        found["CUDA_VISIBLE_DEVICES"] = devices[(number - 1) % len(devices)]
    return found


def gpus(variables: Mapping[str, str]) -> list[str]:
    """Names of the GPUs that this process may use."""
    import torch

    if not torch.cuda.is_available():
        return []
    count = torch.cuda.device_count()  # of those that are named, only what CUDA finds: it stops at the first it lacks
    named = [name.strip() for name in variables.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return named[:count] if named else [str(number) for number in range(count)]


def side_by_side(plan: Plan, prepared: Prepared, display: Display) -> list[Path]:
    """The folders of all runs, brought to their ends by ``plan.jobs`` workers. BenchError where some have failed."""
    at_once = min(plan.jobs, len(prepared.groups))
    count = threads.asked(plan.threads)
    display.say(f"{len(prepared.groups)} runs, {at_once} at once, {count} thread{'s' * (count > 1)} each")
    if crowded := too_many([group[0] for group in prepared.groups], plan.jobs):
        display.say(crowded)
    store.tidy(plan.results)
    seen = Overview(prepared.groups)
    workers = {number: Worker(number, plan, display) for number in range(1, at_once + 1)}
    try:
        with shown(display, seen):
            _watch(workers, plan, prepared, display)
    finally:
        _end(list(workers.values()))
    found = [request.run.folder(request.results) for group in prepared.groups for request in group]
    failed = [f"{each.title} ({each.note})" for each in seen.look() if each.state == overview.FAILED]
    refuse(failed, len(prepared.groups), [folder for folder in found if store.finished(folder)])
    if not all(map(store.finished, found)):
        raise BenchError(
            "a worker has failed: " + next((w.last for w in workers.values() if w.code), "it says nothing")
        )
    return found


def _watch(workers: dict[int, Worker], plan: Plan, prepared: Prepared, display: Display) -> None:
    """Until all workers have ended: one that was killed is started again, a failure ends all that are not to go on."""
    at_once: Counter[int] = Counter()
    while any(worker.code is None for worker in workers.values()):
        for number, worker in list(workers.items()):
            code = worker.code
            if code is not None and code < 0:
                name = signal.Signals(-code).name
                display.say(f"[{number}] was killed ({name}); its run is taken over, and a worker started again")
                at_once[number] += time.monotonic() - worker.begin < SHORT
                if at_once[number] >= KILLS:
                    raise BenchError(f"workers are killed ({name}) as soon as they start")
                workers[number] = Worker(number, plan, display)
            elif code and not prepared.keep_going:
                return
        time.sleep(LOOK_EVERY)


def _end(workers: Sequence[Worker]) -> None:
    """Ask all that still work to save and end, all at once."""
    for worker in workers:
        if worker.code is None:
            worker.process.send_signal(signal.SIGTERM)
    before = time.monotonic() + END_SECONDS
    for worker in workers:
        worker.end(before)


@contextmanager
def shown(display: Display, seen: Overview) -> Iterator[None]:
    """A few lines that change on a terminal, a line now and then in a log."""
    end = threading.Event()

    def refresh() -> None:
        if not display.console.lively:
            while not end.wait(LINE_EVERY):
                seen.look()
                display.say("; ".join([seen.line(), *seen.workers()]))
            return
        with Live(console=display.console, transient=True, auto_refresh=False) as live:
            while not end.wait(LOOK_EVERY):
                seen.look()
                lines = [seen.line(), *(f"  {line}" for line in seen.workers())]
                width = display.console.width
                live.update(Text("\n".join(one_line(line, width) for line in lines), no_wrap=True), refresh=True)

    thread = threading.Thread(target=refresh, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join(timeout=5)
