"""How long ``bench report`` takes for 50 runs of 20,000 users, from stored results alone.

python tests/benchmarks/report.py [--folder FOLDER]

Three shapes: one data set with 50 schemes, one with 10 schemes and 5 seeds each, ten data sets with 5 schemes each.
Each as it is without options, which has to stay under the limit, and with all files that can be written. The median of
some starts, the file cache warm. Seconds of the processor are printed beside those of the clock: on a busy machine only
they say something.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from bench.evaluation.metrics import Ranks, summaries
from bench.protocol import PROTOCOL
from bench.results import digests
from bench.results.schema import SCHEMA

FILES = {
    "--latex": "t.tex",
    "--csv": "c.parquet",
    "--values": "v.parquet",
    "--html": "p.html",
    "--figures": "pictures",
}
USERS, LIMIT = 20_000, 10
CONTRACT = {
    "protocol": PROTOCOL,
    "split": "leave-one-out",
    "max_history": 20,
    "backbone": "mini",
    "decoder": "beam",
    "beam_width": 20,
}
SHAPES = {"50 schemes": (1, 50, 1), "10 schemes x 5 seeds": (1, 10, 5), "10 data sets x 5 schemes": (10, 5, 1)}


def write_run(folder: Path, dataset: int, scheme: int, seed: int) -> None:
    """One run whose numbers hang together; the first scheme is a baseline. A hit on every eighth user or so."""
    random = np.random.default_rng([dataset, scheme, seed])
    easy = np.random.default_rng(dataset).beta(0.5, 3.5, USERS) * (1 + scheme / 100)
    rank = np.where(random.random(USERS) < easy, random.integers(1, 21, USERS), np.inf)
    kind = "scheme" if scheme else "baseline"
    seen = {"tokens_mean": 4.0, "tokens_max": 4, "vocabulary": 1024, "collision_rate": 0.0, "collision_rate_test": 0.0}
    times = (
        "parameters",
        "id_construction_seconds",
        "training_seconds",
        "inference_seconds_per_1000_users",
        "peak_memory_mb",
    )
    stored = {
        "schema": SCHEMA,
        "bench": "0.1.0",
        "dataset": {"name": f"data{dataset}", "fingerprint": f"{dataset:016x}", "users": USERS, "items": 9000}
        | {"interactions": 150_000, "parts": []},
        "scheme": {"name": f"family/{scheme}", "version": 1, "settings": {}, "kind": kind}
        | {"inputs": "", "leaks": False, "source": "0badc0de", "recipe": "", "probe": False},
        "contract": CONTRACT,
        "contract_id": "0123abcd",
        "preset": "cpu",
        "seed": seed,
        "split": {"train_users": USERS, "validation_users": USERS, "test_users": USERS},
        "metrics": summaries(Ranks.of_items(rank), complete=False),
        "item_groups": {},
        "identifiers": {**seen, "largest_group": 1} if scheme else None,
        "costs": dict.fromkeys(times, 12.5),
        "training": {"curve": [{"step": step, "loss": 3.0} for step in range(2000)]},
        "environment": {"python": "3.11", "torch": "2.13", "device": "cpu"},
        "audit": {},
        "created": "2026-11-21T09:00:00+00:00",
    }
    facts = np.random.default_rng([7, dataset])
    users = [f"A{number:013X}" for number in facts.permutation(USERS) * 7919]
    found = pd.array(np.where(np.isfinite(rank), rank, 0).astype(np.int32), dtype="Int32")
    found[~np.isfinite(rank)] = pd.NA
    table = {
        "user": users,
        "target": [f"B{item:09d}" for item in facts.integers(0, 9000, USERS)],
        "rank": found,
        "code_rank": found,
        "group_size": np.ones(USERS, np.int32),
        "popularity": facts.geometric(0.05, USERS).astype(np.int32) - 1,
        "cold": np.zeros(USERS, bool),
        "history_length": np.minimum(facts.geometric(0.15, USERS) + 2, 20).astype(np.int32),
    }
    folder.mkdir(parents=True)
    pd.DataFrame(table).to_parquet(folder / "per_user.parquet", index=False)
    stored["files"] = digests.of_folder(folder, frozenset())
    (folder / "result.json").write_text(json.dumps(stored))


def store(results: Path, shape: tuple[int, int, int]) -> None:
    datasets, schemes, seeds = shape
    for dataset in range(datasets):
        for scheme in range(schemes):
            for seed in range(seeds):
                write_run(
                    results / "runs" / f"data{dataset}" / f"family-{scheme}@1" / "0123abcd-0" / str(seed),
                    dataset,
                    scheme,
                    seed,
                )


def measured(results: Path, files: Mapping[str, str], starts: int) -> tuple[float, float]:
    """Seconds of the clock and of the processor."""
    options = [word for option, name in files.items() for word in (option, str(results / name))]
    taken, used = [], []
    for _ in range(starts):
        begin, before = time.perf_counter(), processor()
        words = [sys.executable, "-m", "bench", "report", "--results", str(results), *options]
        subprocess.run(words, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        taken.append(time.perf_counter() - begin)
        used.append(processor() - before)
    return statistics.median(taken), statistics.median(used)


def processor() -> float:
    found = os.times()
    return found.children_user + found.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where the runs are made; by default a temporary folder")
    parser.add_argument("--starts", type=int, default=3, help="of each kind")
    asked = parser.parse_args()
    for name, shape in SHAPES.items():
        with tempfile.TemporaryDirectory(dir=asked.folder) as made:
            store(Path(made), shape)
            for kind, files in (("plain", {}), ("all files", FILES)):
                taken, used = measured(Path(made), files, asked.starts)
                limit = "" if files else f" (to reach: under {LIMIT} s)"
                print(f"{name}, {kind}: {taken:.1f} s, processor {used:.1f} s{limit}", flush=True)


if __name__ == "__main__":
    main()
