"""Who waits for a disk or a download says so, and is not taken to hang."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest

from bench import files, hub, outside, tensors, watch
from bench.watch import Beat, Seen, Watch


def test_what_the_disk_and_the_hub_take_is_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, bool]] = []

    def spied(name: str, real: Any) -> Any:
        def called(*arguments: Any, **named: Any) -> Any:
            said.append((name, outside.waits()))
            return real(*arguments, **named)

        return called

    monkeypatch.setattr(os, "fsync", spied("fsync", os.fsync))
    monkeypatch.setattr(tensors, "safe_open", spied("read", tensors.safe_open))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", spied("download", lambda *_, **__: str(tmp_path)))
    tensors.write(tmp_path / "a", {"x": np.ones(3)}, {}, "it")
    tensors.read(tmp_path / "a", "np", "it", "no hint")
    hub.locate("some/model", "a backbone", ["*.json"], "no hint")
    with pytest.raises(OSError, match="absent"):
        files.sync(tmp_path / "absent")
    assert {name for name, _ in said} == {"fsync", "read", "download"}
    assert all(waits for _, waits in said)
    assert not outside.waits()


@pytest.mark.parametrize("waits", [True, False])
def test_a_rank_that_waits_for_the_outside_does_not_hang(waits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    ranks = Watch(0, 2, "node", ("127.0.0.1", 1), "0")

    def beats(number: int, at: float) -> None:
        now[0] = at
        slow = Beat(number, 1, "h", "p", 5.0, met=1, outside=waits)
        for rank, beat in enumerate((slow, Beat(number, 2, "h", "p", 5.0, met=2))):
            ranks.seen[rank] = Seen(beat, at, 1000.0)

    beats(1, 1000.0)
    assert (ranks.idle(), ranks.late()) == ("", "")
    beats(2, 1001.0 + watch.IDLE)
    assert bool(ranks.idle()) != waits
    beats(3, 1001.0 + watch.WAIT)
    assert bool(ranks.late()) != waits
