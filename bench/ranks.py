"""Several processes ("ranks") of one run, on one machine or many, whose disks need not be shared.

The main rank reads, decides and writes; the others get what they need of it through memory: ``shared`` for values and
``folder`` for files. Long work of the main rank is ``divided`` among all. What all must have found alike, each on its
own, is compared by ``require_same``. Within ``connected`` a rank that fails, dies or hangs ends all others, and
``explained`` gives their errors its reason.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bench import files, launchers, threads, watch
from bench.errors import BenchError, BusyError, said
from bench.watch import Watch

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")
P = TypeVar("P")
LONGEST = timedelta(days=7)  # ranks wait for each other so long: a baseline may train meanwhile
BROKEN = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "gloo/", "NCCL", "ProcessGroup")


@dataclass
class _Here:
    """This process as a rank: its watch, once ranks are connected; whether the others wait in ``shared`` for it; the
    last error that all ranks were told of.
    """

    watch: Watch | None = None
    is_waited_for: bool = False
    told: BaseException | None = None


_here = _Here()


class PeerError(BenchError):
    """Another rank has failed, for this reason."""


class PeerBusyError(PeerError, BusyError):
    """The main rank has found that another process is at it."""


def several() -> bool:
    """Whether a launcher has started more than one rank."""
    return launchers.count(os.environ) > 1


def _in_touch() -> bool:
    """Whether ranks are connected, without an import of torch where nobody needs it."""
    found = sys.modules.get("torch.distributed")
    return bool(found and found.is_available() and found.is_initialized() and found.get_world_size() > 1)


def is_main() -> bool:
    """Whether this is the rank that reads, decides and writes."""
    launchers.adopt(os.environ)
    return os.environ.get("RANK", "0") == "0"


def count() -> int:
    """How many ranks are connected; 1 where there are no others."""
    if not _in_touch():
        return 1
    import torch.distributed as distributed

    return distributed.get_world_size()


def own(device: str) -> str:
    """The device of this rank, where the main rank computes on ``device``."""
    if not _in_touch() or is_main():
        return device
    from accelerate import PartialState

    return str(PartialState().device)


@contextlib.contextmanager
def connected(longest_wait: float = watch.WAIT) -> Iterator[None]:
    """Ranks reach each other, and end together when one of them ends otherwise than well: also where the others have
    waited for ``longest_wait`` seconds for one that computes, its work ``alone`` aside. Nothing for one process.
    """
    if not several():
        yield
        return
    begun = _here.watch = _here.watch or watch.begun()
    begun.patience = longest_wait
    try:
        with begun.signals(), explained():
            _meet(begun)
            yield
    except PeerError as error:
        failure = begun.reason(patient=True)  # in the words of the rank that failed, which knows whose plugin it was
        raise PeerError(failure.text if failure and failure.text else str(error)) from error
    except KeyboardInterrupt:
        begun.fail("")
        raise
    except BaseException as error:
        begun.fail(str(error) if isinstance(error, BenchError) else said(error))
        if not isinstance(error, BenchError | OSError):
            begun.speaks()  # Python shows it with its traceback
        raise
    finally:
        begun.leaving = True


def _meet(begun: Watch) -> None:
    """Accelerate's own way to connect ranks, before anything that they have to agree on."""
    import torch
    from accelerate import PartialState

    PartialState(cpu=not torch.cuda.is_available(), timeout=LONGEST)
    begun.await_store()
    begun.leaving = False


def at(doing: str) -> None:
    """This rank gets on, and begins with ``doing`` ("step 7"): who waits for another names it, and one that gets on
    with nothing while others wait for it has failed after a while.
    """
    if _here.watch:
        _here.watch.at(doing)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Work of this rank that the others wait for however long it takes."""
    with _here.watch.alone() if _here.watch else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """What a lost connection raises, or the launcher's signal that follows a failure, becomes the failure itself."""
    try:
        yield
    except (BenchError, OSError):
        raise
    except (Exception, KeyboardInterrupt) as error:
        if not _here.watch or not (isinstance(error, KeyboardInterrupt) or broken(error)):
            raise
        signaled = isinstance(error, KeyboardInterrupt)
        failure = _here.watch.reason(patient=not signaled)
        if failure and failure.text:
            raise PeerError(failure.text) from error
        if signaled:
            raise
        if failure:
            raise KeyboardInterrupt from error
        raise PeerError("another rank has ended; rerun to resume") from error


def broken(error: BaseException) -> bool:
    """Whether an error says that ranks cannot reach each other any more, and so nothing about its own place."""
    import torch

    named = isinstance(error, RuntimeError) and any(mark in str(error) for mark in BROKEN)
    return named or isinstance(error, torch.distributed.DistError)


def speaks() -> bool:
    """Whether this rank tells the user how it ended: the first one on each node does."""
    if _here.watch:
        return _here.watch.speaks()
    try:
        several()
        return is_main()
    except BenchError:  # which rank this is may be what went wrong
        return "RANK" in os.environ or os.environ.get("SLURM_PROCID", "0") == "0"


@contextlib.contextmanager
def closing(close: Callable[[str], None]) -> Iterator[None]:
    """Within the block, ``close`` is called with the reason where this rank must end while it waits for another."""
    if not _here.watch:
        yield
        return
    _here.watch.closers.append(close)
    try:
        yield
    finally:
        _here.watch.closers.remove(close)


