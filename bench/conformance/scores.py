"""Requirements on what a baseline scores, and about the processes in which it does."""

from __future__ import annotations

from numbers import Real

import numpy as np
from numpy.typing import NDArray

from bench.conformance.baseline_fixtures import BaselineFixtures
from bench.conformance.process import STOP_AFTER
from bench.conformance.result import CheckResult, failed, passed, skipped
from bench.conformance.scoring import (
    ADAPT,
    CLOSE,
    FACTS,
    FEW,
    FIT,
    ODD,
    ONE_BY_ONE,
    RESTORE,
    RESTORED,
    SAVE,
    SCORE,
    TRANSFER,
    WHOLE,
    Scored,
)
from bench.errors import said
from bench.ids.limits import CatalogueSize, Needs
from bench.runs.attribution import location

SIZES = (1, 1_000_000)  # items of a catalogue
NEAR = 1e-4  # of the size of a score: what a sum may differ by that is made of more rows at once
BLIND = "use nothing but what fit is given: no files, no bench.data, nothing from memory"


def fits(fixtures: BaselineFixtures) -> CheckResult:
    """``fit`` ends well."""
    users = f"{len(fixtures.data.users):,} users and {len(fixtures.data.items):,} items"
    return _failure(fixtures.first, FIT) or passed(f"fitted on {users}")


def scores(fixtures: BaselineFixtures) -> CheckResult:
    """``score`` gives every item of the catalogue a finite number, also for histories that training has none of."""
    first, items = fixtures.first, len(fixtures.data.items)
    if broken := _failure(first, SCORE):
        odd = next((name for name in ODD if WHOLE in first.scores and name not in first.scores), "")
        return failed(broken.found + (f", for {odd} (user -1: unknown)" if odd else ""), broken.remedy, broken.item)
    for name, found in first.scores.items():
        if name != ADAPT and len(bad := np.argwhere(~np.isfinite(found))):
            row, column = bad[0].tolist()
            advice = "return a finite number for every item; one that is never to be recommended gets the lowest"
            of = f", for {name}" if name in ODD else ""
            return failed(f"a score is {found[row, column]}{of}", advice, fixtures.item(column))
    size = f"{len(first.scores[WHOLE]):,} histories by {items:,} items"
    return passed(f"{size}, all finite; also for {' and '.join(ODD)}")


def independent(fixtures: BaselineFixtures) -> CheckResult:
    """A row of scores depends on its own history, and not on those beside it."""
    whole, alone = fixtures.first.scores[WHOLE], fixtures.first.scores[ONE_BY_ONE]
    if different := _differing(fixtures, whole[: len(alone)], alone):
        advice = "make each row of its own history: batches are of any size, and `bench recommend` has one row"
        return failed("a history that is scored alone has other scores than among others", advice, different)
    return passed(f"{len(alone)} histories have the same scores alone as among {len(whole):,}")


def deterministic(fixtures: BaselineFixtures) -> CheckResult:
    """Two processes make the same scores of the same data."""
    first, second = fixtures.first, fixtures.second
    advice = "draw from train.random() alone; no hash(), no order of sets, no clock, no unseeded library"
    if error := _only_there(fixtures, second):
        return failed(f"a second process failed where the first did not: {error}", advice)
    one, other = first.scores[WHOLE], second.scores[WHOLE]
    if np.array_equal(one, other):
        return passed("two processes, with Python's hashes seeded differently, made the same scores")
    return failed("two processes made different scores", advice, _differing(fixtures, one, other, 0.0))


def blind(fixtures: BaselineFixtures) -> CheckResult:
    """What is held out has no effect, and is not looked at."""
    if fixtures.baseline.leaks:
        return skipped("the baseline declares leaks = True: it is shown validation and test, and its results say so")
    first, what = fixtures.first, "test" if fixtures.trains else "validation and test"
    if first.report.opened:
        return failed(f"it opened {first.report.opened[0]}, where validation and test stand", BLIND)
    if deterministic(fixtures).state == "failed":
        return skipped("the scores differ from process to process, so nothing can be told from their changing")
    other = fixtures.moved
    if error := _only_there(fixtures, other):
        return failed(f"with other held-out items it failed: {error}", BLIND)
    one, two = first.scores[WHOLE], other.scores[WHOLE]
    if np.array_equal(one, two):
        return passed(f"with other {what} items the scores are the same")
    return failed(f"with other {what} items the scores are others", BLIND, _differing(fixtures, one, two, 0.0))


def restores(fixtures: BaselineFixtures) -> CheckResult:
    """What it has saved scores as it did."""
    if not fixtures.baseline.saves_state:
        return skipped("it keeps nothing of its runs (saves_state = False), so `bench recommend` cannot use them")
    if (
        broken := _failure(fixtures.first, SAVE)
        or _failure(fixtures.restored, FIT)
        or _failure(fixtures.restored, RESTORE)
    ):
        return broken
    one, other = fixtures.first.scores[WHOLE], fixtures.restored.scores[RESTORED]
    if different := _differing(fixtures, one, other):
        advice = "let save_state write all that score reads, and restore read it back"
        return failed("read back in another process, it has other scores", advice, different)
    return passed("read back in another process, it has the same scores")


def transfers(fixtures: BaselineFixtures) -> CheckResult:
    """It scores a catalogue that it was not fitted on, or says why not."""
    if not fixtures.baseline.supports_transfer:
        return skipped(f"no test on unseen data: it {fixtures.baseline.no_transfer_reason}")
    if not fixtures.baseline.saves_state:
        advice = "declare saves_state = True, and write there what transfer reads"
        return failed("it declares supports_transfer, and keeps nothing that could be transferred", advice)
    if broken := _failure(fixtures.restored, TRANSFER):
        return broken
    found = fixtures.restored.scores[TRANSFER]
    if not np.isfinite(found).all():
        return failed(
            "a score of an item of an unseen catalogue is not finite", "return a finite number for every item"
        )
    return passed(f"it scores the {found.shape[1]:,} items of a catalogue that it has not seen")


