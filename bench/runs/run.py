"""One run, from start to stored result: skipped where it is finished, resumed where it was interrupted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from bench import ranks, threads
from bench.contract import CUTOFFS
from bench.data.splits import Split
from bench.errors import BenchError, BusyError, CorruptError
from bench.ids.scheme import IdScheme
from bench.results import store
from bench.results.digests import RESULT
from bench.results.identity import differences, run_of
from bench.results.leases import Lease
from bench.results.read import Result, read
from bench.results.schema import Record
from bench.results.store import Begun
from bench.results.verify import whole
from bench.results.write import Outcome, per_user_table, record, write
from bench.runs import subjects
from bench.runs.attribution import attribute_errors
from bench.runs.audited import audited
from bench.runs.baseline_run import baseline_outcome
from bench.runs.baseline_transfer import transferred_baseline
from bench.runs.code import code_of
from bench.runs.converting import require_same_steps
from bench.runs.described import described
from bench.runs.limits import refuse_too_large
from bench.runs.progress import Display
from bench.runs.request import Request, digest_of
from bench.runs.scheme_run import SchemeRun
from bench.runs.tracking import tell_scores, tracked
from bench.runs.transfer_run import outdated, split_of, transferred, weights_of
from bench.training.cost import LoadMeter, MemoryMeter, environment
from bench.training.ranking import check_cutoff
from bench.training.signals import interrupted_by_sigterm

MODEL = "its model"  # of a test, which another run has trained


def run(request: Request, display: Display, accelerator: Accelerator) -> Path:
    """Bring one run to its end and return its folder. Called by every process; the main one writes.

    A failure is noted beside the run's folder, for other workers and for whoever looks.
    """
    folder = request.run.folder(request.results)
    before = store.stamp(folder) if accelerator.is_main_process else None
    try:
        with ranks.explained():
            return _run(request, folder, display, accelerator)
    except BusyError:
        raise
    except Exception as error:
        if accelerator.is_main_process:
            store.note_failure(folder, error, before, request.asked)  # it may have failed before it had a lease
        raise


def _run(request: Request, folder: Path, display: Display, accelerator: Accelerator) -> Path:
    load = LoadMeter()
    ranks.require_same({**request.run.identity, **code_of(request.subject)})
    seen, renewed = ranks.shared(lambda: _found(request, folder, display))
    if seen and not (renewed or request.renews(seen)):
        return folder
    if renewed:
        request = replace(request, force=True)
    check_cutoff(max(CUTOFFS), len(request.dataset.items))
    split = split_of(request).on(accelerator.device)
    for note in split.notes:
        display.note(f"{request.dataset.name}: {note}")
    main = accelerator.is_main_process
    with ranks.alone():
        findings = audited(request.dataset, request.results, display) if main else {}
    with contextlib.ExitStack() as stack:

        def begun() -> tuple[Path, int]:
            return stack.enter_context(
                _building(request, folder, seen, display, accelerator.num_processes)
            ), threads.now()

        partial, count = ranks.shared(begun)  # the folder is on a disk of the main process: the others never touch it
        if not main:
            stack.enter_context(threads.using(count))
        stack.enter_context(interrupted_by_sigterm())
        stack.enter_context(tracked(request, display, main))
        with MemoryMeter() as memory, attribute_errors(request.subject), ranks.explained():
            outcome = _outcome(request, split, partial, display, accelerator)
        if main and outcome is not None:
            outcome.costs.setdefault("peak_memory_mb", round(memory.peak_mb, 1))
            found = environment(str(accelerator.device), accelerator.num_processes) | load.measured()
            with ranks.alone():
                tell_scores(display, _store(request, split, outcome, partial, found, findings))
    ranks.at("the end of a run")
    accelerator.wait_for_everyone()
    display.say(f"{request.run.title}: finished, stored in {folder}")
    return folder


def _found(request: Request, folder: Path, display: Display) -> tuple[int | None, bool]:
    """When the run was finished, if it was, and whether it is made again all the same, for what has changed."""
    store.recover(folder)
    _set_aside_corrupt(request, folder, display)
    require_same_steps(request, lambda line: display.say(f"{request.run.title}: {line}"))
    seen = store.stamp(folder)
    if not seen or request.renews(seen):
        refuse_too_large(request)
        return seen, False
    again = _finished(request, folder, display)
    if again:
        display.say(f"{request.run.title}: {again} has changed since, so it is run again")
    return seen, bool(again)


def _set_aside_corrupt(request: Request, folder: Path, display: Display) -> None:
    """A finished run whose files are not what was stored counts as none: it is kept for who wants to look at it."""
    seen = store.stamp(folder)
    if seen is None or request.force:
        return
    try:
        whole(folder / RESULT, str(folder))
    except CorruptError as error:
        aside, reason = store.set_aside(folder, seen), error.what
        display.say(f"{request.run.title}: {reason}; moved to '{aside}', so it is run again")


def _finished(request: Request, folder: Path, display: Display) -> str:
    """What of a finished run is no longer as it was, if it must be run again for that; else says that it is finished.

    BenchError where the folder holds the result of another run.
    """
    found = read(folder / RESULT, str(folder))
    _require_same(request, found)
    changed = found.scheme.source != request.run.scheme.source
    if changed and subjects.is_file(type(request.subject)):
        return "the file that defines it"
    if request.trained_by and outdated(folder, request):
        return MODEL
    display.say(f"{request.run.title}: finished already in {folder} (--force runs it again)")
    if changed:
        display.say(f"{request.subject.name} has changed since: raise its version, or use --force")
    return ""


def _require_same(request: Request, found: Result) -> None:
    unlike = differences(run_of(found).identity, request.run.identity)
    if unlike:
        raise BenchError(
            f"'{found.path}' holds the result of {run_of(found).title}, not of the {request.run.title} "
            f"that was asked for: {'; '.join(unlike)}; --force replaces it, another --results keeps both"
        )


@contextlib.contextmanager
def _building(request: Request, folder: Path, seen: int | None, display: Display, processes: int) -> Iterator[Path]:
    """The partial folder, afresh where what the run was begun with has changed since and is not bench's own. What is
    resumed is computed on as many threads as it was begun with, so that it ends in the same bits.
    """
    code = {**code_of(request.subject), **({MODEL: weights_of(request)} if request.trained_by else {})}
    begun = Begun(request.run.identity, code, request.force, threads.now(), processes=processes)
    before = store.begun_as(folder)
    if before and not request.force and (what := _changed(request, before, begun)):
        display.say(f"{request.run.title}: {what} has changed since it was begun; starting afresh")
        begun = replace(begun, forced=True)
    elif before and before.resumed_by(begun) and before.threads not in (0, begun.threads):
        display.say(f"{request.run.title}: resuming on {before.threads} threads, as it was begun")
        begun = replace(begun, threads=before.threads)
    if before and before.resumed_by(begun) and before.processes not in (0, processes):
        display.say(f"{request.run.title}: {other_number(before.processes, processes, request.contract.dropout)}")

    held: list[Lease] = []

    def holding(lease: Lease) -> None:
        held[:] = [lease]
        display.check = lease.require

    def abandoned(reason: str) -> None:
        for lease in held:
            if reason:
                lease.fails(ranks.PeerError(reason))
            lease.release()

    try:
        with (
            store.building(folder, begun, seen, lambda: display.position, holding, request.asked) as partial,
            threads.using(begun.threads),
            ranks.closing(abandoned),
        ):
            yield partial
    finally:
        display.check, display.position = lambda: None, ""


def _changed(request: Request, before: Begun, now: Begun) -> str:
    """What nothing that was begun with can go on with; empty where there is no such thing."""
    if before.code.get(MODEL) != now.code.get(MODEL):
        return MODEL
    return "the file that defines it" if subjects.is_file(type(request.subject)) and before.differences(now) else ""


def other_number(before: int, now: int, dropout: float) -> str:
    """What a run comes to that is resumed by another number of processes."""
    kept = "the batches stay the same, and the results too up to rounding"
    if dropout:
        kept = "the batches stay the same, but each process draws its own dropout, so the weights will be others"
    return f"resuming with {now} process{'es' if now > 1 else ''} what {before} began: {kept}"


def _outcome(
    request: Request, split: Split, partial: Path, display: Display, accelerator: Accelerator
) -> Outcome | None:
    """What the subject came to; None where another process has the work to itself."""
    subject = request.subject
    if isinstance(subject, IdScheme) and request.trained_by:
        return transferred(request, subject, split, partial, display, accelerator)
    if isinstance(subject, IdScheme):
        return SchemeRun(request, subject, split, partial, display, accelerator).outcome()
    made: list[Outcome] = []

    def alone() -> None:  # nothing of it is sent to the others, but why it failed
        if request.trained_by:
            made.append(transferred_baseline(request, split, partial, display))
        else:
            made.append(baseline_outcome(request, subject, split, partial, display))

    ranks.shared(alone)
    return made[0] if made else None


def _store(
    request: Request,
    split: Split,
    outcome: Outcome,
    partial: Path,
    found: dict[str, Any],
    findings: Mapping[str, Any],
) -> Record:
    """Write the result, and return it. BenchError where a file that the subject read is no longer the one that its
    identity names.
    """
    if digest_of(request.subject.cache_key()) != request.run.scheme.inputs:
        raise BenchError(
            f"a file that {request.subject.name} reads has changed while {request.run.title} ran; run it again"
        )
    table = per_user_table(
        request.dataset, split, outcome.ranks, outcome.item_groups, described(request.dataset, split)
    )
    result = record(request.run, split, outcome, found, request.preset, findings)
    write(partial, result, table)
    return result
