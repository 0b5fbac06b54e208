"""Sets of vectors: how fast they rank beside constrained beam search, and how large a catalogue may be to train on.

    python tests/benchmarks/vector_set.py --data-dir DATA
    python tests/benchmarks/vector_set.py --only memory

Ranking is on real Toys histories, with the T5 of TIGER: four codes and a beam of 20 against five vectors (one slot and
four), the same users, untrained weights, one thread, medians over rounds in one process, in seconds of the processor,
which other work on the machine does not lengthen. SETRec (section 4.4) reports 8 to 18 times the speed of methods that
generate tokens; Transformers' ``generate`` over a dictionary as tree, which such methods use, is timed on fewer users.
Memory is the peak of a process that takes training steps on a catalogue of a million items.
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

from bench.backbone import huggingface
from bench.backbone.t5 import T5
from bench.data.dataset import Sequences
from bench.ids.identifiers import Feature, Template, VectorIds
from bench.model.recommender import Decoding, Recommender, recommender_for
from bench.vocabulary import Vocabulary

ROUNDS = 3
MILLION = 1_000_000


def vectors(items: int, size: str, negatives: int = 0) -> Recommender:
    """An untrained recommender over features as large as those of ``set/setrec`` by default."""
    random, known = np.random.default_rng(0), np.ones(items, bool)
    own, text = (random.standard_normal((items, width), np.float32) for width in (64, 128))
    features = Feature("own", own, known), Feature("text", text, known, 4, (512, 256, 128), 0.7)
    vocabulary = Vocabulary.private(["<history>", "<next>"])
    ids = VectorIds(features, vocabulary, Template("<history>", after="<next>"), negatives=negatives)
    return recommender_for(ids, T5(huggingface.scratch_config(size, vocabulary.size, 0.0)))


def seconds(recommender: Recommender, histories: Sequences, batch: int, precision: str = "fp32") -> float:
    """For 1,000 users, in batches of like length; the catalogue's vectors are made anew, as after training."""
    order = np.argsort(recommender.input_lengths(histories), kind="stable")
    starts = range(0, len(order), batch)
    begin = time.process_time()
    with recommender.fixed_weights():
        for start in starts:
            recommender.rank(histories.rows(order[start : start + batch]), 20, Decoding(precision=precision))
    return 1000 * (time.process_time() - begin) / len(histories)


def generate_seconds(peer, recommender: Recommender, histories: Sequences, trie: dict) -> float:
    """The same for Transformers' constrained beam search, eight users at a time as they come."""
    begin = time.process_time()
    for start in range(0, len(histories), 8):
        part = histories.rows(np.arange(start, min(start + 8, len(histories))))
        peers.generate(peer, recommender.ids, recommender.writer.write(part), 20, trie)
    return 1000 * (time.process_time() - begin) / len(histories)


def reading_seconds(recommender: Recommender, histories: Sequences) -> float:
    """What of it is the encoder, which no way of decoding makes faster."""
    model, lengths = recommender.backbone, np.sort(recommender.input_lengths(histories))
    begin = time.process_time()
    with torch.no_grad():
        for part in np.array_split(lengths, -(-len(lengths) // 32)):
            model.encode(torch.zeros(len(part), int(part.max()), model.config.d_model))
    return 1000 * (time.process_time() - begin) / len(histories)


def speed(data_dir: Path, users: int) -> None:
    split = peers.toys(data_dir)
    items = len(split.train.items)
    codes, peer = peers.pair(peers.code_ids(items), huggingface.SIZES["tiger"])
    contenders = {"four codes, beam 20": codes.eval(), "five vectors": vectors(items, "tiger").eval()}
    precisions = {f"{name}{', bf16' * (precision == 'bf16')}": (recommender, precision)
                  for precision in ("fp32", "bf16") for name, recommender in contenders.items()}  # fmt: skip
    chosen = np.random.default_rng(0).permutation(len(split.test))[:users]
    histories = split.test.histories.rows(chosen)
    found: dict[str, list[float]] = {name: [] for name in precisions}
    for _ in range(ROUNDS):
        for name, (recommender, precision) in precisions.items():
            found[name].append(seconds(recommender, histories, 32, precision))
    few = histories.rows(np.arange(min(users, 16)))
    theirs = generate_seconds(peer, codes, few, peers.dictionary_trie(codes.ids))
    middle = {name: statistics.median(values) for name, values in found.items()}
    beam, ours, half_beam, half = middle.values()
    print(f"{users} users of Toys, {items:,} items: " + ", ".join(f"{n} {s:.2f} s" for n, s in middle.items()))
    reading = {name: reading_seconds(recommender, histories) for name, recommender in contenders.items()}
    print(f"  per 1,000 users; sets of vectors are {beam / ours:.1f} times as fast (reported: 8 to 18)")
    print("  of which the encoder: " + ", ".join(f"{name} {s:.2f} s" for name, s in reading.items()))
    print(f"  Transformers' generate with the same codes and beam: {theirs:.2f} s, {theirs / ours:.1f} times as long")
    print(f"  in bf16: sets {theirs / half:.1f} times as fast as generate, codes {theirs / half_beam:.1f} times")


def train(items: int, negatives: int, batch: int, length: int) -> None:
    """Two steps on random histories; says how long they took and the peak memory of this process."""
    torch.set_num_threads(1)
    model, random = vectors(items, "mini", negatives), np.random.default_rng(1)
    optimizer = torch.optim.AdamW(model.parameters())
    begin = time.perf_counter()
    for _ in range(2):
        histories = Sequences.from_rows(random.integers(0, items, (batch, length)))
        targets = random.integers(0, items, batch).astype(np.int32)
        optimizer.zero_grad()
        (model(model.collate(histories, targets)) / batch).backward()
        optimizer.step()
    took = (time.perf_counter() - begin) / 2
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    way = f"{negatives:,} negatives" if negatives else "all of them, in chunks"
    print(f"{items:,} items, {way}: {took:.1f} s a step of {batch}, peak memory {peak:.2f} GB", flush=True)


def memory(items: int, batch: int, length: int) -> None:
    for negatives in (4096, 0):  # each in a process of its own, for a peak of its own
        process = multiprocessing.get_context("spawn").Process(target=train, args=(items, negatives, batch, length))
        process.start()
        process.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("BENCH_DATA_DIR", "."))
    parser.add_argument("--only", choices=("speed", "memory"))
    parser.add_argument("--users", type=int, default=192)
    parser.add_argument("--items", type=int, default=MILLION)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--length", type=int, default=6)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.only != "memory":
        speed(Path(options.data_dir), options.users)
    if options.only != "speed":
        memory(options.items, options.batch, options.length)


if __name__ == "__main__":
    main()
