"""RecBole's own process: reads ``job.json`` in its working folder, trains or restores, then answers until nobody asks.

    python -m recbole_baselines.child        with pipes as standard input and output, the log as standard error

Whatever RecBole prints goes to the log, whatever it writes stays in the working folder.
"""

from __future__ import annotations

import json
import logging
import os
import re
import resource
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from bench.children import end_with_parent
from recbole_baselines.messages import receive, send, told

if TYPE_CHECKING:
    from recbole_baselines.training import Model

COLOR = re.compile(r"\x1b\[[0-9;]*m")


class Plain(logging.Formatter):
    """RecBole colors its log for terminals."""

    def format(self, record: logging.LogRecord) -> str:
        return COLOR.sub("", super().format(record))


def main() -> None:
    """Train as ``job.json`` says, then serve scores. What goes wrong is told on the pipe, its traceback is logged."""
    end_with_parent()  # it would go on for hours, in a folder where another one has begun by then
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    warnings.simplefilter("ignore", FutureWarning)  # pandas and torch know that RecBole is old
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Plain("%(asctime)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        _work(sys.stdin.buffer, answers)
    except BrokenPipeError:
        sys.exit(1)
    except Exception as error:  # RecBole raises whatever it likes
        traceback.print_exc()
        send(answers, {"tell": "failed", "reason": told(error)})
        sys.exit(1)


def _work(questions: BinaryIO, answers: BinaryIO) -> None:
    begin = time.monotonic()
    job = json.loads(Path("job.json").read_text(encoding="utf-8"))
    from recbole_baselines import shims

    shims.apply()
    from recbole_baselines.training import best_of, restored

    def progress(step: int, total: int, stats: dict[str, float]) -> None:
        send(answers, {"tell": "progress", "step": step, "total": total, "stats": stats})

    importing = time.monotonic() - begin
    if "state" in job:
        model = restored(job)
        send(answers, {"tell": "restored"})
    else:
        model, found = best_of(job, progress)
        send(answers, {"tell": "trained", **found, "importing_seconds": importing})
    _answer(model, questions, answers)


def _answer(model: Model, questions: BinaryIO, answers: BinaryIO) -> None:
    """Until nobody asks."""
    while True:
        try:
            message, arrays = receive(questions)
        except EOFError:
            return
        if message["ask"] == "score":
            scores = model.score(arrays["users"], arrays["values"], arrays["offsets"])
            send(answers, {"tell": "scores"}, {"scores": scores})
        elif message["ask"] == "neighbors":
            send(answers, {"tell": "neighbors"}, model.neighbors())
        elif message["ask"] == "state":
            facts, arrays = model.state()
            send(answers, {"tell": "state", **facts}, arrays)
        else:
            send(answers, {"tell": "memory", "peak_mb": peak_mb()})


def peak_mb() -> float:
    """Peak memory of this process in MB: of the GPU where there is one."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e6
    status = Path("/proc/self/status")
    if status.exists():  # on Linux ru_maxrss begins at what the parent had
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


if __name__ == "__main__":
    main()
