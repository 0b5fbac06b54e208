"""How long ``bench data import`` takes for a large CSV, and how much memory.

    python tests/benchmarks/importing.py [ROWS]

A synthetic shop: users and items by Zipf's law, time stamps in milliseconds, a rating, a text column that is not read.
The budget for 20 million rows on two cores is three minutes and 6 GB, for others in proportion. Beyond it the exit code
is 1: of memory, and of the seconds of all cores together, which other work on the machine hardly changes.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

PIECE = 1_000_000
ROWS, CORES, MINUTES, GIGABYTES = 20_000_000, 2, 3, 6
STARTUP_SECONDS, STARTUP_GIGABYTES = 10, 1.0  # whatever the rows


def write(path: Path, rows: int) -> None:
    """The CSV, a million rows at a time."""
    random = np.random.default_rng(0)
    names = ["customer_id", "product_id", "rating", "timestamp", "comment"]
    with path.open("wb") as file:
        file.write((",".join(names) + "\n").encode())
        for start in range(0, rows, PIECE):
            count = min(PIECE, rows - start)
            users = np.minimum(random.zipf(1.2, count), 3_000_000)
            items = np.minimum(random.zipf(1.1, count), 500_000)
            times = 1_500_000_000_000 + random.integers(0, 10**11, count)
            table = pa.table(
                {
                    "customer_id": np.char.add("U", users.astype(str)),
                    "product_id": np.char.zfill(items.astype(str), 8),
                    "rating": random.integers(1, 6, count),
                    "timestamp": times,
                    "comment": np.full(count, "good, would buy again"),
                }
            )
            csv.write_csv(table, file, csv.WriteOptions(include_header=False))


def limits(rows: int) -> tuple[float, float]:
    """Seconds of all cores together, and gigabytes."""
    share = rows / ROWS
    return STARTUP_SECONDS + 60 * MINUTES * CORES * share, max(STARTUP_GIGABYTES, GIGABYTES * share)


def main(rows: int) -> int:
    """The exit code."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clicks.csv"
        write(path, rows)
        print(f"{rows:,} rows, {path.stat().st_size / 1e9:.2f} GB", flush=True)
        started = time.perf_counter()
        command = [sys.executable, "-m", "bench", "data", "import", str(path), "--data-dir", folder, "--json"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    core, memory = used.ru_utime + used.ru_stime, used.ru_maxrss / 1e6
    most_core, most_memory = limits(rows)
    print(f"{seconds:.0f} s of the clock; {core:.0f} s of all cores, at most {most_core:.0f}; ", end="")
    print(f"{memory:.2f} GB, at most {most_memory:.2f}")
    beyond = [
        what for what, found, most in (("time", core, most_core), ("memory", memory, most_memory)) if found > most
    ]
    if beyond:
        print(f"beyond the budget: {' and '.join(beyond)}", file=sys.stderr)
    return bool(beyond)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS))
