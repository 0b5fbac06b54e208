"""Whole runs on a device that is not there: no tensor of two devices ever meets, and the CPU's numbers come out.

Dropout is off: each device draws it by a rule of its own. ``textual/idgenrec`` is not among the runs: PyTorch ends the
process in the backward pass of its recommender on a device that is written in Python.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

Flow = tuple[str, dict[str, object]]
NETWORK = {"semantic.dimensions": 8, "semantic.codes": 8, "semantic.epochs": 3}
SET = {"set.dimensions": 8, "set.width": 8, "set.hidden": 8, "set.epochs": 2}
RPG = {"set.quantizer": "pq", "set.slots": 2, "set.codes": 8}
LORA = {"adapter": "lora", "lora_rank": 2, "backbone": "{qwen}", "lora_dropout": 0, "epochs": 1}
UNISREC = {
    "unisrec.width": 16,
    "unisrec.dimensions": 8,
    "unisrec.dropout": 0,
    "unisrec.adaptor_dropout": 0,
    "epochs": 1,
}
SHARED = {"training": "shared"}

FLOWS: dict[str, Flow] = {
    "rqvae": ("semantic/rqvae", NETWORK),
    "rqvae-shared": ("semantic/rqvae", NETWORK | SHARED),
    "rqvae-certified": ("semantic/rqvae", NETWORK | {"decoder": "certified"}),
    "letter": ("semantic/letter", NETWORK),
    "fsq": ("semantic/fsq", {"semantic.dimensions": 8, "semantic.grid": "3,3", "semantic.epochs": 3}),
    "rqkmeans+": ("semantic/rqkmeans+", NETWORK),
    "rqkmeans-exact": ("semantic/rqkmeans", {"semantic.dimensions": 8, "semantic.codes": 8, "decoder": "exact"}),
    "mtgrec": ("semantic/mtgrec", NETWORK | {"semantic.variants": 2}),
    "setrec": ("set/setrec", SET),
    "setrec-shared": ("set/setrec", SET | SHARED),
    "setrec-sampled": ("set/setrec", SET | {"set.sasrec_negatives": 4, "set.negatives": 4}),
    "rpg": ("set/rpg", RPG),
    "rpg-shared": ("set/rpg", RPG | SHARED),
    "title-in-parts": ("textual/title", {"accumulate": 2, "whole_words": True}),
    "qwen-mini": ("numeric/random", {"backbone": "qwen-mini", "epochs": 1}),
    "lora": ("textual/title", LORA),
    "text-by-backbone": (
        "semantic/rqkmeans",
        {"semantic.encoder": "backbone", "semantic.codes": 8, "semantic.whiten": False, **LORA},
    ),
    "unisrec": ("unisrec", UNISREC),
    "unisrec-both": ("unisrec/transductive", UNISREC | {"unisrec.pretrain_fraction": 0.5}),
}

# What has a relative above that runs the same code but for a part.
LONG = {
    "rqvae-shared",
    "rqvae-certified",
    "fsq",
    "rqkmeans+",
    "setrec-shared",
    "setrec-sampled",
    "rpg-shared",
    "unisrec-both",
}


def some_long(flow: str) -> Any:
    return pytest.param(flow, marks=pytest.mark.long) if flow in LONG else flow


def words(lines: dict[str, object], qwen: Path) -> list[str]:
    return [f"--set={name}={str(value).format(qwen=qwen)}" for name, value in lines.items()]


def asked_of(flow: Flow, quick: list[str], qwen: Path) -> list[str]:
    subject, lines = flow
    kind = "--baseline" if subject.startswith("unisrec") else "--id-scheme"
    return ["run", kind, subject, *quick, *words({"dropout": 0, **lines}, qwen)]


Command = Callable[..., SimpleNamespace]


@pytest.fixture(scope="module")
def command() -> Iterator[Command]:
    """``command("run", …, on_device=True)`` in a process that has the device."""
    root = Path(__file__).resolve().parents[2]
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", "HF_HUB_OFFLINE": "1"}
    asked = [sys.executable, "-m", "tests.pretended"]
    pipe = subprocess.PIPE
    with subprocess.Popen(asked, stdin=pipe, stdout=pipe, text=True, cwd=root, env=variables) as process:
        assert process.stdin
        assert process.stdout

        def call(*words: object, on_device: bool = True, mistake: str = "") -> SimpleNamespace:
            asked = {"words": [*map(str, words)], "on_device": on_device, "mistake": mistake}
            print(json.dumps(asked), file=process.stdin, flush=True)
            return SimpleNamespace(**json.loads(process.stdout.readline()))

        yield call
        process.stdin.close()


def found(results: Path) -> tuple[dict[str, Any], pd.DataFrame, Path]:
    (path,) = results.glob("runs/*/*/*/[!.]*/result.json")
    stored = json.loads(path.read_text())
    return stored, pd.read_parquet(path.parent / "per_user.parquet"), path.parent


def alike(one: Path, other: Path) -> None:
    """The same identifiers and ranks; losses and scores up to rounding."""
    (first, ranks, folder), (second, others, place) = found(one), found(other)
    if (folder / "ids.parquet").exists():
        assert pd.read_parquet(folder / "ids.parquet").equals(pd.read_parquet(place / "ids.parquet"))
    assert ranks.equals(others)
    curves = [[point.get("loss") for point in each["training"]["curve"]] for each in (first, second)]
    losses = [np.array([loss for loss in curve if loss is not None]) for curve in curves]
    assert len(losses[0])
    assert np.allclose(*losses, rtol=1e-4)


def test_the_device_itself_behaves_as_one() -> None:
    """In a process that has it: ``pretended_checks.py``."""
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        str(Path(__file__).with_name("pretended_checks.py")),
    ]
    done = subprocess.run(words, cwd=Path(__file__).resolve().parents[2], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


@pytest.mark.parametrize("flow", [some_long(flow) for flow in FLOWS])
def test_a_run_on_a_device_comes_to_what_one_on_the_cpu_does(
    command: Command, quick: list[str], qwen: Path, tmp_path: Path, flow: str
) -> None:
    if flow in ("lora", "text-by-backbone"):
        pytest.importorskip("peft", reason="pip install 'item-identifier-bench[lora]'")
    asked = asked_of(FLOWS[flow], quick, qwen)
    for place, on_device in (("cpu", False), ("device", True)):
        said = command(*asked, "--results", tmp_path / place, on_device=on_device)
        assert said.code == 0, said.err
        assert (said.tensors > 1000) == on_device
    alike(tmp_path / "cpu", tmp_path / "device")


@pytest.mark.parametrize(("mistake", "flow"), [("batch", "rqvae"), ("history", "rqvae"), ("vectors", "letter")])
def test_a_tensor_that_is_left_on_the_cpu_fails(
    command: Command, quick: list[str], qwen: Path, tmp_path: Path, mistake: str, flow: str
) -> None:
    said = command(*asked_of(FLOWS[flow], quick, qwen), "--results", tmp_path, mistake=mistake)
    assert said.code == 1
    assert "expected all tensors to be on one device" in said.err


@pytest.mark.parametrize(
    "flow", ["setrec", *(pytest.param(flow, marks=pytest.mark.long) for flow in ("rqvae", "unisrec"))]
)
def test_an_interrupted_run_resumes_there_and_recommends(
    command: Command, quick: list[str], qwen: Path, tmp_path: Path, flow: str
) -> None:
    asked = [*asked_of(FLOWS[flow], quick, qwen), "--results"]
    assert command(*asked, tmp_path / "whole").code == 0
    stopped = command(*asked, tmp_path / "parts", mistake="stopped")
    assert stopped.code == 130, stopped.err
    resumed = command(*asked, tmp_path / "parts")
    assert resumed.code == 0, resumed.err
    alike(tmp_path / "whole", tmp_path / "parts")
    lists = [
        command("recommend", FLOWS[flow][0], "--history", "i03,i04", "--results", tmp_path / place, on_device=there)
        for place, there in (("whole", False), ("parts", True))
    ]
    assert lists[0].code == 0, lists[0].err
    assert lists[0].out == lists[1].out
