"""Reports of simulated trainings: what differs by its seed alone is hardly ever told apart, what differs by much is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bench.evaluation.metrics import Ranks, summaries
from bench.evaluation.paired import sign_flip
from bench.protocol import PROTOCOL
from bench.report import significance
from bench.report.comparisons import every, family
from bench.report.quality import HEADLINES
from bench.report.rows import Row, sections
from bench.results.read import Result
from bench.results.schema import Costs, DatasetFacts, SchemeFacts
from bench.results.table import UserTable

USERS = 300


def training(name: str, seed: int, hits: np.ndarray, random: np.random.Generator) -> Result:
    """One trained model that finds user u among the first ten with probability ``hits[u]``."""
    found = random.random(len(hits)) < hits
    ranks = Ranks.of_items(np.where(found, random.integers(1, 11, len(hits)), np.inf))
    result = Result(
        folder=Path(name),
        path=f"runs/{name}/{seed}",
        bench="0",
        dataset=DatasetFacts("toys", "0", len(hits), 100, 1000),
        scheme=SchemeFacts(name, 1, {}, "scheme"),
        contract={"protocol": PROTOCOL, "split": "leave-one-out"},
        contract_id="0",
        preset=None,
        seed=seed,
        split={},
        metrics=summaries(ranks, complete=True),
        identifiers=None,
        costs=Costs(1000.0, 0.0, 1.0, 1.0, None),
        training={"steps": 10},
        environment={},
        created="",
        files={},
    )
    users, nothing = np.arange(len(hits)).astype(str).astype(object), np.zeros(len(hits), np.int64)
    result.__dict__["table"] = UserTable(users, users, ranks, nothing, nothing, {})  # what the file would hold
    return result


def report(
    seeds: Sequence[int], noise: Sequence[float], better: float, random: np.random.Generator, users: int = USERS
) -> tuple[Row, ...]:
    """Rows ``a``, ``b``, … with so many seeds each and so much noise of training; ``a`` is better by a factor."""
    easy, results = random.beta(0.8, 2.4, users), []
    for at, (count, deviation) in enumerate(zip(seeds, noise, strict=True)):
        for seed in range(count):
            factor = (better if at == 0 else 1.0) * (1 + deviation * random.normal())
            results.append(training("abcdefgh"[at], seed, np.clip(easy * factor, 0, 1), random))
    return sections(results)[0].rows


def anything(rows: tuple[Row, ...]) -> bool:
    """Whether a report says of any two rows that they differ, by a p or by a mark."""
    found = family(every(rows), HEADLINES)
    marks = {highlight for name in HEADLINES for highlight in significance.highlights(rows, found, name)}
    assert (marks - {""} != set()) <= bool((found.corrected < 0.05).any())
    return bool((found.corrected < 0.05).any())


def told_apart(seeds: Sequence[int], noise: Sequence[float], reports: int, users: int = USERS) -> float:
    """The part of reports of equally good schemes that tell any two apart."""
    drawn = (report(seeds, noise, 1.0, np.random.default_rng([7, at]), users) for at in range(reports))
    return float(np.mean([anything(rows) for rows in drawn]))


def found_better(seeds: Sequence[int], noise: Sequence[float], better: float, reports: int, users: int) -> float:
    """The part of reports that call ``a`` the best and all others worse."""
    found = 0
    for at in range(reports):
        rows = report(seeds, noise, better, np.random.default_rng([8, at]), users)
        tested = family(every(rows), HEADLINES)
        best, *others = sorted(rows, key=lambda row: row.label)
        found += all(tested.better(best, other, "ndcg@10") for other in others)
    return found / reports


@pytest.mark.parametrize(
    ("seeds", "noise"),
    [
        ([1, 1, 1, 1], [0.07] * 4),  # nobody has a second seed: what is assumed
        ([3, 3, 1, 1], [0.3] * 4),  # two borrow
        ([2, 2, 2, 2], [0.3] * 4),
        ([3, 3, 3, 3], [0.3] * 4),
        ([5, 5, 5, 5], [0.3] * 4),
        ([5, 5, 5, 5], [0.0] * 4),
        ([2, 2, 2, 2], [0.3, 0.05, 0.05, 0.05]),  # one is less steady than the others
    ],
)
def test_another_seed_is_told_apart_in_few_reports(seeds: list[int], noise: list[float]) -> None:
    assert told_apart(seeds, noise, 100) <= 0.05


@pytest.mark.parametrize(
    ("seeds", "better"), [([1, 1, 1], 1.6), ([3, 3, 1], 2.0), ([2, 2, 2], 2.0), ([3, 3, 3], 1.6), ([5, 5, 5], 1.4)]
)
def test_what_differs_by_much_is_told_apart(seeds: list[int], better: float) -> None:
    assert found_better(seeds, [0.04] * 3, better, reports=10, users=3000) >= 0.8


def test_users_alone_would_call_another_seed_a_finding() -> None:
    """Why all this is done: the same reports, by the test over users as it is."""
    found = 0
    for at in range(40):
        rows = report([1, 1], [0.3, 0.3], 1.0, np.random.default_rng([9, at]), 2000)
        one, other = (row.first.values("ndcg@10") for row in rows)
        found += bool(sign_flip((one - other)[:, None], 999)[0] < 0.05)
    assert found > 20
