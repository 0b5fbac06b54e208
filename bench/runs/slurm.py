"""Runs as the tasks of a Slurm array, through submitit: ``bench run … --slurm partition=gpu,gpus=1,hours=8``.

Each task is one run with the tests of its model. It claims its run as any worker does, so that the results folder is
all there is to know: whoever has submitted may go away, and a task that is preempted or out of time saves, is put back
into the queue, and resumes. Accounting (``sacct``) is not needed; nobody asks Slurm how a run is.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import threads
from bench.errors import BenchError, PartlyFailedError
from bench.runs import overview
from bench.runs.limits import refuse_too_large
from bench.runs.matrix import Plan
from bench.runs.prepared import Prepared
from bench.runs.progress import Display
from bench.runs.request import Request
from bench.runs.slurm_settings import Settings, settings
from bench.runs.task import Task
from bench.runs.worker import as_json

TIMEOUTS = 10_000  # times that a task may be out of time and is put back into the queue


def submit(plan: Plan, prepared: Prepared, display: Display) -> list[Path]:
    """Hand all runs that are not finished, and that nobody is at, to Slurm; return at once the folders where the
    results will be. What is too large for a task would wait for nothing, so it is left out: PartlyFailedError, when the
    others are submitted, names it.
    """
    asked = settings(plan.slurm)
    states = [overview.standing(group) for group in prepared.groups]
    over = (overview.FINISHED, overview.RUNNING)
    groups = [group for group, found in zip(prepared.groups, states, strict=True) if found.state not in over]
    for found in (found for found in states if found.state == overview.RUNNING):
        display.say(f"{found.title}: not submitted, for process {found.who} is at it")
    if not groups and any(found.state == overview.RUNNING for found in states):
        display.say("no run is left to submit")
        return []
    if not groups:
        display.say(f"all {len(prepared.groups)} runs are finished already (--force runs them again)")
        return []
    reasons = [_too_large(group[0], plan.slurm) for group in groups]
    refused = [(group[0].run.title, reason) for group, reason in zip(groups, reasons, strict=True) if reason]
    groups = [group for group, reason in zip(groups, reasons, strict=True) if not reason]
    folders = _handed(plan, asked, groups, len(prepared.groups), display) if groups else []
    if refused:
        named = "; ".join(f"{title} ({reason})" for title, reason in refused)
        others = "the others are submitted" if groups else "nothing is submitted"
        count = f"{len(refused)} of {len(prepared.groups)} runs {'is' if len(refused) == 1 else 'are'} too large"
        raise PartlyFailedError(f"{count}, {others}: {named}", [])
    return folders


def _too_large(request: Request, slurm: str) -> str:
    try:
        refuse_too_large(request, slurm)
    except BenchError as error:
        return str(error)
    return ""


def _handed(
    plan: Plan, asked: Settings, groups: Sequence[Sequence[Request]], total: int, display: Display
) -> list[Path]:
    """The folders of these runs, of a ``total``, which are tasks by now."""
    folders = [group[0].run.folder(group[0].results) for group in groups]
    here = replace(plan, results=plan.results.resolve(), data_dir=plan.data_dir and plan.data_dir.resolve())
    logs = here.results / "slurm"
    task = Task(as_json(here), tuple(sys.argv[1:]))
    parameters = asked.parameters(len(groups), threads.asked(plan.threads))
    named = [folder.relative_to(plan.results).as_posix() for folder in folders]
    job = _submitted(task, named, logs, parameters)
    display.say(f"submitted {len(groups)} of {total} runs as Slurm job {job}; each is a task of it")
    display.say(f"Watch: bench ls --results {plan.results}; squeue --job {job}; logs: {logs}/{job}_*")
    return folders


def _submitted(task: Callable[[str], object], named: Sequence[str], logs: Path, parameters: dict[str, Any]) -> str:
    """The number of the array."""
    try:
        import submitit
    except ImportError as error:
        reason = "--slurm needs submitit, which is not installed: pip install 'item-identifier-bench[slurm]'"
        raise BenchError(reason) from error
    if submitit.SlurmExecutor.affinity() < 0:
        raise BenchError("--slurm needs the commands of Slurm, and there is no srun on this machine")
    try:
        executor = submitit.SlurmExecutor(folder=logs, max_num_timeout=TIMEOUTS)
        executor.update_parameters(**parameters)
        with contextlib.redirect_stderr(io.StringIO()):  # submitit prints what it raises as well
            jobs = executor.map_array(task, named)
    except submitit.core.utils.FailedJobError as error:
        reason = f"Slurm refuses the runs: {' '.join(str(error).split())}"
        raise BenchError(reason, "sinfo shows partitions, and whether this machine reaches a cluster") from error
    return str(jobs[0].job_id).partition("_")[0]
