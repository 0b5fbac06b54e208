"""A checkpoint is read back to the bit, or it is named as corrupt; a full disk costs nothing that was there."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench.errors import BenchError
from bench.training import checkpoint
from bench.training.checkpoint import TrainingState, load, pack, save, unpack

STATE = TrainingState(3, 7, 41, 0.125, 30, 2, 1.5, False, [{"step": 20, "loss": 0.1 + 0.2}, {"step": 40, "loss": 1e-9}])


def tensors() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {"a": torch.randn(3, 5), "b": torch.randn(4, dtype=torch.bfloat16), "step": torch.tensor(7.0)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "deep" / "stage-0.safetensors"
    save(path, STATE, tensors())
    return path


def test_what_is_written_is_read(path: Path) -> None:
    state, found = load(path)
    assert state == STATE
    assert found.keys() == tensors().keys()
    for name, tensor in tensors().items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_a_state_before_any_validation_is_read(tmp_path: Path) -> None:
    save(tmp_path / "new", TrainingState(), {})
    assert load(tmp_path / "new") == (TrainingState(), {})


def test_a_view_is_written_as_it_stands(tmp_path: Path) -> None:
    matrix = torch.arange(12.0).reshape(3, 4)
    save(tmp_path / "view", STATE, {"t": matrix.T, "row": matrix[1]})
    found = load(tmp_path / "view")[1]
    assert torch.equal(found["t"], matrix.T)
    assert torch.equal(found["row"], matrix[1])


def test_parts_come_apart_as_they_were_joined() -> None:
    model, best = {"x.weight": torch.ones(2)}, {"x.weight": torch.zeros(2)}
    moments = {0: {"step": torch.tensor(3.0), "exp_avg": torch.ones(2)}, 11: {"exp_avg": torch.ones(1)}}
    assert unpack(pack(model, {"state": moments}, best)) == (model, moments, best)
    assert unpack(pack(model, {"state": {}}, {})) == (model, {}, {})


@pytest.mark.parametrize("size", [0, 5, 200, -1])
def test_a_truncated_file_is_named(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(BenchError, match=r"stage-0.safetensors' is corrupt .*--force"):
        load(path)


def test_a_flipped_bit_is_found_wherever_it_is(path: Path) -> None:
    whole = path.read_bytes()
    for position in range(len(whole)):
        corrupt = bytearray(whole)
        corrupt[position] ^= 1 << position % 8
        path.write_bytes(corrupt)
        with pytest.raises(BenchError, match=r"stage-0.safetensors' is corrupt"):
            load(path)


def test_a_foreign_file_and_no_file_are_named(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.ones(1)}, tmp_path / "foreign")
    for name in ("foreign", "missing", "."):
        with pytest.raises(BenchError, match="is corrupt"):
            load(tmp_path / name)


@pytest.mark.parametrize("target", ["safetensors.torch.save_file", "os.replace"])
def test_a_full_disk_leaves_the_checkpoint_that_was_there(
    path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = path.read_bytes()
    monkeypatch.setattr(target, full)
    with pytest.raises(BenchError, match=r"cannot write the checkpoint .*No space left on device.*free some space"):
        save(path, TrainingState(step=42), tensors())
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match="cannot write the checkpoint") as caught:
        save(tmp_path / "file" / "stage-0.safetensors", STATE, tensors())
    assert "\n" not in str(caught.value)


def test_nothing_but_the_checkpoint_is_left(path: Path) -> None:
    save(path, TrainingState(step=42), tensors())
    assert os.listdir(path.parent) == [path.name]
    assert checkpoint.load(path)[0].step == 42
