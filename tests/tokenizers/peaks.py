"""What schemes really take: ``python peaks.py SMALL,LARGE``. Prints, by scheme, declared and measured bytes as JSON, by
which the large catalogue takes more than the small one.

Each scheme has a forked process of its own, so that its peak is its own; what all share is imported before.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import scipy.sparse.linalg
import sklearn.feature_extraction.text
import sklearn.random_projection
import torch
from numeric_ids import Category, Collaborative, Independent, Random, Sequential
from semantic_ids import Letter, LetterNoCf, LetterNoDiversity, Pq, Rpg, RqKmeans, RqVae
from set_ids import CfOnly, SemanticOnly, SetRec
from textual_ids import Title

from bench import backbone
from bench.data.dataset import TrainView
from bench.ids.limits import CatalogueSize
from bench.ids.scheme import IdScheme
from bench.model import sequence, slot, vector_set
from bench.model.recommender import Decoding, recommender_for

sys.path.append(str(Path(__file__).resolve().parents[1]))
import peaking

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
    table, sequences, _ = peaking.made(items)
    return TrainView("made", table, sequences, 0, max_history=20)


def run(scheme: IdScheme, train: TrainView) -> float:
    """Identifiers, their recommender, a training step of a few users, and a ranking."""
    ids = scheme.fit(train)
    model = recommender_for(ids, backbone.scratch("mini", ids.vocabulary.size, 0.0))
    few = replace(train.sequences.rows(np.arange(16)), user_rows=None).newest(5)
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad])
    model(model.collate(few, np.arange(16, dtype=np.int32))).backward()
    optimizer.step()
    with model.eval().fixed_weights():
        model.rank(few, 20, Decoding())
    return 0.0  # it is this process's peak that counts


def grown(scheme: IdScheme, views: Sequence[TrainView]) -> tuple[float, float]:
    sizes = [
        CatalogueSize(len(each.items), len(each.sequences), len(each.sequences.values), 20, 16, 64) for each in views
    ]
    needs = [scheme.needs(size) for size in sizes]
    return peaking.growth(needs, [peaking.peak(functools.partial(run, scheme, each)) for each in views])


def main() -> None:
    torch.set_num_threads(1)
    run(RqKmeans(RqKmeans.Settings(codes=4)), view(60))  # what is loaded when it is first used counts for nobody
    views = [view(int(items)) for items in sys.argv[1].split(",")]

    def named(name: str) -> tuple[float, float]:
        cls, settings = SCHEMES[name]
        return grown(cls(cls.Settings(**settings)), views)

    peaking.tell(sys.argv[2:] or SCHEMES, named)


if __name__ == "__main__":
    main()
