"""Arrays and plain facts in one safetensors file with a SHA-256 over both: the one format of what is stored as tensors.

NumPy arrays and PyTorch tensors of equal content make equal bytes, whatever the order they are given in.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors import SafetensorError, safe_open

from bench import outside
from bench.errors import BenchError, CorruptError
from bench.files import replacing, require_readable

LARGE = 1 << 24  # bytes of a file, from which arrays are mapped and not copied
PLAIN = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1"}
PLAIN |= {"U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?"}  # of safetensors, as NumPy has them
KEY = "bench"  # safetensors writes several metadata keys in any order: one key, so that equal content is equal bytes

Facts = Mapping[str, Any]
kept: list[Path] = []  # files of caches that this process has written


def write(path: Path, arrays: Mapping[str, Any], facts: Facts, what: str, hint: str = "", once: bool = False) -> None:
    """Write arrays (all NumPy or all PyTorch) and facts (as JSON holds them), all or nothing.

    BenchError where the disk refuses: it names ``what`` was to be written and ends in the hint. One that is
    named after all that its content depends on, as caches are, is written ``once``: what another process has written
    meanwhile stays, if it is whole, for others may have it mapped.
    """
    if once and _is_whole(path):
        return
    plain = {name: _plain(array) for name, array in arrays.items()}
    stored = json.dumps(facts)
    metadata = {KEY: json.dumps({"facts": stored, "sha256": _checksum(stored, plain)})}
    with replacing(path, what, hint) as partial:
        _save(plain, partial, metadata)
    if once:
        kept.append(path)


def _is_whole(path: Path) -> bool:
    with contextlib.suppress(BenchError):
        read(path, "np", "it", "")
        return True
    return False


def read(path: Path, framework: Literal["np", "pt"], what: str, hint: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arrays and facts. BenchError where the file is missing, unreadable or corrupt: it names ``what``, the file and
    the reason, and ends in the hint.

    NumPy arrays of a large file are mapped: processes that read the same file share its memory, and what one of them
    writes into an array is its own.
    """
    require_readable(path)
    try:
        with outside.waiting():
            return _whole(path, framework)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise corrupt(path, error, what, hint) from error


def _whole(path: Path, framework: Literal["np", "pt"]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arrays and facts, of a file that is what its checksum says; else many kinds of errors."""
    with safe_open(path, framework=framework) as file:
        found = json.loads((file.metadata() or {}).get(KEY, "null"))
        names = list(file.keys())
        mapped = _mapped(path) if framework == "np" and path.stat().st_size >= LARGE else {}
        arrays = {name: mapped[name] if name in mapped else file.get_tensor(name) for name in names}
    if not isinstance(found, dict) or "sha256" not in found:
        raise ValueError("it holds no checksum")
    if found["sha256"] != _checksum(found["facts"], arrays):
        raise ValueError("its checksum differs")
    return arrays, dict(json.loads(found["facts"]))


def corrupt(path: Path, reason: object, what: str, hint: str) -> CorruptError:
    """The error for a file whose content is not what it should be."""
    return CorruptError(f"{what} '{path}' is corrupt ({' '.join(str(reason).split())}); {hint}")


def _mapped(path: Path) -> dict[str, Any]:
    """The arrays of a safetensors file, which its library has looked through, where they lie: 8 bytes say how long the
    header is, which says where each begins behind it. Those of types that NumPy lacks are left out.
    """
    memory = np.memmap(path, np.uint8, "c")
    begin = 8 + int.from_bytes(memory[:8].tobytes(), "little")
    header = json.loads(memory[8:begin].tobytes())
    return {
        name: np.ndarray(told["shape"], PLAIN[told["dtype"]], memory, begin + told["data_offsets"][0])
        for name, told in header.items()
        if name != "__metadata__" and told["dtype"] in PLAIN
    }


def _save(arrays: dict[str, Any], path: Path, metadata: dict[str, str]) -> None:
    if all(isinstance(array, np.ndarray) for array in arrays.values()):
        from safetensors.numpy import save_file as save_numpy

        save_numpy(arrays, path, metadata)
    else:
        from safetensors.torch import save_file as save_torch  # here, for it imports torch

        save_torch(arrays, path, metadata)


def _plain(array: Any) -> Any:
    """On the CPU, and contiguous: safetensors writes memory as it lies."""
    return np.ascontiguousarray(array) if isinstance(array, np.ndarray) else array.detach().cpu().contiguous()


def _checksum(facts: str, arrays: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(facts.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {str(array.dtype).removeprefix('torch.')} {tuple(array.shape)}".encode())
        digest.update(_bytes(array))
    return digest.hexdigest()


def _bytes(array: Any) -> Any:
    if isinstance(array, np.ndarray):
        return np.ascontiguousarray(array).data
    import torch  # has been imported by whoever made the tensor

    return array.contiguous().reshape(-1).view(torch.uint8).numpy().data
