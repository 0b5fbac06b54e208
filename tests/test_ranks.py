"""Ranks end together: one fails, dies, is stopped or hangs, and one line says why (torchrun, gloo on the CPU)."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import files, ranks, watch
from bench.errors import BenchError

RANKS = """
import os, signal, sys, time
from pathlib import Path
import torch
import torch.distributed as distributed
from bench import cli, outside, ranks, threads, watch
from bench.errors import BenchError
from bench.results import leases
from bench.runs.many import Work, bring_to_end
from bench.training.signals import interrupted_by_sigterm

what, rank, here = sys.argv[1], int(os.environ["RANK"]), Path(sys.argv[2])
watch.IDLE, watch.SUSPICION, watch.SIGNAL_GRACE, watch.GRACE = 8.0, 3.0, 3.0, 2.0
patience = float(sys.argv[3])


def wait_for_others():
    (here / f"waits-{rank}").touch()
    distributed.all_reduce(torch.ones(1))


def raises():
    if rank == 1:
        raise KeyError("mine")
    wait_for_others()


def says_no():
    ranks.shared(lambda: (_ for _ in ()).throw(BenchError("the main one says no")))


def disagrees():
    ranks.require_same({"version": 1, "file": rank % 2})


def is_killed():
    if rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    wait_for_others()


def is_stopped():
    if rank == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
    wait_for_others()


def hangs():
    if rank == 1:
        time.sleep(1000)
    with ranks.closing(lambda why: (here / "closed").write_text(why)):
        wait_for_others()


def computes_for_ever():
    # one of them, in a step of training as DistributedDataParallel makes it
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(2, 2))
    for step in range(1, 4):
        ranks.at(f"step {step}")
        loss = model(torch.ones(1, 2)).sum()
        while step == 3 and rank == LOOPS:
            pass
        loss.backward()


def main_computes_for_ever():
    global LOOPS
    LOOPS = 0
    computes_for_ever()


def others_compute_for_ever():
    ranks.shared(lambda: ranks.divided(endless, [0, 1]))


def endless(part):
    while part:
        pass


def is_slow():
    # the main rank works alone for longer than the others wait; then one of them gets on, as long again
    assert ranks.shared(lambda: busy(3 * patience)) is None
    for _ in range(12 * rank):
        ranks.at("a part of long work")
        busy(patience / 4)
    wait_for_others()


