"""What schemes really take: ``python peaks.py SMALL,LARGE``. Prints, by scheme, declared and measured bytes as JSON, by
which the large catalogue takes more than the small one.

Each scheme has a forked process of its own, so that its peak is its own; what all share is imported before.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import psutil
import scipy.sparse.linalg
import sklearn.feature_extraction.text
import sklearn.random_projection
import torch
from numeric_ids import Category, Collaborative, Independent, Random, Sequential
from semantic_ids import Letter, LetterNoCf, LetterNoDiversity, Pq, Rpg, RqKmeans, RqVae
from set_ids import CfOnly, SemanticOnly, SetRec
from textual_ids import Title

from bench import backbone
from bench.data import generating
from bench.data.dataset import ItemTable, Sequences, TrainView
from bench.ids.limits import CatalogueSize
from bench.ids.scheme import IdScheme
from bench.model import sequence, slot, vector_set
from bench.model.recommender import Decoding, recommender_for

IMPORTED = faiss, scipy.sparse.linalg, sklearn.feature_extraction.text, sklearn.random_projection
RANKING = sequence, slot, vector_set
SCHEMES: Mapping[str, tuple[type[IdScheme], dict[str, Any]]] = {
    "numeric/sequential": (Sequential, {}),
    "numeric/random": (Random, {}),
    "numeric/independent": (Independent, {}),
    "numeric/collaborative": (Collaborative, {}),
    "numeric/category": (Category, {}),
    "textual/title": (Title, {}),
    "semantic/rqkmeans": (RqKmeans, {}),
    "semantic/pq": (Pq, {}),
    "semantic/rqvae": (RqVae, {"epochs": 1}),
    "semantic/letter-no-cf": (LetterNoCf, {"epochs": 1}),
    "semantic/letter-no-diversity": (
        LetterNoDiversity,
        {"epochs": 1, "sasrec_epochs": 1, "sasrec_negatives": 256},
    ),
    "semantic/letter": (Letter, {"epochs": 1, "sasrec_epochs": 1, "sasrec_negatives": 256}),
    "set/rpg": (Rpg, {}),
    "set/semantic-only": (SemanticOnly, {}),
    "set/cf-only": (CfOnly, {"epochs": 1, "sasrec_negatives": 256}),
    "set/setrec": (SetRec, {"epochs": 1, "sasrec_negatives": 256}),
}


def view(items: int) -> TrainView:
    """A made-up catalogue, without files. Few users, for what is measured is what grows with the items."""
    shop = generating.Shop("made", items, -(-items // generating.FIRST))
    titles, kinds = generating.texts(shop, np.arange(items))
    users, values, _ = (np.concatenate(part) for part in zip(*generating.interactions(shop), strict=True))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(users))])
    table = ItemTable(tuple(f"i{item}" for item in range(items)), {"title": tuple(titles), "category": tuple(kinds)})
    return TrainView("made", table, Sequences(values.astype(np.int32), offsets), 0, max_history=20)


def run(scheme: IdScheme, train: TrainView) -> None:
    """Identifiers, their recommender, a training step of a few users, and a ranking."""
    ids = scheme.fit(train)
    model = recommender_for(ids, backbone.scratch("mini", ids.vocabulary.size, 0.0))
    few = replace(train.sequences.rows(np.arange(16)), user_rows=None).newest(5)
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad])
    model(model.collate(few, np.arange(16, dtype=np.int32))).backward()
    optimizer.step()
    with model.eval().fixed_weights():
        model.rank(few, 20, Decoding())


def measured(scheme: IdScheme, train: TrainView) -> int:
    """Bytes at the peak of a forked process, above what it began with."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            Path("/proc/self/clear_refs").write_text("5")
            before = psutil.Process().memory_info().rss
            run(scheme, train)
            status = Path("/proc/self/status").read_text().split("VmHWM:")[1]
            os.write(writing, str(int(status.split()[0]) * 1024 - before).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        text = told.read()
    os.waitpid(child, 0)
    return int(text or -1)


def grown(scheme: IdScheme, views: Sequence[TrainView]) -> tuple[float, float]:
    """By how much a larger catalogue takes more than a small one: declared, and measured."""
    sizes = [
        CatalogueSize(len(each.items), len(each.sequences), len(each.sequences.values), 20, 16, 64) for each in views
    ]
    needs = [scheme.needs(size) for size in sizes]
    declared = [each.memory if each else 0.0 for each in needs]
    peaks = [measured(scheme, each) for each in views]
    return declared[1] - declared[0], peaks[1] - peaks[0]


def main() -> None:
    torch.set_num_threads(1)
    run(RqKmeans(RqKmeans.Settings(codes=4)), view(60))  # what is loaded when it is first used counts for nobody
    views = [view(int(items)) for items in sys.argv[1].split(",")]
    found = {}
    for name in sys.argv[2:] or SCHEMES:
        cls, settings = SCHEMES[name]
        found[name] = grown(cls(cls.Settings(**settings)), views)
        print(name, [round(each / 1e6) for each in found[name]], file=sys.stderr, flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
