"""Codes in slots: how fast they rank beside Transformers' ``generate``, and what a million items cost.

    python tests/benchmarks/slots.py --data-dir DATA
    python tests/benchmarks/slots.py --only catalogue

Ranking is on real Toys histories among 12,000 items, with the T5 of TIGER and untrained weights: 32 slots of 256 codes,
all items, against a beam of 20 over four codes with a dictionary as tree, as methods that write token after token use
it, and against our own beam. One thread, medians over rounds in one process, in seconds of the processor, which other
work on the machine does not lengthen. Then how long scoring takes for each item and slot, without the reading of
histories, at 12,000 items and at a million, and the peak memory of a process that ranks a million.

On one core of a server: 1.5 s for 1,000 users with slots, 10.1 s with our beam and 45.0 s with ``generate``, so slots
are 31 times as fast. Scoring takes 0.85 ns for each item, slot and user at 12,000 items and 0.19 ns at a million, where
ranking adds nothing to the peak of 1.2 GB: scores of no more than 32,768 items are in memory together.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import statistics
import time
from pathlib import Path

import numpy as np
import peers
import torch
from vector_set import generate_seconds, seconds

from bench.backbone import huggingface
from bench.backbone.t5 import T5
from bench.data.dataset import Sequences
from bench.ids.identifiers import SlotIds, Template
from bench.model.recommender import Decoding, Recommender, recommender_for
from bench.vocabulary import Vocabulary

ROUNDS, SLOTS, CODES, USERS = 3, 32, 256, 32
ITEMS, MILLION = 12_000, 1_000_000


def slots(items: int, size: str) -> Recommender:
    codes = np.random.default_rng(0).integers(0, CODES, (items, SLOTS), dtype=np.int32)
    vocabulary = Vocabulary.private(["<history>", "<next>"])
    ids = SlotIds(codes, (CODES,) * SLOTS, vocabulary, Template("<history>", after="<next>"))
    return recommender_for(ids, T5(huggingface.scratch_config(size, vocabulary.size, 0.0))).eval()


def speed(data_dir: Path, users: int) -> None:
    split = peers.toys(data_dir)
    codes, peer = peers.pair(peers.code_ids(ITEMS), huggingface.SIZES["tiger"])
    contenders = {"32 slots, all items": slots(ITEMS, "tiger"), "four codes, our beam of 20": codes}
    chosen = np.random.default_rng(0).permutation(len(split.test))[:users]
    histories = split.test.histories.rows(chosen)
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, recommender in contenders.items():
            found[name].append(seconds(recommender, histories, USERS))
    theirs = generate_seconds(peer, codes, histories.rows(np.arange(min(users, 16))), peers.dictionary_trie(codes.ids))
    middle = {name: statistics.median(values) for name, values in found.items()}
    ours, _ = middle.values()
    print(f"{users} users of Toys, {ITEMS:,} items, seconds for 1,000 users: ", end="")
    print(", ".join(f"{name} {value:.2f}" for name, value in middle.items()), f", generate {theirs:.2f}")
    print(f"  slots are {theirs / ours:.1f} times as fast as generate", flush=True)


def scoring_seconds(model: Recommender, histories: Sequences) -> float:
    """Of ranking a batch of histories, less that of reading them; seconds of the processor."""

    def timed(work: object) -> float:
        begin = time.process_time()
        work()  # type: ignore[operator]
        return time.process_time() - begin

    read = dict(model._read(histories))
    with torch.no_grad():
        whole = [timed(lambda: model.rank(histories, 20, Decoding())) for _ in range(ROUNDS)]
        reading = [timed(lambda: model.hidden(read)) for _ in range(ROUNDS)]
    return statistics.median(whole) - statistics.median(reading)


def catalogue(items: int) -> None:
    """Says how long an item and slot take, for each user, and the peak memory of this process."""
    torch.set_num_threads(1)
    model, random = slots(items, "mini"), np.random.default_rng(1)
    histories = Sequences.from_rows(random.integers(0, items, (USERS, 6)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    took = scoring_seconds(model, histories)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    each = took / USERS / items / SLOTS * 1e9
    print(f"{items:,} items, {USERS} users at once: {took:.2f} s, {each:.3f} ns for each item, slot and user; ", end="")
    print(f"memory {before:.2f} GB before ranking, {peak:.2f} GB at most", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("BENCH_DATA_DIR", "."))
    parser.add_argument("--only", choices=("speed", "catalogue"))
    parser.add_argument("--users", type=int, default=192)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.only != "catalogue":
        speed(Path(options.data_dir), options.users)
    if options.only != "speed":
        for items in (ITEMS, MILLION):  # each in a process of its own, for a peak of its own
            process = multiprocessing.get_context("spawn").Process(target=catalogue, args=(items,))
            process.start()
            process.join()


if __name__ == "__main__":
    main()
