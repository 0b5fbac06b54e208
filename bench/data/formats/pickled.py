"""Dictionaries that NumPy has pickled into a ``.npy``, as SETRec ships its data: read without running anything.

A pickle is a program. This reader knows the few instructions that build numbers, texts, lists, tuples, sets,
dictionaries and plain arrays; whatever else a file asks for is refused by name, before it is called. Not even NumPy's
own functions are called: an array with a forged data type would make them follow made-up pointers.
"""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from bench.data.formats.opening import Source, reading
from bench.errors import BenchError

DEEPEST = 8  # of containers within one another
LONGEST_HEADER = 10_000  # bytes
PLAIN = "biufSU"  # kinds of arrays whose bytes mean what they say
EXPANDED = 16  # values that a byte of the file may become: one thing named often is a small file and a large value


class RefusedError(Exception):
    """What a file asks for and is not given."""


def read(source: Source) -> Any:
    """The value in a ``.npy``: a dictionary, list or array of builtins. BenchError for anything else."""
    try:
        with reading(source) as file:
            return _value(file.read())
    except Exception as error:  # a forged file can make every instruction fail in its own way
        cause = " ".join(str(error).split())[:160] or type(error).__name__
        raise BenchError(
            f"'{source.path}' is not a NumPy file of plain dictionaries, lists and arrays, and nothing in it was run: "
            f"{cause}"
        ) from error


class Budget:
    """Counts the values that a file becomes, so that a small one cannot fill the memory."""

    def __init__(self, size: int) -> None:
        self.left = EXPANDED * size

    def take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise RefusedError(f"more than {EXPANDED} values for each of its bytes, as one thing that is named often")


def _value(data: bytes) -> Any:
    file, budget = io.BytesIO(data), Budget(len(data))
    version = np.lib.format.read_magic(file)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = reader(file, max_header_size=LONGEST_HEADER)
    if not dtype.hasobject:
        budget.take(_values(shape))
        return np.load(io.BytesIO(data), allow_pickle=False, max_header_size=LONGEST_HEADER).tolist()
    if dtype != np.dtype(object):
        raise RefusedError(f"an array of {dtype} holds objects in its fields")
    value = _plain(_Unpickler(file, budget).load(), DEEPEST, budget)
    return value[0] if shape == () and isinstance(value, list) and len(value) == 1 else value


class _Made:
    """Stands for an array or a data type until its bytes are known. Attributes other than these cannot be set."""

    __slots__ = ("array", "budget", "value")

    def __init__(self, budget: Budget, array: bool, value: Any) -> None:
        self.budget, self.array, self.value = budget, array, value

    def __setstate__(self, state: Any) -> None:
        if self.array:
            _, shape, kind, fortran, data = state
            self.value = _array(self.budget, shape, kind, fortran, data)
        elif state[1] in ("<", ">", "|", "=") and not any(state[2:5]):
            self.value = str(state[1]) + str(self.value).lstrip("<>|=")
        else:
            raise RefusedError("a data type with fields")


class _Function:
    """What a name in a pickle stands for. It has no attribute that a pickle could change for the next file."""

    __slots__ = ("budget", "name")

    def __init__(self, budget: Budget, name: tuple[str, str]) -> None:
        self.budget, self.name = budget, name

    def __call__(self, *arguments: Any) -> Any:
        self.budget.take(sum(len(held) for held in arguments if hasattr(held, "__len__")))
        return ALLOWED[self.name](self.budget, *arguments)


def _values(shape: Sequence[int]) -> int:
    """The lists and values of an array of this shape: one with a length of 0 can still be many empty lists."""
    return math.prod(max(1, int(length)) for length in shape)


def _scalar(budget: Budget, kind: Any, data: Any) -> Any:
    return _array(budget, (1,), kind, False, data)[0]


def _array(budget: Budget, shape: Any, kind: Any, fortran: Any, data: Any) -> Any:
    """The nested list of an array. Objects come as a list, anything else as bytes of a plain type."""
    if not isinstance(kind, _Made) or kind.array:
        raise RefusedError("an array without a data type")
    if str(kind.value).lstrip("<>|=") in ("O", "O8") and isinstance(data, list):
        if len(shape) > 1:
            raise RefusedError("an array of objects with several dimensions")
        return data
    dtype = np.dtype(str(kind.value))
    if dtype.kind not in PLAIN or not isinstance(data, bytes):
        raise RefusedError(f"an array of {dtype}")
    budget.take(_values(shape))
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C").tolist()


ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    **{
        (f"numpy.{core}.multiarray", name): call
        for core in ("core", "_core")
        for name, call in (("_reconstruct", lambda budget, *_: _Made(budget, True, None)), ("scalar", _scalar))
    },
    ("numpy", "dtype"): lambda budget, kind, *_: _Made(budget, False, str(kind)),
    ("numpy", "ndarray"): lambda budget, *_: _Made(budget, True, None),
    ("collections", "OrderedDict"): lambda _, *pairs: dict(*pairs),
    ("collections", "defaultdict"): lambda *_: {},
    ("builtins", "list"): lambda _, *args: list(*args),
    ("builtins", "set"): lambda _, *args: set(*args),
    ("builtins", "int"): lambda _: 0,
    ("__builtin__", "list"): lambda _, *args: list(*args),
    ("__builtin__", "set"): lambda _, *args: set(*args),
    ("_codecs", "encode"): lambda _, text, encoding: str(text).encode({"latin1": "latin-1"}[encoding]),
}


# Instructions that plain data never need: objects of classes, objects kept elsewhere, buffers of any length.
NEVER = {
    code[0]
    for code in (
        *(pickle.INST, pickle.OBJ, pickle.NEWOBJ, pickle.NEWOBJ_EX, pickle.EXT1, pickle.EXT2, pickle.EXT4),
        *(pickle.PERSID, pickle.BINPERSID, pickle.BYTEARRAY8, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER),
    )
}


class _Unpickler(pickle._Unpickler):
    """Python's own reader in Python, whose memo a forged number cannot blow up, with the names above and no others."""

    dispatch: ClassVar[dict[int, Any]] = {
        code: call for code, call in pickle._Unpickler.dispatch.items() if code not in NEVER
    }

    def __init__(self, file: io.BytesIO, budget: Budget) -> None:
        super().__init__(file)
        self.budget = budget

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise RefusedError(f"it asks for {module}.{name}")
        return _Function(self.budget, (module, name))


def _plain(value: Any, depth: int, budget: Budget) -> Any:
    """The value with builtins alone in it."""
    if isinstance(value, dict | list | tuple | set | frozenset):
        budget.take(len(value))
    if depth == 0:
        raise RefusedError("containers within containers, too deep")
    if isinstance(value, _Made):
        return _plain(value.value, depth, budget)
    if isinstance(value, dict):
        return {_key(key): _plain(entry, depth - 1, budget) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry, depth - 1, budget) for entry in value]
    if isinstance(value, set | frozenset):
        return sorted(_plain(entry, depth - 1, budget) for entry in value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise RefusedError(f"a {type(value).__name__}")


def _key(value: Any) -> str:
    if not isinstance(value, str | int):
        raise RefusedError(f"a key that is a {type(value).__name__}")
    return str(value)
