"""What a finished run leaves behind is what the report reads."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench import files
from bench.contract import Contract
from bench.data.dataset import Dataset
from bench.data.splits import Split, leave_one_out
from bench.evaluation.baseline import DATA_VIEW
from bench.evaluation.metrics import Ranks, summaries
from bench.results.read import read
from bench.results.schema import to_json
from bench.results.write import Outcome, per_user_table, record, split_facts, write
from bench.runs import subjects
from bench.runs.request import Request

COSTS = {
    "parameters": 10.0,
    "id_construction_seconds": 0.5,
    "training_seconds": 1.5,
    "inference_seconds_per_1000_users": 2.0,
    "peak_memory_mb": 300.0,
    "validation_seconds": 0.25,
    "processor_seconds": 3.5,
    "id_construction_processor_seconds": 0.75,
    "preparation_seconds": None,
    "training_flops": 2e9,
    "tokens_read": 900.0,
    "tokens_written": 200.0,
    "steps": 6.0,
    "target_examples": 90.0,
    "looks": 2.0,
    "own_steps": None,
    "own_examples": 40.0,
    "own_flops": 3e6,
}
IDENTIFIERS = {
    "tokens_mean": 4.0,
    "tokens_max": 4,
    "vocabulary": 14,
    "collision_rate": 0.0,
    "collision_rate_test": 0.0,
    "largest_group": 1,
}


@pytest.fixture(scope="module")
def split(toy: Dataset) -> Split:
    return leave_one_out(toy, max_history=4)


@pytest.fixture(scope="module")
def ranks(split: Split) -> Ranks:
    """Every third target is not retrieved; every fifth shares its identifier with another item."""
    position = np.arange(len(split.test))
    code_rank = np.where(position % 3 == 0, np.inf, position // 3 + 1)
    better = np.where(np.isfinite(code_rank), code_rank - 1, 0).astype(np.int64)
    return Ranks(code_rank, better, np.where(position % 5 == 0, 2, 1))


@pytest.fixture
def request_(toy: Dataset) -> Request:
    return Request(subjects.load_scheme("numeric")(), toy, Contract(), 4, "cpu", Path("results"))


def test_one_row_for_each_test_user(toy: Dataset, split: Split, ranks: Ranks) -> None:
    table = per_user_table(toy, split, ranks)
    trained = np.concatenate([toy.sequences[user][:-2] for user in range(40)]).tolist()
    assert table["user"].tolist() == list(toy.users)
    for user, row in enumerate(table.itertuples()):
        sequence = toy.sequences[user]
        assert row.target == f"i{sequence[-1]:02d}"
        assert row.popularity == trained.count(sequence[-1])
        assert row.history_length == min(4, len(sequence) - 1)
        if user % 3 == 0:
            assert row.rank is pd.NA
            assert row.code_rank is pd.NA
        else:
            assert (row.code_rank, row.rank) == (user // 3 + 1, user // 3 + (2 if user % 5 == 0 else 1))
        assert row.group_size == (2 if user % 5 == 0 else 1)


def test_the_report_reads_what_a_run_writes(
    toy: Dataset, split: Split, ranks: Ranks, request_: Request, tmp_path: Path
) -> None:
    training = {"steps": 6, "curve": [{"step": 6, "loss": 2.5}]}
    outcome = Outcome(ranks, False, dict(COSTS), IDENTIFIERS, training)
    stored = record(request_.run, split, outcome, {"device": "cpu"}, "cpu")
    (tmp_path / "log.jsonl").write_text("{}")
    (tmp_path / "context").mkdir()
    for gone in ("begun.json", "stage-0-abc.safetensors", ".half", "context/weights"):
        (tmp_path / gone).touch()
    write(tmp_path, stored, per_user_table(toy, split, ranks))
    found = read(tmp_path / "result.json", "runs/toy")
    assert (found.dataset.name, found.dataset.items, found.dataset.interactions) == ("toy", 30, len(toy.times))
    scheme = found.scheme
    assert (scheme.name, scheme.kind, scheme.leaks) == ("numeric/sequential", "scheme", False)
    assert scheme.settings == {"first": 1001, "order": "original"}
    assert found.contract == request_.conditions
    assert (found.contract_id, found.seed, found.preset) == (Contract().id, 4, "cpu")
    assert found.metrics == summaries(ranks, complete=False)
    assert found.split == {"train_users": 40, "validation_users": 40, "test_users": 40}
    assert vars(found.costs) == COSTS
    assert vars(found.identifiers) == {**IDENTIFIERS, "further": {}}
    np.testing.assert_array_equal(found.table.ranks.strict, ranks.strict)
    np.testing.assert_array_equal(found.table.ranks.code_rank, ranks.code_rank)
    np.testing.assert_array_equal(found.table.ranks.group_size, ranks.group_size)
    assert found.values("ndcg@10").mean() == pytest.approx(stored.metrics["strict"]["ndcg@10"])
    assert found.identifiers == stored.identifiers
    written = {name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in found.files}
    assert sorted(written) == ["log.jsonl", "per_user.parquet"]
    assert found.files == written
    assert json.loads(json.dumps(to_json(found))) == json.loads((tmp_path / "result.json").read_text())


def test_all_else_is_on_the_disk_before_the_seal_is(
    toy: Dataset, split: Split, ranks: Ranks, request_: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its seal a run counts as whole, also where a power cut came before it was renamed."""
    synced: set[Path] = set()

    def look(step: str, path: Path) -> None:
        if step == "sync":
            synced.add(path)
        if step == "write" and path.name == "result.sha256":
            assert {tmp_path / "log.jsonl", tmp_path / "per_user.parquet", tmp_path / "deep" / "tensors"} <= synced

    monkeypatch.setattr(files, "hook", look)
    (tmp_path / "log.jsonl").write_text("{}")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "tensors").write_text("1")
    outcome = Outcome(ranks, False, dict(COSTS), IDENTIFIERS, {"steps": 6, "curve": []})
    write(tmp_path, record(request_.run, split, outcome, {"device": "cpu"}), per_user_table(toy, split, ranks))
    assert (tmp_path / "result.sha256").exists()


def test_a_baseline_has_neither_identifiers_nor_training(split: Split, request_: Request, toy: Dataset) -> None:
    pop = replace(request_, subject=subjects.load_baseline("pop")())
    ranks = Ranks.of_items(np.arange(1.0, 41))
    stored = to_json(record(pop.run, split, Outcome(ranks, True, dict(COSTS)), {}))
    assert stored["scheme"]["kind"] == "baseline"
    assert stored["identifiers"] is None
    assert stored["training"] is None
    assert stored["metrics"]["strict"]["mrr"] == pytest.approx(np.mean(1 / np.arange(1, 41)))
    assert stored["dataset"]["fingerprint"] == toy.fingerprint
    assert set(stored["contract"]) == {"protocol", *DATA_VIEW}


def test_nobody_trains_or_validates_in_a_zero_shot_test(split: Split) -> None:
    parts = [replace(part, counts=np.ones(len(part), np.int64)) for part in (split.validation, split.test)]
    dated = replace(split, validation=parts[0], test=parts[1])
    every = split_facts(dated)
    assert list(every)[3:] == ["train_interactions", "validation_targets", "test_targets"]
    assert all(every.values())
    unseen = split_facts(dated, zero_shot=True)
    assert [name for name, count in unseen.items() if count] == ["test_users", "test_targets"]
    few = split_facts(dated, adapted=3)
    assert few == {"test_users": every["test_users"], "test_targets": every["test_targets"], "train_users": 3}
    assert split_facts(split) == {name: every[name] for name in list(every)[:3]}
