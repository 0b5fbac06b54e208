"""Residual k-means and the collision rules on a catalogue of a million random vectors: seconds, and peak memory in GB.

python tests/benchmarks/quantizers.py --items 1000000 --dimensions 128
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import psutil
from semantic_ids.collisions import collision_rate, resolve
from semantic_ids.quantizers import residual_kmeans
from semantic_ids.schemes import token_ids

from bench.training.cost import MemoryMeter

RULES = ("counter", "reassign")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--dimensions", type=int, default=128)
    parser.add_argument("--codes", type=int, default=256)
    options = parser.parse_args()
    vectors = np.random.default_rng(0).standard_normal((options.items, options.dimensions), dtype=np.float32)
    print(f"{options.items:,} x {options.dimensions} vectors, {psutil.cpu_count()} cores")
    with MemoryMeter() as memory:
        begin = time.perf_counter()
        found = residual_kmeans(vectors, 3, options.codes, seed=0)
        print(f"residual k-means   {time.perf_counter() - begin:8.1f} s  collisions {collision_rate(found.codes):.2%}")
        for rule in RULES:
            begin = time.perf_counter()
            codes = resolve(found.codes, found.size, found.distances, rule)
            ids = token_ids([codes], 3, found.size)
            seconds = time.perf_counter() - begin
            distinct, length = len(np.unique(ids.groups)), ids.tokens.shape[2]
            print(f"{rule:18} {seconds:8.1f} s  {distinct:,} identifiers of {length} tokens")
    print(f"peak memory        {memory.peak_mb / 1024:8.1f} GB, target below 8")


if __name__ == "__main__":
    main()
