"""``bench recommend --users``: one file for many users, the same as asking for each of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

import bench as package
from bench.commands import recommend_users
from bench.data.dataset import Dataset

Bench = Callable[..., SimpleNamespace]


@pytest.fixture(scope="module")
def runs(bench: Bench, quick: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("results")
    said = bench("run", "--id-scheme", "numeric/sequential", "--baseline", "pop", *quick, "--results", results)
    assert said.code == 0, said.err
    return results


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recommend_users, "BATCH", 7)


def asked(bench: Bench, runs: Path, scheme: str, *words: object) -> dict[str, object]:
    said = bench("recommend", scheme, "--results", runs, "--json", *words)
    assert said.code == 0, said.err
    return dict(json.loads(said.out))


@pytest.mark.parametrize("scheme", ["numeric/sequential", "pop"])
def test_all_users_in_batches(
    bench: Bench,
    runs: Path,
    toy: Dataset,
    toy_folder: Path,
    tmp_path: Path,
    scheme: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recommend_users, "BATCH", 7)
    out, data = tmp_path / "recs.parquet", ("--data-dir", toy_folder.parent)
    counts = asked(bench, runs, scheme, "--users", "all", "--out", out, "-k", 3, *data)
    assert {name: counts[name] for name in ("users", "recommendations", "unknown_items")} == {
        "users": 40,
        "recommendations": 120,
        "unknown_items": 0,
    }
    found = pd.read_parquet(out)
    assert list(found.columns) == ["user", "rank", "item", "score"]
    saved = package.load(scheme, results=runs)
    for row, user in enumerate(toy.users):
        mine = found[found.user == user]
        alone = saved.recommend([toy.items.ids[item] for item in toy.sequences[row]], 3)
        assert mine["rank"].tolist() == [1, 2, 3]
        assert mine["item"].tolist() == [one.item for one in alone]
        assert mine["score"].tolist() == pytest.approx([one.score for one in alone], abs=1e-4)


def test_users_of_a_list(bench: Bench, runs: Path, toy_folder: Path, tmp_path: Path) -> None:
    names, out = tmp_path / "users.txt", tmp_path / "recs.csv"
    names.write_text("u05\nnobody\n\nu03\nu05\n")
    words = ("--users", names, "--out", out, "--data-dir", toy_folder.parent)
    counts = asked(bench, runs, "pop", *words, "-k", 2)
    assert (counts["users"], counts["unknown_users"]) == (2, 1)
    assert pd.read_csv(out).user.tolist() == ["u05", "u05", "u03", "u03"]
    names.write_text("nobody\n")
    said = bench("recommend", "pop", "--results", runs, *words)
    assert (said.code, said.err) == (1, f"bench: none of the 1 ids in '{names}' is a user of toy\n")


def test_a_list_that_a_spreadsheet_has_saved_loses_no_user(
    bench: Bench, runs: Path, toy_folder: Path, tmp_path: Path
) -> None:
    names, out = tmp_path / "names.txt", tmp_path / "recs.csv"
    names.write_bytes(b"\xef\xbb\xbfu07\r\nu03\r\n")
    counts = asked(bench, runs, "pop", "--users", names, "--out", out, "--data-dir", toy_folder.parent)
    assert (counts["users"], counts["unknown_users"]) == (2, 0)


def test_interactions_of_a_file_with_items_that_the_run_has_never_seen(
    bench: Bench, runs: Path, tmp_path: Path
) -> None:
    clicks, out = tmp_path / "clicks.csv", tmp_path / "recs.parquet"
    clicks.write_text("user,item,time\nann,i04,2\nann,i03,1\nann,new,3\nbob,new,1\n")
    counts = asked(bench, runs, "numeric", "--users", clicks, "--out", out, "-k", 4)
    assert [counts[name] for name in ("users", "users_skipped", "unknown_items")] == [1, 1, 2]
    alone = package.load("numeric", results=runs).recommend(["i03", "i04"], 4)
    assert pd.read_parquet(out)["item"].tolist() == [one.item for one in alone]
    said = bench("recommend", "numeric", "--results", runs, "--users", clicks, "--out", out)
    assert "skipped 1 users without an item that the run knows; skipped 2 items" in said.err
    clicks.write_text("user,item,time\nbob,new,1\n")
    out.unlink()
    said = bench("recommend", "numeric", "--results", runs, "--users", clicks, "--out", out)
    assert (said.code, out.exists()) == (1, False)
    assert "none of the 1 users in" in said.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "got neither"),
        (["--users", "all"], "got --users"),
        (["--out", "recs.parquet"], "got --out"),
        (["--history", "i03", "--users", "all", "--out", "r.csv"], "got --history, --users, --out"),
        (["--users", "all", "--out", "recs.xlsx"], "recommendations are written as .parquet or .csv; got 'recs.xlsx'"),
        (["--users", "u03", "--out", "recs.csv"], "there is no file and no data set 'u03'; for one user, write the id"),
        (["--users", "./nothing.csv", "--out", "recs.csv"], "nothing.csv"),
    ],
)
def test_a_wrong_request_is_one_line(bench: Bench, runs: Path, words: list[str], said: str) -> None:
    found = bench("recommend", "pop", "--results", runs, *words)
    assert found.code == 1
    assert said in found.err
    assert found.err.count("\n") == 1
