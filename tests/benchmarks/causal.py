"""Constrained beam search of a decoder-only model against Transformers' ``generate`` on the same Qwen2.

    python tests/benchmarks/causal.py --data-dir DATA

Four codes an item, real Toys histories, weights, identifiers and users alike; one thread; ratios are medians over
rounds in one process, of processor time. ``generate`` reads every history once for each beam and asks Python which
tokens may follow; beams here share what was read, so that the ratio grows with the history: it is told for users as
they come and for those whose history fills what the contract shows. Users are enough for batches of like length, as an
evaluation has them: of 64, half would be padded to the longest. Also says how many of the best ten lists agree, and how
fast it is with ``decoding_precision=bf16``. Scores are normalized over the vocabulary, and over the tokens that may
follow a prefix, as presets do.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import peers
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from bench.backbone import causal_files
from bench.backbone.causal import Qwen2
from bench.backbone.causal_layers import CausalConfig
from bench.data.dataset import Sequences
from bench.ids.identifiers import TokenIds
from bench.model.beam import Scoring
from bench.model.recommender import Decoding, Recommender, recommender_for

ROUNDS = 3
SHOWN = 20  # items of a history, as the contract has it
SIZES: dict[str, dict[str, Any]] = {
    "qwen-mini": causal_files.MINI,
    "as wide as TIGER's T5": {"d_model": 128, "d_ff": 768, "layers": 8, "heads": 8, "kv_heads": 2, "d_kv": 16},
}


def pair(ids: TokenIds, size: dict[str, Any]) -> tuple[Recommender, Qwen2ForCausalLM]:
    """Our recommender and Transformers' Qwen2 with the same random weights."""
    torch.manual_seed(0)
    ours = Qwen2(CausalConfig(vocabulary=ids.vocabulary.size, **size))
    peer = Qwen2ForCausalLM(Qwen2Config(**causal_files.export_config(ours, ids.vocabulary.pad, ids.vocabulary.eos)))
    peer.load_state_dict(causal_files.export_weights(ours), strict=False)
    peer.tie_weights()
    return recommender_for(ids, ours).eval(), peer.eval()


@torch.no_grad()
def generate(
    peer: Qwen2ForCausalLM,
    model: Recommender,
    users: Sequences,
    width: int,
    trie: dict[int, Any],
    by_prefix: bool = False,
) -> Any:
    """Transformers' constrained beam search behind left-padded histories: sequences and scores of each user.
    ``by_prefix``: probabilities of the tokens that are allowed sum to one.
    """
    source, start = model.writer.write(users), model.ids.vocabulary.start  # type: ignore[attr-defined, union-attr]
    lengths = [source.tokens.shape[1]] * len(users) if source.mask is None else source.mask.sum(1).tolist()
    rows = [[*row[:length], start] for row, length in zip(source.tokens.tolist(), lengths, strict=True)]
    longest = max(map(len, rows))
    tokens = torch.tensor([[0] * (longest - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])

    def allowed(_: int, prefix: torch.Tensor) -> list[int]:
        node = trie
        for token in prefix.tolist()[longest:]:
            node = node.get(token, {})
        return list(node) or [model.ids.vocabulary.eos]

    found = peer.generate(
        input_ids=tokens,
        attention_mask=mask,
        num_beams=width,
        num_return_sequences=width,
        max_new_tokens=4,
        prefix_allowed_tokens_fn=allowed,
        return_dict_in_generate=True,
        output_scores=True,
        length_penalty=1.0,
        renormalize_logits=by_prefix,
    )
    count = len(rows)
    return found.sequences.view(count, width, -1)[..., longest:], found.sequences_scores.view(count, width)


def ours(
    model: Recommender, users: Sequences, width: int, size: int, normalize: str, precision: str = "fp32"
) -> list[tuple[np.ndarray, Any]]:
    order = np.argsort(model.input_lengths(users), kind="stable")
    decoding = Decoding(width=width, scoring=Scoring(normalize, length_penalty=1.0), precision=precision)
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    with model.fixed_weights():
        return [(rows, model.rank(users.rows(rows), width, decoding)) for rows in batches]


def theirs(
    peer: Qwen2ForCausalLM,
    model: Recommender,
    users: Sequences,
    width: int,
    trie: Any,
    size: int,
    by_prefix: bool = False,
) -> list[Any]:
    parts = np.array_split(np.arange(len(users)), -(-len(users) // size))
    return [generate(peer, model, users.rows(rows), width, trie, by_prefix) for rows in parts]


def seconds(work: Callable[[], object]) -> float:
    """Of the processor: others may be busy beside us."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def agreement(model: Recommender, found: list[Any], peer_beams: list[Any], top: int = 10) -> str:
    codes = {tuple(code.tolist()): item for item, code in enumerate(model.labels[0])}  # type: ignore[union-attr, index]
    lists = {
        int(row): items[:top].tolist() for rows, best in found for row, items in zip(rows, best.items, strict=True)
    }
    beams = [beams for sequences, _ in peer_beams for beams in sequences.tolist()]
    same = sum(
        lists[user] == [codes.get(tuple(beam), -1) for beam in listed[:top]] for user, listed in enumerate(beams)
    )
    return f"{same} of {len(beams)} lists of {top} equal"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("BENCH_DATA_DIR", "."))
    parser.add_argument("--beam", type=int, default=20)
    parser.add_argument("--users", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    split = peers.toys(Path(options.data_dir))
    ids = peers.code_ids(len(split.train.items))
    trie = peers.dictionary_trie(ids)
    shown = split.test.histories.newest(SHOWN)
    drawn = np.random.default_rng(0).permutation(len(shown))
    full = drawn[shown.lengths[drawn] == SHOWN]
    for name, size in SIZES.items():
        model, peer = pair(ids, size)
        for what, chosen in {"as they come": drawn, f"of {SHOWN} items": full}.items():
            rows = chosen[: options.users]
            rows = rows[np.argsort(shown.lengths[rows], kind="stable")]  # for both sides: batches of like length
            compare(f"{name}, histories {what}", model, peer, shown.rows(rows), trie, options)


def compare(
    name: str, model: Recommender, peer: Qwen2ForCausalLM, users: Sequences, trie: Any, options: argparse.Namespace
) -> None:
    """Some rounds of every contender, then agreement."""
    beam = options.beam
    runs: dict[str, Callable[[], Any]] = {
        f"{normalize}{', bf16' * (precision == 'bf16')}": partial(ours, model, users, beam, 32, normalize, precision)
        for normalize in ("vocabulary", "prefix")
        for precision in ("fp32", "bf16")
    }
    for batch in (4, 8):
        runs[f"generate, batch {batch}"] = partial(theirs, peer, model, users, beam, trie, batch)
    rates: dict[str, list[float]] = {run: [] for run in runs}
    for _ in range(options.rounds):
        for run, call in runs.items():
            rates[run].append(len(users) / seconds(call))
    middle = {run: statistics.median(values) for run, values in rates.items()}
    best = max(rate for run, rate in middle.items() if run.startswith("generate"))
    told = ", ".join(f"{run} {rate:.2f} users/s" for run, rate in middle.items())
    print(f"{name}, beam {beam}: {told}")
    print("  " + ", ".join(f"{run} {rate / best:.1f}x" for run, rate in middle.items() if "generate" not in run))
    for normalize in ("vocabulary", "prefix"):
        expected = theirs(peer, model, users, beam, trie, 8, by_prefix=normalize == "prefix")
        print(f"  {normalize}: {agreement(model, runs[normalize](), expected)}")


if __name__ == "__main__":
    main()
