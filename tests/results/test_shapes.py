"""Whatever stands in a stranger's ``result.json``, a report is made of it or it is named, and others are reported."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.errors import BenchError
from bench.results import digests, read
from bench.results.verify import verify, whole

Bench = Callable[..., SimpleNamespace]

NESTED: list[Any] = []
for _ in range(500):
    NESTED = [NESTED]

WRONG: list[tuple[str, Any]] = [
    ("bench", "half \ud800"),
    ("dataset.name", "half \udc00"),
    ("dataset.fingerprint", "\ud83d"),
    ("training.note", NESTED),
    ("training.note", 10**400),
    ("training", [{}]),
    ("training.stages", [1]),
    ("training.curve", [{"loss": 0.1}]),
    ("training.curve", [{"step": 1, "loss": "low"}]),
    ("training.budget", {"asked": "1h", "steps": "many"}),
    ("training.budget", 5),
    ("training.search", {"trials": [1], "chosen": 0}),
    ("training.search", {"trials": [{}], "chosen": 3}),
    ("scheme.search", "x"),
    ("scheme.search", float("nan")),
    ("contract.adapted_on", float("nan")),
    ("contract.adapted_on", -1),
    ("metrics.strict", {}),
    ("metrics.optimistic.hit@1", float("nan")),
    ("metrics.expected.mrr@20", 1.5),
    ("metrics.strict.hit@5", -0.1),
    ("item_groups.warm.metrics.strict", {}),
    ("costs.training_seconds", float("inf")),
    ("identifiers.tokens_mean", [{}]),
    ("identifiers.vocabulary", None),
    ("identifiers.largest_group", True),
    ("identifiers.forecast", {"gini": [{}]}),
    ("environment.load_average_start", [1]),
    ("environment.cpu_threads", "many"),
    ("environment.command", ["a"]),
]
FINE: list[tuple[str, Any]] = [
    ("bench", "whole \ud83d\ude00"),
    ("training.note", {"anything": [None, {"at": "all"}]}),
    ("identifiers.own", {"a": [1, "b"]}),
    ("identifiers.forecast", "none"),
    ("environment.command", "<script>alert(1)</script> \x1b[31m \u202e =1+1"),
]


@pytest.fixture(scope="module")
def stored(bench: Bench, quick: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("stored")
    said = bench("run", "--id-scheme", "numeric/sequential", "--baseline", "pop", *quick, "--results", results)
    assert said.code == 0, said.err
    return results


@pytest.fixture
def run(stored: Path) -> Iterator[Path]:
    """The run of a scheme, beside one of a baseline, and after the test as it was."""
    (file,) = stored.glob("runs/*/numeric*/*/0/result.json")
    before = file.read_text()
    yield file.parent
    file.write_text(before)
    digests.seal(file.parent)


def change(run: Path, where: str, value: object) -> None:
    """As a stranger can: with a seal that fits."""
    found = json.loads((run / "result.json").read_text())
    *parts, name = where.split(".")
    part = found
    for each in parts:
        part = part[each]
    part[name] = value
    (run / "result.json").write_text(json.dumps(found))
    digests.seal(run)


@pytest.mark.parametrize(("where", "value"), WRONG)
def test_what_no_report_can_be_made_of_is_corrupt_when_it_is_read(run: Path, where: str, value: object) -> None:
    change(run, where, value)
    with pytest.raises(BenchError, match=r"result.json' is corrupt \(") as caught:
        whole(run / "result.json", "run")
    assert str(caught.value).isprintable()
    (problem,) = verify(run / "result.json", "run").problems
    assert "is corrupt" in problem


def test_the_others_are_reported(bench: Bench, stored: Path, run: Path, tmp_path: Path) -> None:
    change(run, "dataset.name", "half \ud800")
    out = ["--out", tmp_path / "a.md", "--html", tmp_path / "a.html", "--values", tmp_path / "a.csv"]
    said = bench("report", "--results", stored, *out)
    assert said.code == 0
    assert said.err.startswith("skipped: ")
    assert "pop" in (tmp_path / "a.md").read_text()
    assert bench("results", "join", stored, "--out", tmp_path / "joined").code == 1


@pytest.mark.parametrize(("where", "value"), FINE)
def test_what_a_plugin_adds_of_its_own_ends_no_report(
    bench: Bench, stored: Path, run: Path, tmp_path: Path, where: str, value: object
) -> None:
    change(run, where, value)
    files = {name: tmp_path / f"a.{name}" for name in ("latex", "csv", "html")}
    said = bench("report", "--results", stored, "--out", tmp_path / "a.md", *(f"--{n}={p}" for n, p in files.items()))
    assert (said.code, said.err.count("skipped")) == (0, 0), said.err
    assert "<script>alert(1)" not in files["html"].read_text()


@pytest.mark.parametrize("name", ["a\0b", "x" * 300, "", ".", "../result.json", "/etc/passwd"])
def test_names_that_no_file_of_a_run_has_are_one_problem(run: Path, name: str) -> None:
    found = json.loads((run / "result.json").read_text())
    change(run, "files", found["files"] | {name: "0" * 64})
    assert len(verify(run / "result.json", "run").problems) == 1


@pytest.mark.parametrize("name", ["result.json", "result.sha256", "per_user.parquet"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(stored: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(stored, tmp_path / "copy")
    (run,) = (tmp_path / "copy").glob("runs/*/pop*/*/0")
    (run / name).unlink()
    os.mkfifo(run / name)
    broken: dict[str, BenchError] = {}
    assert len(read.load(tmp_path / "copy", broken, whole=True)) == 1
    assert [str(error).endswith("is no file, but a pipe or a device") for error in broken.values()] == [True]


COLUMNS = [("group_size", 0), ("group_size", None), ("popularity", -5), ("history_length", np.nan), ("target", None)]


@pytest.mark.parametrize(("column", "value"), [*COLUMNS, ("rank", 0), ("code_rank", -1)])
def test_a_table_with_what_no_run_has_stored_is_corrupt(stored: Path, tmp_path: Path, column: str, value: Any) -> None:
    run = tmp_path / "run"
    shutil.copytree(next(stored.glob("runs/*/pop*/*/0")), run)
    table = pd.read_parquet(run / "per_user.parquet")
    table.loc[3, column] = value
    table.to_parquet(run / "per_user.parquet", index=False)
    change(run, "files", {"per_user.parquet": digests.of_file(run / "per_user.parquet")})
    with pytest.raises(BenchError, match=r"per_user\.parquet' is corrupt"):
        whole(run / "result.json", "run")


@pytest.mark.parametrize("where", ["strict.hit@1", "strict.mrr@20", "optimistic.ndcg@5", "expected.hit@20"])
def test_every_mean_is_that_of_its_users(run: Path, where: str) -> None:
    reading, name = where.split(".")
    change(run, f"metrics.{where}", 0.987654)
    with pytest.raises(BenchError, match=rf"contradicts itself: ({reading} )?{name} is 0.987654 in result.json"):
        whole(run / "result.json", "run")
