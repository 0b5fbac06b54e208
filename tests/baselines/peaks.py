"""What baselines really take: ``python peaks.py SMALL,LARGE [NAME ...]``. Prints, by baseline, declared and measured
bytes as JSON, by which the large catalogue takes more than the small one.

Those that count have a forked process of their own; of those in RecBole it is RecBole's process that is measured.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import scipy.sparse.linalg
import sklearn.feature_extraction.text
import sklearn.random_projection
import torch
from recbole_baselines import GRU4Rec, ItemKNN, SASRec
from trivial_baselines import Graph, Markov
from unisrec_baseline import UniSRec

from bench.contract import Contract, contract_for
from bench.data import generating
from bench.data.dataset import Dataset, ItemTable, Sequences
from bench.data.splits import Split, leave_one_out
from bench.evaluation.baseline import AnyBaseline, Baseline, TrainingContext
from bench.ids.limits import CatalogueSize
from bench.training import ranking

IMPORTED = scipy.sparse.linalg, sklearn.feature_extraction.text, sklearn.random_projection
BASELINES: Mapping[str, tuple[type[AnyBaseline], dict[str, Any]]] = {
    "markov": (Markov, {}),
    "graph": (Graph, {}),
    "sasrec/ce": (SASRec, {}),
    "gru4rec": (GRU4Rec, {}),
    "itemknn": (ItemKNN, {}),
    "unisrec": (UniSRec, {}),
}
CONTRACT = contract_for("smoke", {"max_steps": "1", "batch_size": "256", "validation_users": "20"})


def made(items: int) -> Dataset:
    """A made-up catalogue, without files."""
    shop = generating.Shop("made", items, -(-items // generating.FIRST))
    titles, kinds = generating.texts(shop, np.arange(items))
    users, values, times = (np.concatenate(part) for part in zip(*generating.interactions(shop), strict=True))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(users))])
    table = ItemTable(tuple(f"i{item}" for item in range(items)), {"title": tuple(titles), "category": tuple(kinds)})
    sequences = Sequences(values.astype(np.int32), offsets)
    return Dataset("made", tuple(f"u{user}" for user in range(len(sequences))), table, sequences, times)


def run(baseline: AnyBaseline, split: Split) -> float:
    """Fit, and rank a few users; bytes at the peak of RecBole's process, 0 where there is none."""
    few = split.test.take(np.arange(20))
    if isinstance(baseline, Baseline):
        baseline.fit(split.train)
        ranking.score_targets(baseline, few, len(split.train.items), False)
        return 0.0
    with tempfile.TemporaryDirectory() as folder:
        trained: Any = baseline
        trained.fit(split.train, few, TrainingContext(Path(folder), Path(folder) / "log", CONTRACT))
        trained.score(few.users, few.histories)
        peak = 1e6 * (trained.facts().peak_memory_mb or 0)
        trained.close()
    return float(peak)


def measured(baseline: AnyBaseline, split: Split) -> float:
    """Bytes at the peak: of a forked process above what it began with, or of RecBole's."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            Path("/proc/self/clear_refs").write_text("5")
            before = psutil.Process().memory_info().rss
            peak = run(baseline, split)
            status = Path("/proc/self/status").read_text().split("VmHWM:")[1]
            os.write(writing, str(int(peak) or int(status.split()[0]) * 1024 - before).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        text = told.read()
    os.waitpid(child, 0)
    return float(text or -1)


def size_of(data: Dataset, contract: Contract) -> CatalogueSize:
    count = len(data.sequences.values)
    return CatalogueSize(len(data.items), len(data.users), count, contract.max_history, contract.batch_size, 64)


def grown(baseline: AnyBaseline, catalogues: Sequence[Dataset]) -> tuple[float, float]:
    """By how much a larger catalogue takes more than a small one: declared, and measured."""
    needs = [baseline.needs(size_of(each, CONTRACT)) for each in catalogues]
    declared = [each.memory if each else 0.0 for each in needs]
    peaks = [measured(baseline, leave_one_out(each)) for each in catalogues]
    return declared[1] - declared[0], peaks[1] - peaks[0]


def main() -> None:
    torch.set_num_threads(1)
    run(Graph(Graph.Settings(dimensions=4)), leave_one_out(made(60)))  # what is loaded when it is first used
    catalogues = [made(int(items)) for items in sys.argv[1].split(",")]
    found = {}
    for name in sys.argv[2:] or BASELINES:
        cls, settings = BASELINES[name]
        found[name] = grown(cls(cls.Settings(**settings)), catalogues)
        print(name, [round(each / 1e6) for each in found[name]], file=sys.stderr, flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
