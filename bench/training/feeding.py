"""Batches on their way from the plan of an epoch to the device: shared out, in parts, and ahead of time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.model.recommender import Batch, to_device
from bench.training.epoch import Epoch
from bench.training.examples import Rows

AHEAD = 2  # batches that wait for a GPU


@dataclass(frozen=True, eq=False)
class Step:
    """One optimizer step: the global batch's ``rows``, and what this process computes of it, in parts.

    ``counted`` is false where a batch has fewer rows than there are processes and this one only goes along.
    """

    rows: Rows
    parts: list[Batch]
    counted: bool


@dataclass(frozen=True)
class Feed:
    """What one of so many ``processes`` reads of every batch, in ``accumulate`` parts or as many as it has rows."""

    device: torch.device
    rank: int = 0
    processes: int = 1
    accumulate: int = 1

    def steps(self, plan: Epoch, batches: Iterable[Rows]) -> Iterator[Step]:
        """On the device; a GPU gets them from pinned memory, prepared by a thread while it computes."""
        if self.device.type != "cuda":
            yield from (self._step(plan, rows) for rows in batches)
            return
        for step in _ahead(self._pinned(self._step(plan, rows)) for rows in batches):
            yield Step(step.rows, [to_device(part, self.device) for part in step.parts], step.counted)

    def _step(self, plan: Epoch, rows: Rows) -> Step:
        own = rows[self.rank :: self.processes]
        given = own if len(own) else rows[:1]
        parts = np.array_split(given, min(self.accumulate, len(given)))
        return Step(rows, [plan.batch(part) for part in parts], bool(len(own)))

    @staticmethod
    def _pinned(step: Step) -> Step:
        return Step(step.rows, [{name: _pin(t) for name, t in part.items()} for part in step.parts], step.counted)


def _pin(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.pin_memory()


def _ahead(steps: Iterator[Step]) -> Iterator[Step]:
    """The same, at most ``AHEAD`` of them made in advance; what goes wrong in the thread is raised here."""
    waiting: queue.Queue[Step | BaseException | None] = queue.Queue(AHEAD)
    stopped = threading.Event()

    def put(value: Step | BaseException | None) -> None:
        while not stopped.is_set():
            try:
                waiting.put(value, timeout=0.1)
                return
            except queue.Full:
                continue

    def work() -> None:
        try:
            for step in steps:
                put(step)
                if stopped.is_set():
                    return
            put(None)
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (step := waiting.get()) is not None:
            if isinstance(step, BaseException):
                raise step
            yield step
    finally:
        stopped.set()
        thread.join()
