"""What a run needs by the size of its catalogue, and whether this machine has it: said before anything starts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import psutil
import torch

from bench import backbone, control_groups
from bench.errors import BenchError
from bench.ids.limits import DAY, CatalogueSize, Needs, scored_bytes
from bench.ids.scheme import IdScheme
from bench.ids.text import TextSettings, embedding_needs
from bench.runs import slurm_settings
from bench.runs.request import Request

PROCESS = 1.0e9  # bytes of Python, torch and a small model
OF_DATA = 150, 40  # bytes of an item and an interaction in memory, with its windows
ANYWAY = "--ignore-limits runs it anyway"


def needs_of(request: Request) -> Needs | None:
    """Of the whole run, as its scheme or baseline says it; None where it says nothing."""
    subject, data, contract = request.subject, request.dataset, request.contract
    scheme = isinstance(subject, IdScheme)
    size = CatalogueSize(
        items=len(data.items),
        users=len(data.users),
        interactions=len(data.sequences.values),
        max_history=contract.max_history,
        batch=contract.batch_size,
        width=backbone.width_of(contract.backbone) if scheme else CatalogueSize.width,
        negatives=contract.negatives,
    )
    found = subject.needs(size)
    if found is None:
        return None
    if not isinstance(found, Needs):
        raise BenchError(f"needs of {subject.name} must return bench.ids.limits.Needs or None; got {found!r}")
    pictured = scheme and data.items.text  # in the report's figures of identifiers
    described = embedding_needs(size, TextSettings()).memory if pictured else 0.0
    beside = PROCESS + OF_DATA[0] * size.items + OF_DATA[1] * size.interactions
    beside += scored_bytes(size.items, size.width) if scheme and contract.decoder == "exact" else 0.0
    return Needs(max(found.memory, described) + beside, found.seconds, found.hint)


@dataclass(frozen=True)
class Room:
    """What a run may take where it is done: bytes of ``memory``, and ``seconds`` of one core to make identifiers.
    ``has`` and ``limit`` say so in words.
    """

    memory: float
    seconds: float
    has: str
    limit: str


def room_for(slurm: str = "") -> Room:
    """Of this machine, or of a task of Slurm that gets this (``bench run --slurm``): nothing is known of its node."""
    if not slurm:
        day, memory = math.inf if torch.cuda.is_available() else DAY, memory_of_machine()
        return Room(memory, day, f"this machine has {gigabytes(memory)}", "a day is the limit of one processor core")
    task = slurm_settings.settings(slurm)
    memory = task.memory * slurm_settings.UNITS["G"] or math.inf
    seconds = math.inf if task.gpus else 3600 * task.hours
    has = f"a task has {gigabytes(memory)} GB (--slurm memory={task.memory:g}G)"
    limit = f"a task has {task.hours:g} hours of one processor core (--slurm hours={task.hours:g})"
    return Room(memory, seconds, has, limit)


def refuse_too_large(request: Request, slurm: str = "") -> None:
    """BenchError as ``too_large`` says it of a run that is limited; a test of its model comes after it."""
    if request.limited and not request.trained_by and (refusal := too_large(request, slurm)):
        raise BenchError(refusal)


def too_large(request: Request, slurm: str = "") -> str:
    """That a run which is not done needs more memory than there is, or more than a day of a processor to make its
    identifiers, or to fit a baseline; empty where it does not.
    """
    needs, room = needs_of(request), room_for(slurm)
    if needs is None or request.is_done or (needs.memory <= room.memory and needs.seconds <= room.seconds):
        return ""
    if needs.memory > room.memory:
        much, here = f"about {gigabytes(needs.memory)} GB", room.has
    else:
        fitting = "to make identifiers" if isinstance(request.subject, IdScheme) else "to fit"
        much, here = f"about {_long(needs.seconds)} {fitting}", room.limit
    hint = f"{needs.hint}; " if needs.hint else ""
    return f"{request.subject.name} needs {much} at {len(request.dataset.items):,} items; {here}; {hint}{ANYWAY}"


def too_many(requests: Sequence[Request], jobs: int) -> str:
    """That so many of these runs at once may need more memory than this machine has, each of which has room alone, and
    how many would not; empty where all have room, or nobody asks.
    """
    room = memory_of_machine()
    needed = sorted(((memory, name) for memory, name in _needed(requests) if memory <= room), reverse=True)
    sums = list(accumulate(memory for memory, _ in needed[:jobs]))
    if not sums or sums[-1] <= room:
        return ""
    large = {name: f"{name} about {gigabytes(memory)}" for memory, name in reversed(needed) if memory > room / jobs}
    return (
        f"{len(sums)} runs at once may need about {gigabytes(sums[-1])} GB together, and this machine has "
        f"{gigabytes(room)}; --jobs {sum(each <= room for each in sums)} is sure to fit; above their share are "
        f"{', '.join(reversed(large.values()))}"
    )


def _needed(requests: Sequence[Request]) -> Iterator[tuple[float, str]]:
    """The memory of each that is limited and not done, and what it is of."""
    for request in requests:
        if request.limited and not request.is_done:
            needs = needs_of(request)
            yield needs.memory if needs else PROCESS, request.subject.name


def gigabytes(size: float) -> str:
    """``41``, and where it is little ``2.5``."""
    return f"{size / 1e9:,.0f}" if size >= 1e10 else f"{size / 1e9:.1f}"


def _long(seconds: float) -> str:
    return f"{seconds / DAY:,.1f} days" if seconds >= DAY else f"{seconds / 3600:,.1f} hours"


def memory_of_machine() -> float:
    """Bytes that this process may have: of the machine, or of the groups of processes that it is in."""
    return min(float(psutil.virtual_memory().total), control_groups.memory_limit())
