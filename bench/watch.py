"""Who of several ranks is alive: a thread in each rank says so every few seconds, through the launcher's store.

A rank that waits for another does so inside a library, where no exception and no signal reaches it. So whoever fails
writes the reason into the store, and a rank that still waits some seconds later is ended by its own thread, after
what it holds on the disk was let go.

A rank counts as failed where its process is gone or stopped, seen from its own machine; where it was silent for
``SILENCE``, seen from another; and all do where none of them has used the processor for ``IDLE``: then one hangs, and
the others wait for it, unless it waits for a disk, a download or another process (``outside``). What a rank computes
does not tell whether it will ever end. So one that computes has failed by what it keeps others from: where it neither
comes to the operation of all ranks in which others wait for it, nor gets on with anything (``Watch.at``), for as long
as the launch allows. Work of its own (``Watch.alone``) may take any time.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any

import psutil

from bench import files, outside
from bench.console import say

BEAT = 1.5  # seconds between two signs of life
SILENCE = 40.0  # seconds without one; some libraries let no other thread run for a while
SUSPICION = 10.0  # the same once a connection is lost
IDLE = 45.0  # seconds in which no rank computes, or waits for the outside
WAIT = 600.0  # seconds that ranks wait for another one that computes, where the launch says nothing
LITTLE = 0.5  # seconds of the processor that are no work
GRACE = 8.0  # seconds to end by oneself after a failure
SIGNAL_GRACE = 20.0  # the same after a signal: a step is finished and saved first
JOIN = 300.0  # seconds from the first rank's start to the last one's
GONE = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD, psutil.STATUS_STOPPED)


@dataclass(frozen=True)
class Failure:
    """Why all ranks end; an empty text where one was interrupted."""

    text: str


@dataclass(frozen=True)
class Beat:
    """A sign of life: ``number`` rises; ``seconds`` of the processor were used by the rank and its children.

    ``met`` operations of all ranks were begun, ``done`` times it got on with something, last with ``doing``; ``alone``
    says that the others wait for it rightly, however long, and ``outside`` that it waits for a disk or the like.
    """

    number: int
    pid: int
    host: str
    place: str
    seconds: float
    met: int = 0
    done: int = 0
    doing: str = "the start"
    alone: bool = False
    outside: bool = False
    left: bool = False


@dataclass
class Seen:
    """The last beat of a rank, when it was new here, and when it last told of something done (monotonic seconds)."""

    beat: Beat | None
    since: float
    moved: float = 0.0


class Watch:
    """The thread of one rank. ``leaving``: it has done its work, and no failure of others concerns it any more."""

    def __init__(self, rank: int, size: int, node: str, address: tuple[str, int], attempt: str) -> None:
        self.rank, self.size, self.node, self.address = rank, size, node, address
        self.prefix = f"bench/{attempt}"
        self.store: Any = None
        self.ready, self.leaving, self.suspicious = threading.Event(), False, False
        self.closers: list[Callable[[str], None]] = []
        self.seen = [Seen(None, time.monotonic()) for _ in range(size)]
        self.number, self.own, self.work = 0, 0.0, (0.0, time.monotonic())
        self.met, self.done, self.doing, self.is_alone, self.patience = 0, 0, "the start", False, WAIT
        self.failed_at = self.signaled_at = 0.0
        self.pipe: tuple[int, int] | None = None
        self.lock = threading.RLock()

    # -- what the main thread asks ------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Notice signals also while the main thread waits where none is delivered."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self.pipe = os.pipe()
        for end in self.pipe:
            os.set_blocking(end, False)
        before = signal.set_wakeup_fd(self.pipe[1], warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)

    def await_store(self) -> None:
        self.ready.wait(JOIN)

    def at(self, doing: str) -> None:
        """This rank gets on: it begins with this. Costs nothing; the thread tells the others."""
        self.done, self.doing = self.done + 1, doing

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Within the block the others wait for this rank however long it takes."""
        before, self.is_alone = self.is_alone, True
        with contextlib.suppress(Exception):
            self.beat()  # at once: what follows may let no other thread run for long
        try:
            yield
        finally:
            self.done, self.is_alone = self.done + 1, before

    def fail(self, text: str) -> None:
        """End all ranks for this reason, unless there is one already; an empty text is an interruption."""
        found = json.dumps({"text": text, "rank": self.rank})
        with contextlib.suppress(Exception):  # a store that is gone tells everybody by that
            if self.store is not None:
                self.store.compare_set(f"{self.prefix}/failed", "", found)

    def failure(self) -> Failure | None:
        with contextlib.suppress(Exception):
            if self.store is not None and self.store.check([f"{self.prefix}/failed"]):
                return Failure(json.loads(self.store.get(f"{self.prefix}/failed"))["text"])
        return None

    def reason(self, patient: bool) -> Failure | None:
        """The failure behind a lost connection or, without patience, behind a signal: there it may be none."""
        try:
            return self.sought(SUSPICION + 2 * BEAT if patient else BEAT)
        except KeyboardInterrupt:  # the launcher's signal often comes behind the lost connection
            return self.sought(BEAT)

    def sought(self, seconds: float) -> Failure | None:
        """The failure, waited for while it is being found out."""
        self.suspicious, end = True, time.monotonic() + seconds
        while time.monotonic() < end:
            if found := self.failure():
                return found
            self.look()
            time.sleep(0.1)
        return self.failure()

    def speaks(self) -> bool:
        """Whether nobody on this node has told the user yet how all this ended."""
        with contextlib.suppress(Exception):
            return bool(self.store.add(f"{self.prefix}/said/{self.node}", 1) == 1)
        return os.environ.get("LOCAL_RANK", "0") == "0"

    # -- the thread ---------------------------------------------------------------------------------------------------

    def live(self) -> None:
        from torch._C._distributed_c10d import TCPStore

        try:
            host, port = self.address
            limit = timedelta(seconds=JOIN)
            store = TCPStore(host, port, is_master=False, timeout=limit, wait_for_workers=False)
            store.set_timeout(timedelta(seconds=SILENCE))
            self.store = store
        finally:
            self.ready.set()
        lost = 0.0
        while True:
            try:
                self.beat()
                self.look()
                lost = 0.0
            except Exception:  # whatever the library raises where the store is gone
                lost = lost or time.monotonic()
            self.end_in_time(lost)
            time.sleep(BEAT)

    def beat(self, left: bool = False) -> None:
        with self.lock:
            self.number += 1
            self.own = max(self.own, time.thread_time()) if threading.current_thread().name == "watch" else self.own
            self.met = begun_together(self.met)
            used = processor_seconds() - self.own
            now = Beat(self.number, os.getpid(), files.host(), files.place(), used, self.met, self.done, self.doing)
            told = asdict(replace(now, alone=self.is_alone, outside=outside.waits(), left=left))
            self.store.set(f"{self.prefix}/beat/{self.rank}", json.dumps(told))

    def look(self) -> None:
        """Read what others say. The main rank judges all others, and they judge the main one."""
        with self.lock:
            self.hear(self.rank)
            for rank in range(1, self.size) if self.rank == 0 else (0,):
                self.hear(rank)
                if why := self.verdict(rank):
                    self.fail(why)
            if why := self.late():
                self.fail(why)
            if self.rank == 0 and (why := self.idle()):
                self.fail(why)

    def hear(self, rank: int) -> None:
        key = f"{self.prefix}/beat/{rank}"
        if self.store.check([key]):
            beat, before = Beat(**json.loads(self.store.get(key))), self.seen[rank]
            if before.beat != beat:
                now = time.monotonic()
                on = before.beat is None or (beat.met, beat.done) != (before.beat.met, before.beat.done)
                on = on or bool(before.beat and before.beat.outside)  # a slow disk is no fault of the rank's
                self.seen[rank] = Seen(beat, now, now if on else before.moved)

    def verdict(self, rank: int) -> str:
        """Why a rank is not alive; empty where it is, or has left in peace."""
        seen, now = self.seen[rank], time.monotonic()
        if seen.beat is None:
            return f"rank {rank} has not begun within {JOIN:.0f} s; rerun to resume" if now > seen.since + JOIN else ""
        if seen.beat.left:
            return ""
        name = f"rank {rank} (process {seen.beat.pid} on {seen.beat.host})"
        if seen.beat.place == files.place():
            status = status_of(seen.beat.pid)
            if status == psutil.STATUS_STOPPED:
                return f"{name} was stopped; rerun to resume" if now > seen.since + SUSPICION else ""
            return f"{name} has ended without a word, as if it was killed; rerun to resume" if status in GONE else ""
        silence = now - seen.since
        lone = rank or self.size == int(os.environ.get("GROUP_WORLD_SIZE", "1"))
        if silence > (SUSPICION if self.suspicious else SILENCE) and (lone or self.suspicious):
            return f"{name} has given no sign of life for {silence:.0f} s; rerun to resume"
        return ""

    def late(self) -> str:
        """Why all must end where others wait for a rank that does not come and gets on with nothing. The main rank
        compares all, the others themselves and the main one.
        """
        there = [(seen.beat, seen) for seen in self.seen if seen.beat and not seen.beat.left]
        front = max((beat.met for beat, _ in there), default=0)
        waiting = [(beat, seen) for beat, seen in there if beat.met == front]
        for rank, seen in enumerate(self.seen):
            beat = seen.beat
            if beat is None or beat.left or beat.alone or beat.outside or beat.met == front:
                continue
            waited = time.monotonic() - max(seen.moved, *(other.moved for _, other in waiting))
            if waited > self.patience:
                return (
                    f"rank {rank} (process {beat.pid} on {beat.host}) has not come to where others have waited for it "
                    f"for {waited:.0f} s, in {waiting[0][0].doing}; rerun to resume, with a greater --longest-wait if "
                    "it was only slow"
                )
        return ""

    def idle(self) -> str:
        """Why all must end that only wait for each other."""
        if any(seen.beat is None or seen.beat.left for seen in self.seen):
            return ""
        total, (before, since) = sum(seen.beat.seconds for seen in self.seen if seen.beat), self.work
        if abs(total - before) > LITTLE or any(seen.beat.outside for seen in self.seen if seen.beat):
            self.work = total, time.monotonic()
        elif time.monotonic() - since > IDLE:
            return f"no rank has computed anything for {IDLE:.0f} s: one of them hangs; rerun to resume"
        return ""

    def end_in_time(self, lost: float) -> None:
        """End the process where there is a failure, or a signal, and the main thread does not end by itself."""
        now, failure = time.monotonic(), self.failure() if not lost else None
        if failure and not self.failed_at:
            self.failed_at = now
        if self.pipe and not self.signaled_at:
            with contextlib.suppress(BlockingIOError):
                self.signaled_at = now if os.read(self.pipe[0], 64) else 0.0
        if self.leaving:
            return
        if failure and now > self.failed_at + GRACE:
            self.abandon(failure.text)
        if lost and now > lost + SUSPICION:
            self.abandon("the connection to rank 0 is lost; rerun to resume")
        if self.signaled_at and now > self.signaled_at + SIGNAL_GRACE:
            self.fail("")
            self.abandon("")

    def abandon(self, text: str) -> None:
        """End this process from its thread; the main one waits for what will not come."""
        ended = threading.Thread(target=self.close, args=(text,), daemon=True)
        ended.start()
        ended.join(GRACE)  # a disk may hang too
        if self.speaks():
            say(f"bench: {text or 'interrupted; rerun to resume'}")
        os._exit(1 if text else 130)

    def close(self, text: str) -> None:
        for close in reversed(self.closers):
            with contextlib.suppress(Exception):
                close(text)

    def leave(self) -> None:
        """Say that this rank ends well."""
        self.leaving = True
        with contextlib.suppress(Exception):
            self.beat(left=True)