def shared(make: Callable[[], T]) -> T:
    """What ``make`` returns in the main rank, in all ranks; only that one calls it. What it raises there, the others
    raise as PeerError. While it works the others wait, and take their part of what it has ``divided``.
    """
    if not _in_touch() or _here.is_waited_for:
        return make()
    if is_main():
        return _made(make)
    while True:
        at("the work of rank 0")
        told = _broadcast(_Told())
        if told.work is None:
            break
        _take_part(told)
    if told.failure:
        _here.told = PeerBusyError(told.failure) if told.is_busy else PeerError(told.failure)
        raise _here.told
    made: T = told.value
    return made


@dataclass(frozen=True)
class _Told:
    """What the main rank tells those that wait for it: how it ended, or work to take part in, on as many threads."""

    value: Any = None
    failure: str = ""
    is_busy: bool = False
    work: Callable[[Any], Any] | None = None
    parts: Sequence[Any] = ()
    threads: int = 1


def _broadcast(told: _Told) -> _Told:
    from accelerate.utils import broadcast_object_list

    found: list[_Told] = [told]
    broadcast_object_list(found)
    return found[0]


def _made(make: Callable[[], T]) -> T:
    _here.is_waited_for = True
    try:
        with alone():
            made = make()
    except (Exception, SystemExit) as error:  # a library may end the process that the others wait for
        _here.told = error
        failure = str(error) if isinstance(error, BenchError) else said(error)
        _broadcast(_Told(failure=failure, is_busy=isinstance(error, BusyError)))
        raise
    finally:
        _here.is_waited_for = False
    _broadcast(_Told(made))
    return made


def agreed(error: BaseException) -> bool:
    """Whether all ranks have met an error in the same place, so that they go the same way from here: it comes out of
    ``shared`` or ``require_same``, or there is one process.
    """
    found: BaseException | None = error
    while found is not None and found is not _here.told:
        found = found.__cause__
    return found is not None or not _in_touch()


def divided(work: Callable[[P], T], parts: Sequence[P], done: Callable[[int], None] = lambda count: None) -> list[T]:
    """``[work(part) for part in parts]``, each rank having its share of the parts where the others wait in ``shared``.

    The parts alone decide what is computed together, so the result has the same bits with any number of ranks of one
    kind of machine. ``work`` and the parts are pickled. ``done`` gets how many parts are done, of other ranks as many
    as of this one. BenchError where ``work`` fails in another rank.
    """
    if not _here.is_waited_for:
        return _worked(work, parts, done)
    everybody = _take_part(_broadcast(_Told(work=work, parts=parts, threads=threads.now())), done)
    for rank, (_, failure) in enumerate(everybody):
        if failure:
            raise BenchError(f"rank {rank}: {failure}" if rank else failure)
    found: list[T] = [None] * len(parts)  # type: ignore[list-item]
    for rank, (values, _) in enumerate(everybody):
        found[rank :: len(everybody)] = values
    return found


def _worked(work: Callable[[P], T], parts: Sequence[P], done: Callable[[int], None], of_all: int = 1) -> list[T]:
    found = []
    for part in parts:
        at("work that is divided")
        found.append(work(part))
        done(of_all * len(found))
    return found


def _take_part(told: _Told, done: Callable[[int], None] = lambda count: None) -> list[tuple[list[Any], str]]:
    """What all ranks have made of their shares, and why one could not."""
    import torch.distributed as distributed
    from accelerate.utils import gather_object

    assert told.work is not None
    mine, failure = list[Any](), ""
    try:
        ranks = distributed.get_world_size()
        with threads.using(told.threads):
            mine = _worked(told.work, told.parts[distributed.get_rank() :: ranks], done, ranks)
    except (Exception, SystemExit) as error:
        failure = str(error) if isinstance(error, BenchError) else said(error)
    found: list[tuple[list[Any], str]] = gather_object([(mine, failure)])
    return found


def require_same(facts: Mapping[str, object]) -> None:
    """BenchError in all ranks where one of them has found something else than the main rank."""
    if not _in_touch():
        return
    from accelerate.utils import gather_object

    at("the comparison of files and versions")
    everybody = gather_object([(files.host(), {name: str(value) for name, value in facts.items()})])
    host, mine = everybody[0]
    for rank, (other, theirs) in enumerate(everybody):
        for name in (*mine, *theirs):
            if mine.get(name) != theirs.get(name):
                _here.told = BenchError(
                    f"ranks disagree on {name}: '{theirs.get(name)}' on rank {rank} ({other}), '{mine.get(name)}' on "
                    f"rank 0 ({host}); give every node the same files and versions"
                )
                raise _here.told


def spread(tensors: Iterable[Tensor]) -> None:
    """Overwrite tensors with those of the main rank: machines that round differently go on from one state."""
    if not _in_touch():
        return
    import torch.distributed as distributed

    at("the exchange of weights")
    for tensor in tensors:
        whole = tensor.detach().contiguous()
        distributed.broadcast(whole, 0)
        if whole.data_ptr() != tensor.data_ptr():
            tensor.detach().copy_(whole)


@contextlib.contextmanager
def folder(path: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """A folder of the main rank with its files of these suffixes: itself there, a temporary copy in the other ranks."""
    if not _in_touch():
        yield path
        return
    names = shared(lambda: sorted(found.name for found in path.iterdir() if found.suffix in suffixes))
    with tempfile.TemporaryDirectory(prefix="bench-") as copy:
        for name in names:
            content = shared((path / name).read_bytes)
            if not is_main():
                (Path(copy) / name).write_bytes(content)
        yield path if is_main() else Path(copy)
