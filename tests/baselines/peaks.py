"""What baselines really take: ``python peaks.py SMALL,LARGE [NAME ...]``. Prints, by baseline, declared and measured
bytes as JSON, by which the large catalogue takes more than the small one.

Those that count have a forked process of their own; of those in RecBole it is RecBole's process that is measured.
"""

from __future__ import annotations

import functools
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse.linalg
import sklearn.feature_extraction.text
import sklearn.random_projection
import torch
from recbole_baselines import GRU4Rec, ItemKNN, SASRec
from trivial_baselines import Graph, Markov
from unisrec_baseline import UniSRec

from bench.contract import Contract, contract_for
from bench.data.dataset import Dataset
from bench.data.splits import Split, leave_one_out
from bench.evaluation.baseline import AnyBaseline, Baseline, TrainingContext
from bench.ids.limits import CatalogueSize
from bench.training import ranking

sys.path.append(str(Path(__file__).resolve().parents[1]))
import peaking

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
    table, sequences, times = peaking.made(items)
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


def size_of(data: Dataset, contract: Contract) -> CatalogueSize:
    count = len(data.sequences.values)
    return CatalogueSize(len(data.items), len(data.users), count, contract.max_history, contract.batch_size, 64)


def grown(baseline: AnyBaseline, catalogues: Sequence[Dataset]) -> tuple[float, float]:
    needs = [baseline.needs(size_of(each, CONTRACT)) for each in catalogues]
    splits = map(leave_one_out, catalogues)
    return peaking.growth(needs, [peaking.peak(functools.partial(run, baseline, split)) for split in splits])


def main() -> None:
    torch.set_num_threads(1)
    run(Graph(Graph.Settings(dimensions=4)), leave_one_out(made(60)))  # what is loaded when it is first used
    catalogues = [made(int(items)) for items in sys.argv[1].split(",")]

    def named(name: str) -> tuple[float, float]:
        cls, settings = BASELINES[name]
        return grown(cls(cls.Settings(**settings)), catalogues)

    peaking.tell(sys.argv[2:] or BASELINES, named)


if __name__ == "__main__":
    main()
