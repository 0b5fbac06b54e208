"""What ranking in bfloat16 changes: stored runs ranked on test in both precisions, the same users.

    python tests/benchmarks/half_precision.py --data-dir DATA RUN [RUN ...]

RUN is the folder of a finished run, such as ``results/runs/toys/semantic.rqkmeans@2/b9b6bd18-74386b/0``. Prints of each
run NDCG@10 under ``decoding_precision=fp32`` and ``bf16``, their paired difference with its interval over users
(95 %, bootstrap), how many of the best ten items are the same, and how many times as fast bf16 is, by processor time.
Several runs are also told together, as the mean of their differences.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bench.data import sources
from bench.data.dataset import Sequences
from bench.data.splits import leave_one_out
from bench.evaluation.metrics import ndcg
from bench.evaluation.statistics import interval
from bench.model.recommender import Decoding, Recommender, TopK, decoding_of
from bench.results import digests
from bench.results.read import read
from bench.results.saved import contract_of, restore
from bench.training.ranking import users_at_once

CUTOFF = 10


def ranked(model: Recommender, histories: Sequences, decoding: Decoding) -> tuple[NDArray[np.int64], float]:
    """Items ``[users, k]``, -1 where there are fewer, and seconds of the processor."""
    order = np.argsort(model.input_lengths(histories), kind="stable")
    found = np.full((len(histories), CUTOFF), -1)
    begin, size = time.process_time(), users_at_once(model)
    with model.fixed_weights():
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            best: TopK = model.rank(histories.rows(rows), CUTOFF, decoding)
            found[rows, : best.items.shape[1]] = np.where(best.valid, best.items, -1)
    return found, time.process_time() - begin


def compare(folder: Path, data_dir: Path | None, users: int) -> NDArray[np.float64]:
    """Says what one run is in both precisions; differences of NDCG@10 by user."""
    result, model = read(folder / digests.RESULT, str(folder)), restore(folder)
    split = leave_one_out(sources.find(result.dataset.name, data_dir))
    chosen = np.random.default_rng(0).permutation(len(split.test))[:users]
    part, groups = split.test.take(chosen), model.ids.groups
    contract = contract_of(result)
    histories, decoding = part.histories.newest(contract.max_history), decoding_of(contract)
    scores, lists, seconds = {}, {}, {}
    for precision in ("fp32", "bf16"):
        items, seconds[precision] = ranked(model, histories, replace(decoding, precision=precision))
        hits = (groups[items] == groups[part.items][:, None]) & (items >= 0)
        scores[precision] = ndcg(np.where(hits.any(1), hits.argmax(1) + 1.0, np.inf), CUTOFF)
        lists[precision] = items
    difference: NDArray[np.float64] = scores["bf16"] - scores["fp32"]
    low, high = interval(difference)
    same = np.mean([len(np.intersect1d(*pair)) / CUTOFF for pair in zip(*lists.values(), strict=True)])
    print(
        f"{result.scheme.name} on {result.dataset.name}, seed {result.seed}, {len(part):,} users: NDCG@{CUTOFF} "
        f"fp32 {scores['fp32'].mean():.5f}, bf16 {scores['bf16'].mean():.5f}, difference {difference.mean():+.5f} "
        f"({low:+.5f} to {high:+.5f}); {same:.1%} of the best {CUTOFF} the same; "
        f"{seconds['fp32'] / seconds['bf16']:.2f} times as fast",
        flush=True,
    )
    return difference


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("BENCH_DATA_DIR"))
    parser.add_argument("--users", type=int, default=2000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    differences = [compare(run, options.data_dir, options.users) for run in options.runs]
    if len(differences) > 1:
        joined = np.concatenate(differences)
        print(f"all: mean difference {joined.mean():+.5f} ({interval(joined)[0]:+.5f} to {interval(joined)[1]:+.5f})")


if __name__ == "__main__":
    main()
