"""What identifiers are like, in numbers: lengths, collisions, use of the vocabulary, drift between variants."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import ItemIndices
from bench.ids.identifiers import Ids, SlotIds, TokenIds, VectorIds
from bench.ids.storage import slots_in_words

DECIMALS = 4  # of a cosine, as it is shown and ordered


@singledispatch
def stats(ids: Any, test_items: ItemIndices) -> dict[str, Any]:
    """What is stored of identifiers with a result."""
    raise TypeError(f"no statistics are known of {type(ids).__name__}")


@stats.register
def _(ids: TokenIds, test_items: ItemIndices) -> dict[str, Any]:
    """Token counts with the end token where it is generated, collision rates, and the use of tokens by position.

    ``collision_rate`` is the share of items that share their identifier with another; ``collision_rate_test`` weighs
    items by how often they are tested, which is what a score feels.
    """
    return _common(ids, ids.lengths[0] + int(ids.appends_eos), test_items) | by_position(ids)


@stats.register
def _(ids: VectorIds, test_items: ItemIndices) -> dict[str, Any]:
    """Vectors count as tokens, and one step of the decoder writes them all. ``equal_vectors_share`` is the share of
    items that the features can't tell from another, ``unknown_share`` that of items that a feature says nothing of.
    """
    known = np.stack([feature.known for feature in ids.features], axis=1)
    written = np.concatenate([feature.vectors * feature.known[:, None] for feature in ids.features], axis=1)
    _, group, sizes = np.unique(written, axis=0, return_inverse=True, return_counts=True)
    return {
        **_common(ids, known @ np.array([feature.slots for feature in ids.features]), test_items),
        "decode_steps": 1,
        "equal_vectors_share": float((sizes[group.reshape(-1)] > 1).mean()),
        "unknown_share": float((~known).any(axis=1).mean()),
    }


@stats.register
def _(ids: SlotIds, test_items: ItemIndices) -> dict[str, Any]:
    """An item is read as one token, and one step of the decoder writes all its codes. ``codebook_use`` is the share of
    its codes that a slot uses, and ``entropy_bits`` the entropy of that use, averaged over slots.
    """
    counts = [np.bincount(codes, minlength=size) for codes, size in zip(ids.codes.T, ids.sizes, strict=True)]
    shares = [count[count > 0] / count.sum() for count in counts]
    return {
        **_common(ids, np.ones(len(ids), np.int64), test_items),
        "decode_steps": 1,
        "slots": ids.slots,
        "entropy_bits": float(np.mean([max(0.0, -(share * np.log2(share)).sum()) for share in shares])),
        "codebook_use": float(np.mean([(count > 0).mean() for count in counts])),
    }


def _common(ids: Ids, lengths: NDArray[np.integer], test_items: ItemIndices) -> dict[str, Any]:
    sizes = np.bincount(ids.groups)[ids.groups]
    return {
        "tokens_mean": float(lengths.mean()),
        "tokens_max": int(lengths.max()),
        "vocabulary": ids.vocabulary.size,
        "collision_rate": float((sizes > 1).mean()),
        "collision_rate_test": float((sizes[test_items] > 1).mean()),
        "largest_group": int(sizes.max()),
    }


def by_position(ids: TokenIds) -> dict[str, list[float]]:
    """For every position of an identifier: how many tokens occur there, the entropy of their use in bits, the share of
    items that another item equals up to there, and, where there are codebooks, how much of each is used: the share of
    the codes there are, of which quantizers make no more than there are items.
    """
    found: dict[str, list[float]] = {"distinct_tokens": [], "entropy_bits": [], "shared_prefix": []}
    prefix = np.zeros(len(ids), np.int64)
    for position in range(int(ids.lengths[0].max())):
        counts = np.bincount(ids.tokens[0, ids.lengths[0] > position, position])
        shares = counts[counts > 0] / counts.sum()
        found["distinct_tokens"].append(len(shares))
        found["entropy_bits"].append(float(max(0.0, -(shares * np.log2(shares)).sum())))
        _, prefix = np.unique(prefix * ids.vocabulary.size + ids.tokens[0, :, position], return_inverse=True)
        found["shared_prefix"].append(float((np.bincount(prefix)[prefix] > 1).mean()))
    if ids.codebooks:
        pairs = zip(found["distinct_tokens"], ids.codebooks, strict=True)
        found["codebook_use"] = [distinct / size for distinct, size in pairs]
    return found


def drift(ids: Ids) -> dict[str, list[float]]:
    """How identifiers change from variant to variant: for every distance of two variants, beginning with neighbors,
    the share of items whose identifiers differ at all (``any``) and in the first token (``first``). A count that tells
    equal codes apart is part of the identifier, which the recommender has to write, and counts as such.
    """
    found: dict[str, list[float]] = {"any": [], "first": []}
    if not isinstance(ids, TokenIds):  # whatever else there is has one variant
        return found
    for distance in range(1, len(ids.tokens)):
        differs = ids.tokens[distance:] != ids.tokens[:-distance]
        found["any"].append(float(differs.any(axis=2).mean()))
        found["first"].append(float(differs[:, :, 0].mean()))
    return found


@singledispatch
def written(ids: Any, item: int) -> str:
    """The identifier of an item for people to read."""
    return ""


@written.register
def _(ids: TokenIds, item: int) -> str:
    return ids.vocabulary.decode(ids.code(item))


@written.register
def _(ids: VectorIds, item: int) -> str:
    return " + ".join(f"{feature.slots} {feature.name}" for feature in ids.features if feature.known[item])


@written.register
def _(ids: SlotIds, item: int) -> str:
    return slots_in_words(ids.codes[item].tolist())


def siblings(ids: Ids, item: int, count: int) -> list[tuple[int, dict[str, float]]]:
    """The ``count`` items whose identifiers are most like an item's, most first, and how like; none that are not."""
    measure, alike = likeness(ids, item)
    return [(other, {measure: alike[other].item()}) for other in nearest(alike, item, count) if alike[other] > 0]


