"""How long a person waits for ``bench --help`` and ``bench ls``: medians of ten starts, the file cache warm.

python tests/benchmarks/startup.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

LIMITS = {"--help": 0.5, "ls": 1.5}  # seconds


def main() -> None:
    for command, limit in LIMITS.items():
        taken = []
        for _ in range(11):
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-m", "bench", command], check=True, capture_output=True)
            taken.append(time.perf_counter() - begin)
        print(f"bench {command}: {statistics.median(taken[1:]):.2f} s (to reach: under {limit} s)")


if __name__ == "__main__":
    main()
