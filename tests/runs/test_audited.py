"""Runs say what their data can and cannot measure, keep it with the result, and order ties as the contract says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import get_args, get_type_hints

import numpy as np
import pandas as pd
import pytest

from bench.contract import Contract
from bench.data import sources, splitting
from bench.data.audit.findings import audit
from bench.data.dataset import Dataset
from bench.data.ties import Rule, arranged
from bench.errors import BenchError
from bench.runs.audited import audited
from bench.runs.progress import Display

Bench = Callable[..., SimpleNamespace]
RunFolders = Callable[[Path], list[Path]]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 users, four items on each of four days, in a file that is sorted by item."""
    random = np.random.default_rng(1)
    taken = [
        (user, day, item) for user in range(30) for day in range(4) for item in random.choice(40, 4, replace=False)
    ]
    folder = tmp_path_factory.mktemp("data") / "shop"
    folder.mkdir()
    rows = [f"u{user:02d}\ti{item:02d}\t{day + user}" for user, day, item in sorted(taken, key=lambda row: row[2])]
    (folder / "shop.inter").write_text("\n".join(["user_id:token\titem_id:token\ttimestamp:float", *rows]) + "\n")
    return folder


def run(bench: Bench, folder: Path, results: Path, *words: str) -> SimpleNamespace:
    return bench("run", "--baseline", "markov", "--dataset", folder, "--preset", "smoke", "--results", results, *words)


def result(run_folder: Path) -> dict[str, object]:
    return json.loads((run_folder / "result.json").read_text())  # type: ignore[no-any-return]


def test_every_result_holds_the_audit_of_its_data(
    bench: Bench, shop: Path, run_folders: RunFolders, tmp_path: Path
) -> None:
    said = run(bench, shop, tmp_path)
    assert said.code == 0, said.err
    assert "shop: 100 % of the interactions have the same time stamp as a neighbor" in said.err
    assert said.err.count("auditing the data") == 1
    (run_folder,) = run_folders(tmp_path)
    assert result(run_folder)["audit"] == audit(sources.find(str(shop))).plain()
    assert result(run_folder)["scheme"]["probe"] is True  # type: ignore[index]
    again = run(bench, shop, tmp_path, "--force")
    assert "auditing" not in again.err
    report = bench("report", "--results", tmp_path, "--html", tmp_path / "page.html")
    assert report.code == 0, report.err
    for text in ((tmp_path / "report.md").read_text(), (tmp_path / "page.html").read_text()):
        assert "nothing sequential can be learned or measured" in text
        assert text.count("100 % tied in time") == 1  # once for its tables


def test_an_audit_is_made_once_for_each_content(
    dated: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    display = Display(False)
    first = audited(dated, tmp_path, display)
    (kept,) = (tmp_path / "cache" / "audit").iterdir()
    kept.write_text(json.dumps(first | {"conclusion": "kept"}))
    assert audited(dated, tmp_path, display)["conclusion"] == "kept"
    for broken in ("", "[]", "{}", "nonsense"):
        kept.write_text(broken)
        assert audited(dated, tmp_path, display) == first
    audited(arranged(dated, "id"), tmp_path, display)
    assert len(list((tmp_path / "cache" / "audit").iterdir())) == 2


def test_the_contract_knows_the_rules_of_ties() -> None:
    assert get_args(get_type_hints(Contract)["ties"]) == get_args(Rule)
    assert Contract().lines["ties"] == "auto"
    assert Contract(ties="id").id != Contract().id
    with pytest.raises(BenchError, match="'ties' must be another than drop-order under split=global-temporal"):
        Contract(ties="drop-order", split="global-temporal")


def test_a_rule_that_changes_nothing_is_not_another_contract(shop: Path) -> None:
    dataset = sources.find(str(shop))
    assert splitting.ordered(dataset, Contract(ties="digest")) == (dataset, Contract())
    found, held = splitting.ordered(dataset, Contract(ties="id"))
    assert held.ties == "id"
    assert found.fingerprint == arranged(dataset, "id").fingerprint
    assert splitting.ordered(dataset, Contract(ties="drop-order"))[1].ties == "drop-order"


def test_ties_are_ordered_by_the_contract(bench: Bench, shop: Path, run_folders: RunFolders, tmp_path: Path) -> None:
    for rule in ("digest", "id", "file", "drop-order"):
        said = run(bench, shop, tmp_path, "--set", f"ties={rule}")
        assert said.code == 0, said.err
    found = {result(run_folder)["contract"].get("ties", "auto"): run_folder for run_folder in run_folders(tmp_path)}  # type: ignore[attr-defined]
    assert set(found) == {"auto", "id", "file", "drop-order"}
    dataset = sources.find(str(shop))
    for rule in ("auto", "id", "file"):
        table = pd.read_parquet(found[rule] / "per_user.parquet")
        ordered = arranged(dataset, rule).sequences  # type: ignore[arg-type]
        assert table["target"].tolist() == [dataset.items.ids[ordered[user][-1]] for user in range(30)]
    steps = pd.read_parquet(found["drop-order"] / "per_user.parquet")
    assert len(steps) == 120  # any item of the last day counts as the next
    report = bench("report", "--results", tmp_path, "--full")
    assert "under split=global-temporal or ties=drop-order a user has several" in " ".join(report.out.split())


@pytest.mark.parametrize("rule", ["digest", "id", "drop-order"])
def test_where_time_stamps_are_positions_a_run_refuses(
    rule: str, bench: Bench, toy_folder: Path, tmp_path: Path
) -> None:
    said = run(bench, toy_folder, tmp_path, "--set", f"ties={rule}")
    assert said.code == 1
    assert f"ties={rule} was asked for, but the time stamps of 'toy' are positions, not times, so which" in said.err
    assert run(bench, toy_folder, tmp_path, "--set", "ties=presumed").code == 0
    assert run(bench, toy_folder, tmp_path, "--set", "ties=dige").code == 1
