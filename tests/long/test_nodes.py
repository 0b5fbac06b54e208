"""One run over two nodes of two ranks each, which share no folder: the same as in one process (torchrun, gloo)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import psutil
import pytest
from safetensors.torch import load_file

pytestmark = pytest.mark.long

Bench = Callable[..., SimpleNamespace]
RunFolders = Callable[[Path], list[Path]]
BUDGET = {"examples": "all", "max_steps": 12, "batch_size": 15, "learning_rate": 1e-3, "clip_norm": 0.5, "dropout": 0}
NETS = {"set.epochs": 1, "set.width": 8, "set.hidden": 8, "set.dimensions": 8}
WORDS = {"bootstrap_epochs": 10, "candidates": 3, "lengths": 1, "generator_share": 0.25, "generator_rate": 10}
CODES = {"dimensions": 8, "codes": 8, "epochs": 12, "checkpoints": 1, "candidates": 1, "pretraining": 0.5}
SCHEMES = ["numeric", "set", "textual/idgenrec", "semantic/mtgrec"]

BROKEN = """
import os, signal, time
from bench.ids.scheme import Stage
from numeric_ids import Sequential


class Broken(Sequential):
    name = "broken"

    def fit(self, train):
        raise KeyError("title")


class Killed(Sequential):
    name = "killed"

    def stages(self, train, ids):
        if os.environ.get("RANK") == "3":
            os.kill(os.getpid(), signal.SIGKILL)
        yield Stage(ids)
