"""How long collaborative identifiers take to make, and in how much memory: each catalogue in a process of its own.

    python tests/benchmarks/clustering.py
    python tests/benchmarks/clustering.py --data-dir DATA      # real Toys as well
    python tests/benchmarks/clustering.py --items 1000000

To reach: 20,000 items within 5 minutes and 4 GB on two cores, and 200,000 without a matrix of items by items, which
would take 320 GB. Peak memory is that of the whole process, with Python and its libraries.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
from numeric_ids import Collaborative

from bench.data.dataset import ItemTable, Sequences, TrainView

PER_USER = 8  # training interactions, about as many as in the Amazon sets
PER_ITEM = 12


def synthetic(items: int, seed: int = 0) -> TrainView:
    """Users who mostly stay within two of many interests, in each of which few items are popular and most are not."""
    random = np.random.default_rng(seed)
    users, interests = items * PER_ITEM // PER_USER, max(2, items // 100)
    user_rows = np.repeat(np.arange(users), PER_USER)
    tastes = random.integers(0, interests, (users, 2))[user_rows, random.integers(0, 2, len(user_rows))]
    strays = random.random(len(user_rows)) < 0.1
    tastes[strays] = random.integers(0, interests, int(strays.sum()))
    position = (items // interests * random.random(len(user_rows)) ** 3).astype(np.int64)
    values = random.permutation(items)[tastes * (items // interests) + position].astype(np.int32)
    table = ItemTable(tuple(map(str, range(items))), {})
    return TrainView("synthetic", table, Sequences(values, np.arange(0, len(values) + 1, PER_USER)), seed)


def measure(what: str, data_dir: Path | None) -> None:
    if what == "toys":
        import peers

        train = peers.toys(data_dir).train
    else:
        train = synthetic(int(what))
    begin = time.perf_counter()
    ids = Collaborative().fit(train)
    seconds = time.perf_counter() - begin
    leaves = Counter(ids.code(item)[:-1] for item in range(len(ids)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{what}: {len(ids):,} items, {len(train.sequences.values):,} interactions: {seconds:.1f} s, {peak:.2f} GB; "
        f"{len(leaves):,} leaves of up to {max(leaves.values())} items, {ids.lengths.mean():.1f} tokens an item, "
        f"{ids.lengths.max()} at most, vocabulary {ids.vocabulary.size:,}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("BENCH_DATA_DIR"))
    parser.add_argument("--items", default="20000,200000")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        return measure(options.one, options.data_dir)
    real = ["toys"] if options.data_dir else []
    for what in [*real, *options.items.split(",")]:
        folder = ["--data-dir", str(options.data_dir)] if real else []
        subprocess.run([sys.executable, __file__, "--one", what, *folder], check=True)
    return None


if __name__ == "__main__":
    main()
