"""The contract of a check and the scheme or baseline that it is of, the same in every process."""

from __future__ import annotations

from collections.abc import Sequence

from bench.contract import Contract
from bench.errors import BenchError
from bench.evaluation.baseline import Baseline, TrainedBaseline
from bench.ids.scheme import IdScheme
from bench.runs.matrix import Plan, resolve
from bench.runs.possible import EVERYTHING
from bench.runs.subjects import load_baseline

# Forty steps of a small backbone. Under this objective the tree of identifiers does not make the loss zero.
TINY = (
    *("epochs=6", "examples=one", "batch_size=16", "max_history=10", "learning_rate=3e-3", "objective=vocabulary"),
    *("normalize=vocabulary", "validation_users=16", "validate_every=1000"),
)


def planned(scheme: str, dataset: str, seed: int, overrides: Sequence[str]) -> tuple[IdScheme, Contract]:
    """The scheme with its settings, and what it is trained under. BenchError where it is not one scheme."""
    subjects, contract = resolve(Plan([scheme], [], [dataset], [seed], "smoke", [*TINY, *overrides]))[:2]
    if len(subjects) != 1 or not isinstance(subjects[0], IdScheme):
        raise BenchError(f"one identifier scheme is checked at a time; got '{scheme}'")
    return subjects[0], contract


def planned_baseline(
    baseline: str, dataset: str, seed: int, overrides: Sequence[str]
) -> tuple[Baseline | TrainedBaseline, Contract]:
    """The same of a baseline. Of the budget it has what it is bound by."""
    bound = load_baseline(baseline).binds if baseline != EVERYTHING else ()
    tiny = [line for line in TINY if line.partition("=")[0] in bound]
    subjects, contract = resolve(Plan([], [baseline], [dataset], [seed], "smoke", [*tiny, *overrides]))[:2]
    if len(subjects) != 1 or isinstance(subjects[0], IdScheme):
        raise BenchError(f"one baseline is checked at a time; got '{baseline}'")
    if contract.split != "leave-one-out" or contract.ties == "drop-order":
        asked = "ties=drop-order" if contract.ties == "drop-order" else f"split={contract.split}"
        raise BenchError(f"a check splits by leave-one-out, where nothing is tied; {asked} can't be checked; drop it")
    return subjects[0], contract