"""


class Nodes:
    """Two nodes: each has folders of its own for data, results and caches, and works in them."""

    def __init__(self, folder: Path, data: Path, environment: dict[str, str], ranks: int = 2) -> None:
        self.homes, self.environment, self.ranks = [folder / "node-0", folder / "node-1"], environment, ranks
        for home in self.homes:
            shutil.copytree(data, home / "data" / "toy")

    def start(self, words: Sequence[str]) -> list[subprocess.Popen[str]]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", f"--nproc-per-node={self.ranks}"]
        torchrun += ["--master-addr=127.0.0.1", f"--master-port={port}"]
        return [
            subprocess.Popen(
                [*torchrun, f"--node-rank={number}", "-m", "bench", *words],
                cwd=home,
                env={**self.environment, "BENCH_RESULTS": "results", "BENCH_DATA_DIR": "data"},
                stderr=subprocess.PIPE,
                text=True,
            )
            for number, home in enumerate(self.homes)
        ]

    def run(self, words: Sequence[str], code: int = 0) -> list[str]:
        """What ranks have said on each node, their launchers aside."""
        return ended(self.start(words), code)


def ended(launchers: list[subprocess.Popen[str]], code: int) -> list[str]:
    said = [launcher.communicate(timeout=1500)[1] for launcher in launchers]
    assert [bool(launcher.returncode) for launcher in launchers] == [bool(code)] * 2, "\n".join(said)
    return said


def spoken(said: Sequence[str]) -> list[str]:
    return [line for text in said for line in text.splitlines() if line.startswith("bench: ")]


def options(tiny: Path, changed: dict[str, Any]) -> list[str]:
    lines = {"backbone": tiny, **BUDGET, **NETS, "textual/idgenrec.generator": tiny}
    lines |= {f"textual/idgenrec.{name}": value for name, value in WORDS.items()}
    lines |= {f"semantic/mtgrec.{name}": value for name, value in CODES.items()}
    lines |= changed
    return [f"--set={name}={value}" for name, value in lines.items()]


def same(one: Path, other: Path) -> None:
    """Weights to 1e-5, identifiers and ranks of all users."""
    names = sorted(path.name for path in one.glob("*.safetensors"))
    assert names == sorted(path.name for path in other.glob("*.safetensors"))
    assert "model.safetensors" in names
    for name in names:
        alone, together = load_file(one / name), load_file(other / name)
        assert alone.keys() == together.keys()
        worst = max(float((alone[key].double() - together[key].double()).abs().max()) for key in alone)
        print(f"{one.parents[1].name}: {name} differs by {worst:.1e}")
        assert worst < 1e-5
    for table in ("per_user.parquet", "ids.parquet"):
        pd.testing.assert_frame_equal(*(pd.read_parquet(folder / table) for folder in (one, other)))


def test_two_nodes_that_share_no_folder_are_one_process(
    bench: Bench, tiny: Path, toy_folder: Path, started: dict[str, str], run_folders: RunFolders, tmp_path: Path
) -> None:
    words = ["run", "--id-scheme", ",".join(SCHEMES), "--baseline", "pop", "--preset", "smoke", "--dataset", "toy"]
    words += options(tiny, {})
    said = bench(*words, "--data-dir", toy_folder.parent, "--results", tmp_path / "one")
    assert said.code == 0, said.err
    nodes = Nodes(tmp_path, toy_folder, started)
    texts = nodes.run(words)
    assert spoken(texts) == []
    assert not (nodes.homes[1] / "results").exists(), "only the main rank reads, writes and caches"
    ours, theirs = run_folders(tmp_path / "one"), run_folders(nodes.homes[0] / "results")
    assert [path.relative_to(tmp_path / "one") for path in ours] == [
        path.relative_to(nodes.homes[0] / "results") for path in theirs
    ]
    assert len(ours) == len(SCHEMES) + 1
    for one, other in zip(ours, theirs, strict=True):
        if (one / "model.safetensors").exists():
            same(one, other)
            environment = json.loads((other / "result.json").read_text())["environment"]
            assert environment["processes"] == 4
        pd.testing.assert_frame_equal(*(pd.read_parquet(folder / "per_user.parquet") for folder in (one, other)))
    again = nodes.run(words)
    assert again[0].count(": finished already in results/") == len(SCHEMES) + 1
    assert "finished already" not in again[1]


def test_a_model_is_tested_elsewhere_by_nodes_that_share_no_folder(
    bench: Bench, tiny: Path, toy_folder: Path, started: dict[str, str], run_folders: RunFolders, tmp_path: Path
) -> None:
    other = shutil.copytree(toy_folder, tmp_path / "data" / "other")
    for path in other.glob("toy.*"):
        text = path.read_text().replace("red", "pink").replace("\ti0", "\tj0").replace("\ni0", "\nj0")
        path.with_name(path.name.replace("toy", "other")).write_text(text)
        path.unlink()
    shutil.copytree(toy_folder, tmp_path / "data" / "toy")
    words = ["run", "--id-scheme", "textual/title", "--preset", "smoke", "--dataset", "toy", "--zero-shot", "other"]
    words += [f"--set={name}={value}" for name, value in {"backbone": tiny, **BUDGET}.items()]
    said = bench(*words, "--data-dir", tmp_path / "data", "--results", tmp_path / "one")
    assert said.code == 0, said.err
    nodes = Nodes(tmp_path, toy_folder, started, ranks=1)
    for home in nodes.homes:
        shutil.copytree(other, home / "data" / "other")
    assert spoken(nodes.run(words)) == []
    assert not (nodes.homes[1] / "results").exists()
    ours, theirs = run_folders(tmp_path / "one"), run_folders(nodes.homes[0] / "results")
    assert len(ours) == len(theirs) == 2
    for alone, together in zip(ours, theirs, strict=True):
        pd.testing.assert_frame_equal(*(pd.read_parquet(folder / "per_user.parquet") for folder in (alone, together)))


def test_what_fails_on_one_node_ends_the_other_with_one_line(
    tiny: Path, toy_folder: Path, started: dict[str, str], tmp_path: Path
) -> None:
    """Each node says it once, blames nobody else, and the run is kept as failed for that reason."""
    nodes = Nodes(tmp_path, toy_folder, started)
    plugin = tmp_path / "broken.py"
    plugin.write_text(BROKEN)
    words = ["--dataset", "toy", "--preset", "smoke", *(f"--set={n}={v}" for n, v in {"backbone": tiny}.items())]
    expected = {
        "Broken": "bench: broken failed in fit: KeyError: 'title' (broken.py, line 11); --debug shows the traceback",
        "Killed": "bench: rank 3 (process ",
        "Nobody": f"bench: '{plugin}' has no 'Nobody'",
    }
    for name, line in expected.items():
        begin = time.monotonic()
        said = nodes.run(["run", "--id-scheme", f"{plugin}:{name}", *words], code=1)
        print(f"{name}: {time.monotonic() - begin:.0f} s: {spoken(said)}")
        assert len(spoken(said)) == 2, said
        assert len(set(spoken(said))) == 1
        assert spoken(said)[0].startswith(line[: len(line) if name != "Nobody" else 7])
        assert not any("Connection closed" in text for text in said)
    failed = [json.loads(path.read_text())["failure"] for path in (nodes.homes[0] / "results").rglob(".*.lease-*")]
    assert sorted(reason.split()[0] for reason in failed if reason) == ["broken", "rank"]
    shutil.move(nodes.homes[1] / "data" / "toy", nodes.homes[1] / "data" / "elsewhere")
    lacking = nodes.run(["run", "--id-scheme", "numeric", *words], code=1)
    assert len(spoken(lacking)) == 2
    assert "toy" in spoken(lacking)[0]


def test_another_number_of_ranks_goes_on_with_the_same_batches(
    bench: Bench, tiny: Path, toy_folder: Path, started: dict[str, str], run_folders: RunFolders, tmp_path: Path
) -> None:
    """Two nodes are ended by a signal to their launchers; one process resumes what they have saved."""
    long = {"backbone": tiny, **BUDGET, "max_steps": 0, "epochs": 20, "patience": 20, "validate_every": 20}
    words = ["run", "--id-scheme", "numeric", "--dataset", "toy", "--preset", "smoke"]
    words += [f"--set={name}={value}" for name, value in long.items()]
    said = bench(*words, "--data-dir", toy_folder.parent, "--results", tmp_path / "one")
    assert said.code == 0, said.err
    nodes = Nodes(tmp_path, toy_folder, started, ranks=1)
    launchers, results = nodes.start([*words, "--save-every=0.5"]), nodes.homes[0] / "results"
    while not list(results.rglob("stage-0-*.safetensors")):
        assert launchers[0].poll() is None
        time.sleep(0.05)
    begin = time.monotonic()
    for launcher in launchers:
        for child in psutil.Process(launcher.pid).children():
            child.send_signal(signal.SIGTERM)
        os.kill(launcher.pid, signal.SIGTERM)
    told = spoken(ended(launchers, 1))
    assert set(told) == {"bench: interrupted; rerun to resume"}
    assert time.monotonic() - begin < 30
    resumed = bench(*words, "--data-dir", toy_folder.parent, "--results", results)
    assert resumed.code == 0, resumed.err
    expected = "resuming with 1 process what 2 began: the batches stay the same, and the results too up to rounding"
    assert expected in resumed.err
    (one,), (other,) = run_folders(tmp_path / "one"), run_folders(results)
    same(one, other)