def adapts(fixtures: BaselineFixtures) -> CheckResult:
    """It learns from a few users of an unseen catalogue, where all others have no interactions."""
    if not fixtures.baseline.adapts or fixtures.baseline.leaks:
        return skipped("it does not go on learning from a few users of an unseen catalogue")
    if fixtures.trains and transfers(fixtures).state != "passed":
        return skipped("it has to be transferred first, and 'transfers' did not pass")
    scored, method = (fixtures.restored, "adapt") if fixtures.trains else (fixtures.first, "fit")
    if ADAPT in scored.report.errors:
        error, origin = scored.report.errors[ADAPT]
        advice = f"let {method} take a view in which most users have no interactions"
        return failed(f"on {FEW} users of an unseen catalogue it failed: {error}", advice, origin)
    if fixtures.trains and scored.report.opened:
        return failed(f"it opened {scored.report.opened[0]}, where validation and test stand", BLIND)
    if len(bad := np.argwhere(~np.isfinite(scored.scores[ADAPT]))):
        advice = "return a finite number for every item, also for those that nobody has"
        found = f"learned from {FEW} users, a score is {scored.scores[ADAPT][tuple(bad[0])]}"
        return failed(found, advice, fixtures.item(int(bad[0][1])))
    return passed(f"learned from {FEW} users of an unseen catalogue, all scores are finite")


def declares(fixtures: BaselineFixtures) -> CheckResult:
    """``cache_key`` is one text for the same files, and ``needs`` are amounts of memory and time."""
    made = type(fixtures.baseline)
    try:
        keys = [made(fixtures.baseline.settings).cache_key() for _ in range(2)]
        found = [made(fixtures.baseline.settings).needs(CatalogueSize(items, 10, 100)) for items in SIZES]
    except Exception as error:  # whatever a stranger's baseline raises
        return failed(f"cache_key or needs failed: {said(error)}", "fix it", location(error, made))
    if not all(isinstance(key, str) for key in keys) or keys[0] != keys[1]:
        advice = "return a text, the same for the same files: results are found again by it"
        return failed(f"cache_key returned {keys[0]!r:.40} and then {keys[1]!r:.40}", advice)
    for size, needs in zip(SIZES, found, strict=True):
        if needs is not None and not (isinstance(needs, Needs) and _are_amounts(needs.memory, needs.seconds)):
            advice = "return bench.ids.limits.Needs(memory=bytes, seconds=...), or None"
            return failed(f"needs of {size:,} items are {needs!r:.80}", advice)
    told = "says what it needs" if found[0] is not None else "does not say what it needs, so nothing is refused"
    return passed(f"it {told}; cache_key is the same text twice")


def _are_amounts(*values: object) -> bool:
    return all(isinstance(value, Real) and 0 <= float(value) < np.inf for value in values)


def resumable(fixtures: BaselineFixtures) -> CheckResult:
    """A training that was killed and is started again ends where one ends that was never stopped."""
    if not fixtures.trains:
        return skipped("it is fitted at once")
    if not fixtures.reports:
        return skipped("it tells no progress, so nothing says where to stop it")
    stopped = fixtures.stopped
    advice = "keep in context.folder all that a training needs to go on, and draw from train.random() alone"
    if broken := _failure(stopped, FIT) or _failure(stopped, SCORE):
        return failed(f"stopped and started again, {broken.found}", advice, broken.item)
    one, other = fixtures.first.scores[WHOLE], stopped.scores[WHOLE]
    if different := _differing(fixtures, one, other, 0.0):
        return failed("stopped and started again, it has other scores", advice, different)
    return passed(f"stopped after {STOP_AFTER:.0%} of the way and started again, it ends with the same scores")


def facts(fixtures: BaselineFixtures) -> CheckResult:
    """A trained baseline says what it has cost, and can then be closed."""
    if not fixtures.trains:
        return skipped("it is fitted at once, and timed from outside")
    return _failure(fixtures.first, FACTS) or _failure(fixtures.first, CLOSE) or passed("it says what it has cost")


def _failure(scored: Scored, method: str) -> CheckResult | None:
    """That a method raised, and where."""
    if method not in scored.report.errors:
        return None
    error, origin = scored.report.errors[method]
    return failed(f"{method} failed: {error}", f"fix {method}", origin)


def _only_there(fixtures: BaselineFixtures, other: Scored) -> str:
    """What a method failed with in another process that has not failed in the first; empty where there is none."""
    known = fixtures.first.report.errors
    return next((error for method, (error, _) in other.report.errors.items() if method not in known), "")


def _differing(
    fixtures: BaselineFixtures, one: NDArray[np.float32], other: NDArray[np.float32], close: float = NEAR
) -> str:
    """The first item whose scores differ, and both; empty where there is none."""
    apart = np.argwhere(~(np.abs(one.astype(float) - other) <= close * _sizes(one)))
    if not len(apart):
        return ""
    row, column = apart[0].tolist()
    return f"{fixtures.item(column)}: {one[row, column]:g} and {other[row, column]:g}"


def _sizes(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """What each score is measured by: itself, or the largest of its row where that is more. The lowest of a row
    measures no other, for it may stand for never.
    """
    sizes: NDArray[np.float64] = np.abs(scores.astype(float))
    others = np.where(scores > scores.min(axis=1, keepdims=True), sizes, 0.0)
    most: NDArray[np.float64] = np.maximum(sizes, others.max(axis=1, keepdims=True))
    return most
