"""One process has a run; who is silent too long is succeeded, and can publish nothing afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bench.errors import BenchError, BusyError, LostError
from bench.results import leases, store
from bench.results.deaths import KILLED, Death
from bench.results.holders import Holder
from bench.results.leases import held, holder_of
from bench.results.store import Begun, building, partial_folder

BEGUN = Begun({"scheme": "one", "seed": 7})
DIED = [Death(KILLED, "", 0.0)]

HOLDING = """
import sys, time
from pathlib import Path
from bench.results import leases
leases.BEAT = 0.05
leases.SILENCE = float(sys.argv[2])
with leases.held(Path(sys.argv[1]), note=lambda: "step 3 of 9"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "toys" / "one@1" / "c0ffee00-012345" / "7"


@pytest.fixture
def another(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the run and promises a sign of life within half a second."""
    with subprocess.Popen([sys.executable, "-c", HOLDING, folder, "0.5"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def numbers(folder: Path) -> list[int]:
    return sorted(int(path.name.rpartition("-")[2]) for path in folder.parent.glob(".7.lease-*"))


def foreign(folder: Path, number: int, **said: object) -> Path:
    """A lease of a process on another machine."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.with_name(f".7.lease-{number}")
    holder = replace(Holder("f00d", "elsewhere", "a place", 1, 2.0, silence=0.2), **said)  # type: ignore[arg-type]
    path.write_text(json.dumps(asdict(holder)))
    return path


def interrupt(folder: Path) -> Path:
    """Where a run that was stopped has saved something."""
    with contextlib.suppress(KeyboardInterrupt), building(folder, BEGUN) as partial:
        (partial / "stage-0.safetensors").write_text("saved")
        raise KeyboardInterrupt
    return partial


def test_numbers_rise_and_the_last_stays(folder: Path) -> None:
    for number in (1, 2, 3):
        with held(folder) as lease:
            assert (lease.number, numbers(folder)) == (number, [number])
            assert str(os.getpid()) in str(holder_of(folder))
        assert holder_of(folder) is None
    assert numbers(folder) == [3]


def test_only_one_of_many_gets_it(folder: Path) -> None:
    """Sixteen threads ask at once, ten times; a second lease within the first would be counted."""
    inside, most, got = [0], [0], [0]
    guard = threading.Lock()

    def work() -> None:
        try:
            with held(folder):
                with guard:
                    inside[0], got[0] = inside[0] + 1, got[0] + 1
                    most[0] = max(most[0], inside[0])
                time.sleep(0.01)
                with guard:
                    inside[0] -= 1
        except BusyError:
            pass

    for _ in range(10):
        threads = [threading.Thread(target=work) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert most == [1]
    assert got[0] >= 10
    assert len(numbers(folder)) == 1


def test_a_living_process_is_left_alone_and_a_dead_one_is_not(folder: Path, another: subprocess.Popen[str]) -> None:
    for _ in range(8):  # longer than it may be silent
        with pytest.raises(BusyError, match=rf"another process \({another.pid} on .*\) is working on"), held(folder):
            pass
        time.sleep(0.1)
    found = holder_of(folder)
    assert found is not None
    assert (found.pid, found.note) == (another.pid, "step 3 of 9")
    another.kill()
    another.wait()
    assert holder_of(folder) is None
    with held(folder) as lease:
        assert (lease.number, lease.taken_over) == (2, False)


def test_a_stopped_process_is_succeeded_when_it_was_silent_for_as_long_as_it_promised(
    folder: Path, another: subprocess.Popen[str]
) -> None:
    os.kill(another.pid, signal.SIGSTOP)
    begin = time.monotonic()
    while True:
        try:
            with held(folder) as lease:
                assert (lease.number, lease.taken_over) == (2, True)
            break
        except BusyError:
            assert time.monotonic() - begin < 30
            time.sleep(0.05)
    assert time.monotonic() - begin > 0.5
    os.kill(another.pid, signal.SIGCONT)


def test_clocks_of_two_machines_are_not_compared(folder: Path) -> None:
    path = foreign(folder, 4)
    os.utime(path, (0, 0))  # its clock is decades behind
    with pytest.raises(BusyError, match="1 on elsewhere"), held(folder):
        pass
    foreign(folder, 4, beat=1)
    os.utime(path, (0, 0))
    time.sleep(0.3)
    with pytest.raises(BusyError), held(folder):  # it has said something since
        pass
    time.sleep(0.3)
    with held(folder) as lease:
        assert (lease.number, lease.taken_over) == (5, True)


def test_a_lease_that_has_just_been_made_is_empty_and_holds(folder: Path) -> None:
    folder.parent.mkdir(parents=True)
    folder.with_name(".7.lease-1").touch()
    with pytest.raises(BusyError), held(folder):
        pass


def test_the_last_look_takes_a_number_that_a_successor_would_need(folder: Path) -> None:
    with held(folder) as lease:
        lease.confirm()
        assert (lease.number, numbers(folder)) == (2, [2])
        foreign(folder, 3)
        assert not lease.holds()
        with pytest.raises(LostError, match="gave no sign of life for too long"):
            lease.confirm()
        with pytest.raises(LostError):
            lease.require()
    assert numbers(folder) == [2, 3]
    assert json.loads(folder.with_name(".7.lease-3").read_text())["token"] == "f00d", "another's lease is not touched"


def test_what_fails_in_a_run_that_was_lost_is_that_it_was_lost(folder: Path) -> None:
    def work(error: BaseException) -> None:
        with held(folder) as lease:
            foreign(folder, lease.number + 1, silence=-1.0)
            raise error

    with pytest.raises(LostError):
        work(FileNotFoundError("of a folder that the successor has renamed"))
    with pytest.raises(BusyError):
        work(RuntimeError())
    with pytest.raises(KeyboardInterrupt):
        work(KeyboardInterrupt())


def test_who_lost_a_run_publishes_nothing_and_leaves_nothing(folder: Path) -> None:
    """The successor is at work in a folder of its own, with all that was saved."""
    mine, successor = folder.with_name(".7.partial-1"), folder.with_name(".7.partial-2")

    def work() -> None:
        with building(folder, BEGUN) as partial:
            assert partial == mine
            (mine / "stage-0.safetensors").write_text("saved")
            store.write_json(mine / "result.json", {"by": "the first"})
            foreign(folder, 2)
            os.rename(mine, successor)
            store.write_json(mine / "result.json", {"by": "the first, which does not know yet"})

    with pytest.raises(LostError):
        work()
    assert not mine.exists()
    assert not store.finished(folder)
    assert sorted(os.listdir(successor)) == ["begun.json", "result.json", "stage-0.safetensors"]


def test_who_is_overtaken_between_the_last_look_and_the_renaming_puts_back_what_was_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The successor has published by then, and a forced run was about to replace that."""

    def overtaken(step: str, path: Path) -> None:
        if step == "rename" and path == folder and partial_folder(folder).exists():
            partial_folder(folder).rename(folder.with_name("elsewhere"))

    with building(folder, BEGUN) as partial:
        (partial / "result.json").write_text("the successor's")
    monkeypatch.setattr(store.files, "hook", overtaken)
    with pytest.raises(LostError), building(folder, replace(BEGUN, forced=True)) as partial:
        (partial / "result.json").write_text("the late one's")
    assert (folder / "result.json").read_text() == "the successor's"


def test_what_a_dead_process_has_saved_stays_where_it_is(folder: Path) -> None:
    first = interrupt(folder)
    with building(folder, BEGUN) as second:
        assert second == first
        assert (second / "stage-0.safetensors").read_text() == "saved"
        (second / "result.json").write_text("{}")


def test_a_successor_of_one_that_may_live_works_in_a_folder_of_its_own(folder: Path) -> None:
    first = interrupt(folder)
    (first / "context").mkdir()  # a process of RecBole's may still be in it
    foreign(folder, 2)
    with pytest.raises(BusyError), building(folder, BEGUN):
        pass
    time.sleep(0.3)
    with building(folder, BEGUN) as second:
        assert second == folder.with_name(".7.partial-3")
        assert sorted(os.listdir(second)) == ["begun.json", "stage-0.safetensors"]
        assert not first.exists()
        (second / "result.json").write_text("{}")
    assert os.listdir(folder) == ["result.json"]


def test_who_comes_when_another_has_just_finished_does_not_do_it_again(folder: Path) -> None:
    seen = store.stamp(folder)
    with building(folder, BEGUN) as partial:
        (partial / "result.json").write_text("{}")
    for begun in (BEGUN, replace(BEGUN, forced=True)):
        with pytest.raises(BusyError, match="has just finished"), building(folder, begun, seen):
            pass
    with building(folder, replace(BEGUN, forced=True), store.stamp(folder)) as partial:
        (partial / "result.json").write_text("{}")


def test_a_run_that_kills_every_worker_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "DEATHS", 2)
    gone = {"place": leases.files.place(), "pid": 2**22 + 1}
    foreign(folder, 1, **gone, ends=DIED)
    with (
        pytest.raises(
            BenchError, match=r"2 tries have ended without anything saved: killed at 'its start' \(2 times\); give"
        ),
        building(folder, BEGUN),
    ):
        pass
    with building(folder, BEGUN) as partial:  # who asks again gets another try
        (partial / "result.json").write_text("{}")
    foreign(folder, 9, **gone, ends=DIED, mark="of what was saved then")
    partial_folder(folder).mkdir()
    (partial_folder(folder) / "stage-0.safetensors").write_text("saved since")
    with building(folder, replace(BEGUN, forced=True)) as partial:  # it had come further, so it goes on
        (partial / "result.json").write_text("{}")


def test_a_lease_is_forgotten_by_who_holds_it_and_its_number_is_not_given_again(folder: Path) -> None:
    with held(folder) as lease:
        with pytest.raises(BusyError):
            leases.forget(folder)
        assert numbers(folder) == [1]
        folder.mkdir()  # the run is finished
    leases.forget(folder)
    assert numbers(folder) == []
    with held(folder) as later:
        assert later.number > 1_000_000_000 > lease.number
        assert not lease.holds()


def test_a_process_that_slept_while_its_lease_was_forgotten_has_lost_the_run(folder: Path) -> None:
    with contextlib.suppress(LostError), held(folder) as asleep:
        leases._path(folder, asleep.number).unlink()
        with held(folder) as other:
            assert other.number == 1
            with pytest.raises(LostError):
                asleep.confirm()
            other.confirm()


def test_who_may_be_alive_is_not_idle(folder: Path, another: subprocess.Popen[str]) -> None:
    (path,) = folder.parent.glob(".7.lease-*")
    old = time.time() - 3 * 86400
    os.utime(path, (old, old))
    assert leases.idle(folder) == 0
    another.kill()
    another.wait()
    os.utime(path, (old, old))
    assert leases.idle(folder) > 2 * 86400
    assert foreign(folder, 9).exists()
    assert leases.idle(folder) == 0


@pytest.mark.parametrize(
    "note",
    [
        *("", "[", "[" * 100_000, "{}", "[1]", '{"pid": "1"}', '{"pid": 1e400}', '{"silence": Infinity}', '{"x": 1}'),
        *('{"pid": -1}', '{"pid": 1000000000000000000000}', '{"token": null}', '{"released": "no"}', '{"beat": true}'),
    ],
)
def test_a_lease_that_is_not_whole_is_of_somebody_unknown(folder: Path, note: str) -> None:
    folder.parent.mkdir(parents=True)
    folder.with_name(".7.lease-1").write_text(note)
    found = leases.last_holder(folder)
    assert not found.released
    assert isinstance(found.gone, bool)
    with pytest.raises(BusyError), held(folder):
        pass
