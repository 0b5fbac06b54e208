"""``bench recommend --users``: one file for many users, the same as asking for each of them."""

from __future__ import annotations

import json
import shutil
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


def test_a_data_set_that_has_changed_is_said_to_have(
    bench: Bench, runs: Path, toy_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(toy_folder, tmp_path / "toy")
    words = ("recommend", "pop", "--results", runs, "--users", "all", "--out", tmp_path / "o.csv")
    assert "note:" not in bench(*words, "--data-dir", tmp_path).err
    table = tmp_path / "toy" / "toy.inter"
    table.write_text("\n".join(table.read_text().splitlines()[:50]) + "\n")
    said = bench(*words, "--data-dir", tmp_path)
    assert said.code == 0, said.err
    assert "note: the data set toy is not what the run was made on (its fingerprint is " in said.err
    shutil.rmtree(tmp_path / "toy")
    said = bench(*words, "--data-dir", tmp_path)
    assert (said.code, said.err.count("\n")) == (1, 1)
    assert "--users all needs the data set of the run: unknown data set 'toy'" in said.err


def test_histories_are_in_the_order_that_the_run_read(bench: Bench, quick: list[str], tmp_path: Path) -> None:
    """Under ``ties=id`` what ties in time is in the order of ids, not of a digest of them."""
    lines = [f"u{user}\ti{(user + item) % 30:02d}\t{item // 4}" for user in range(40) for item in range(8)]
    (tmp_path / "day").mkdir()
    head = "user_id:token\titem_id:token\ttimestamp:float"
    (tmp_path / "day" / "day.inter").write_text("\n".join([head, *lines]) + "\n")
    results, out = tmp_path / "results", tmp_path / "o.csv"
    words = ["run", "--baseline", "repeat", *quick[2:], "--dataset", "day", "--data-dir", tmp_path, "--set", "ties=id"]
    said = bench(*words, "--results", results)
    assert said.code == 0, said.err
    said = bench(
        "recommend", "repeat", "--results", results, "--users", "all", "--out", out, "--data-dir", tmp_path, "-k", 8
    )
    assert said.code == 0, said.err
    assert "note:" not in said.err
    found = pd.read_csv(out)
    mine = found[found.user == "u0"].item.tolist()
    assert mine == [f"i{item:02d}" for item in (7, 6, 5, 4, 3, 2, 1, 0)]


def test_users_whose_ids_hold_commas_and_blanks_are_a_list_too(bench: Bench, quick: list[str], tmp_path: Path) -> None:
    people = ["Nash, Graham", "{u}", "a b"]
    lines = [f"{people[user % 3]} {user // 3 or ''}".strip() for user in range(39)]
    (tmp_path / "odd").mkdir()
    rows = [f"{name}\ti{(user + item) % 30:02d}\t{item}" for user, name in enumerate(lines) for item in range(6)]
    head = "user_id:token\titem_id:token\ttimestamp:float"
    (tmp_path / "odd" / "odd.inter").write_text("\n".join([head, *rows]) + "\n")
    results, names, out = tmp_path / "results", tmp_path / "names.txt", tmp_path / "o.csv"
    said = bench(
        "run", "--baseline", "pop", *quick[2:], "--dataset", "odd", "--data-dir", tmp_path, "--results", results
    )
    assert said.code == 0, said.err
    for listed in (["Nash, Graham", "a b 2"], ["{u}"], ["a b", "nobody at all"]):
        names.write_text("\n".join(listed) + "\n")
        words = ("--users", names, "--out", out, "--data-dir", tmp_path, "-k", 1)
        counts = asked(bench, results, "pop", *words)
        known = [name for name in listed if name in lines]
        assert pd.read_csv(out).user.tolist() == known
        assert counts["unknown_users"] == len(listed) - len(known)
    names.write_text("no such, person\nnobody at all\n")
    said = bench("recommend", "pop", "--results", results, *words)
    assert (said.code, said.err.count("\n")) == (1, 1)
    assert "is not read" in said.err


def test_guesses_about_a_file_of_interactions_are_said(bench: Bench, runs: Path, tmp_path: Path) -> None:
    clicks, out = tmp_path / "clicks.csv", tmp_path / "recs.csv"
    clicks.write_text("customer,sku,bought_at\nann,i04,2\nann,i03,1\n")
    said = bench("recommend", "pop", "--results", runs, "--users", clicks, "--out", out)
    assert said.code == 0, said.err
    assert "note: columns: customer as user, sku as item\n" in said.err
    assert "note: there are no time stamps: the order of the file is taken for that" in said.err  # of bought_at
