"""How well reports know the noise of training: coverage of intervals, and false and true findings, by long simulation.

python tests/benchmarks/seed_noise.py [--reports N]

The simulations are those of the tests, with more trials: a row's interval where 1 or 6 rows share what they know, and
reports of four equally good schemes whose trainings vary, in which any finding is a false one.
"""

from __future__ import annotations

import argparse
import runpy
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
EQUAL = (
    ([1, 1, 1, 1], [0.07] * 4),
    ([1, 1, 1, 1], [0.04] * 4),
    ([3, 1, 1, 1], [0.1] * 4),
    ([3, 3, 1, 1], [0.3] * 4),
    *(([seeds] * 4, [noise] * 4) for seeds in (2, 3, 5) for noise in (0.0, 0.1, 0.3)),
    ([2, 2, 2, 2], [0.3, 0.05, 0.05, 0.05]),
    ([3, 3, 3, 3], [0.3, 0.05, 0.05, 0.05]),
)
BETTER = (([1] * 3, 1.6), ([3, 3, 1], 1.6), ([2] * 3, 1.6), ([3] * 3, 1.4), ([5] * 3, 1.25))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reports", type=int, default=300, help="simulated reports for each line")
    reports = parser.parse_args().reports
    coverage = runpy.run_path(str(TESTS / "evaluation/test_seed_noise.py"))["coverage"]
    simulated = runpy.run_path(str(TESTS / "report/test_training_noise.py"))
    print("coverage of 95 % intervals: rows, seeds of each, noise of training")
    for rows in (1, 6):
        for seeds in (2, 3, 5):
            found = (f"{noise:.0%}: {coverage(seeds, noise, 40, rows):.3f}" for noise in (0.0, 0.05, 0.1, 0.3))
            print(f"  {rows} {seeds}  {'  '.join(found)}", flush=True)
    print("part of reports that tell equally good schemes apart: seeds and noise of each")
    for seeds, noise in EQUAL:
        print(f"  {seeds} {noise}: {simulated['told_apart'](seeds, noise, reports):.3f}", flush=True)
    print(
        "part of reports that find one scheme better than both others: seeds, by which factor; noise 4 %, 3,000 users"
    )
    for seeds, better in BETTER:
        found = simulated["found_better"](seeds, [0.04] * 3, better, max(1, reports // 10), 3000)
        print(f"  {seeds} {better}: {found:.2f}", flush=True)


if __name__ == "__main__":
    main()
