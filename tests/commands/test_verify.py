"""One bit that flips anywhere in a finished run is noticed: by `bench verify`, and by who reads that file."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.commands.examination import Fact, examine

Bench = Callable[..., SimpleNamespace]


@pytest.fixture(scope="module")
def made(bench: Bench, toy_folder: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("made")
    run = ["run", "--id-scheme", "numeric/random", "--baseline", "pop", "--preset", "smoke", "--dataset", toy_folder]
    done = bench(*run, "--set", f"backbone={tiny}", "--set", "max_steps=2", "--results", results)
    assert done.code == 0, done.err
    return results


@pytest.fixture
def results(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "r"))


def run_of(results: Path) -> Path:
    return next(results.glob("runs/*/numeric.random@*/*/[!.]*"))


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << at % 8
    path.write_bytes(data)


def test_a_whole_results_folder_is_found_whole(bench: Bench, results: Path) -> None:
    done = bench("verify", "--results", results)
    assert (done.code, "all as stored" in done.out) == (0, True), done.out


def test_a_bit_that_flips_in_any_file_is_noticed(bench: Bench, results: Path) -> None:
    chance = random.Random(0)
    names = sorted(path.relative_to(run_of(results)) for path in run_of(results).rglob("*") if path.is_file())
    assert len(names) > 5
    for name in names:
        path = run_of(results) / name
        size = path.stat().st_size
        for at in {0, size - 1, *(chance.randrange(size) for _ in range(3))}:
            flip(path, at)
            done = bench("verify", "numeric/random", "--results", results)
            assert done.code == 1, f"{name}, byte {at}"
            assert "1 corrupt" in done.out
            flip(path, at)
    assert bench("verify", "--results", results).code == 0


@pytest.mark.parametrize("name", ["result.json", "result.sha256", "per_user.parquet", "ids.parquet"])
def test_a_report_leaves_the_corrupt_run_out_and_names_it(bench: Bench, results: Path, name: str) -> None:
    path = run_of(results) / name
    flip(path, path.stat().st_size // 2)
    done = bench("report", "--results", results, "--out", results / "r.md")
    assert done.code == 0, done.err
    assert "skipped: " in done.err
    assert "numeric.random@" in done.err
    assert "pop" in done.out


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "ids.safetensors"])
def test_a_recommender_of_a_corrupt_file_is_not_used(bench: Bench, results: Path, toy_folder: Path, name: str) -> None:
    item = (toy_folder / "toy.item").read_text().splitlines()[1].partition("\t")[0]
    assert bench("recommend", "numeric/random", "--results", results, "--history", item).code == 0
    flip(run_of(results) / name, 100)
    done = bench("recommend", "numeric/random", "--results", results, "--history", item)
    assert done.code == 1
    assert "is corrupt" in done.err


def test_names_stand_for_the_same_runs_everywhere(bench: Bench, results: Path, tmp_path: Path) -> None:
    folder = run_of(results).relative_to(results)
    assert bench("compare", "numeric", "pop", "--results", results).code == 0
    for name in ("numeric", "numeric/random", "numeric/random@1", folder):
        done = bench("verify", name, "--results", results)
        assert (done.code, done.out[:6]) == (0, "1 runs"), done.err
    packed = bench("results", "pack", "numeric", "--results", results, "--out", tmp_path / "p")
    assert (packed.code, packed.err.endswith(": 1 runs\n")) == (0, True), packed.err
    for command in (["rm", "--yes"], ["verify"], ["recommend", "--history", "x"]):
        said = bench(*command, "numeric/random@7", "--results", results)
        assert (said.code, "unknown run 'numeric/random@7'" in said.err) == (1, True), "another version is another run"
    assert bench("rm", "numeric", "--results", results, "--yes").code == 0
    assert not list(results.glob("runs/*/numeric*/*/*/result.json"))
    assert list(results.glob("runs/*/pop*/*/*/result.json"))


def test_a_missing_file_and_a_stranger_are_named(bench: Bench, results: Path) -> None:
    (run_of(results) / "log.jsonl").unlink()
    (run_of(results) / "notes.txt").write_text("mine")
    found = json.loads(bench("verify", "numeric/random", "--results", results, "--json").out)
    (run,) = found["runs"]
    assert "log.jsonl' is missing" in " ".join(run["problems"])
    assert run["notes"] == ["not of the run: notes.txt"]


def test_a_corrupt_cache_is_named(bench: Bench, results: Path) -> None:
    cache = next((results / "cache").rglob("*.safetensors"))
    flip(cache, cache.stat().st_size - 1)
    done = bench("verify", "--results", results)
    assert done.code == 1
    assert cache.name in done.out


def test_the_doctor_counts_runs_that_cannot_be_read_and_names_the_command_that_names_them(results: Path) -> None:
    def damage(folder: Path) -> list[Fact]:
        return [fact for fact in examine(folder, folder)["results"] if fact.name == "damage"]

    assert damage(results / "cache") == []
    assert damage(results) == [Fact("damage", "none seen; bench verify compares every file with its digest")]
    (run_of(results) / "result.json").write_text("{")
    told = "1 of 2 finished can't be read: bench verify says which and why"
    assert damage(results) == [Fact("damage", told, broken=True)]
