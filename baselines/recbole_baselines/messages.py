"""What goes through the two pipes between this process and RecBole's: one line of JSON, then bytes where it says so.

to RecBole      {"ask": "score", "arrays": ...}  {"ask": "memory"}  {"ask": "neighbors"}  {"ask": "state"}
from RecBole    {"tell": "progress", ...}  {"tell": "trained", ...}  {"tell": "scores", "arrays": ...}
                {"tell": "memory", ...}  {"tell": "failed", "reason": ...}  {"tell": "restored"}
                {"tell": "neighbors", "arrays": ...}  {"tell": "state", ..., "arrays": ...}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from bench.errors import said

Arrays = Mapping[str, NDArray[Any]]


def send(pipe: BinaryIO, message: Mapping[str, Any], arrays: Arrays | None = None) -> None:
    """Write a message, with the type and shape of each array, and the arrays behind it."""
    arrays = arrays or {}
    kinds = [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()]
    pipe.write(json.dumps({**message, "arrays": kinds}).encode() + b"\n")
    for array in arrays.values():
        pipe.write(array.tobytes())
    pipe.flush()


def receive(pipe: BinaryIO) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The next message and its arrays. EOFError where the other side is gone."""
    line = pipe.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    message: dict[str, Any] = json.loads(line)
    return message, {name: _array(pipe, kind, shape) for name, kind, shape in message.pop("arrays")}


def told(error: Exception) -> str:
    """What went wrong, in one line that is not too long."""
    return said(error)[:300]


def _array(pipe: BinaryIO, kind: str, shape: list[int]) -> NDArray[Any]:
    size = np.dtype(kind).itemsize * int(np.prod(shape))
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError
    array: NDArray[Any] = np.ndarray(shape, kind, bytearray(data))
    return array
