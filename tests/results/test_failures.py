"""Who says that a run has failed is who holds it, and it is said until somebody tries again."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from bench import files, processes
from bench.errors import BenchError, BusyError, LostError
from bench.results import leases, store
from bench.results.deaths import KILLED, Death
from bench.results.holders import NOBODY, Asked, Holder
from bench.results.leases import failure, held, holder_of
from bench.results.store import Begun, building, note_failure

BEGUN = Begun({"scheme": "one", "seed": 7})
DEAD = 2**22 + 1  # no process has such a number
ERROR = BenchError("it divides by zero")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "runs" / "toys" / "one@1" / "c0ffee00-012345" / "7"
    found.parent.mkdir(parents=True)
    return found


def foreign(folder: Path, number: int, **said: object) -> None:
    """A lease of a process on another machine."""
    holder = Holder("f00d", "elsewhere", "a place", 1, 2.0, **said)  # type: ignore[arg-type]
    folder.with_name(f".7.lease-{number}").write_text(json.dumps(asdict(holder)))


def fail(folder: Path, asked: Asked = NOBODY) -> None:
    with contextlib.suppress(BenchError), building(folder, BEGUN, asked=asked):
        raise ERROR


def publish(folder: Path, asked: Asked = NOBODY) -> None:
    with building(folder, BEGUN, asked=asked) as partial:
        (partial / "result.json").write_text("{}")


def reason(folder: Path) -> str:
    found = failure(folder)
    return found.reason if found else ""


def test_who_has_lost_a_run_says_nothing_of_it(folder: Path) -> None:
    def lose() -> None:
        with building(folder, BEGUN):
            foreign(folder, 2)
            raise ERROR

    with pytest.raises(LostError):
        lose()
    assert reason(folder) == ""
    assert holder_of(folder)


def test_a_failure_lasts_until_somebody_tries_again_or_publishes(folder: Path) -> None:
    fail(folder)
    assert reason(folder) == "it divides by zero"
    with contextlib.suppress(KeyboardInterrupt), building(folder, BEGUN):
        assert reason(folder) == ""
        raise KeyboardInterrupt
    assert reason(folder) == "", "it was interrupted since"
    fail(folder)
    publish(folder)
    assert reason(folder) == ""


def test_who_fails_before_it_holds_a_run_says_nothing_of_one_that_others_hold_or_have_finished(folder: Path) -> None:
    note_failure(folder, ERROR)
    assert reason(folder) == "it divides by zero"
    with held(folder):
        note_failure(folder, ERROR)
        assert reason(folder) == ""
    seen = store.stamp(folder)
    publish(folder)
    note_failure(folder, ERROR, seen)
    assert reason(folder) == ""
    note_failure(folder, ValueError("it\ncannot be read"), store.stamp(folder))
    assert reason(folder) == "ValueError: it cannot be read"
    foreign(folder, 90)
    note_failure(folder, ERROR)
    assert reason(folder) == "", "another machine may be at it"


def test_what_one_worker_of_a_command_has_failed_at_no_other_tries(folder: Path) -> None:
    asked = Asked("c0ffee", files.now(folder.parent) - 1)
    fail(folder, asked)
    number = leases._numbers(folder)
    note_failure(folder, ValueError("later"), asked=asked)
    assert (reason(folder), leases._numbers(folder)) == ("it divides by zero", number), "it was told"
    with pytest.raises(BusyError, match="another process has just failed at"):
        publish(folder, asked)
    assert reason(folder) == "it divides by zero", "the others are told too"
    publish(folder, Asked("c0ffee", files.now(folder.parent) + 1))


def test_that_a_run_kills_its_workers_is_a_failure(folder: Path) -> None:
    foreign(folder, 1)
    gone = Holder("f00d", place=files.place(), pid=DEAD, ends=[Death(KILLED, "", 0.0)] * (leases.DEATHS - 1))
    folder.with_name(".7.lease-1").write_text(json.dumps(asdict(gone)))
    with pytest.raises(BenchError, match="8 tries have ended without anything saved: killed"):
        publish(folder)
    assert reason(folder).startswith("8 tries have ended")


def test_who_is_at_a_run_does_not_hang_on_this_machine_s_clock(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign(folder, 1)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    assert holder_of(folder)
    monkeypatch.setattr(time, "time", real)
    os.utime(folder.with_name(".7.lease-1"), (real() - 61, real() - 61))
    assert not holder_of(folder)


def test_a_command_joins_one_that_says_the_same_and_is_under_way(folder: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    assert leases.begun(runs, "c0ffee", 900.0) == 900.0
    foreign(folder, 1, command="c0ffee", began=300.0)
    assert leases.begun(runs, "c0ffee", 900.0) == 300.0
    assert leases.begun(runs, "f00d", 900.0) == 900.0
    foreign(folder, 1, command="c0ffee", began=300.0, released=True)
    assert leases.begun(runs, "c0ffee", 900.0) == 900.0, "it has ended, and this one begins anew"


def test_a_process_that_the_system_hides_may_be_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = os.getpid()
    assert processes.is_alive(mine)
    assert processes.is_alive(mine, processes.start_of(mine))
    assert not processes.is_alive(mine, processes.start_of(mine) - 1)
    assert not processes.is_alive(DEAD)
    assert not any(map(processes.is_alive, (-1, 0, 10**24)))

    def refused(pid: int, number: int) -> None:
        assert number == 0
        raise PermissionError

    monkeypatch.setattr(os, "kill", refused)  # as for another user's, whom /proc does not show
    holder = Holder(place=files.place(), pid=DEAD, started=5.0)
    assert not holder.gone
    assert not processes.is_alive(mine, 5.0), "what can be seen is compared"


def test_a_lease_that_goes_while_it_is_looked_for_is_lost(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with held(folder) as lease:
        listed = leases._listed

        def removed(folder: Path) -> list[int]:
            found = listed(folder)
            leases._path(folder, lease.number).unlink(missing_ok=True)
            return found

        monkeypatch.setattr(leases, "_listed", removed)
        assert not lease.holds()
