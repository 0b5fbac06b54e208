"""Codes of a catalogue that no codebook was learned on, against plain loops over training items."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from semantic_ids.collisions import Rule
from semantic_ids.quantizers import Vectors, product_kmeans, residual_kmeans
from semantic_ids.unseen import Codebooks, Way

from bench.errors import BenchError

WAYS: list[Way] = ["residual", "product"]
FIRST, SECOND, COUNTER = (5, 9, 11), (20, 21, 30, 44), (50, 51, 52)  # tokens of each level: not all rows are used
Tokens = NDArray[np.int64]


def given(seed: int, items: int = 60) -> tuple[Vectors, Tokens]:
    random = np.random.default_rng(seed)
    tokens = np.column_stack([random.choice(FIRST, items), random.choice(SECOND, items)])
    return random.standard_normal((items, 6)).astype(np.float32), tokens


def nearest(vectors: Vectors, tokens: Tokens, others: Vectors, way: Way) -> list[list[int]]:
    """Level by level: the mean of the items of each token, then the token whose mean is nearest."""
    left, rest = vectors.astype(float), others.astype(float)
    found: list[list[int]] = [[] for _ in others]
    for level in range(2):
        block = slice(None) if way == "residual" else slice(3 * level, 3 * level + 3)
        own, new = left[:, block], rest[:, block]
        means = {token: own[tokens[:, level] == token].mean(axis=0) for token in sorted({*tokens[:, level].tolist()})}
        for item, vector in enumerate(new):
            found[item].append(min(means, key=lambda token: float(((vector - means[token]) ** 2).sum())))
        if way == "residual":
            left = left - np.array([means[token] for token in tokens[:, level].tolist()])
            rest = rest - np.array([means[found[item][level]] for item in range(len(rest))])
    return found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", range(5))
def test_codes_are_the_nearest_that_training_items_have(seed: int, way: Way) -> None:
    vectors, tokens = given(seed)
    others, _ = given(seed + 100, 80)
    codebooks = Codebooks.learned(vectors, tokens, 2, way)
    assert codebooks.tokens(others, way, "none").tolist() == nearest(vectors, tokens, others, way)


@pytest.mark.parametrize("way", WAYS)
def test_items_with_equal_codes_are_counted_as_far_as_training_has_counters(way: Way) -> None:
    vectors, tokens = given(1)
    counted = np.column_stack([tokens, np.resize(COUNTER, len(tokens))])
    others, _ = given(2, 60)
    first = np.array(nearest(vectors, tokens, others, way))[:, 0]
    others = np.concatenate([others[first == token][:10] for token in FIRST])  # of 12 that have room
    found = Codebooks.learned(vectors, counted, 2, way).tokens(others, way, "counter")
    assert len({tuple(row) for row in found.tolist()}) == len(others) > 20
    assert {*found[:, 2].tolist()} <= {*COUNTER}
    plain = np.array(nearest(vectors, tokens, others, way))
    assert found[:, 0].tolist() == plain[:, 0].tolist()  # the others get a near code of the last level
    stayed = (found[:, 1] == plain[:, 1]).mean()
    assert 0.3 < stayed < 1
    crowded = Counter(map(tuple, plain.tolist()))
    for row, code in zip(found.tolist(), plain.tolist(), strict=True):
        assert row[1] == code[1] or crowded[tuple(code)] > len(COUNTER)


@pytest.mark.parametrize(("rule", "counters"), [("counter", 3), ("reassign", 1), ("sinkhorn", 1)])
def test_more_than_fit_share_identifiers_evenly(rule: Rule, counters: int) -> None:
    """200 items of one first code, where 4 codes of the last level and the counter make room for 12, or for 4."""
    vectors, tokens = given(3)
    counted = np.column_stack([tokens, np.resize(COUNTER, len(tokens))]) if rule == "counter" else tokens
    codebooks = Codebooks.learned(vectors, counted, 2, "residual")
    others = np.repeat(codebooks.centers[0][:1], 200, axis=0) + 1e-3 * given(4, 200)[0]
    found = codebooks.tokens(others, "residual", rule)
    assert {*found[:, 0].tolist()} == {FIRST[0]}
    shared = Counter(map(tuple, found.tolist()))
    assert len(shared) == 4 * counters
    assert max(shared.values()) <= -(-200 // (4 * counters)) + 1


@pytest.mark.parametrize("rule", ["counter", "reassign"])
def test_a_crowd_under_one_code_costs_items_under_another_nothing(rule: Rule) -> None:
    """Four codes of the last level have room for the four items under the second code, however many are under the
    first.
    """
    train = np.array([[code, last] for code in (0, 100) for last in range(4)], np.float32)
    codebooks = Codebooks.learned(train, np.array([[a, b] for a in FIRST[:2] for b in SECOND]), 2, "residual")
    few = np.array([[100, 1e-3 * item] for item in range(4)], np.float32)
    many = np.array([[0, 1e-2 * item] for item in range(40)], np.float32)
    alone = codebooks.tokens(few, "residual", rule)
    found = codebooks.tokens(np.concatenate([many[:20], few, many[20:]]), "residual", rule)
    assert len({*map(tuple, alone.tolist())}) == 4
    assert found[20:24].tolist() == alone.tolist()
    crowd = Counter(map(tuple, np.delete(found, slice(20, 24), axis=0).tolist()))
    assert {*crowd.values()} == {10}


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_of_the_training_catalogue_gets_its_codes(vectors: Vectors, way: Way) -> None:
    quantize = residual_kmeans if way == "residual" else product_kmeans
    codes = quantize(vectors, 3, 8, seed=0).codes
    found = Codebooks.learned(vectors, codes, 3, way).tokens(vectors, way, "none")
    assert (found == codes).all(axis=1).mean() > 0.9  # a step of k-means moves a few


def test_what_is_kept_is_read_back(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    vectors, tokens = random.standard_normal((50, 12)).astype(np.float32), random.integers(0, 3, (50, 12))
    codebooks = Codebooks.learned(vectors, tokens, 11, "product")
    codebooks.save(tmp_path)
    again = Codebooks.saved(tmp_path)
    assert (len(again.rows), len(again.centers)) == (12, 11)
    for one, other in ((codebooks.rows, again.rows), (codebooks.centers, again.centers)):
        assert all(np.array_equal(mine, theirs) for mine, theirs in zip(one, other, strict=True))
    (tmp_path / "codebooks.safetensors").write_bytes(b"")
    with pytest.raises(BenchError, match="the codebooks of training items"):
        Codebooks.saved(tmp_path)
