"""`bench rm` and `bench clean` say what goes and how much of it, and remove nothing that nobody agreed to."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.results import digests, leases
from bench.results.holders import Holder

Bench = Callable[..., SimpleNamespace]


@pytest.fixture
def results(bench: Bench, toy_folder: Path, tmp_path: Path) -> Path:
    results = tmp_path / "r"
    run = ["run", "--baseline", "pop,random", "--preset", "smoke", "--dataset", toy_folder, "--results", results]
    assert bench(*run).code == 0
    return results


def names(results: Path) -> set[str]:
    """Of the baselines whose runs are finished."""
    return {path.parents[2].name.partition("@")[0] for path in results.glob("runs/*/*/*/*/result.json")}


def test_a_run_is_removed_when_that_is_agreed_to(bench: Bench, results: Path) -> None:
    asked = bench("rm", "pop", "--results", results)
    assert asked.code == 1
    assert asked.err.startswith("bench: nothing was removed; --yes removes all that is listed (1 entry, ")
    assert "finished run" in asked.out
    assert names(results) == {"pop", "random"}
    done = bench("rm", "pop", "--results", results, "--yes")
    assert (done.code, names(results)) == (0, {"random"})
    assert "removed: 1 entry" in done.out
    listed = bench("ls", "--results", results, "--json").out
    assert [Path(run["folder"]).parents[1].name[:6] for run in json.loads(listed)["finished"]] == ["random"]


def test_no_name_is_no_run_and_not_all_of_them(
    bench: Bench, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a variable that is not set: the path of no name is the folder where ``bench`` was called."""
    monkeypatch.chdir(results)
    said = bench("rm", "", "--results", results, "--yes")
    assert (said.code, names(results)) == (1, {"pop", "random"})
    assert said.err == "bench: unknown run ''; known: pop, random\n"
    for words in (["verify", ""], ["results", "pack", "", "--out", tmp_path / "p"], ["compare", "pop", ""]):
        assert bench(*words, "--results", results).err == said.err
    joined = bench("results", "join", "", "--out", tmp_path / "j")
    assert joined.err.startswith("bench: '' is no results folder")
    assert not [name for name in ("p", "j") if (tmp_path / name).exists()]


def test_a_run_that_somebody_is_at_keeps_no_other_from_going(bench: Bench, results: Path) -> None:
    (busy,), (other,) = (results.glob(f"runs/*/{name}@*/*/[!.]*") for name in ("pop", "random"))
    with leases.held(busy), leases.held(other):
        both = bench("rm", "pop", "random", "--results", results, "--yes")
        assert (both.code, names(results)) == (1, {"pop", "random"})
        assert "could not be removed: another process" in both.err
        assert both.out.count("kept: another process") == 1
    with leases.held(busy):
        done = bench("rm", "pop", "random", "--results", results, "--yes")
        assert (done.code, names(results)) == (1, {"pop"})
        assert "removed: 1 entry" in done.out
        assert done.err.startswith("bench: 1 of 2 entries, ")
        assert "could not be removed: another process" in done.err
        alone = bench("rm", "pop", "--results", results, "--yes")
        assert (alone.code, "removed:" in alone.out, "kept:" in alone.out) == (1, False, False)
    assert bench("rm", "pop", "--results", results, "--yes").code == 0
    assert names(results) == set()


def test_a_run_is_removed_by_its_folder_even_where_it_is_corrupt(bench: Bench, results: Path) -> None:
    (folder,) = results.glob("runs/*/random@*/*/[!.]*")
    (folder / "result.json").write_text("{")
    assert bench("rm", folder, "--results", results, "--yes").code == 0
    assert names(results) == {"pop"}


def test_an_unknown_run_is_named_with_the_nearest(bench: Bench, results: Path) -> None:
    done = bench("rm", "randon", "--results", results, "--yes")
    assert (done.code, names(results)) == (1, {"pop", "random"})
    assert "unknown run 'randon'" in done.err
    assert "random" in done.err


def test_a_folder_that_is_no_run_of_these_results_is_left_alone(bench: Bench, results: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "result.json").write_text("{}")
    done = bench("rm", tmp_path / "mine", "--results", results, "--yes")
    assert done.code == 1
    assert "name its results folder with --results" in done.err
    assert (tmp_path / "mine" / "result.json").exists()


