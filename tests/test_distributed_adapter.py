"""Two processes train one decoder-only model, or one adapter and new rows over one frozen base (torchrun, gloo)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from safetensors.torch import load_file

Bench = Callable[..., SimpleNamespace]
RunFolders = Callable[[Path], list[Path]]


FILES = {"adapter": ("adapter_model.safetensors", "rows.safetensors"), "scratch": ("model.safetensors",)}


# What is trained whole is divided as in tests/test_distributed.py.
@pytest.mark.parametrize("kind", ["adapter", pytest.param("scratch", marks=pytest.mark.long)])
def test_two_processes_train_one_decoder_only_model(
    kind: str,
    bench: Bench,
    quick: list[str],
    qwen: Path,
    started: dict[str, str],
    run_folders: RunFolders,
    tmp_path: Path,
) -> None:
    """Without dropout, the one thing that two processes draw differently. Batches are of odd size."""
    changed: dict[str, object] = {"batch_size": 15, "learning_rate": 1e-3, "dropout": 0}
    changed |= {"semantic.dimensions": 8, "semantic.codes": 8, "backbone": "qwen-mini"}
    if kind == "adapter":
        changed |= {"backbone": qwen, "adapter": "lora", "lora_dropout": 0, "vocabulary": "extended"}
    lines = [f"--set={name}={value}" for name, value in changed.items()]
    words = ["run", "--id-scheme", "semantic/rqkmeans", *quick, *lines, "--results"]
    said = bench(*words, tmp_path / "one")
    assert said.code == 0, said.err
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, "-m", "bench", *words, str(tmp_path / "two")]
    done = subprocess.run(command, env=started, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (one,), (two,) = run_folders(tmp_path / "one"), run_folders(tmp_path / "two")
    for file in FILES[kind]:
        alone, together = load_file(one / file), load_file(two / file)
        assert alone.keys() == together.keys()
        assert max(float((alone[name] - together[name]).abs().max()) for name in alone) < 1e-5
    if kind == "adapter":  # whose changes begin at zero
        moved = [tensor for name, tensor in alone.items() if "lora_B" in name or "rows" in name]
        assert max(float(tensor.abs().max()) for tensor in moved) > 1e-4
    pd.testing.assert_frame_equal(*(pd.read_parquet(folder / "per_user.parquet") for folder in (one, two)))
    processes = [json.loads((folder / "result.json").read_text())["environment"]["processes"] for folder in (one, two)]
    assert processes == [1, 2]
