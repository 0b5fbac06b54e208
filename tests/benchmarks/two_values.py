"""What one line of the contract changes in quality and time: pairs of stored runs that are alike in all else.

    python tests/benchmarks/two_values.py training=windows,shared --results RESULTS --data-dir DATA [--out FILE.json]
    python tests/benchmarks/two_values.py precision=fp32,bf16 --results RESULTS --data-dir DATA

The runs are made first, with the same preset, data sets, schemes and seeds, once with each value:

    bench run --preset cpu --dataset toys --id-scheme SCHEMES [--set training=shared]

While training, validation looks at a part of the users; here the finished model ranks all of them, as the run ranked
its test users. Each pair of runs, of one data set, scheme and seed, is a line: NDCG@10 of both, the difference with an
interval over users (paired bootstrap), and processor seconds. Below are the mean difference over the seeds of each data
set and scheme, with Student's interval over seeds, and what the rule for defaults says of the second value.
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
from scipy import stats

from bench.contract import CUTOFFS
from bench.data import sources, splitting
from bench.model.recommender import decoding_of
from bench.results.read import Result, load
from bench.results.saved import Saved
from bench.results.store import readable
from bench.training.ranking import evaluate

METRIC, LOSS = "ndcg@10", 0.03  # so much less on the mean of all schemes, and the first value stays the default


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


def pairs(results: Path, name: str, values: tuple[str, str]) -> list[tuple[Result, Result]]:
    """Runs that are alike in all lines of the contract but one."""
    found: dict[tuple[object, ...], dict[str, Result]] = defaultdict(dict)
    for result in load(results):
        if result.identifiers is not None:
            alike = {line: value for line, value in result.contract.items() if line != name}
            run = (result.dataset.name, result.scheme.name, result.seed, json.dumps(alike, sort_keys=True))
            found[run][written(result.contract[name])] = result
    return [(each[values[0]], each[values[1]]) for _, each in sorted(found.items()) if set(values) <= set(each)]


def written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def line(pair: tuple[Result, Result], values: tuple[str, str], results: Path, data_dir: Path | None) -> dict[str, Any]:
    before, after = (gains(each, results, data_dir) for each in pair)
    resampled = stats.bootstrap((after - before,), np.mean, n_resamples=2000, batch=100, method="percentile", rng=0)
    return {
        "dataset": pair[0].dataset.name,
        "scheme": pair[0].scheme.name,
        "seed": pair[0].seed,
        "users": len(before),
        "ndcg": dict(zip(values, (float(before.mean()), float(after.mean())), strict=True)),
        "interval": [float(end) for end in resampled.confidence_interval],
        "seconds": {value: each.costs.processor_seconds for value, each in zip(values, pair, strict=True)},
    }


def told(found: dict[str, Any]) -> str:
    (before, after), seconds = found["ndcg"].values(), " ".join(f"{each:,.0f}" for each in found["seconds"].values())
    low, high = found["interval"]
    name = f"{found['dataset']} {found['scheme']} {found['seed']}"
    return f"  {name}: {before:.4f} {after:.4f}; {after - before:+.4f} [{low:+.4f}, {high:+.4f}]; {seconds}"


def over_seeds(lines: list[dict[str, Any]]) -> list[str]:
    """Mean difference of each data set and scheme with several seeds, and its interval over seeds."""
    groups: dict[str, list[float]] = defaultdict(list)
    for found in lines:
        before, after = found["ndcg"].values()
        groups[f"{found['dataset']} {found['scheme']}"].append(after - before)
    said = []
    for name, differences in groups.items():
        if len(differences) > 1:
            half = stats.sem(differences) * stats.t.ppf(0.975, len(differences) - 1)
            said.append(f"  {name}, {len(differences)} seeds: {np.mean(differences):+.5f} ± {half:.5f}")
    return said


def verdict(lines: list[dict[str, Any]], values: tuple[str, str]) -> str:
    first, second = values
    ratio = np.mean([each["ndcg"][second] / each["ndcg"][first] for each in lines])
    worse = [f"{each['dataset']} {each['scheme']}" for each in lines if each["interval"][1] < 0]
    better = first if worse or ratio < 1 - LOSS else second
    said = f"{second} has {ratio:.3f} of what {first} has, on the mean; clearly worse on: {', '.join(worse) or 'none'}"
    return f"{said}\nBy users alone the default is {better}; what is close needs three seeds."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("line", help="training=windows,shared")
    parser.add_argument("--results", type=Path, default=os.environ.get("BENCH_RESULTS", "results"))
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--out", type=Path, help="write the lines as JSON")
    asked = parser.parse_args()
    name, _, both = asked.line.partition("=")
    first, _, second = both.partition(",")
    lines, results = [], Path(asked.results)
    if not readable(results / "runs"):
        print(f"no runs in '{results}'; the top of this file says how to make them")
        return
    print(f"data set, scheme, seed: NDCG@10 {first}, {second}; difference [95 %]; processor seconds {first}, {second}")
    for pair in pairs(results, name, (first, second)):
        lines.append(line(pair, (first, second), results, asked.data_dir))
        print(told(lines[-1]), flush=True)
        if asked.out:
            asked.out.write_text(json.dumps(lines, indent=1) + "\n")
    if lines:
        print(*over_seeds(lines), verdict(lines, (first, second)), sep="\n")


if __name__ == "__main__":
    main()
