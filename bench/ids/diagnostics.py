"""What identifiers are like, in figures: lengths, collisions, vocabulary."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from bench.data.dataset import ItemIndices
from bench.ids.scheme import TokenIds


def figures(ids: TokenIds, test_items: ItemIndices) -> dict[str, Any]:
    """Token counts (the end token, where it is generated, included) and collision rates.

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
    }