def test_caches_go_by_age(bench: Bench, results: Path) -> None:
    caches = [path for path in (results / "cache").rglob("*") if path.is_file()]
    assert caches
    assert "nothing to remove" in bench("clean", "--results", results).out
    then = time.time() - 40 * 86400
    for path in caches:
        os.utime(path, (then, then))
    assert bench("clean", "--results", results).code == 1
    assert all(path.exists() for path in caches)
    done = bench("clean", "--results", results, "--yes")
    assert done.code == 0
    assert " 40 days  cache" in done.out
    assert not any(path.exists() for path in caches)
    assert names(results) == {"pop", "random"}


def test_runs_of_an_older_version_go_where_that_is_asked_for(bench: Bench, results: Path) -> None:
    (file,) = results.glob("runs/*/pop@*/*/*/result.json")
    found = json.loads(file.read_text())
    file.write_text(json.dumps(found | {"scheme": found["scheme"] | {"version": 0}}))
    digests.seal(file.parent)
    assert "nothing to remove" in bench("clean", "--results", results, "--yes").out
    assert bench("clean", "--results", results, "--old-versions", "--yes").code == 0
    assert names(results) == {"random"}


def test_unfinished_runs_go_where_that_is_asked_for(bench: Bench, results: Path) -> None:
    (folder,) = results.glob("runs/*/pop@*/*/[!.]*")
    partial = folder.with_name(".7.partial")
    partial.mkdir()
    (partial / "stage-0.safetensors").write_bytes(b"x")
    kept = bench("clean", "--results", results, "--days", 1, "--unfinished").out
    assert kept.splitlines()[0] == "kept: 1 unfinished run younger than 1 days; --days 0 takes all, and caches"
    assert "nothing to remove" in kept
    assert bench("clean", "--results", results, "--days", 0, "--max-cache", 100, "--unfinished", "--yes").code == 0
    assert not partial.exists()
    assert names(results) == {"pop", "random"}


def test_sizes_are_listed_the_largest_first(bench: Bench, results: Path) -> None:
    lines = bench("ls", "--sizes", "--results", results).out.splitlines()
    assert sum("finished run" in line for line in lines) == 2
    assert f"files and folders of '{results}'" in lines[-1]
    found = json.loads(bench("ls", "--sizes", "--results", results, "--json").out)
    sizes = [line["bytes"] for line in found]
    assert sizes == sorted(sizes, reverse=True)
    for line in (line for line in found if line["what"] == "finished run"):
        assert line["bytes"] == sum(path.stat().st_size for path in Path(line["path"]).rglob("*") if path.is_file())


@pytest.fixture
def abandoned(results: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lease of an unfinished run whose holder, on another machine, has said nothing for two hours."""
    monkeypatch.setattr(leases, "LOOK_AGAIN", 0.4)
    (run,) = results.glob("runs/*/pop@*/*/[!.]*")
    run.with_name(".7.partial-3").mkdir()
    lease, then = run.with_name(".7.lease-3"), time.time() - 7200
    lease.write_text(json.dumps(asdict(Holder("f00d", "elsewhere", "a place", 1, 2.0, beat=5))))
    for path in (lease, lease.with_name(".7.partial-3")):
        os.utime(path, (then, then))
    return lease


def test_what_a_dead_holder_elsewhere_has_left_is_removed_after_a_second_look(
    bench: Bench, results: Path, abandoned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 7200)  # this machine's clock says that it was alive just now
    done = bench("clean", "--unfinished", "--days", 0, "--results", results, "--yes")
    assert done.code == 0, done.err
    assert "looking again in 0 s at runs that another machine held" in done.out
    assert not abandoned.with_name(".7.partial-3").exists()


def test_a_holder_elsewhere_that_speaks_between_two_looks_keeps_its_run(
    bench: Bench, results: Path, abandoned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def speak(seconds: float) -> None:
        assert seconds == leases.LOOK_AGAIN
        abandoned.write_text(abandoned.read_text().replace('"beat": 5', '"beat": 6'))

    monkeypatch.setattr(time, "sleep", speak)
    done = bench("clean", "--unfinished", "--days", 0, "--results", results, "--yes")
    assert (done.code, done.err.count("another process (1 on elsewhere) is working on")) == (1, 1)
    assert abandoned.with_name(".7.partial-3").exists()
