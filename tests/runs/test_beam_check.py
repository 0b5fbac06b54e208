"""A result says how often the beam's ranks are not those of the whole catalogue."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from bench.backbone.t5 import T5, T5Config
from bench.data.dataset import Dataset
from bench.data.splits import leave_one_out
from bench.ids.identifiers import TokenIds
from bench.model.recommender import Decoding, Recommender, recommender_for
from bench.runs.beam_check import beam_check
from bench.training.ranking import evaluate
from bench.vocabulary import Vocabulary

BEAM = Decoding(width=20)


@pytest.fixture(scope="module")
def untrained() -> Recommender:
    """Fifty tokens and then three, random weights: a beam of 20 leaves more than half of the items unseen."""
    torch.manual_seed(0)
    vocabulary = Vocabulary.private([*(f"0:{code}" for code in range(50)), *(f"1:{code}" for code in range(3))])
    codes = [vocabulary.ids([f"0:{item % 50}", f"1:{item // 50}"]) for item in range(150)]
    shape = {"d_model": 16, "d_kv": 8, "d_ff": 32, "heads": 2, "layers": 1, "decoder_layers": 1}
    model = T5(T5Config(vocabulary.size, **shape))
    with torch.no_grad():
        model.embedding.weight *= 3  # what comes second differs more than what comes first
    return recommender_for(TokenIds.from_lists(codes, vocabulary), model).eval()


def test_the_check_says_what_exact_ranking_says(untrained: Recommender, dated: Dataset) -> None:
    users, at = leave_one_out(dated).test, Accelerator()
    beam, _ = evaluate(untrained, users, BEAM, 20, at)
    exact, _ = evaluate(untrained, users, replace(BEAM, decoder="exact"), 20, at)
    found = beam_check(untrained, beam, users, BEAM, at)
    reach = [np.where(ranks.strict <= 20, ranks.strict, 0) for ranks in (beam, exact)]
    assert found["beam_differs_rate"] == pytest.approx((reach[0] != reach[1]).mean())
    gains = [np.where(ranks.strict <= 10, 1 / np.log2(ranks.strict + 1), 0).mean() for ranks in (beam, exact)]
    assert found["beam_excess"] == pytest.approx(gains[0] - gains[1])
    assert found["beam_differs_rate"] > 0


def test_what_ranks_exactly_has_nothing_to_check(untrained: Recommender, dated: Dataset) -> None:
    users, at = leave_one_out(dated).test, Accelerator()
    for decoder in ("certified", "exact"):
        decoding = replace(BEAM, decoder=decoder)
        ranks, _ = evaluate(untrained, users, decoding, 20, at)
        assert beam_check(untrained, ranks, users, decoding, at) == {}
