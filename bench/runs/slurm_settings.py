"""What each task of Slurm gets, as ``bench run --slurm partition=gpu,gpus=1,memory=64G,hours=8`` says it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from bench.errors import BenchError, unknown
from bench.runs.task import NOTICE

EXAMPLE = "--slurm partition=gpu,gpus=1,memory=64G,hours=8,at-once=16"
UNITS = {unit: 2.0**power for unit, power in (("K", 10), ("M", 20), ("G", 30), ("T", 40))}  # bytes, as Slurm counts
SIZE = re.compile(r"(?P<number>\d+(?:\.\d*)?|\.\d+) ?(?:(?P<unit>[KMGT])i?B?)?", re.IGNORECASE)


@dataclass(frozen=True)
class Settings:
    """What each task gets; a field that is 0 or empty is left to Slurm. ``memory`` is in GiB. A task is one process,
    so it gets one GPU at most. ``partition`` may be several, with commas between them.
    """

    partition: str = ""
    gpus: int = 0
    cpus: int = 0
    memory: float = 0.0
    hours: float = 24.0
    at_once: int = 0
    account: str = ""
    qos: str = ""
    constraint: str = ""

    def parameters(self, runs: int, thread_count: int) -> dict[str, Any]:
        """As submitit names them."""
        found = {
            "partition": self.partition,
            "gpus_per_node": self.gpus,
            "mem": f"{math.ceil(1024 * self.memory)}M" if self.memory else "",
            "account": self.account,
            "qos": self.qos,
            "constraint": self.constraint,
        }
        return {
            "job_name": "bench",
            "time": math.ceil(60 * self.hours),
            "cpus_per_task": self.cpus or thread_count,
            "array_parallelism": self.at_once or runs,
            "signal_delay_s": NOTICE,
            "additional_parameters": {"requeue": True},
            **{name: value for name, value in found.items() if value},
        }


def settings(text: str) -> Settings:
    """``partition=gpu+long,gpus=1,hours=8,at-once=16``; BenchError where something is not meant so."""
    given: dict[str, Any] = {}
    kinds = {name: type(value) for name, value in vars(Settings()).items()}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        name = key.strip().replace("-", "_")
        if name not in kinds or not equals:
            raise unknown(f"part of --slurm ({EXAMPLE})", part, [each.replace("_", "-") for each in kinds])
        if name in given:
            raise BenchError(f"--slurm gives {key.strip()} twice; give it once")
        try:
            given[name] = _memory(value) if name == "memory" else kinds[name](value.strip())
        except ValueError as error:
            what = (
                "a size such as 64G or 500M"
                if name == "memory"
                else "a number"
                if kinds[name] is float
                else "a whole number"
            )
            raise BenchError(f"--slurm {part}: '{value}' is not {what}; e.g. {EXAMPLE}") from error
        if kinds[name] is not str and not 0 < given[name] < math.inf:
            raise BenchError(f"--slurm {part}: give a number above 0, or leave {key} out")
    if given.get("gpus", 0) > 1:
        raise BenchError(f"--slurm gpus={given['gpus']}: a task is one process, which uses one GPU; give gpus=1")
    return Settings(**{**given, "partition": given.get("partition", "").replace("+", ",")})


def _memory(text: str) -> float:
    """Of ``64``, ``64G`` or ``500MB`` the GB; ValueError where it is nothing of the kind."""
    found = SIZE.fullmatch(text.strip())
    if not found:
        raise ValueError(text)
    return float(found["number"]) * UNITS[(found["unit"] or "G").upper()] / UNITS["G"]
