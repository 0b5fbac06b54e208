"""``.npy`` files from strangers: numbers alone, mapped and not copied, and never more than the file holds."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

LONGEST_HEADER = 10_000  # bytes


def read(data: bytes | NDArray[np.uint8]) -> NDArray[Any]:
    """The array in the bytes of a ``.npy`` file, over the same memory. ValueError where there is none, or where it
    holds Python objects, which are pickles.
    """
    stream = io.BytesIO(bytes(data[: LONGEST_HEADER + 12]))
    try:
        version = npy.read_magic(stream)
        header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, fortran, dtype = header(stream, max_header_size=LONGEST_HEADER)
    except Exception as error:  # a header is Python's notation of a dictionary, which fails in many ways
        raise ValueError(f"no .npy header ({type(error).__name__})") from error
    if any(isinstance(size, bool) for size in shape):  # which NumPy's own check takes for whole numbers
        raise ValueError(f"no .npy header (its shape is {list(shape)})")
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are not read")
    begin, count = stream.tell(), math.prod(shape)
    if min(shape, default=0) < 0 or count * dtype.itemsize > len(data) - begin:
        raise ValueError(f"it says {list(shape)} of {dtype}, and holds {len(data) - begin:,} bytes")
    found = np.frombuffer(data, dtype, count, begin)
    return found.reshape(shape, order="F" if fortran else "C")
