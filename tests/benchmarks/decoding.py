"""Constrained beam search against Transformers' ``generate`` and against the uncached recipe, on real Toys histories.

    python tests/benchmarks/decoding.py --data-dir DATA
    python tests/benchmarks/decoding.py --data-dir DATA --tokenizer T5_FOLDER

Four codes an item under the T5 of TIGER; with a tokenizer, words in T5's vocabulary under a T5 of t5-small's size.
Weights, identifiers and users are the same; one thread; ratios are medians over rounds in one process, of processor
time. Also says how many of the best ten lists agree, since a fast decoder that finds something else is no decoder.
Scores are normalized over the vocabulary, over the tokens of the catalogue, or over those that may follow a prefix.
With ``decoding_precision=bf16`` lists may differ; tests/benchmarks/half_precision.py says how much on trained models.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import peers
import torch

from bench.backbone import huggingface
from bench.data.dataset import Sequences
from bench.model.beam import Scoring
from bench.model.recommender import Decoding, Recommender

ROUNDS = 3


def ours(
    recommender: Recommender, histories: Sequences, width: int, normalize: str, size: int, precision: str = "fp32"
) -> list[tuple]:
    """Our ranking, users sorted by input length: (row numbers, ranked) of every batch."""
    order = np.argsort(recommender.input_lengths(histories), kind="stable")
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    decoding = Decoding(width=width, scoring=Scoring(normalize, length_penalty=1.0), precision=precision)
    with recommender.fixed_weights():
        return [(rows, recommender.rank(histories.rows(rows), width, decoding)) for rows in batches]


def theirs(peer, recommender, histories: Sequences, width: int, trie: dict, size: int, by_prefix: bool = False) -> list:
    """Transformers' beams, users as they come."""
    starts = range(0, len(histories), size)
    parts = [histories.rows(np.arange(start, min(start + size, len(histories)))) for start in starts]
    written = map(recommender.writer.write, parts)
    return [peers.generate(peer, recommender.ids, each, width, trie, by_prefix) for each in written]


def agreement(recommender: Recommender, histories: Sequences, found: list, peer_beams: list, top: int = 10) -> str:
    """How many users get the same ten identifiers in the same order, and the largest difference of their scores."""
    codes = {tuple(code[code >= 0].tolist()): item for item, code in enumerate(recommender.labels[0])}
    lists, scores = {}, {}
    for rows, ranked in found:
        for row, items, score in zip(rows, ranked.items, ranked.scores, strict=True):
            lists[int(row)], scores[int(row)] = items[:top].tolist(), score[:top]
    same, worst, user = 0, 0.0, 0
    end = recommender.ids.vocabulary.eos
    for sequences, beam_scores in peer_beams:
        for beams, values in zip(sequences.tolist(), beam_scores.tolist(), strict=True):
            items = [codes.get(_code(beam, end, recommender.ids.appends_eos), -1) for beam in beams[:top]]
            if items == lists[user]:
                same += 1
                worst = max(worst, float(np.abs(scores[user] - np.array(values[:top])).max()))
            user += 1
    return f"{same} of {user} lists of {top} equal, scores to {worst:.0e}"


def _code(beam: list[int], end: int, ends: bool) -> tuple[int, ...]:
    tokens = beam[1:]
    return tuple(tokens[: tokens.index(end) + 1]) if end in tokens else tuple(t for t in tokens if t != 0 or not ends)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("BENCH_DATA_DIR", "."))
    parser.add_argument("--tokenizer", type=Path, help="a folder with T5's tokenizer")
    parser.add_argument("--beams", default="20,50")
    parser.add_argument("--users", type=int)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    split = peers.toys(Path(options.data_dir))
    kind = "text" if options.tokenizer else "codes"
    if kind == "codes":
        ids, size = peers.code_ids(len(split.train.items)), huggingface.SIZES["tiger"]
    else:
        ids, size = peers.text_ids(options.data_dir, options.tokenizer, split.train.items.ids), peers.SMALL
    recommender, peer = peers.pair(ids, size)
    trie = peers.dictionary_trie(ids)
    chosen = np.random.default_rng(0).permutation(len(split.test))
    users = split.test.histories.rows(chosen[: options.users or (96 if kind == "codes" else 16)])
    batch = 32 if kind == "codes" else 8
    for width in map(int, options.beams.split(",")):
        compare(recommender, peer, trie, users, width, batch, kind, options.rounds)


def rate(users: Sequences, work: Callable[..., object], *given: object) -> float:
    """Users in a second of the processor: others may be busy beside us."""
    begin = time.process_time()
    work(*given)
    return len(users) / (time.process_time() - begin)


def compare(recommender, peer, trie, users: Sequences, width: int, batch: int, kind: str, rounds: int) -> None:
    """One beam width: some rounds of every contender, then agreement."""
    runs = {
        f"ours, {normalize}{', bf16' * (precision == 'bf16')}": partial(
            rate, users, ours, recommender, users, width, normalize, batch, precision
        )
        for normalize in ("vocabulary", "catalogue", "prefix")
        for precision in ("fp32", "bf16")
    }
    for size in (4, 8):
        runs[f"generate, batch {size}"] = partial(rate, users, theirs, peer, recommender, users, width, trie, size)
    if kind == "codes":
        closed = peers.dictionary_trie(recommender.ids, end=True)
        runs["generate with end token, batch 8"] = partial(
            rate, users, theirs, peer, recommender, users, width, closed, 8
        )
        two = users.rows(np.arange(2))
        runs["uncached"] = partial(rate, two, peers.uncached, peer, recommender.writer.write(two), width, 4)
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            rates[name].append(run())
    middle = {name: statistics.median(values) for name, values in rates.items()}
    best_peer = max(rate for name, rate in middle.items() if name.startswith("generate, "))
    print(f"\n{kind}, beam {width}: " + ", ".join(f"{name} {rate:.2f} users/s" for name, rate in middle.items()))
    ratios = {name: found / best_peer for name, found in middle.items() if name.startswith("ours")}
    print(
        "  against generate at its best batch: " + ", ".join(f"{name} {ratio:.1f}x" for name, ratio in ratios.items())
    )
    if "uncached" in middle:
        closed_rate = middle["generate with end token, batch 8"]
        closed_ratio = middle["ours, vocabulary"] / closed_rate
        print(f"  against generate with the end token of published tries: {closed_ratio:.1f}x")
        print(f"  against the uncached recipe: {middle['ours, vocabulary'] / middle['uncached']:.1f}x")
    for normalize in ("vocabulary", "prefix"):
        found = ours(recommender, users, width, normalize, batch)
        expected = theirs(peer, recommender, users, width, trie, 8, by_prefix=normalize == "prefix")
        print(f"  {normalize}: {agreement(recommender, users, found, expected)}")


if __name__ == "__main__":
    main()
