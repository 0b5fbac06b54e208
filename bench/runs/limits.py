"""What a run needs by the size of its catalogue, and whether this machine has it: said before anything starts."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil
import torch

from bench import backbone
from bench.errors import BenchError
from bench.ids.limits import DAY, CatalogueSize, Needs
from bench.ids.scheme import IdScheme
from bench.ids.text import TextSettings, embedding_needs
from bench.runs.request import Request

PROCESS = 1.0e9  # bytes of Python, torch and a small model
OF_DATA = 150, 40  # bytes of an item and an interaction in memory, with its windows
CONTROL_GROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
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
    pictured = scheme and data.items.text  # in the report's figures of identifiers
    described = embedding_needs(size, TextSettings()).memory if pictured else 0.0
    beside = PROCESS + OF_DATA[0] * size.items + OF_DATA[1] * size.interactions
    return Needs(max(found.memory, described) + beside, found.seconds, found.hint)


def refuse_too_large(request: Request) -> None:
    """BenchError as ``too_large`` says it of a run that is limited; a test of its model comes after it."""
    if request.limited and not request.trained_by and (refusal := too_large(request)):
        raise BenchError(refusal)


def too_large(request: Request) -> str:
    """That a run which is not done needs more memory than there is, or more than a day of a processor to make its
    identifiers, or to fit a baseline; empty where it does not.
    """
    needs = needs_of(request)
    if needs is None or request.is_done:
        return ""
    room, items = memory_of_machine(), len(request.dataset.items)
    slow = needs.seconds > DAY and not torch.cuda.is_available()
    if needs.memory <= room and not slow:
        return ""
    much = f"about {needs.memory / 1e9:,.0f} GB" if needs.memory > room else f"about {needs.seconds / DAY:,.1f} days"
    here = f"this machine has {room / 1e9:,.0f}" if needs.memory > room else "a day is the limit of one processor core"
    fitting = "to make identifiers" if isinstance(request.subject, IdScheme) else "to fit"
    doing = "" if needs.memory > room else f" {fitting}"
    hint = f"{needs.hint}; " if needs.hint else ""
    return f"{request.subject.name} needs {much}{doing} at {items:,} items; {here}; {hint}{ANYWAY}"


def memory_of_machine() -> float:
    """Bytes that this process may have: of the machine, or of the container that it is in."""
    found = float(psutil.virtual_memory().total)
    for path in CONTROL_GROUPS:
        with suppress(OSError, ValueError):
            found = min(found, float(Path(path).read_text()))  # "max" is no number
    return found