def nearest(alike: NDArray[Any], item: int, count: int) -> list[int]:
    """The ``count`` other items that are most ``alike [items]``, most first; equal ones in catalogue order.

    Values that are equal to ``DECIMALS`` are equal: the last bits of two equal cosines depend on the machine.
    """
    order = np.argsort(-np.round(alike, DECIMALS), kind="stable")[: count + 1]
    return [other for other in order.tolist() if other != item][:count]


@singledispatch
def likeness(ids: Any, item: int) -> tuple[str, NDArray[Any]]:
    """How like its own every item's identifier is, ``[items]``, and by what measure."""
    raise TypeError(f"no likeness is known of {type(ids).__name__}")


@likeness.register
def _(ids: TokenIds, item: int) -> tuple[str, NDArray[Any]]:
    """Tokens ``shared`` from the first on."""
    same: NDArray[np.bool_] = (ids.tokens[0] == ids.tokens[0, item]) & (
        np.arange(ids.tokens.shape[2]) < ids.lengths[0, item]
    )
    return "shared", np.logical_and.accumulate(same, axis=1).sum(axis=1)


@likeness.register
def _(ids: VectorIds, item: int) -> tuple[str, NDArray[Any]]:
    """The ``cosine`` of what the vectors are made of, every feature counting alike."""
    total = np.zeros(len(ids))
    for feature in ids.features:
        vectors = feature.vectors * feature.known[:, None]
        vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        total += vectors @ vectors[item] / len(ids.features)
    return "cosine", np.round(total, DECIMALS)


@likeness.register
def _(ids: SlotIds, item: int) -> tuple[str, NDArray[Any]]:
    """Codes ``shared``, slot by slot."""
    return "shared", (ids.codes == ids.codes[item]).sum(axis=1)
