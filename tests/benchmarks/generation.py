"""IDGenRec on real Toys: bootstrapping the `mini` generator, naming 11,924 items, and a step of each stage.

    python tests/benchmarks/generation.py --data-dir DATA

One thread. Seconds on the clock and, since a busy machine is slow, of the processor.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import peers
import torch
from textual_ids import IdGenRecSettings
from textual_ids.assigning import assign, levels
from textual_ids.diverse import Search
from textual_ids.generator import Writer
from textual_ids.generators import first_writer
from textual_ids.idgenrec import numbered
from textual_ids.learner import GeneratorLearner
from textual_ids.title import SEPARATOR

from bench.backbone import huggingface
from bench.backbone.t5 import T5
from bench.contract import PRESETS
from bench.ids.identifiers import Template, TokenIds
from bench.model.recommender import Recommender
from bench.model.sequence import SequenceRecommender
from bench.training.cost import MemoryMeter
from bench.training.examples import bucketed_batches, sliding_windows

SHOWN = 12


@contextlib.contextmanager
def measured(what: str, count: int = 1) -> Iterator[None]:
    clock, processor = time.perf_counter(), time.process_time()
    yield
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    print(f"{what}: {clock / count:.2f} s on the clock, {processor / count:.2f} s of the processor", flush=True)


def named(writer: Writer, settings: IdGenRecSettings) -> TokenIds:
    asked: list[str] = []

    def candidates(rows: Sequence[int], search: Search) -> list[list[str]]:
        asked.append(f"{len(rows):,} texts at penalty {search.penalty:g} from length {search.shortest}")
        return writer.candidates(rows, search)

    searches = levels(settings.lengths, settings.candidates)
    codes = assign(numbered(writer.sources), candidates, searches, writer.vocabulary)
    print("; ".join(asked))
    return TokenIds.from_lists(codes, writer.vocabulary, Template(separator=SEPARATOR))


def steps(learner: Recommender, windows, count: int) -> None:
    """Optimizer steps of batches as the preset `cpu` has them."""
    contract = PRESETS["cpu"].contract
    learner.train()
    optimizer = torch.optim.AdamW([p for p in learner.parameters() if p.requires_grad], lr=1e-4)
    for rows in bucketed_batches(learner.input_lengths(windows.histories()), contract.batch_size, 0, 0)[:count]:
        loss = learner(learner.collate(windows.histories(rows), windows.items(rows)))
        optimizer.zero_grad()
        (loss / learner.targets(windows.items(rows))).backward()
        optimizer.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, help="where Toys is; default $BENCH_DATA_DIR")
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    split, settings, contract = peers.toys(options.data_dir), IdGenRecSettings(), PRESETS["cpu"].contract
    with measured("bootstrap"):
        writer = first_writer(settings, split.train)
    with measured(f"{len(writer.sources):,} names"):
        ids = named(writer, settings)
    print(f"tokens per name: {ids.lengths.mean():.2f}, most {ids.lengths.max()}")
    for item in np.random.default_rng(0).permutation(len(ids))[:SHOWN]:
        print(f"  {ids.vocabulary.decode(ids.code(item))}  <-  {split.train.items.text['title'][item][:70]}")
    t5 = T5(huggingface.scratch_config(contract.backbone, ids.vocabulary.size, contract.dropout))
    windows = sliding_windows(split.train.sequences, contract.max_history)
    with measured("recommender step", options.steps):
        steps(SequenceRecommender(ids, t5, contract.max_tokens, contract.objective), windows, options.steps)
    frozen = SequenceRecommender(ids, t5, contract.max_tokens, contract.objective)
    learner = GeneratorLearner(frozen, writer, settings.max_history, levels(1, 1)[0].max_length - 1)
    with measured("generator step", options.steps), MemoryMeter() as memory:
        steps(learner, windows, options.steps)
    print(f"peak memory of generator steps: {memory.peak_mb:,.0f} MB")


if __name__ == "__main__":
    main()
