"""``bench serve`` under load: seconds to an answer with 64 connections, and how many requests fail.

    python tests/benchmarks/serving.py
    python tests/benchmarks/serving.py --run semantic/rqkmeans --results results --dataset toys

Without ``--run`` it trains a small model on MovieLens-100k first. The server is a process of its own on loopback; every
connection asks again as soon as it is answered.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import httpx
import numpy as np

import bench

TRAIN = "run --id-scheme textual/title --dataset ml-100k --preset smoke --set max_steps=20 --set validation_users=20"


async def load(address: str, histories: Sequence[Sequence[str]], connections: int) -> tuple[list[float], Counter[str]]:
    """Seconds of every request that was answered, and how the others ended."""
    taken: list[float] = []
    errors: Counter[str] = Counter()
    waiting = iter(histories)

    async def ask(client: httpx.AsyncClient) -> None:
        for history in waiting:
            begun = time.perf_counter()
            try:
                answer = await client.post("/recommend", json={"history": history, "k": 10})
            except httpx.HTTPError as error:
                errors[type(error).__name__] += 1
                continue
            if answer.status_code == 200:
                taken.append(time.perf_counter() - begun)
            else:
                errors[str(answer.status_code)] += 1

    async def connection() -> None:
        """A client of its own: one pool of 64 connections is slower than the server."""
        async with httpx.AsyncClient(base_url=address, timeout=120, trust_env=False, verify=False) as client:
            await ask(client)

    await asyncio.gather(*(connection() for _ in range(connections)))
    return taken, errors


def measure(run: str, results: Path, dataset: str | None, connections: int, requests: int) -> None:
    saved = bench.load(run, results=results, dataset=dataset)
    random = np.random.default_rng(0)
    items = list(saved.rows)
    histories = [
        [items[row] for row in random.integers(0, len(items), random.integers(1, 21))] for _ in range(requests)
    ]
    words = [sys.executable, "-m", "bench", "serve", run, "--results", str(results), "--port", "0"]
    words += ["--dataset", dataset] if dataset else []
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr
        found = re.search(r"http://\S+\d", server.stderr.readline())
        assert found, "the server did not start"
        try:
            asyncio.run(load(found[0], histories[:connections], connections))  # to warm it up
            begun = time.perf_counter()
            taken, errors = asyncio.run(load(found[0], histories, connections))
            seconds = time.perf_counter() - begun
        finally:
            server.terminate()
    p50, p99 = (1000 * value for value in np.quantile(taken, [0.5, 0.99]))
    name = f"{saved.result.scheme.name} on {saved.result.dataset.name}"
    print(f"{name}: {requests:,} requests over {connections} connections, {requests / seconds:.0f} a second")
    print(f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, errors {sum(errors.values())} {dict(errors) or ''}".rstrip())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", default="")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--dataset")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--requests", type=int, default=2000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if not asked.run:
            asked.run, asked.results = "textual/title", Path(folder)
            subprocess.run([sys.executable, "-m", "bench", *TRAIN.split(), "--results", folder], check=True)
        measure(asked.run, asked.results, asked.dataset, asked.connections, asked.requests)


if __name__ == "__main__":
    main()
