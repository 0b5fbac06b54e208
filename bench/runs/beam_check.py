"""How often a beam's ranks are not those of the whole catalogue, measured on a sample of the test users."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from accelerate import Accelerator

from bench.contract import CUTOFFS
from bench.data.splits import Targets
from bench.evaluation.metrics import Ranks
from bench.model.recommender import Decoding, Recommender
from bench.training.ranking import evaluate

USERS = 500  # whose exact best are looked at
METRIC = "ndcg@10"


def beam_check(
    recommender: Recommender, beam: Ranks, targets: Targets, decoding: Decoding, accelerator: Accelerator
) -> dict[str, float]:
    """``beam_differs_rate``: of how many targets the rank is another one, among those in reach of the metrics.
    ``beam_excess``: by how much the beam's NDCG@10 of these users is above the exact one. ``beam`` are the ranks of all
    ``targets``. Nothing where the recommender scores every item, or ranks exactly already.

    A beam drops prefixes of items that would have come out above the target, so its ranks flatter a model that has
    learned little.
    """
    if recommender.scores_all or decoding.decoder != "beam":
        return {}
    rows = np.random.default_rng(0).permutation(len(targets))[:USERS]
    rows.sort()
    part, k = targets.take(rows), max(CUTOFFS)
    exact, _ = evaluate(recommender, part, replace(decoding, decoder="certified"), k, accelerator)
    positions = targets.target_positions(rows)
    found = beam.take(positions).of(None if part.counts is None else part.user_rows, recommender.ids.groups[part.items])
    differs = np.minimum(found.strict, k + 1) != np.minimum(exact.strict, k + 1)
    excess = found.per_user(METRIC).mean() - exact.per_user(METRIC).mean()
    return {"beam_differs_rate": float(differs.mean()), "beam_excess": float(excess)}
