"""Pairs of rows: whom a row is compared with, what comes out, and users that only one of them tested."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bench.evaluation.paired import holm, sign_flip
from bench.evaluation.seed_noise import ASSUMED, NONE
from bench.evaluation.statistics import Floats, resampled_means
from bench.report import sampling
from bench.report.after_run import after_run
from bench.report.comparisons import Pair, compare, references
from bench.report.rows import Row, sections, strict
from bench.report.table import strong
from bench.report.tables import chapters
from bench.results.read import load
from tests.evaluation.intervals import interval

Store = Callable[..., Path]


def rows(root: Path) -> dict[str, Row]:
    return {row.label: row for row in sections(load(root))[0].rows}


def named(found: dict[str, Row]) -> list[tuple[str, str, str]]:
    return [(one.label, other.label, kind) for one, other, kind in references(list(found.values()))]


def test_schemes_meet_the_best_baseline_and_all_rows_the_best(store: Store, tmp_path: Path) -> None:
    for scheme, quality in (("one", 0.6), ("three", 0.4)):
        store(scheme, quality=quality)
    store("pop", kind="baseline", quality=0.2)
    store("random", kind="baseline", quality=0.1)
    assert named(rows(tmp_path)) == [
        ("one", "pop", "best baseline"),
        ("three", "pop", "best baseline"),
        ("three", "one", "best"),
        ("random", "one", "best"),
    ]


def test_only_rows_under_one_contract_meet(store: Store, tmp_path: Path) -> None:
    store("one", quality=0.6)
    store("three", quality=0.4, contract={"beam": 50})
    store("seventh", quality=0.2, contract={"beam": 50})
    assert named(rows(tmp_path)) == [("seventh", "three", "best")]


def test_all_rows_of_as_many_users_share_one_drawing_of_them(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is what costs."""
    drawn: list[int] = []

    def watched(columns: Floats) -> Floats:
        drawn.append(columns.shape[1])
        return resampled_means(columns)

    monkeypatch.setattr(sampling, "resampled_means", watched)
    ran = [store(scheme, quality=quality) for scheme, quality in (("one", 0.6), ("three", 0.4), ("fifth", 0.2))]
    made = rows(tmp_path)
    compare([Pair(made["one"], made["three"]), Pair(made["one"], made["fifth"])], ["ndcg@10"])
    assert drawn == [3]
    after_run(tmp_path, ran)
    assert drawn == [3, 3]


def test_one_row_has_nobody_to_meet(store: Store, tmp_path: Path) -> None:
    store("one", quality=0.6)
    assert named(rows(tmp_path)) == []
    assert "comparisons" not in [table.name for table in chapters(load(tmp_path))[0].tables]


def test_a_comparison_of_what_is_not_trained_is_that_of_the_users(store: Store, tmp_path: Path) -> None:
    store("one", quality=0.5, training=None)
    store("three", quality=0.4, training=None)
    found = rows(tmp_path)
    (made,) = compare([Pair(found["one"], found["three"])], ["ndcg@10", "hit@10"])
    one, other = (found[name].first.values("hit@10") for name in ("one", "three"))
    hit = made["hit@10"]
    assert hit.difference == pytest.approx(np.mean(one) - np.mean(other))
    assert (hit.won, hit.lost, hit.tied) == (sum(one > other), sum(one < other), sum(one == other))
    assert hit.interval == pytest.approx(interval(one - other), abs=1e-9)
    assert hit.noise == 0
    assert hit.relative == pytest.approx(np.mean(one) / np.mean(other) - 1)
    assert hit.effect == pytest.approx(np.mean(one - other) / np.std(one - other, ddof=1))
    p = [sign_flip((found["one"].first.values(name) - found["three"].first.values(name))[:, None])[0] for name in made]
    assert [line.p for line in made.values()] == pytest.approx(p)
    assert [line.corrected for line in made.values()] == pytest.approx(holm(np.array(p)))


