"""Tensors and facts come back as they were written, from NumPy and PyTorch alike; what is corrupt is named."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from bench import tensors
from bench.errors import BenchError

ARRAYS = {
    "b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a": np.array([True, False]),
    "n": np.zeros((0, 2), np.int64),
}
FACTS = {"name": "né", "numbers": [0.1 + 0.2, None], "nested": {"x": 1}}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    tensors.write(tmp_path / "x", ARRAYS, FACTS, "it")
    for framework in ("np", "pt"):
        arrays, facts = tensors.read(tmp_path / "x", framework, "it", "again")  # type: ignore[arg-type]
        assert facts == FACTS
        assert {name: np.asarray(array).tolist() for name, array in arrays.items()} == {
            name: array.tolist() for name, array in ARRAYS.items()
        }


def test_both_kinds_of_arrays_in_any_order_make_equal_bytes(tmp_path: Path) -> None:
    tensors.write(tmp_path / "numpy", ARRAYS, FACTS, "it")
    turned = {name: torch.from_numpy(ARRAYS[name]) for name in reversed(ARRAYS)}
    tensors.write(tmp_path / "torch", turned, FACTS, "it")
    assert (tmp_path / "numpy").read_bytes() == (tmp_path / "torch").read_bytes()


def test_what_is_no_such_file_is_named(tmp_path: Path) -> None:
    save_file(ARRAYS, tmp_path / "bare")
    save_file(ARRAYS, tmp_path / "other", {tensors.KEY: json.dumps({"facts": "{}", "sha256": "0" * 64})})
    for name, reason in (("bare", "it holds no checksum"), ("other", "its checksum differs"), ("none", "No such file")):
        with pytest.raises(BenchError, match=rf"it '.*{name}' is corrupt \({reason}.*\); again") as caught:
            tensors.read(tmp_path / name, "np", "it", "again")
        assert "\n" not in str(caught.value)


def test_a_refusal_to_write_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("safetensors.numpy.save_file", full)
    with pytest.raises(BenchError, match=r"cannot write it to '.*x': .*No space left on device; free some"):
        tensors.write(tmp_path / "x", ARRAYS, FACTS, "it", "free some")
    assert not list(tmp_path.iterdir())


def test_a_large_file_is_mapped_and_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensors, "LARGE", 1)
    kinds = ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "uint32", "uint64", "bool")
    arrays = {kind: np.arange(7).astype(kind).reshape(7, 1) for kind in kinds} | ARRAYS
    tensors.write(tmp_path / "x", arrays, FACTS, "it")
    before = (tmp_path / "x").read_bytes()
    found, facts = tensors.read(tmp_path / "x", "np", "it", "again")
    assert facts == FACTS
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)
    base = found["float32"]
    while not isinstance(base, np.memmap):
        base = base.base
    found["float32"] += 1  # this reader's own
    torch.from_numpy(found["b"]).add_(1)
    assert (tmp_path / "x").read_bytes() == before
    assert np.array_equal(tensors.read(tmp_path / "x", "np", "it", "again")[0]["b"], ARRAYS["b"])


def test_a_large_file_that_is_corrupt_is_named_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensors, "LARGE", 1)
    tensors.write(tmp_path / "x", ARRAYS, FACTS, "it")
    whole = (tmp_path / "x").read_bytes()
    for content in (whole[:-1] + b"\x7f", whole[:-3], whole[:20], b""):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(BenchError, match=r"it '.*x' is corrupt"):
            tensors.read(tmp_path / "x", "np", "it", "again")


def test_what_a_cache_has_is_left_where_it_is_whole(tmp_path: Path) -> None:
    """Two workers made the same, and the first one's may be mapped by others."""
    path, before = tmp_path / "key.safetensors", len(tensors.kept)
    tensors.write(path, ARRAYS, {"seconds": 1.0}, "it", once=True)
    first = path.stat()
    tensors.write(path, ARRAYS, {"seconds": 2.0}, "it", once=True)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (first.st_ino, first.st_mtime_ns)
    assert tensors.kept[before:] == [path], "only the first has added anything"
    path.write_bytes(path.read_bytes()[:-1])
    tensors.write(path, ARRAYS, {"seconds": 3.0}, "it", once=True)
    assert tensors.read(path, "np", "it", "")[1] == {"seconds": 3.0}


def test_what_is_no_cache_is_replaced_whatever_its_name(tmp_path: Path) -> None:
    before = len(tensors.kept)
    for seconds in (1.0, 2.0):
        tensors.write(tmp_path / f"{'0a' * 16}.safetensors", ARRAYS, {"seconds": seconds}, "it")
        assert tensors.read(tmp_path / f"{'0a' * 16}.safetensors", "np", "it", "")[1] == {"seconds": seconds}
    assert len(tensors.kept) == before
