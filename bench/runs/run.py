"""One cell, from start to stored result: skipped where it is finished, gone on with where it was stopped."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

from accelerate import Accelerator

from bench.data.splits import Split, leave_one_out
from bench.evaluation.baseline import Baseline
from bench.evaluation.cost import MemoryMeter, Stopwatch, environment
from bench.evaluation.metrics import CUTOFFS
from bench.evaluation.ranking import check_cutoff, score_targets
from bench.ids import plugins
from bench.runs import record, store
from bench.runs.progress import Display
from bench.runs.record import Outcome
from bench.runs.request import Request
from bench.runs.scheme_run import SchemeRun


def run(request: Request, display: Display, accelerator: Accelerator) -> Path:
    """Bring one cell to its end and return its folder. Called by every process; the main one writes."""
    folder = request.cell.folder(request.results)
    if accelerator.is_main_process:
        store.recover(folder)
    accelerator.wait_for_everyone()
    if store.finished(folder) and not request.force:
        changed = record.made_by_other_source(folder, request.subject)
        if not (changed and plugins.is_file(type(request.subject))):
            display.say(f"{request.cell.title}: finished already in {folder} (--force runs it again)")
            if changed:
                display.say(f"{request.subject.name} has changed since: raise its version, or use --force")
            return folder
        display.say(f"{request.cell.title}: the file that defines it has changed since, so it is run again")
        request = replace(request, force=True)
    check_cutoff(max(CUTOFFS), len(request.dataset.items))
    contract = request.contract
    split = leave_one_out(request.dataset, request.seed, contract.max_history, contract.validation_in_test_history)
    for note in split.notes:
        display.say(f"{request.dataset.name}: {note}")
    main = accelerator.is_main_process
    place = store.building(folder, request.force) if main else contextlib.nullcontext(store.partial_folder(folder))
    with place as partial:
        accelerator.wait_for_everyone()
        with MemoryMeter() as memory:
            outcome = _outcome(request, split, partial, display, accelerator)
        if main:
            outcome.costs["peak_memory_mb"] = round(memory.peak_mb, 1)
            _store(request, split, outcome, partial, accelerator)
    accelerator.wait_for_everyone()
    display.say(f"{request.cell.title}: finished, stored in {folder}")
    return folder


def _outcome(request: Request, split: Split, partial: Path, display: Display, accelerator: Accelerator) -> Outcome:
    if isinstance(request.subject, Baseline):
        return _baseline(request, request.subject, split, display)
    return SchemeRun(request, request.subject, split, partial, display, accelerator).outcome()


def _baseline(request: Request, baseline: Baseline, split: Split, display: Display) -> Outcome:
    fitting = Stopwatch()
    baseline.fit(request.view(split.train))
    seconds, ranking, items = fitting.seconds, Stopwatch(), len(split.train.items)
    with display.bar(f"{request.cell.title}: test", len(split.test)) as bar:
        ranks = score_targets(baseline, split.test, items, request.contract.exclude_history, bar.advance)
    costs = {
        "parameters": None,
        "fit_seconds": None,
        "train_seconds": seconds,
        "inference_seconds_per_1000_users": 1000 * ranking.seconds / len(split.test),
    }
    return Outcome(ranks, True, costs)


def _store(request: Request, split: Split, outcome: Outcome, partial: Path, accelerator: Accelerator) -> None:
    """Write what the report reads, last of all ``result.json``."""
    table = record.per_user_table(request.dataset, split, outcome.ranks)
    with store.writable(partial):
        table.to_parquet(partial / "per_user.parquet", index=False)
    found = environment(str(accelerator.device), accelerator.num_processes)
    store.write_json(partial / "result.json", record.result(request, split, outcome, found))
