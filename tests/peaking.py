"""What the scripts share that hold declared needs against real peaks: ``peaks.py`` of baselines and of tokenizers."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from bench.data import generating
from bench.data.dataset import ItemTable, Sequences
from bench.ids.limits import Needs


def made(items: int) -> tuple[ItemTable, Sequences, NDArray[np.float64]]:
    """A made-up catalogue, without files: its items, what users did, and when. Few users, for what is measured is what
    grows with the items.
    """
    shop = generating.Shop("made", items, -(-items // generating.FIRST))
    titles, kinds = generating.texts(shop, np.arange(items))
    users, values, times = (np.concatenate(part) for part in zip(*generating.interactions(shop), strict=True))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(users))])
    table = ItemTable(tuple(f"i{item}" for item in range(items)), {"title": tuple(titles), "category": tuple(kinds)})
    return table, Sequences(values.astype(np.int32), offsets), times


def peak(work: Callable[[], float]) -> float:
    """Bytes at the peak of a forked process that does the work, above what it began with; or what the work says, where
    that is not 0. -1 where it failed.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            Path("/proc/self/clear_refs").write_text("5")
            before = psutil.Process().memory_info().rss
            said = work()
            status = Path("/proc/self/status").read_text().split("VmHWM:")[1]
            os.write(writing, str(int(said) or int(status.split()[0]) * 1024 - before).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        text = told.read()
    os.waitpid(child, 0)
    return float(text or -1)


def growth(needs: Iterable[Needs | None], peaks: Iterable[float]) -> tuple[float, float]:
    """By how much a larger catalogue takes more than a small one: declared, and measured."""
    declared = [each.memory if each else 0.0 for each in needs]
    found = list(peaks)
    return declared[1] - declared[0], found[1] - found[0]


def tell(names: Iterable[str], grown: Callable[[str], tuple[float, float]]) -> None:
    """Print all of them as JSON, and each as it is found."""
    found = {}
    for name in names:
        found[name] = grown(name)
        print(name, [round(each / 1e6) for each in found[name]], file=sys.stderr, flush=True)
    print(json.dumps(found))
