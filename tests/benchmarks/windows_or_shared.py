"""Which way of training the default is: windows against shared, from stored runs, on all validation users.

    python tests/benchmarks/windows_or_shared.py --results RESULTS --data-dir DATA [--out FILE.json]

The runs are made first, with the same preset, data sets and schemes twice, the second time with `training=shared`:

    bench run --preset cpu --dataset toys --id-scheme SCHEMES [--set training=shared]

While training, validation looks at a part of the users; here the finished model ranks all of them, as the run ranked
its test users. Each pair of runs, of one data set, scheme and seed, is a line: NDCG@10 of both, the difference with an
interval over users (paired bootstrap), and processor seconds of training. The rule for the default is at the end.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from scipy.stats import bootstrap

from bench.contract import CUTOFFS
from bench.data import sources, splitting
from bench.model.recommender import decoding_of
from bench.results.read import Result, load
from bench.results.saved import Saved
from bench.results.store import readable
from bench.training.ranking import evaluate

METRIC, LOSS = "ndcg@10", 0.03  # so much less on the mean of all schemes, and windows stays the default
WAYS = ("windows", "shared")


def gains(result: Result, results: Path, data_dir: Path | None) -> np.ndarray:
    """NDCG@10 of every validation user, kept in the cache, for ranking takes minutes."""
    kept = results / "cache" / "validation" / f"{result.path.replace('/', '.')}.npy"
    if not kept.is_file():
        saved = Saved(result)
        dataset, contract = splitting.ordered(sources.find(result.dataset.name, data_dir), saved.contract)
        split = splitting.split(dataset, contract, result.seed)
        if list(split.train.items.ids) != list(saved.items):
            raise SystemExit(f"{result.folder}: the data set is another one now")
        accelerator, decoding = Accelerator(cpu=True), decoding_of(contract)
        ranks, _ = evaluate(saved.recommender, split.validation, decoding, max(CUTOFFS), accelerator)
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, ranks.per_user(METRIC))
    return np.load(kept)


def pairs(results: Path) -> list[dict[str, Result]]:
    """Runs that are alike in all but their way of training."""
    found: dict[tuple[object, ...], dict[str, Result]] = defaultdict(dict)
    for result in load(results):
        if result.identifiers is not None:
            alike = {name: value for name, value in result.contract.items() if name != "training"}
            run = (result.dataset.name, result.scheme.name, result.seed, json.dumps(alike, sort_keys=True))
            found[run][str(result.contract["training"])] = result
    return [each for _, each in sorted(found.items()) if set(each) == set(WAYS)]


def line(pair: dict[str, Result], results: Path, data_dir: Path | None) -> dict[str, Any]:
    windows, shared = (gains(pair[way], results, data_dir) for way in WAYS)
    difference = shared - windows
    interval = bootstrap((difference,), np.mean, n_resamples=2000, batch=100, method="percentile", rng=0)
    return {
        "dataset": pair["shared"].dataset.name,
        "scheme": pair["shared"].scheme.name,
        "seed": pair["shared"].seed,
        "users": len(difference),
        "ndcg": {"windows": float(windows.mean()), "shared": float(shared.mean())},
        "interval": [float(interval.confidence_interval.low), float(interval.confidence_interval.high)],
        "seconds": {way: pair[way].costs["processor_seconds"] for way in WAYS},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=os.environ.get("BENCH_RESULTS", "results"))
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--out", type=Path, help="write the lines as JSON")
    asked = parser.parse_args()
    lines, results = [], Path(asked.results)
    if not readable(results / "runs"):
        print(f"no runs in '{results}'; the top of this file says how to make them")
        return
    print("data set, scheme, seed: NDCG@10 windows, shared; difference [95 %]; processor seconds windows, shared")
    for pair in pairs(results):
        found = line(pair, results, asked.data_dir)
        lines.append(found)
        scores, seconds = found["ndcg"], found["seconds"]
        low, high = found["interval"]
        print(
            f"  {found['dataset']} {found['scheme']} {found['seed']}: {scores['windows']:.4f} {scores['shared']:.4f}; "
            f"{scores['shared'] - scores['windows']:+.4f} [{low:+.4f}, {high:+.4f}]; "
            f"{seconds['windows']:,.0f} {seconds['shared']:,.0f}",
            flush=True,
        )
        if asked.out:
            asked.out.write_text(json.dumps(lines, indent=1) + "\n")
    if lines:
        ratio = np.mean([each["ndcg"]["shared"] / each["ndcg"]["windows"] for each in lines])
        worse = [f"{each['dataset']} {each['scheme']}" for each in lines if each["interval"][1] < 0]
        print(
            f"shared has {ratio:.3f} of what windows has, on the mean; clearly worse on: {', '.join(worse) or 'none'}"
        )
        verdict = "windows" if worse or ratio < 1 - LOSS else "shared"
        print(f"By users alone the default is {verdict}; what is close needs three seeds.")


if __name__ == "__main__":
    main()