def busy(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


LOOPS = 1


def agrees():
    made = []
    assert ranks.shared(lambda: made.append(rank) or {"of": rank}) == {"of": 0}
    assert made == ([0] if rank == 0 else [])
    ranks.require_same({"version": 1})
    rows = torch.full((3, 2), float(rank)).t()
    ranks.spread([rows])
    assert not rows.any()
    if rank == 0:
        (here / "home").mkdir()
        (here / "home" / "a.json").write_text("{}")
        (here / "home" / "b.log").write_text("")
    with ranks.folder(here / "home", (".json",)) as found:
        assert (found / "a.json").read_text() == "{}"
        assert (found == here / "home") == (rank == 0)
        assert rank == 0 or not (found / "b.log").exists()


def squared(number):
    if number == 13:
        raise KeyError("unlucky")
    return rank, number**2


def on_one_thread(parts):
    with threads.one_thread():
        return ranks.divided(threads_of, parts)


def threads_of(part):
    return torch.get_num_threads()


def made(numbers):
    assert rank == 0
    return [ranks.divided(squared, numbers), ranks.divided(squared, numbers[:1]), ranks.divided(squared, [])]


def divides():
    whole, first, nothing = ranks.shared(lambda: made(range(5)))
    assert whole == [(0, 0), (1, 1), (0, 4), (1, 9), (0, 16)]
    assert (first, nothing) == ([(0, 0)], [])
    with threads.using(2):
        assert ranks.shared(lambda: on_one_thread(range(3))) == [1, 1, 1]
    assert ranks.shared(lambda: "next") == "next"
    assert ranks.divided(squared, [3, 4]) == [(rank, 9), (rank, 16)], "outside of shared nobody waits"


def divides_badly():
    ranks.shared(lambda: ranks.divided(squared, [1, 13]))


def waits_for_a_disk():
    with outside.waiting():
        ranks.shared(lambda: time.sleep(1.5 * watch.IDLE))


def takes_over():
    # the run is a dead process's of another machine, which may be silent for longer than ranks may be idle
    def take():
        with leases.held(here / "run"):
            return here / "run"

    if rank == 0:
        (here / ".run.lease-4").write_text('{"token": "f00d", "place": "deadbeef", "host": "n1", "silence": 12.0}')
    found = bring_to_end([Work("a run", lambda: [ranks.shared(take)])], print, keep_going=False)
    assert found == [here / "run"]


def keeps_going():
    log = []
    jobs = [Work("bad", says_no), Work("good", lambda: [ranks.shared(lambda: here)])]
    try:
        bring_to_end(jobs, log.append, keep_going=True)
    finally:
        (here / f"log-{rank}").write_text(chr(10).join(log))


def app():
    with interrupted_by_sigterm(), ranks.connected(patience):
        globals()[what]()
    (here / f"done-{rank}").touch()


cli.app, sys.argv = app, ["bench"]
cli.main()
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("script") / "ranks.py"
    path.write_text(RANKS)
    return path


def launched(script: Path, folder: Path, what: str, started: dict[str, str], nodes: int) -> list[subprocess.Popen[str]]:
    """Two ranks that do the same, on one node or on two. They wait ten seconds for one that computes."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    base = [sys.executable, "-m", "torch.distributed.run", f"--nnodes={nodes}", f"--nproc-per-node={2 // nodes}"]
    base += ["--master-addr=127.0.0.1", f"--master-port={port}"]
    return [
        subprocess.Popen(
            [*base, f"--node-rank={node}", str(script), what, str(folder), "10"],
            env=started,
            stderr=subprocess.PIPE,
            text=True,
        )
        for node in range(nodes)
    ]


def told(launchers: list[subprocess.Popen[str]]) -> list[str]:
    """What ranks have said, one line each; the launchers speak too."""
    lines = [line for launcher in launchers for line in launcher.communicate(timeout=240)[1].splitlines()]
    return [line for line in lines if line.startswith("bench: ")]


SLOW = ("is_slow", "waits_for_a_disk", "takes_over")


@pytest.mark.parametrize("what", ["agrees", "divides", *(pytest.param(what, marks=pytest.mark.long) for what in SLOW)])
def test_ranks_get_what_the_main_one_has(script: Path, tmp_path: Path, started: dict[str, str], what: str) -> None:
    launchers = launched(script, tmp_path, what, started, 1)
    assert told(launchers) == []
    assert launchers[0].returncode == 0
    assert len(list(tmp_path.glob("done-*"))) == 2


def test_a_failure_that_all_ranks_know_of_ends_no_other_run(
    script: Path, tmp_path: Path, started: dict[str, str]
) -> None:
    launchers = launched(script, tmp_path, "keeps_going", started, 1)
    said = "bench: 1 of 2 failed, the others are stored: bad (the main one says no)"
    assert told(launchers) == [said]
    for rank in (0, 1):
        lines = (tmp_path / f"log-{rank}").read_text().splitlines()
        assert [line for line in lines if not line.startswith("run ")] == ["bad: failed: the main one says no"]


@pytest.mark.parametrize(
    ("what", "nodes", "line"),
    [
        pytest.param("says_no", 1, "the main one says no", marks=pytest.mark.long),
        pytest.param("divides_badly", 1, "rank 1: KeyError: 'unlucky'", marks=pytest.mark.long),
        pytest.param(
            "disagrees",
            1,
            "ranks disagree on file: '1' on rank 1 (HOST), '0' on rank 0 (HOST); give every node the same",
            marks=pytest.mark.long,
        ),
        ("raises", 2, "KeyError: 'mine'"),
        ("is_killed", 1, "rank 1 (process PID on HOST) has ended without a word, as if it was killed; rerun to resume"),
        pytest.param(
            "is_stopped", 2, "rank 1 (process PID on HOST) was stopped; rerun to resume", marks=pytest.mark.long
        ),
        pytest.param(
            "computes_for_ever",
            1,
            "rank 1 (process PID on HOST) has not come to where others have waited for it for PID s, in step 3; rerun",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "main_computes_for_ever",
            1,
            "rank 0 (process PID on HOST) has not come to where others have waited for it for PID s, in step 3; rerun",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "others_compute_for_ever",
            1,
            "rank 1 (process PID on HOST) has not come to where others have waited for it for PID s, in work that is "
            "divided; rerun to resume",
            marks=pytest.mark.long,
        ),
        ("hangs", 1, "no rank has computed anything for 8 s: one of them hangs; rerun to resume"),
    ],
)
def test_a_failure_ends_all_ranks_with_one_line(
    script: Path, tmp_path: Path, started: dict[str, str], what: str, nodes: int, line: str
) -> None:
    launchers = launched(script, tmp_path, what, started, nodes)
    said = told(launchers[:1] if what == "is_stopped" else launchers)
    if what == "is_stopped":  # only from its own node can it be ended
        os.kill(int(said[0].split("process ")[1].split()[0]), signal.SIGKILL)
        told(launchers[1:])
    assert len(said) == 1
    host = files.host()
    for part in line.replace("HOST", host).split("PID"):
        assert part in said[0]
    assert all(launcher.returncode for launcher in launchers)
    assert not list(tmp_path.glob("done-*"))
    if what == "hangs":
        assert (tmp_path / "closed").read_text() == line


def test_a_signal_ends_ranks_that_wait_for_one_that_hangs(
    script: Path, tmp_path: Path, started: dict[str, str]
) -> None:
    """The launcher passes it on and would kill them after half a minute."""
    (launcher,) = launched(script, tmp_path, "hangs", started, 1)
    while not (tmp_path / "waits-0").exists():
        time.sleep(0.1)
    begin = time.monotonic()
    launcher.terminate()
    assert told([launcher]) == ["bench: interrupted; rerun to resume"]
    assert time.monotonic() - begin < 25


def test_all_of_it_takes_less_than_a_minute() -> None:
    assert watch.IDLE + 2 * watch.BEAT + watch.GRACE < 60
    assert watch.SILENCE + 2 * watch.BEAT + watch.GRACE < 60
    assert watch.SIGNAL_GRACE + 2 * watch.BEAT < 30  # after which a launcher kills


def test_one_process_has_nobody_to_ask() -> None:
    assert ranks.divided(abs, [-1, 2]) == [1, 2]
    with ranks.connected(), ranks.folder(Path("here"), ()) as found, ranks.closing(lambda why: None):
        assert found == Path("here")
        assert ranks.shared(lambda: 3) == 3
        ranks.require_same({"file": 1})
        ranks.spread([])
        assert ranks.speaks()
    with pytest.raises(BenchError, match="no"), ranks.explained():
        raise BenchError("no")
    with pytest.raises(RuntimeError, match="closed"), ranks.explained():
        raise RuntimeError("Connection closed by peer")


def test_only_a_lost_connection_counts_as_one() -> None:
    assert ranks.broken(RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:10116"))
    assert not ranks.broken(RuntimeError("shapes do not match"))
    assert not ranks.broken(KeyError("Connection closed by peer"))
