"""RecBole that is killed after it has saved goes on: what it leaves in its own folder counts as having got on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from bench.results import leases
from bench.results.leases import last_holder

FAST = "import sys; from bench.results import leases; leases.BEAT, leases.DEATHS = 0.1, 1; "


def test_recbole_that_leaves_a_checkpoint_has_got_on(
    recbole: None, quick: list[str], started: dict[str, str], tmp_path: Path
) -> None:
    results = tmp_path / "results"
    code = FAST + "from bench import cli; sys.argv = ['bench', *sys.argv[1:]]; cli.main()"
    long = ["--set=epochs=400", "--set=patience=400", "--set=validate_every=1"]
    words = [sys.executable, "-c", code, "run", "--baseline", "gru4rec", *quick, *long, "--results", str(results)]
    process = subprocess.Popen(words, env=started, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while not list(results.rglob("latest.pth")):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    process.kill()
    process.wait()
    (lease,) = results.rglob(".0.lease-*")
    assert not json.loads(lease.read_text())["released"]
    held = leases.home_of(lease)
    assert held
    process = subprocess.Popen(words, env=started, stderr=subprocess.DEVNULL)
    while (holder := last_holder(held)).pid != process.pid or not holder.beat:
        assert process.poll() is None, "one death would have been enough"
        time.sleep(0.05)
    assert not holder.ends
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait() == 130
