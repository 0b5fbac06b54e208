"""A device that is not there: it computes on the CPU, and refuses whatever a GPU would refuse.

Every tensor that is put on ``DEVICE`` wraps one of the CPU, and each operation on it is done on what is wrapped. So a
run on it goes through the code for devices and comes to the CPU's numbers, unless a tensor of the CPU meets one of the
device: that is the error that a GPU raises. A CPU tensor without dimensions may join in, and tensors may be copied
between the two, as with CUDA.

A process has the device from its start or not at all, since PyTorch counts devices at the first gradient: so what uses
it runs in processes of its own (``python -m tests.pretended``).
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import traceback
from collections.abc import Iterator
from typing import Any
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "pretend"
aten = torch.ops.aten
COPIES = (aten._to_copy.default, aten.copy_.default)


class MetError(RuntimeError):
    """Tensors of two devices met."""


class Module:
    """What PyTorch asks of the module of a device."""

    @staticmethod
    def is_available() -> bool:
        return False  # nobody is to choose it who was not told to

    @staticmethod
    def is_initialized() -> bool:
        return True

    @staticmethod
    def _is_in_bad_fork() -> bool:
        return False

    @staticmethod
    def manual_seed_all(seed: int) -> None:
        pass

    @staticmethod
    def device_count() -> int:
        return 1

    @staticmethod
    def current_device() -> int:
        return 0

    @staticmethod
    def get_amp_supported_dtype() -> list[torch.dtype]:
        return [torch.bfloat16]


class Pretended(torch.Tensor):
    """A tensor of the device; ``inner`` is where its numbers are. ``made`` counts them."""

    inner: torch.Tensor
    made = 0

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Pretended:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=torch.device(NAME, 0),
        )
        made.inner = inner
        cls.made += 1
        return made

    def __init__(self, inner: torch.Tensor) -> None:
        pass

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"Pretended({self.inner})"

    def tolist(self) -> Any:
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {})


class Factories(TorchDispatchMode):
    """Catches what makes tensors on the device from none, and tensors that meet others."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {})


class FromNumbers(TorchFunctionMode):
    """``torch.tensor`` and ``torch.as_tensor`` move what they have made behind the other mode's back."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.tensor, torch.as_tensor) and (place := kwargs.pop("device", None)) is not None:
            return func(*args, **kwargs).to(place)
        return func(*args, **kwargs)


def _ours(value: Any) -> bool:
    return isinstance(value, torch.device) and value.type == NAME


def _bare(value: Any) -> Any:
    return value.inner if isinstance(value, Pretended) else torch.device("cpu") if _ours(value) else value


def computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """The operation on the CPU, and its results on the device where they belong there."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    ours = [tensor for tensor in tensors if isinstance(tensor, Pretended)]
    others = [tensor for tensor in tensors if not isinstance(tensor, Pretended)]
    if func not in COPIES and ours and any(tensor.dim() for tensor in others):
        raise MetError(f"{func}: expected all tensors to be on one device; {[tuple(t.shape) for t in others]} are not")
    asked = kwargs.get("device")
    if not ours and not _ours(asked) and not any(map(_ours, tree_leaves((args, kwargs)))):
        return func(*args, **kwargs)
    stays = bool(args) and isinstance(args[0], Pretended) if func is aten.copy_.default else bool(ours)
    there = _ours(asked) if asked is not None else stays
    found = func(*tree_map(_bare, args), **tree_map(_bare, kwargs))
    known = {id(tensor.inner): tensor for tensor in ours}

    def wrapped(value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or not there:
            return value
        return known[id(value)] if id(value) in known else Pretended(value)

    return tree_map(wrapped, found)


@contextlib.contextmanager
def device() -> Iterator[str]:
    """Within the block the device is there; its name."""
    swapped = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)  # weights that are tied stay so when they are moved
    try:
        with Factories(), FromNumbers():
            yield f"{NAME}:0"
    finally:
        torch.__future__.set_swap_module_params_on_conversion(swapped)


def there() -> None:
    """The process has the device from now on."""
    if torch._C._get_privateuse1_backend_name() != NAME:
        _setup_privateuseone_for_python_backend(NAME, Module())


@contextlib.contextmanager
def running() -> Iterator[None]:
    """Within the block commands run on the device, as they would on the GPU that Accelerate had found."""
    from bench.training import arithmetic

    class Accelerator(arithmetic.Accelerator):  # type: ignore[misc]
        device = property(lambda self: torch.device(NAME, 0))

    with contextlib.ExitStack() as stack:
        stack.enter_context(device())
        stack.enter_context(mock.patch.object(arithmetic, "Accelerator", Accelerator))
        yield


def wrong(what: str) -> contextlib.AbstractContextManager[Any]:
    """Within the block, a tensor of this kind stays on the CPU, or a run is ``stopped`` behind its first checkpoint."""
    from bench.model import sequence
    from bench.training import checkpoint, loop

    def stays(batch: Any, device: torch.device) -> Any:
        return batch

    def stopped(*given: Any, save: Any = checkpoint.save) -> None:
        save(*given)
        raise KeyboardInterrupt

    mistakes: dict[str, tuple[Any, str, Any]] = {
        "stopped": (checkpoint, "save", stopped),
        "batch": (loop, "to_device", stays),
        "history": (sequence, "to_device", stays),
        "vectors": (torch, "from_numpy", lambda array, made=torch.from_numpy: Kept(made(array))),
    }
    return mock.patch.object(*mistakes[what]) if what else contextlib.nullcontext()


class Kept(torch.Tensor):
    """One that does not follow ``to``."""

    @staticmethod
    def __new__(cls, made: torch.Tensor) -> Kept:
        return made.as_subclass(cls)

    def to(self, *args: Any, **named: Any) -> torch.Tensor:  # type: ignore[override]
        return self.as_subclass(torch.Tensor)


def command(words: list[str], on_device: bool, mistake: str) -> dict[str, Any]:
    """``bench`` with these words in this process."""
    from bench import cli

    code: Any = 0
    Pretended.made = 0
    with contextlib.ExitStack() as stack:
        if on_device:
            stack.enter_context(running())
        stack.enter_context(wrong(mistake))
        stack.enter_context(mock.patch.object(sys, "argv", ["bench", *words]))
        out = stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        err = stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code or 0
        except Exception:  # one of the harness itself, which a terminal shows with its traceback
            code = 1
            traceback.print_exc()
    return {"code": code, "out": out.getvalue(), "err": err.getvalue(), "tensors": Pretended.made}


def main() -> None:
    """Commands come as lines of JSON, and so do the answers go."""
    there()
    torch.set_num_threads(1)
    for line in sys.stdin:
        print(json.dumps(command(**json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
