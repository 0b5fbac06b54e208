"""``bench data generate`` on the command line, and a run on what it made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

Bench = Callable[..., SimpleNamespace]


def test_one_command_makes_a_catalogue_that_runs(bench: Bench, tmp_path: Path, tiny: Path) -> None:
    said = bench("data", "generate", "--items", "120", "--users", "60", "--vectors", "8", "--data-dir", tmp_path)
    assert said.code == 0, said.err
    assert said.out.startswith(f"{tmp_path / 'made-120'}: 60 users, 120 items, ")
    vectors = tmp_path / "made-120" / "made-120.vectors.npy"
    quick = [
        f"--set={line}"
        for line in (f"backbone={tiny}", "max_steps=2", "semantic.codes=4", f"semantic.encoder={vectors}")
    ]
    where = ["--dataset", "made-120", "--data-dir", tmp_path, "--results", tmp_path / "results"]
    said = bench("run", "--id-scheme", "semantic/rqkmeans", "--preset", "smoke", *quick, *where)
    assert said.code == 0, said.err
    assert bench("report", "--results", tmp_path / "results").code == 0
    report = (tmp_path / "results" / "report.md").read_text()
    (heading,) = (line for line in report.splitlines() if "test-weighted collision rate |" in line)
    assert "| beam differs rate |" in heading  # ranks of a beam are told apart from exact ones, row by row
    assert "decoder=beam" in report


def test_json_says_what_was_made(bench: Bench, tmp_path: Path) -> None:
    said = bench("data", "generate", "--items", "50", "--name", "small", "--data-dir", tmp_path, "--json")
    found = json.loads(said.out)
    assert (found["items"], found["users"], found["generated"]) == (50, 50, {"seed": 0, "vectors": 0})
    lines = (tmp_path / "small" / "small.inter").read_text().splitlines()
    assert len(lines) == found["interactions"] + 1


def test_the_next_command_names_the_folder_where_it_must(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["data", "generate", "--items", "50", "--name", "small"]
    folder = tmp_path / "my data"
    assert f"small --data-dir '{folder}' --dry-run" in bench(*words, "--data-dir", folder).out
    monkeypatch.setenv("BENCH_DATA_DIR", str(folder))
    assert "small --dry-run" in bench(*words, "--force").out
    other = tmp_path / "other"
    assert f"small --data-dir {other} --dry-run" in bench(*words, "--data-dir", other).out
    (tmp_path / "clicks.csv").write_text("user,item,time\n" + "".join(f"{n % 3},{n},{n}\n" for n in range(9)))
    said = bench("data", "import", tmp_path / "clicks.csv")
    assert said.out.splitlines()[-1].endswith("bench run --id-scheme numeric/random --dataset clicks"), said.err
    said = bench("data", "import", tmp_path / "clicks.csv", "--data-dir", tmp_path / "the other")
    assert said.out.splitlines()[-1].endswith(f"--dataset clicks --data-dir '{tmp_path / 'the other'}'"), said.err


def test_too_few_users_are_one_line(bench: Bench, tmp_path: Path) -> None:
    said = bench("data", "generate", "--items", "1000", "--users", "10", "--data-dir", tmp_path)
    assert said.code == 1
    assert "give --users 334 or more" in said.err
