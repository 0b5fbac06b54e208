"""``.npy`` from strangers: what NumPy itself wrote is read as it reads it, all else is a ValueError."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench import arrays


def saved(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def forged(header: bytes) -> bytes:
    padded = header + b" " * (63 - (10 + len(header)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded


@pytest.mark.parametrize("kind", ["<i8", ">i4", "u1", "<f4", "<f8", "?", "<U3"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 4), (2, 1, 2)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_what_numpy_writes_is_read_alike(kind: str, shape: tuple[int, ...], order: Any) -> None:
    array = np.arange(int(np.prod(shape))).reshape(shape).astype(kind, order=order)
    data = saved(array)
    for found in (arrays.read(data), arrays.read(np.frombuffer(data, np.uint8))):
        np.testing.assert_array_equal(found, array)
        assert (found.dtype, found.shape) == (array.dtype, array.shape)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x09\x00" + b"x" * 50,
        forged(b"{'descr':'<i8','fortran_order':False,'shape':(1000000000000,4)}"),
        forged(b"{'descr':'<i8','fortran_order':False,'shape':(-1,4)}"),
        forged(b"{'descr':'|O','fortran_order':False,'shape':(1,)}"),
        forged(b"(" * 5000),
        forged(b"__import__('os').system('true')"),
        saved(np.arange(10))[:-1],
    ],
)
def test_all_else_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^(no .npy header|it holds Python objects|it says)"):
        arrays.read(data)


@given(st.integers(0, 150), st.binary(min_size=1, max_size=8))
def test_a_damaged_file_is_read_within_its_bounds_or_refused(place: int, patch: bytes) -> None:
    data = saved(np.arange(6, dtype="<i2").reshape(2, 3))
    broken = data[:place] + patch + data[place + len(patch) :]
    try:
        found = arrays.read(broken)
    except ValueError:
        return
    assert found.nbytes <= len(broken)


def test_a_shape_of_truths_is_no_shape() -> None:
    header = b"{'descr': '<i8', 'fortran_order': False, 'shape': (True, 4), }"
    with pytest.raises(ValueError, match=r"no \.npy header"):
        arrays.read(forged(header) + bytes(32))
