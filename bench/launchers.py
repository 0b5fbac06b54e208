"""What Slurm says of the processes that ``srun`` starts, said as ``torchrun`` would, which PyTorch understands.

``srun --ntasks 4 bench run …`` starts four processes that know their step of the job and nothing of one another. They
are the four ranks of one run, unless the environment has a ``RANK`` already: ``torchrun`` under ``srun`` gives its own.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, MutableMapping

from bench import console
from bench.errors import BenchError

NUMBERS = ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_JOB_ID", "SLURM_STEP_ID")
PORTS = range(20000, 32000)  # below those that Linux gives to outgoing connections


def count(environment: MutableMapping[str, str]) -> int:
    """How many ranks a launcher has started; 1 where none has started this process.

    Raises:
        BenchError: As ``adopt``, or several ranks could not find each other by what the launcher says.
    """
    adopt(environment)
    stated = environment.get("WORLD_SIZE", "1")
    if stated.isdecimal() and int(stated) < 2:
        return 1
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_PORT"):
        if not environment.get(name, "").isdecimal():
            raise _unfit(stated, f"{name} is no number")
    if int(environment["RANK"]) >= int(stated):
        raise _unfit(stated, f"RANK is {environment['RANK']}")
    if not environment.get("MASTER_ADDR"):
        raise _unfit(stated, "MASTER_ADDR names no host")
    return int(stated)


def _unfit(stated: str, why: str) -> BenchError:
    return BenchError(
        f"WORLD_SIZE={stated} says that this is one of several ranks, but {why}; start ranks with torchrun or srun, or "
        "a process of its own: RANK=0 WORLD_SIZE=1 bench …"
    )


def adopt(environment: MutableMapping[str, str]) -> None:
    """Set RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT where ``srun`` has started several tasks.

    Raises:
        BenchError: Slurm's commands cannot tell which host has the first task, or not all that Slurm says is here.
    """
    if "RANK" in environment or environment.get("SLURM_STEP_NUM_TASKS", "1") == "1":
        return
    for name in ("SLURM_STEP_NUM_TASKS", *NUMBERS):
        if not environment.get(name, "").isdecimal():  # variables that a container or a shell has handed on in part
            raise BenchError(
                f"Slurm's SLURM_STEP_NUM_TASKS={environment['SLURM_STEP_NUM_TASKS']} says that this is one of several "
                f"tasks, but {name} is no number; for a process of its own: RANK=0 WORLD_SIZE=1 bench …"
            )
    if "MASTER_ADDR" not in environment:
        environment["MASTER_ADDR"] = _first_host(environment)
    environment.setdefault("MASTER_PORT", str(_port(environment)))
    environment["WORLD_SIZE"] = environment["SLURM_STEP_NUM_TASKS"]
    environment["LOCAL_RANK"] = environment["SLURM_LOCALID"]
    environment["RANK"] = environment["SLURM_PROCID"]
    if environment["RANK"] == "0":
        console.say(
            f"Slurm's {environment['WORLD_SIZE']} tasks are the ranks of one run; "
            "for as many workers instead: srun --export=ALL,RANK=0,WORLD_SIZE=1"
        )


def _first_host(environment: Mapping[str, str]) -> str:
    """Where task 0 is: the first node of the step."""
    nodes = environment.get("SLURM_STEP_NODELIST", "")
    asked = ["scontrol", "show", "hostnames", nodes]
    try:
        found = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=30).stdout.split()
        return found[0]
    except (OSError, subprocess.SubprocessError, IndexError) as error:
        why = "it names none" if isinstance(error, IndexError) else error
        raise BenchError(
            f"which host of {nodes} has rank 0 is not known ({' '.join(asked)}: {why}); set MASTER_ADDR"
        ) from error


def _port(environment: Mapping[str, str]) -> int:
    """One for each step of each job, so that two of them on a host do not meet."""
    return PORTS[(int(environment["SLURM_JOB_ID"]) * 31 + int(environment["SLURM_STEP_ID"])) % len(PORTS)]
