"""What is learned on a device is kept apart from what the CPU learns, whose keys say nothing of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench import devices, faiss_library
from bench.data.dataset import Dataset
from bench.data.splits import leave_one_out
from bench.runs import fitting, subjects
from bench.runs.fitting import fit_key


def test_the_key_of_identifiers_tells_devices_apart(toy: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    scheme, split = subjects.load_scheme("semantic/rqvae")(), leave_one_out(toy)
    on_cpu = fit_key(scheme, split.train)
    assert fit_key(scheme, split.on("cpu").train) == on_cpu
    one, other = (fit_key(scheme, split.on(f"pretend:{number}").train) for number in (0, 1))
    assert one == other != on_cpu, "which of several alike it was says nothing"
    monkeypatch.setattr(devices, "kind", lambda device: f"cuda {device}")
    assert len({fit_key(scheme, split.on(name).train) for name in ("cuda:0", "H100", "cpu")}) == 3
    monkeypatch.setattr(faiss_library, "key", lambda: ("faiss-gpu-cu12 1.14.1",))
    assert fit_key(scheme, split.train) not in (on_cpu, one)
    assert fitting.devices is devices


def test_the_device_changes_nothing_else_of_a_view(toy: Dataset, tmp_path: Path) -> None:
    train = replace(leave_one_out(toy).train, cache=tmp_path)
    assert train.device == "cpu"
    moved = leave_one_out(toy).on("pretend:0").train
    assert moved.fingerprint == train.fingerprint
    assert moved.random().integers(1 << 30) == train.random().integers(1 << 30)
