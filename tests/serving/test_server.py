"""``bench serve`` as a process: it tells its address, answers, and stops in order."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from bench.commands import saved_commands


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_it_stops_when_told_to_and_answers_first(served_runs: Path, started: dict[str, str]) -> None:
    words = [sys.executable, "-m", "bench", "serve", "pop", "--results", str(served_runs), "--port", "0"]
    process = subprocess.Popen(words, env=started, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr
        address = re.search(r"serving pop on (http://127\.0\.0\.1:\d+); see /docs", process.stderr.readline())
        assert address
        answers: list[int] = []
        asked = {"history": ["i03"], "k": 3}

        def ask() -> None:
            with httpx.Client(trust_env=False, timeout=30) as client:
                answers.append(client.post(f"{address[1]}/recommend", json=asked).status_code)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=60)
        assert (process.returncode, answers, rest) == (0, [200] * 8, "stopped\n")
        with pytest.raises(httpx.ConnectError):
            ask()
    finally:
        process.kill()


def test_an_address_in_use_is_one_line(bench: Callable[..., SimpleNamespace], served_runs: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = bench("serve", "pop", "--results", served_runs, "--port", port)
    assert said.code == 1
    assert said.err.startswith(f"bench: cannot serve on 127.0.0.1, port {port}: ")
    assert said.err.count("\n") == 1


def test_without_the_extra_it_says_what_to_install(
    bench: Callable[..., SimpleNamespace], served_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved_commands, "find_spec", lambda name: None)
    said = bench("serve", "pop", "--results", served_runs)
    needs = "bench: bench serve needs fastapi and uvicorn: pip install 'item-identifier-bench[serve]'\n"
    assert (said.code, said.err) == (1, needs)


@pytest.mark.parametrize("host", ["a..b", "x" * 300])
def test_a_name_that_no_machine_can_have_is_one_line(
    bench: Callable[..., SimpleNamespace], served_runs: Path, host: str
) -> None:
    said = bench("serve", "pop", "--results", served_runs, "--host", host, "--port", 0)
    assert said.code == 1
    assert said.err.startswith(f"bench: cannot serve on {host}, port 0: ")
    assert said.err.count("\n") == 1
