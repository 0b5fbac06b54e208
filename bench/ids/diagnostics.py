"""What identifiers are like, in figures: lengths, collisions, use of the vocabulary, drift between variants."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import ItemIndices
from bench.ids.scheme import TokenIds


def figures(ids: TokenIds, test_items: ItemIndices) -> dict[str, Any]:
    """Token counts (the end token, where it is generated, included), collision rates, and the use of tokens by place.

    ``collision_rate`` is the share of items that share their identifier with another; ``collision_rate_test`` weighs
    items by how often they are tested, which is what a score feels.
    """
    sizes = np.bincount(ids.groups)[ids.groups]
    lengths = ids.lengths[0] + int(ids.ends)
    return {
        "tokens_mean": float(lengths.mean()),
        "tokens_max": int(lengths.max()),
        "vocabulary": ids.vocabulary.size,
        "collision_rate": float((sizes > 1).mean()),
        "collision_rate_test": float((sizes[test_items] > 1).mean()),
        "largest_group": int(sizes.max()),
        "template": asdict(ids.template),
        **places(ids),
    }


def places(ids: TokenIds) -> dict[str, list[float]]:
    """For every place of an identifier: how many tokens occur there, the entropy of their use in bits, the share of
    items that another item equals up to there, and, where there are codebooks, how much of each is used: the share of
    the codes there are, of which quantisers make no more than there are items.
    """
    found: dict[str, list[float]] = {"distinct_tokens": [], "entropy_bits": [], "shared_prefix": []}
    prefix = np.zeros(len(ids), np.int64)
    for place in range(int(ids.lengths[0].max())):
        counts = np.bincount(ids.tokens[0, ids.lengths[0] > place, place])
        shares = counts[counts > 0] / counts.sum()
        found["distinct_tokens"].append(len(shares))
        found["entropy_bits"].append(float(max(0.0, -(shares * np.log2(shares)).sum())))
        _, prefix = np.unique(prefix * ids.vocabulary.size + ids.tokens[0, :, place], return_inverse=True)
        found["shared_prefix"].append(float((np.bincount(prefix)[prefix] > 1).mean()))
    if ids.codebooks:
        pairs = zip(found["distinct_tokens"], ids.codebooks, strict=True)
        found["codebook_use"] = [distinct / size for distinct, size in pairs]
    return found


def drift(ids: TokenIds) -> dict[str, list[float]]:
    """How identifiers change from variant to variant: for every distance of two variants, beginning with neighbours,
    the share of items whose identifiers differ at all (``any``) and in the first token (``first``). A count that tells
    equal codes apart is part of the identifier, which the recommender has to write, and counts as such.
    """
    found: dict[str, list[float]] = {"any": [], "first": []}
    for distance in range(1, len(ids.tokens)):
        differs = ids.tokens[distance:] != ids.tokens[:-distance]
        found["any"].append(float(differs.any(axis=2).mean()))
        found["first"].append(float(differs[:, :, 0].mean()))
    return found


def siblings(ids: TokenIds, item: int, count: int) -> list[tuple[int, int]]:
    """The ``count`` items nearest in the prefix tree: each with the number of first tokens it shares, most first."""
    same: NDArray[np.bool_] = (ids.tokens[0] == ids.tokens[0, item]) & (
        np.arange(ids.tokens.shape[2]) < ids.lengths[0, item]
    )
    shared = np.logical_and.accumulate(same, axis=1).sum(axis=1)
    shared[item] = -1
    order = np.argsort(-shared, kind="stable")[: min(count, len(ids) - 1)]
    return [(int(other), int(shared[other])) for other in order]
