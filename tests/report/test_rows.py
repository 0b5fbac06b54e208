"""Cells become rows: what is averaged, what is kept apart, what a row is called."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bench.errors import BenchError
from bench.report.find import find
from bench.report.rows import sections
from bench.results.read import load
from tests.evaluation.intervals import interval

Store = Callable[..., Path]


def labels(root: Path) -> list[str]:
    return [row.label for section in sections(load(root)) for row in section.rows]


def test_schemes_come_before_baselines_and_the_best_first(store: Store, tmp_path: Path) -> None:
    store("random", kind="baseline", quality=0.01)
    store("pop", kind="baseline", quality=0.9)
    store("numeric/random", quality=0.1)
    store("textual/title", quality=0.5)
    assert labels(tmp_path) == ["textual/title", "numeric/random", "pop", "random"]


def test_the_last_bit_of_a_mean_decides_no_order(store: Store, tmp_path: Path) -> None:
    for name, value in (("textual/title", 0.1 + 0.2), ("numeric/random", 0.3)):
        path = store(name, quality=0.1) / "result.json"
        stored = json.loads(path.read_text())
        stored["metrics"]["strict"]["ndcg@10"] = value
        path.write_text(json.dumps(stored))
    assert labels(tmp_path) == ["numeric/random", "textual/title"]  # by name


def test_seeds_are_one_row_and_average(store: Store, tmp_path: Path) -> None:
    for seed in (2, 0, 1):
        store("textual/title", seed=seed, quality=0.3)
    (row,) = sections(load(tmp_path))[0].rows
    single = [run.metrics["strict"]["ndcg@10"] for run in row.runs]
    found = row.estimate("ndcg@10")
    assert row.seeds == [0, 1, 2]
    assert found.value == pytest.approx(np.mean(single))
    assert found.sd == pytest.approx(np.std(single, ddof=1))
    low, high = interval(np.mean([run.values("ndcg@10") for run in row.runs], axis=0))
    assert found.of_users == pytest.approx((low, high))
    reach = stats.t.ppf(0.975, 2) * np.std(single, ddof=1) / np.sqrt(3)
    wide = (found.value - np.hypot(found.value - low, reach), found.value + np.hypot(high - found.value, reach))
    assert found.interval == pytest.approx(wide)


def test_seeds_are_matched_by_user_not_by_line(store: Store, sealed: Callable[[Path], None], tmp_path: Path) -> None:
    for seed in (0, 1):
        store("textual/title", seed=seed, quality=0.5)
    before = sections(load(tmp_path))[0].rows[0].estimate("ndcg@10").interval
    path = next(tmp_path.rglob("1/per_user.parquet"))
    pd.read_parquet(path).sample(frac=1, random_state=0).to_parquet(path)
    sealed(path.parent)
    assert sections(load(tmp_path))[0].rows[0].estimate("ndcg@10").interval == pytest.approx(before, abs=1e-12)


@pytest.mark.parametrize(("column", "what"), [("user", "users"), ("target", "targets")])
def test_seeds_that_tested_different_users_or_items_are_an_error(
    store: Store, sealed: Callable[[Path], None], tmp_path: Path, column: str, what: str
) -> None:
    store("textual/title", seed=0)
    path = store("textual/title", seed=1) / "per_user.parquet"
    pd.read_parquet(path).assign(**{column: lambda frame: "x" + frame[column]}).to_parquet(path)
    sealed(path.parent)
    with pytest.raises(BenchError, match=f"seeds 0 and 1 of 'textual/title' on 'toys' tested different {what}"):
        sections(load(tmp_path))[0].rows[0].estimate("ndcg@10")


def test_nothing_but_seeds_is_averaged(store: Store, tmp_path: Path) -> None:
    store("textual/title", settings={"max_words": 5, "field": "title"})
    store("textual/title", settings={"max_words": 7, "field": "title"}, quality=0.2)
    store("numeric/random", version=1)
    store("numeric/random", version=2, quality=0.05)
    store("textual/plain", contract={"epochs": 3})
    store("textual/plain", contract={"epochs": 4})
    assert sorted(labels(tmp_path)) == [
        "numeric/random@1",
        "numeric/random@2",
        "textual/plain",
        "textual/plain",
        "textual/title (max_words=5)",
        "textual/title (max_words=7)",
    ]


def test_data_of_one_name_but_other_content_stay_apart(store: Store, tmp_path: Path) -> None:
    store("textual/title", fingerprint="a" * 16)
    store("textual/title", fingerprint="b" * 16)
    assert [section.title for section in sections(load(tmp_path))] == [
        f"toys (data {'a' * 16})",
        f"toys (data {'b' * 16})",
    ]


def test_data_of_one_name_are_called_by_what_differs(store: Store, tmp_path: Path) -> None:
    store("textual/title", fingerprint="a" * 16, contract={"split": "leave-one-out", "ties": "auto"})
    store("textual/title", fingerprint="b" * 16, contract={"split": "global-temporal", "ties": "auto"})
    store("textual/title", fingerprint="c" * 16, contract={"split": "leave-one-out", "ties": "id"})
    store("textual/title", dataset="beauty", users=300)
    store("textual/title", dataset="beauty", users=400, fingerprint="d" * 16)
    assert {section.title for section in sections(load(tmp_path))} == {
        "beauty (300 users)",
        "beauty (400 users)",
        "toys (leave-one-out, ties=auto)",
        "toys (global-temporal, ties=auto)",
        "toys (leave-one-out, ties=id)",
    }


def test_of_a_run_and_its_copy_one_counts_and_the_other_is_named(
    store: Store, sealed: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = store("textual/title")
    copy = shutil.copytree(folder, folder.parent / "copy")
    broken: dict[str, BenchError] = {}
    (found,) = load(tmp_path, broken)
    (path,) = broken
    assert {found.path, path} == {(folder.parent / name).relative_to(tmp_path).as_posix() for name in ("copy", folder)}
    said = capsys.readouterr().err
    assert "is the same run as" in said
    assert "', with the same ranks of users; remove one" in said
    assert len(sections([found])[0].rows) == 1
    with pytest.raises(BenchError, match=r"is stored twice, in .*, with the same ranks of users; remove one"):
        find(tmp_path, str(folder.parent), None, None)
    table = copy / "per_user.parquet"
    frame = pd.read_parquet(table)
    frame["user"] = frame["user"].to_numpy()[::-1]  # the same means
    frame.to_parquet(table)
    sealed(copy)
    load(tmp_path)
    assert "', with other ranks of users; remove one" in capsys.readouterr().err
    table.write_bytes(table.read_bytes()[:-20] + bytes(20))
    load(tmp_path, quiet=True)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("users", "quality"), [(50, 0.0), (1, 1.0)])
def test_users_that_agree_have_no_interval(store: Store, tmp_path: Path, users: int, quality: float) -> None:
    store("textual/title", users=users, quality=quality)
    found = sections(load(tmp_path))[0].rows[0].estimate("hit@20")
    assert (found.value, found.interval, found.sd) == (quality, None, None)
