"""Whole runs on a device that is not there: no tensor of two devices ever meets, and the CPU's numbers come out.

Dropout is off: each device draws it by a rule of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

SMALL = {
    "semantic": {"dimensions": 8, "codes": 8, "epochs": 3},
    "set": {"dimensions": 8, "width": 8, "hidden": 8, "epochs": 2},
    "textual": {"bootstrap_epochs": 1, "generator_share": 0.5},
    "unisrec": {"width": 16, "dimensions": 8},
}
RPG = {"set/rpg.quantizer": "pq", "set/rpg.slots": 2, "set/rpg.codes": 8}


def words(lines: dict[str, object]) -> list[str]:
    return [f"--set={name}={value}" for name, value in lines.items()]


def small(subject: str) -> dict[str, object]:
    family = subject.partition("/")[0]
    lines: dict[str, object] = {f"{family}.{name}": value for name, value in SMALL.get(family, {}).items()}
    return lines | (RPG if subject == "set/rpg" else {})


FLOWS: dict[str, tuple[str, dict[str, object]]] = {
    "rqvae": ("semantic/rqvae", {}),
    "rqvae-shared": ("semantic/rqvae", {"training": "shared"}),
    "rqvae-certified": ("semantic/rqvae", {"decoder": "certified"}),
    "letter": ("semantic/letter", {}),
    "fsq": ("semantic/fsq", {}),
    "rqkmeans+": ("semantic/rqkmeans+", {}),
    "rqkmeans-exact": ("semantic/rqkmeans", {"decoder": "exact"}),
    "mtgrec": ("semantic/mtgrec", {"semantic/mtgrec.variants": 2}),
    "setrec": ("set/setrec", {}),
    "setrec-shared": ("set/setrec", {"training": "shared"}),
    "rpg": ("set/rpg", {}),
    "rpg-shared": ("set/rpg", {"training": "shared"}),
    "idgenrec": ("textual/idgenrec", {}),
    "title-accumulate": ("textual/title", {"accumulate": 2}),
    "qwen-mini": ("numeric/random", {"backbone": "qwen-mini", "epochs": 1}),
}


Command = Callable[..., SimpleNamespace]


@pytest.fixture(scope="module")
def command() -> Iterator[Command]:
    """``command("run", …, on_device=True)`` in a process that has the device."""
    root = Path(__file__).resolve().parents[2]
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", "HF_HUB_OFFLINE": "1"}
    asked = [sys.executable, "-m", "tests.pretended"]
    pipe = subprocess.PIPE
    with subprocess.Popen(asked, stdin=pipe, stdout=pipe, text=True, cwd=root, env=variables) as process:
        assert process.stdin and process.stdout

        def call(*words: object, on_device: bool = True, mistake: str = "nothing") -> SimpleNamespace:
            asked = {"words": [*map(str, words)], "on_device": on_device, "mistake": mistake}
            print(json.dumps(asked), file=process.stdin, flush=True)
            return SimpleNamespace(**json.loads(process.stdout.readline()))

        yield call
        process.stdin.close()


def found(results: Path) -> tuple[dict[str, object], pd.DataFrame, Path]:
    (path,) = results.glob("runs/*/*/*/[!.]*/result.json")
    stored = json.loads(path.read_text())
    return stored, pd.read_parquet(path.parent / "per_user.parquet"), path.parent


def alike(one: Path, other: Path) -> None:
    """The same identifiers and ranks; losses up to rounding."""
    (first, ranks, folder), (second, others, place) = found(one), found(other)
    for name in ("ids.parquet",):
        assert pd.read_parquet(folder / name).equals(pd.read_parquet(place / name))
    assert ranks.equals(others)
    curves = [[point.get("loss") for point in each["training"]["curve"]] for each in (first, second)]  # type: ignore[index]
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


@pytest.mark.parametrize("flow", list(FLOWS))
def test_a_run_on_a_device_comes_to_what_one_on_the_cpu_does(
    command: Command, quick: list[str], tmp_path: Path, flow: str
) -> None:
    subject, lines = FLOWS[flow]
    asked = ["run", "--id-scheme", subject, *quick, *words({"dropout": 0, **small(subject), **lines})]
    for place, on_device in (("cpu", False), ("device", True)):
        said = command(*asked, "--results", tmp_path / place, on_device=on_device)
        assert said.code == 0, said.err
    alike(tmp_path / "cpu", tmp_path / "device")
