"""What leases say survives full disks, other users, other versions of bench and clocks that are set back."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from bench import files, processes
from bench.errors import BenchError, BusyError
from bench.results import holders, leases
from bench.results.deaths import KILLED, OUT_OF_TIME, Death, outlasts
from bench.results.holders import Asked, Holder, read
from bench.results.leases import held, holder_of, last_holder
from bench.results.store import Begun, building

BEGUN = Begun({"scheme": "one", "seed": 7})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "toys" / "one@1" / "c0ffee00-012345" / "7"
    folder.parent.mkdir(parents=True)
    return folder


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """Files can be made, and nothing can be written into them."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder.parent))


def test_a_full_disk_leaves_no_lease_of_nobody(folder: Path) -> None:
    with full_disk(), pytest.raises(BenchError, match="cannot write results"), building(folder, BEGUN):
        pass
    assert names(folder) == []
    with building(folder, BEGUN) as partial:
        (partial / "result.json").write_text("{}")


def test_a_disk_that_is_full_as_a_run_is_published_is_told_as_such(folder: Path) -> None:
    """And not as a run that another process has taken over, for which a worker would come back again and again."""
    with contextlib.ExitStack() as stack:

        def publish() -> None:
            with building(folder, BEGUN) as partial:
                (partial / "result.json").write_text("{}")
                stack.enter_context(full_disk())

        with pytest.raises(BenchError, match="cannot write results") as refused:
            publish()
        assert not isinstance(refused.value, BusyError)
    assert names(folder) == [".7.lease-1", ".7.partial-1"]


def test_signs_of_life_that_a_full_disk_refuses_leave_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT", 0.02)
    with held(folder) as lease, full_disk():
        time.sleep(0.3)
        assert names(folder) == [".7.lease-1"]
        assert lease.holds()


def test_a_folder_that_is_removed_under_a_run_hides_no_error(folder: Path) -> None:
    def work() -> None:
        with held(folder):
            shutil.rmtree(folder.parent)
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        work()


@pytest.mark.parametrize("content", [b"\xff\xfe", json.dumps(asdict(Holder("t")) | {"pid": "new"}).encode()])
def test_a_lease_that_cannot_be_read_is_alive_while_it_changes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """Another user's, or another version's: each sign of life is a new file, whatever is in it."""
    monkeypatch.setattr(holders, "UNKNOWN", Holder(silence=0.2))
    path = folder.with_name(".7.lease-1")
    for _ in range(4):
        path.write_bytes(content)
        with pytest.raises(BusyError), held(folder):
            pass
        time.sleep(0.15)
    time.sleep(0.15)
    with held(folder) as lease:
        assert lease.number == 2


def test_a_lease_of_a_newer_version_says_what_is_known_here(folder: Path) -> None:
    holder = Holder("t", "here", files.place(), os.getpid(), processes.start_of(os.getpid()), note="step 3")
    path = folder.with_name(".7.lease-1")
    path.write_text(json.dumps({**asdict(holder), "colour": "blue", "ends": ["killed at 'its start'"], "deaths": 1}))
    assert read(path) == holder
    assert holder_of(folder) == holder
    path.write_text(json.dumps({**asdict(holder), "released": True, "colour": "blue"}))
    with held(folder):
        pass


def test_what_failed_before_the_clock_was_set_back_is_tried_again(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError), building(folder, BEGUN):
        _ = 1 / 0
    asked = Asked("c0ffee", files.now(folder.parent) - 1)
    assert leases.failed_since(folder, asked)
    os.utime(folder.with_name(".7.lease-1"), (time.time() + 3600, time.time() + 3600))
    assert not leases.failed_since(folder, asked)
    with building(folder, BEGUN, asked=asked) as partial:
        (partial / "result.json").write_text("{}")


def test_a_foreign_holder_of_before_the_clock_was_set_back_is_not_under_way(folder: Path) -> None:
    path = folder.with_name(".7.lease-1")
    path.write_text(json.dumps(asdict(Holder("t", "elsewhere", "a place", 1))))
    assert holder_of(folder)
    os.utime(path, (time.time() + 3600, time.time() + 3600))
    assert not holder_of(folder)


FIRST, SECOND = Asked("c0ffee", 1.0, submitted=True), Asked("c0ffee", 2.0, submitted=True)
TIMED, SHOT = Death(OUT_OF_TIME, "fit", 1.0), Death(KILLED, "fit", 1.0)


def test_a_new_submission_counts_neither_kills_nor_timeouts_of_one_before() -> None:
    dead = Holder("t", note="fit", began=1.0, ends=[TIMED, SHOT])
    assert dead.ends_for("", FIRST) == [TIMED, SHOT, SHOT]
    assert dead.ends_for("", SECOND) == []
    ended = Holder("t", note="fit", began=2.0, ends=[TIMED, SHOT], released=True, ended=OUT_OF_TIME)
    assert not outlasts(ended.ends_for("", SECOND)), "one of them was of the submission before"
    assert outlasts([*ended.ends_for("", SECOND), Death(OUT_OF_TIME, "fit", 2.0)])


def test_a_command_that_is_started_again_counts_kills_and_no_timeouts() -> None:
    """By a supervisor, or by a person: nobody can tell, and the supervisor would do so for ever."""
    assert Holder("t", note="fit", began=1.0, ends=[TIMED, SHOT]).ends_for("", Asked("c0ffee", 3.0)) == [SHOT, SHOT]
    assert Holder("t", began=1.0, released=True).ends_for("", Asked("c0ffee", 3.0)) == []


@pytest.mark.parametrize(("found", "count"), [("1 2", 1), ("2", 1), ("", 1), ("1 2 3", 0), ("1 3", 0)])
def test_what_a_takeover_removes_is_nothing_new(folder: Path, found: str, count: int) -> None:
    """Who takes over a foreign run starts its training folder afresh, so there is less than the dead one has found."""
    path = folder.with_name(".7.lease-1")
    path.write_text(json.dumps(asdict(Holder("t", place=files.place(), pid=999_999_999, mark="1 2"))))
    with held(folder, mark=found):
        assert len(last_holder(folder).ends) == count