def begun() -> Watch:
    """The watch of this process, as its launcher describes it."""
    of = os.environ
    node = of.get("GROUP_RANK") or of.get("SLURM_NODEID") or files.host()
    attempt = f"{of.get('TORCHELASTIC_RUN_ID', '')}/{of.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    address = of["MASTER_ADDR"], int(of["MASTER_PORT"])
    found = Watch(int(of["RANK"]), int(of["WORLD_SIZE"]), node, address, attempt)
    threading.Thread(target=found.live, daemon=True, name="watch").start()
    atexit.register(found.leave)
    return found


def begun_together(before: int) -> int:
    """How many operations of all ranks this one has begun, those of the library that averages gradients included; as
    many as ``before`` where ranks are not connected, or do not count.
    """
    torch = sys.modules.get("torch.distributed")
    with contextlib.suppress(Exception):
        if torch and torch.is_initialized():
            return int(torch.distributed_c10d._get_default_group()._get_sequence_number_for_group())
    return before


def status_of(pid: int) -> str:
    """The state of a process of this machine."""
    found: str = psutil.STATUS_DEAD
    try:
        found = psutil.Process(pid).status()
    except psutil.AccessDenied:
        found = psutil.STATUS_RUNNING
    except psutil.Error:
        pass
    return found


def processor_seconds() -> float:
    """Of this process and of those that it has started."""
    own = psutil.Process()
    found = 0.0
    for process in (own, *own.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            found += times.user + times.system + (times.children_user + times.children_system if process is own else 0)
    return found
