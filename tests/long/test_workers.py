"""Four workers do 24 runs while one of them is killed every few seconds: all are finished, once, with the same bits."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from bench.results.unfinished import unfinished

SEEDS = ",".join(map(str, range(12)))


def killed(process: subprocess.Popen[Any], every: float, due: Callable[[], bool]) -> int:
    """Kill one of the workers at random from time to time, when it is due, until the command ends; how many were."""
    draw, kills = random.Random(1), 0
    while True:
        try:
            process.wait(every)
            return kills
        except subprocess.TimeoutExpired:
            children = psutil.Process(process.pid).children()
            alive = [child.pid for child in children if child.status() != psutil.STATUS_ZOMBIE]
            if alive and due():  # on a busy machine the command may need longer to start them
                os.kill(draw.choice(alive), signal.SIGKILL)
                kills += 1


@pytest.mark.long
@pytest.mark.parametrize(("data", "every"), [("toy", 6.0), ("ml-100k", 20.0)])
def test_runs_survive_their_workers(
    data: str,
    every: float,
    quick: list[str],
    started: dict[str, str],
    bench: Callable[..., SimpleNamespace],
    run_folders: Callable[[Path], list[Path]],
    substance: Callable[[Path], dict[str, Any]],
    got_on: Callable[[Path], bool],
    tmp_path: Path,
) -> None:
    small = [*quick, "--set=epochs=40", "--set=patience=40"]
    size = small if data == "toy" else ["--dataset", data, "--preset", "smoke", "--yes", "--set=epochs=1"]
    line = ["run", "--id-scheme", "numeric,textual/title", *size, "--seed", SEEDS, "--save-every=1"]
    serial, results = tmp_path / "serial", tmp_path / "results"
    said = bench(*line, "--results", serial)
    assert said.code == 0, said.err
    begin, log = time.monotonic(), tmp_path / "log"
    with log.open("w") as file:
        words = [sys.executable, "-m", "bench", *line, "--results", str(results), "--jobs=4"]
        process = subprocess.Popen(words, env=started, stderr=file)
        try:
            kills = killed(process, every, lambda: got_on(results))
        finally:
            process.terminate()  # it ends its workers; nothing where it has ended
            process.wait(150)
    told = log.read_text()
    print(f"{data}: {kills} workers killed in {time.monotonic() - begin:.0f} s")
    assert process.returncode == 0, told
    assert kills > 3
    found, expected = run_folders(results), run_folders(serial)
    assert [path.relative_to(results) for path in found] == [path.relative_to(serial) for path in expected]
    assert len(found) == 24
    for one, other in zip(found, expected, strict=True):
        assert substance(one) == substance(other)
        stored = sum(line.endswith(f"finished, stored in {one}") for line in told.splitlines())
        assert stored <= 1, "each is published once; who was killed right then could not say so"
    assert not unfinished(results)
    assert time.monotonic() - begin < 7200
