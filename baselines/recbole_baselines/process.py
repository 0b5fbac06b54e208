"""Starts RecBole in a process of its own, listens to it, asks it, and ends it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Sequences
from bench.errors import BenchError
from recbole_baselines.messages import Arrays, receive, send

LAST_LINES = 3  # of the log, in an error


class RecBole:
    """A process that trains one model as ``job`` says, in ``folder``, or makes a finished one again, and then scores.
    ``name`` stands in errors. It ends with this object at the latest, and the folder ``remove`` with it.
    """

    def __init__(self, name: str, job: Mapping[str, Any], folder: Path, log: Path, remove: Path | None = None) -> None:
        self.name, self.log = name, log
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        with log.open("ab") as errors:
            # A session of its own: Ctrl-C reaches this process alone, which then ends that one.
            self.process = subprocess.Popen(
                [sys.executable, "-m", "recbole_baselines.child"],
                cwd=folder,
                env={**os.environ, "PYTHONHASHSEED": "0"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        self.end = weakref.finalize(self, _end, self.process, remove)

    def trained(self, progress: Callable[[int, int, Mapping[str, float]], None]) -> dict[str, Any]:
        """Wait for the end of training, passing progress on; what it came to."""
        while True:
            message, _ = self._told()
            if message.pop("tell") == "trained":
                return message
            progress(message["step"], message["total"], message["stats"])

    def restored(self) -> None:
        """Wait until a finished model can score."""
        self._told()

    def score(self, users: NDArray[np.int64], histories: Sequences) -> NDArray[np.float32]:
        """``[users, items]``."""
        asked: Arrays = {"users": users, "values": histories.values, "offsets": histories.offsets}
        return self._asked("score", asked)[1]["scores"]

    def neighbors(self) -> dict[str, NDArray[Any]]:
        """ItemKNN's similarities, as the arrays of ``kept.matrix_arrays`` by our indices."""
        return self._asked("neighbors", {})[1]

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Facts and arrays of ``state``."""
        message, arrays = self._asked("state", {})
        return {name: value for name, value in message.items() if name != "tell"}, arrays

    def peak_mb(self) -> float:
        return float(self._asked("memory", {})[0]["peak_mb"])

    def _asked(self, question: str, arrays: Arrays) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        assert self.process.stdin
        with contextlib.suppress(BrokenPipeError):  # it is gone; what it said last is still to be read
            send(self.process.stdin, {"ask": question}, arrays)  # type: ignore[arg-type]
        return self._told()

    def _told(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        assert self.process.stdout
        try:
            message, arrays = receive(self.process.stdout)  # type: ignore[arg-type]
        except EOFError:
            raise self._failed(f"its process ended with code {self.process.wait()}") from None
        if message["tell"] == "failed":
            raise self._failed(message["reason"])
        return message, arrays

    def _failed(self, reason: str) -> BenchError:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        last = " | ".join([line.strip() for line in lines if line.strip()][-LAST_LINES:])
        return BenchError(f"{self.name} failed in RecBole: {reason}; the last lines of '{self.log}': {last or 'none'}")


def _end(process: subprocess.Popen[bytes], remove: Path | None) -> None:
    """End the process, whatever it is doing."""
    process.kill()
    process.communicate()
    if remove:
        shutil.rmtree(remove, ignore_errors=True)