def test_seeds_are_averaged_for_each_user(store: Store, tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        store("one", seed=seed, quality=0.5, training=None)
    store("three", quality=0.4, training=None)
    found = rows(tmp_path)
    (made,) = compare([Pair(found["one"], found["three"])], ["ndcg@10"])
    mean = np.mean([run.values("ndcg@10") for run in found["one"].runs], axis=0)
    difference = np.round(mean - found["three"].first.values("ndcg@10"), 12)
    assert made["ndcg@10"].p == sign_flip(difference[:, None])[0]
    assert made["ndcg@10"].won == (difference > 0).sum()
    assert made["ndcg@10"].interval == pytest.approx(interval(difference), abs=1e-9)


def test_the_noise_of_training_is_in_interval_and_p(store: Store, tmp_path: Path) -> None:
    """Three seeds and one, which borrows: both parts of the variance worked out by hand."""
    for seed in (0, 1, 2):
        store("one", seed=seed, quality=0.5)
    store("three", quality=0.4)
    store("pop", kind="baseline", quality=0.1)
    found = rows(tmp_path)
    made, floor = compare([Pair(found["one"], found[name]) for name in ("three", "pop")], ["ndcg@10"])
    scores = [run.metrics["strict"]["ndcg@10"] for run in found["one"].runs]
    other, sd = found["three"].metric("ndcg@10")[0], np.std(scores, ddof=1)
    variance = sd**2 / 3 + (other * sd / np.mean(scores)) ** 2
    mean = np.mean([run.values("ndcg@10") for run in found["one"].runs], axis=0)
    difference = np.round(mean - found["three"].first.values("ndcg@10"), 12)
    reach = stats.t.ppf(0.975, 2) * np.sqrt(variance)
    low, high = interval(difference)
    line = made["ndcg@10"]
    assert line.noise == pytest.approx(reach)
    middle = difference.mean()
    expected = (middle - np.hypot(middle - low, reach), middle + np.hypot(high - middle, reach))
    assert line.interval == pytest.approx(expected, abs=1e-9)
    assert line.p > sign_flip(difference[:, None])[0]
    assert floor["ndcg@10"].noise == pytest.approx(stats.t.ppf(0.975, 2) * sd / np.sqrt(3))  # pop trains nothing


def test_one_seed_borrows_of_its_own_contract_alone(store: Store, tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        store("one", seed=seed, quality=0.5, contract={"beam": 50})
    store("three", quality=0.4)
    store("seven", quality=0.4)
    found = rows(tmp_path)
    assert found["three"].noise(strict("ndcg@10")) == ASSUMED
    store("three", seed=1, quality=0.4)
    again = rows(tmp_path)
    scores = [run.metrics["strict"]["ndcg@10"] for run in again["three"].runs]
    assert again["seven"].noise(strict("ndcg@10")).relative == pytest.approx(np.std(scores, ddof=1) / np.mean(scores))
    assert again["seven"].noise(strict("ndcg@10")).degrees == pytest.approx(1)


def test_what_trains_nothing_has_no_noise_and_lends_none(store: Store, tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        store("random", kind="baseline", seed=seed, quality=0.2)
        costs = {"id_construction_seconds": 1.0, "training_seconds": 1.0, "inference_seconds_per_1000_users": 1.0}
        costs |= {"peak_memory_mb": None, "parameters": None}
        store("counts", kind="baseline", seed=seed, quality=0.3, training={"epochs": 1}, costs=costs)
    store("one", quality=0.5)
    found = rows(tmp_path)
    assert [found[name].noise(strict("ndcg@10")) for name in ("random", "counts", "one")] == [NONE, NONE, ASSUMED]


def test_what_leaks_lends_no_noise_to_honest_rows(store: Store, tmp_path: Path) -> None:
    """Its scores are many times as high and differ by little: in a pool weighted by scores they would be all."""
    for seed in (0, 1, 2):
        store("one", seed=seed, quality=0.1)
    store("three", quality=0.1)
    before = rows(tmp_path)["three"].noise(strict("ndcg@10"))
    for seed in (0, 1, 2):
        store("max-leak", seed=seed, quality=0.99, leaks=True)
    after = rows(tmp_path)
    assert after["three"].noise(strict("ndcg@10")) == before
    scores = [run.metrics["strict"]["ndcg@10"] for run in after["max-leak"].runs]
    assert after["max-leak"].noise(strict("ndcg@10")).relative >= np.std(scores, ddof=1) / np.mean(scores)


def test_rows_that_agree_differ_by_nothing(store: Store, tmp_path: Path) -> None:
    store("one", quality=0.5)
    store("two", quality=0.5)
    found = rows(tmp_path)
    (made,) = compare([Pair(found["one"], found["two"])], ["ndcg@10"])
    line = made["ndcg@10"]
    assert (line.difference, line.interval, line.effect, line.p, line.corrected) == (0, None, None, 1, 1)
    assert (line.won, line.lost, line.tied) == (0, 0, 400)


def test_only_users_in_common_count_and_the_table_says_so(
    store: Store, sealed: Callable[[Path], None], tmp_path: Path
) -> None:
    store("one", quality=0.5, training=None)
    path = store("three", quality=0.4, training=None) / "per_user.parquet"
    frame = pd.read_parquet(path)
    frame.loc[:99, "user"] = "other" + frame["user"][:100]
    frame.loc[100:149, "target"] = "something else"
    frame.to_parquet(path)
    sealed(path.parent)
    found = rows(tmp_path)
    pair = Pair(found["one"], found["three"])
    assert (pair.users, pair.complete) == (250, False)
    (made,) = compare([pair], ["ndcg@10"])
    kept = set(frame["user"][150:])
    values = [
        run.values("ndcg@10")[[user in kept for user in run.table.users]]
        for run in (found["one"].first, found["three"].first)
    ]
    assert made["ndcg@10"].difference == pytest.approx(values[0].mean() - values[1].mean())
    assert made["ndcg@10"].interval == pytest.approx(interval(values[0] - values[1]), abs=1e-9)
    (table,) = [table for table in chapters(load(tmp_path))[0].tables if table.name == "comparisons"]
    assert any("three and one: 250" in note.text for note in table.notes)


def test_rows_without_a_common_user_are_left_out_and_named(
    store: Store, sealed: Callable[[Path], None], tmp_path: Path
) -> None:
    store("one", quality=0.5)
    store("three", quality=0.3)
    path = store("seventh", quality=0.4) / "per_user.parquet"
    pd.read_parquet(path).assign(user=lambda frame: "x" + frame["user"]).to_parquet(path)
    sealed(path.parent)
    (table,) = [table for table in chapters(load(tmp_path))[0].tables if table.name == "comparisons"]
    assert [cell.text for cell in table.head.cells] == ["three against one"]
    assert any(note.text == strong("no user in common") + ": seventh and one" for note in table.notes)


def test_a_difference_is_the_same_whoever_else_is_in_the_report(store: Store, tmp_path: Path) -> None:
    store("one", quality=0.5)
    store("three", quality=0.4)
    before = rows(tmp_path)
    (first,) = compare([Pair(before["one"], before["three"])], ["ndcg@10"])
    store("seventh", quality=0.3)
    after = rows(tmp_path)
    pairs = [Pair(after["one"], after["seventh"]), Pair(after["one"], after["three"])]
    again = compare(pairs, ["ndcg@10"])[1]
    assert again["ndcg@10"].p == first["ndcg@10"].p
    assert again["ndcg@10"].interval == pytest.approx(first["ndcg@10"].interval, abs=1e-12)
