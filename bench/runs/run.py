"""One cell, from start to stored result: skipped where it is finished, gone on with where it was stopped."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from bench.data.splits import Split
from bench.evaluation.baseline import TrainedBaseline
from bench.evaluation.cost import MemoryMeter, environment
from bench.evaluation.metrics import CUTOFFS
from bench.evaluation.ranking import check_cutoff
from bench.ids import plugins
from bench.ids.scheme import IdScheme
from bench.runs import record, store
from bench.runs.audited import audited
from bench.runs.baseline_run import baseline_outcome
from bench.runs.blame import blamed
from bench.runs.progress import Display
from bench.runs.record import Outcome
from bench.runs.request import Request
from bench.runs.scheme_run import SchemeRun
from bench.runs.transfer_run import outdated, split_of, transferred


def run(request: Request, display: Display, accelerator: Accelerator) -> Path:
    """Bring one cell to its end and return its folder. Called by every process; the main one writes."""
    folder = request.cell.folder(request.results)
    if accelerator.is_main_process:
        store.recover(folder)
    accelerator.wait_for_everyone()
    if store.finished(folder) and not request.force:
        changed = record.made_by_other_source(folder, request.subject)
        again = _outdated(request, folder, changed)
        if not again:
            display.say(f"{request.cell.title}: finished already in {folder} (--force runs it again)")
            if changed:
                display.say(f"{request.subject.name} has changed since: raise its version, or use --force")
            return folder
        display.say(f"{request.cell.title}: {again} has changed since, so it is run again")
        request = replace(request, force=True)
    check_cutoff(max(CUTOFFS), len(request.dataset.items))
    split = split_of(request)
    for note in split.notes:
        display.say(f"{request.dataset.name}: {note}")
    main = accelerator.is_main_process
    findings = audited(request.dataset, request.results, display) if main else {}
    place = store.building(folder, request.force) if main else contextlib.nullcontext(store.partial_folder(folder))
    with place as partial:
        accelerator.wait_for_everyone()
        with MemoryMeter() as memory, blamed(request.subject):
            outcome = _outcome(request, split, partial, display, accelerator)
        if main and outcome is not None:
            outcome.costs.setdefault("peak_memory_mb", round(memory.peak_mb, 1))
            _store(request, split, outcome, partial, accelerator, findings)
    accelerator.wait_for_everyone()
    display.say(f"{request.cell.title}: finished, stored in {folder}")
    return folder


def _outdated(request: Request, folder: Path, changed: bool) -> str:
    """What of a finished cell is no longer as it was, if it must be run again for that."""
    if changed and plugins.is_file(type(request.subject)):
        return "the file that defines it"
    return "its model" if request.trained_by and outdated(folder, request) else ""


def _outcome(
    request: Request, split: Split, partial: Path, display: Display, accelerator: Accelerator
) -> Outcome | None:
    """What the subject came to; None where another process has the work to itself."""
    subject = request.subject
    if isinstance(subject, IdScheme) and request.trained_by:
        return transferred(request, subject, split, partial, display, accelerator)
    if isinstance(subject, IdScheme):
        return SchemeRun(request, subject, split, partial, display, accelerator).outcome()
    if isinstance(subject, TrainedBaseline) and not accelerator.is_main_process:
        return None
    return baseline_outcome(request, subject, split, partial, display)


def _store(
    request: Request,
    split: Split,
    outcome: Outcome,
    partial: Path,
    accelerator: Accelerator,
    findings: Mapping[str, Any],
) -> None:
    """Write what the report reads, last of all ``result.json``."""
    table = record.per_user_table(request.dataset, split, outcome.ranks, outcome.kinds)
    with store.writable(partial):
        table.to_parquet(partial / "per_user.parquet", index=False)
    found = environment(str(accelerator.device), accelerator.num_processes)
    store.write_json(partial / "result.json", record.result(request, split, outcome, found, findings))
