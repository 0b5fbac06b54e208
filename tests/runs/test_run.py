"""A finished run is not run again; a forced, stopped or killed one ends as one that was left alone."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from bench import files
from bench.data import sources
from bench.results import leases
from bench.results.read import load
from bench.runs import many
from bench.runs import run as one_run

Bench = Callable[..., SimpleNamespace]
RunFolders = Callable[[Path], list[Path]]
Substance = Callable[[Path], dict[str, Any]]

LONG = ["--set=epochs=40", "--set=patience=99", "--set=validate_every=1"]  # two seconds after its first checkpoint


def numeric(quick: list[str], results: Path, *more: object) -> list[str]:
    return ["run", "--id-scheme", "numeric", *quick, "--results", str(results), *map(str, more)]


@pytest.fixture(scope="module")
def long(bench: Bench, quick: list[str], run_folders: RunFolders, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing has stopped."""
    results = tmp_path_factory.mktemp("uninterrupted")
    assert bench(*numeric(quick, results, *LONG)).code == 0
    return run_folders(results)[0]


def stamps(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_a_finished_run_is_left_alone_unless_forced(
    bench: Bench,
    quick: list[str],
    run_folders: RunFolders,
    substance: Substance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert bench(*numeric(quick, tmp_path)).code == 0
    (run_folder,) = run_folders(tmp_path)
    before, content = stamps(run_folder), substance(run_folder)
    again = bench(*numeric(quick, tmp_path))
    assert again.code == 0
    assert f"numeric/sequential on toy, seed 0: finished already in {run_folder} (--force runs it again)" in again.err
    assert stamps(run_folder) == before

    def fail(*_: object) -> None:
        assert stamps(run_folder) == before  # the old result stays until the new one is whole
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(one_run, "_store", fail)
        assert bench(*numeric(quick, tmp_path, "--force")).code == 130
    assert stamps(run_folder) == before
    assert bench(*numeric(quick, tmp_path, "--force")).code == 0
    assert all(stamps(run_folder)[name] > before[name] for name in before)
    assert substance(run_folder) == content
    assert run_folders(tmp_path) == [run_folder]


def test_all_that_a_run_writes_may_be_read_by_whom_the_umask_lets(
    bench: Bench, quick: list[str], tmp_path: Path
) -> None:
    before = os.umask(0o027)
    try:
        said = bench("run", "--id-scheme", "set/semantic-only", *quick, "--set=max_steps=2", "--results", tmp_path)
    finally:
        os.umask(before)
    assert said.code == 0, said.err
    rights = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("[!.]*") if path.is_file()}
    assert {"model.safetensors", "head.safetensors", "ids.safetensors", "result.json"} <= rights.keys()
    assert sum(name.endswith(".safetensors") for name in rights) == 5  # in the cache are identifiers and embeddings
    assert set(rights.values()) == {0o640}, rights


def test_a_run_holds_what_a_report_needs_and_nothing_else(long: Path) -> None:
    assert sorted(path.name for path in long.iterdir()) == [
        "config.json",
        "ids.parquet",
        "ids.safetensors",
        "log.jsonl",
        "model.safetensors",
        "per_user.parquet",
        "result.json",
        "result.sha256",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    table = pd.read_parquet(long / "per_user.parquet")
    assert table["user"].tolist() == [f"u{user:02d}" for user in range(40)]
    (result,) = load(long.parents[4])
    assert result.files == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in long.iterdir()
        if path.name not in ("result.json", "result.sha256")
    }
    assert result.values("hit@10").mean() == pytest.approx(result.metrics["strict"]["hit@10"])
    assert result.costs.training_seconds
    assert result.costs.peak_memory_mb
    assert result.costs.peak_memory_mb > 50


def test_killed_in_the_middle_it_goes_on_to_the_same_end(
    bench: Bench,
    quick: list[str],
    started: dict[str, str],
    long: Path,
    run_folders: RunFolders,
    substance: Substance,
    tmp_path: Path,
) -> None:
    words = numeric(quick, tmp_path, *LONG)
    process = subprocess.Popen([sys.executable, "-m", "bench", *words], env=started, stderr=subprocess.DEVNULL)
    wait_for(tmp_path, process)
    process.kill()
    process.wait()
    (checkpoint,) = tmp_path.rglob("stage-0-*.safetensors")
    assert not run_folders(tmp_path)
    half = checkpoint.with_name(
        f".{checkpoint.name}.{files.place()}-{process.pid}-1-01234567.tmp"
    )  # as if it had been writing
    half.write_bytes(checkpoint.read_bytes()[:1000])
    with (checkpoint.parent / "log.jsonl").open("a") as log:
        log.write('{"stage": "train", "st')
    assert bench(*words).code == 0
    (run_folder,) = run_folders(tmp_path)
    assert substance(run_folder) == substance(long)
    assert (run_folder / "log.jsonl").read_text() == (long / "log.jsonl").read_text()
    left = [path for path in tmp_path.rglob("*") if path.name.startswith(".") and ".lease-" not in path.name]
    assert not left


def test_ctrl_c_says_how_to_go_on(
    bench: Bench,
    quick: list[str],
    started: dict[str, str],
    long: Path,
    run_folders: RunFolders,
    substance: Substance,
    tmp_path: Path,
) -> None:
    words = numeric(quick, tmp_path, *LONG)
    command = [sys.executable, "-m", "bench", *words]
    with subprocess.Popen(command, env=started, stderr=subprocess.PIPE, text=True) as process:
        wait_for(tmp_path, process)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == 130
    assert said.splitlines()[-1] == "bench: interrupted; rerun to resume"
    assert "Traceback" not in said
    assert not run_folders(tmp_path)
    assert bench(*words).code == 0
    assert substance(run_folders(tmp_path)[0]) == substance(long)


def wait_for(results: Path, process: subprocess.Popen[Any]) -> None:
    """Until the first checkpoint is there."""
    deadline = time.monotonic() + 120
    while not list(results.rglob("stage-0-*.safetensors")):
        assert process.poll() is None, "it ended before its first checkpoint"
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_run_that_another_process_is_at_is_waited_for(
    bench: Bench, quick: list[str], run_folders: RunFolders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["run", "--baseline", "pop", *quick, "--results", str(tmp_path)]
    assert bench(*words).code == 0
    (run_folder,) = run_folders(tmp_path)
    shutil.rmtree(run_folder)
    other = contextlib.ExitStack()
    other.enter_context(leases.held(run_folder))
    clock = SimpleNamespace(sleep=lambda seconds: other.close(), monotonic=time.monotonic)
    monkeypatch.setattr(many, "time", clock)
    said = bench(*words)
    assert said.code == 0
    assert f"another process ({os.getpid()} on " in said.err
    assert f") is working on '{run_folder}'; looking again later" in said.err
    assert run_folders(tmp_path) == [run_folder]


@pytest.mark.parametrize("corruption", ["truncated", "flipped"])
def test_a_corrupt_checkpoint_is_named(
    bench: Bench, quick: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, corruption: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(one_run, "_store", lambda *_: os.kill(os.getpid(), signal.SIGINT))
        assert bench(*numeric(quick, tmp_path)).code == 130
    (checkpoint,) = tmp_path.rglob("stage-0-*.safetensors")
    content = bytearray(checkpoint.read_bytes())
    content[-100] ^= 1
    checkpoint.write_bytes(content if corruption == "flipped" else content[:-100])
    said = bench(*numeric(quick, tmp_path))
    assert said.code == 1
    assert f"bench: the checkpoint '{checkpoint}' is corrupt" in said.err
    assert "--force" in said.err
    assert bench(*numeric(quick, tmp_path, "--force")).code == 0


def test_a_full_disk_is_one_line_and_goes_on_when_there_is_room(
    bench: Bench,
    quick: list[str],
    run_folders: RunFolders,
    substance: Substance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    checkpoint, model = "safetensors.torch.save_file", "bench.backbone.checkpoints.save_file"
    for target in (checkpoint, model, "pandas.DataFrame.to_parquet"):
        with monkeypatch.context() as patch:
            patch.setattr(target, full)
            said = bench(*numeric(quick, tmp_path / "results"))
        assert said.code == 1
        assert "No space left on device" in said.err.splitlines()[-1]
        assert not run_folders(tmp_path / "results")
    assert bench(*numeric(quick, tmp_path / "results")).code == 0
    assert bench(*numeric(quick, tmp_path / "other")).code == 0
    assert substance(run_folders(tmp_path / "results")[0]) == substance(run_folders(tmp_path / "other")[0])


def test_one_run_repeats_in_processes_with_other_hash_seeds(
    quick: list[str], started: dict[str, str], run_folders: RunFolders, substance: Substance, tmp_path: Path
) -> None:
    found = []
    for hash_seed in ("1", "2"):
        results = tmp_path / hash_seed
        command = [sys.executable, "-m", "bench", "run", "--id-scheme", "numeric/random,textual/title", *quick]
        environment = {**started, "PYTHONHASHSEED": hash_seed}
        subprocess.run([*command, "--results", str(results)], env=environment, check=True, capture_output=True)
        found.append({run_folder.relative_to(results): substance(run_folder) for run_folder in run_folders(results)})
        found[-1]["cache"] = {path.name for path in (results / "cache").rglob("*.safetensors")}
    assert len(found[0]) == 3
    assert found[0] == found[1]


def test_real_ratings(bench: Bench, tiny: Path, run_folders: RunFolders, tmp_path: Path) -> None:
    if sources._embedded() is None:
        pytest.skip(f"MovieLens-100k comes with RecBole, which is not installed: {sources.INSTALL}")
    few = ["--preset", "smoke", "--set", f"backbone={tiny}", "--set", "max_steps=2", "--set", "validation_users=20"]
    said = bench("run", "--id-scheme", "numeric", "--baseline", "pop,random", *few, "--results", tmp_path)
    assert said.code == 0, said.err
    found = {
        run_folder.parents[1].name: json.loads((run_folder / "result.json").read_text())
        for run_folder in run_folders(tmp_path)
    }
    assert sorted(found) == ["numeric.sequential@1", "pop@1", "random@1"]
    pop = found["pop@1"]
    assert pop["dataset"] | {"fingerprint": ""} == {
        "name": "ml-100k",
        "fingerprint": "",
        "users": 943,
        "items": 1682,
        "interactions": 100000,
        "parts": [],
    }
    assert pop["split"] == {"train_users": 943, "validation_users": 943, "test_users": 943}
    ndcg = {name: run_folder["metrics"]["strict"]["ndcg@10"] for name, run_folder in found.items()}
    assert ndcg["pop@1"] > 3 * ndcg["random@1"]
    assert "Now: bench report" in said.err
    assert bench("report", "--results", tmp_path).code == 0


def test_requests_of_one_process_have_precisions_of_their_own(
    bench: Bench, quick: list[str], run_folders: Callable[[Path], list[Path]], tmp_path: Path
) -> None:
    """As those of a file or of a notebook are."""
    for precision in ("fp32", "bf16"):
        words = ["--id-scheme", "numeric/random", *quick, "--set=epochs=1", f"--set=precision={precision}"]
        said = bench("run", *words, "--results", tmp_path)
        assert said.code == 0, said.err
    one, other = ((folder / "model.safetensors").read_bytes() for folder in run_folders(tmp_path))
    assert one != other
