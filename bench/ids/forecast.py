"""What can be measured of identifiers before anything is trained, and may tell how well they will do.

Whether identifiers put together what users choose together and what texts say alike, how finely they tell popular and
rare items apart, and how evenly they use their codes. What of it orders schemes as their scores do is for the report.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from bench.data.dataset import ItemTable, Sequences
from bench.ids.diagnostics import likeness
from bench.ids.identifiers import Ids, SlotIds, TokenIds, VectorIds

NEAR = 10  # neighbors of an item that are to be recovered
ITEMS, WORK = 1000, 50_000_000  # of how many items they are looked for, and pairs of items that are looked at
BATCH = 64

Groups = NDArray[np.int64]  # [items]: items of a group share a number
Near = Callable[[NDArray[np.integer]], NDArray[np.floating[Any]]]  # items [n] -> how near all others are, [n, items]


def forecast(
    ids: Ids, items: ItemTable, training: Sequences, text: NDArray[np.float32] | None = None
) -> dict[str, float | list[float]]:
    """All figures that there are of identifiers of ``items`` with these ``training`` sequences; ``text [items, width]``
    are vectors of what is said of the items, if anything is.

    ``neighbor_recall``: the share of the ten items that follow or precede an item most often which are among the ten
    items with the most similar identifiers; ``text_recall`` the same of the ten nearest by text. A ``_lift`` is how
    many times that is what ten random items have. Of identifiers with an order, for each depth: ``prefix_recall``, the
    share of neighbors in training sequences that share the prefix, and ``prefix_lift`` over random groups of the same
    sizes. ``category_recall`` and ``_lift`` are those of the categories, where there are any.
    """
    found: dict[str, float | list[float]] = {}
    together, most = adjacency(training, len(items)), sampled(training, len(items))
    pairs = together.tocoo()
    found |= _recall("neighbor", ids, most, lambda rows: together[rows].toarray())
    if text is not None:
        unit = text / np.maximum(np.linalg.norm(text, axis=1, keepdims=True), 1e-12)
        found |= _recall("text", ids, most, lambda rows: np.maximum(unit[rows] @ unit.T, 0))
    ways = [recall(groups, pairs.row, pairs.col, pairs.data) for groups in prefixes(ids)]
    if ways:
        found |= {"prefix_recall": [way[0] for way in ways], "prefix_lift": [way[1] for way in ways]}
    field = next((name for name in items.text if name.startswith("categor")), None)
    if field is not None:
        groups = np.unique(np.array(items.text[field]), return_inverse=True)[1].reshape(-1)
        found["category_recall"], found["category_lift"] = recall(groups, pairs.row, pairs.col, pairs.data)
    return found | capacity(ids, np.bincount(training.values, minlength=len(items))) | evenness(ids)


def adjacency(training: Sequences, items: int) -> Any:
    """``[items, items]``, sparse: how often two items are neighbors in a sequence, in whichever order."""
    owner = np.repeat(np.arange(len(training)), training.lengths)
    inside = owner[:-1] == owner[1:]
    one, other = training.values[:-1][inside], training.values[1:][inside]
    differ = one != other
    ends = np.concatenate([one[differ], other[differ]]), np.concatenate([other[differ], one[differ]])
    return csr_matrix((np.ones(len(ends[0])), ends), (items, items))


def sampled(training: Sequences, items: int) -> NDArray[np.int64]:
    """Items of training, the same ones always; fewer where a catalogue is large."""
    seen = np.unique(training.values).astype(np.int64)
    count = min(ITEMS, max(20, WORK // max(items, 1)))
    return np.sort(np.random.default_rng(0).permutation(seen)[:count])


def _recall(name: str, ids: Ids, rows: NDArray[np.int64], near: Near) -> dict[str, float | list[float]]:
    parts = [_recovered(ids, part, near(part)) for part in np.split(rows, range(BATCH, len(rows), BATCH)) if len(part)]
    found = np.concatenate(parts) if parts else np.empty(0)
    if not len(found):
        return {}
    share = float(found.mean())
    chance = min(1.0, NEAR / max(len(ids) - 1, 1))
    return {f"{name}_recall": share, f"{name}_lift": share / chance}


def _recovered(ids: Ids, rows: NDArray[np.int64], near: NDArray[Any]) -> NDArray[np.float64]:
    """Of each item that has neighbors: the expected share of them among its ``NEAR`` most similar identifiers."""
    found = []
    for item, close in zip(rows.tolist(), near, strict=True):
        wanted = chosen(np.where(np.arange(len(close)) == item, 0, close), item)
        if len(wanted):
            alike = likeness(ids, item)[1].astype(np.float64)
            found.append(expected(alike, item, NEAR)[wanted].mean())
    return np.array(found, np.float64)


def chosen(close: NDArray[Any], item: int) -> NDArray[np.int64]:
    """The ``NEAR`` nearest items, of equal ones the first, and none that are not near at all."""
    order = np.argsort(-close, kind="stable")[:NEAR]
    return np.asarray(order[(close[order] > 0) & (order != item)])


def expected(alike: NDArray[np.float64], item: int, count: int) -> NDArray[np.float64]:
    """``[items]``: how likely each is among the ``count`` most ``alike``, where equal ones are drawn at random."""
    alike = alike.copy()
    alike[item] = -np.inf
    count = min(count, len(alike) - 1)
    if count < 1:
        return np.zeros(len(alike))
    last = np.partition(alike, -count)[-count]
    above, equal = alike > last, alike == last
    return np.asarray(above + equal * ((count - above.sum()) / equal.sum()))


def recall(
    groups: Groups, one: NDArray[np.integer], other: NDArray[np.integer], weights: NDArray[np.floating[Any]]
) -> tuple[float, float]:
    """The share of pairs that lie in one group, and how many times it is what random groups of the same sizes have."""
    share = float(np.average(groups[one] == groups[other], weights=weights)) if len(weights) else 0.0
    sizes, items = np.bincount(groups).astype(float), len(groups)
    chance = float((sizes * (sizes - 1)).sum() / max(items * (items - 1), 1))
    return share, share / chance if chance else 1.0


@singledispatch
def prefixes(ids: Any) -> list[Groups]:
    """For every depth but the last, the items that share their identifiers up to there; none without an order."""
    return []


@prefixes.register
def _(ids: TokenIds) -> list[Groups]:
    group, found = np.zeros(len(ids), np.int64), []
    for position in range(int(ids.lengths[0].max()) - 1):
        token = np.where(position < ids.lengths[0], ids.tokens[0, :, position], 0)
        group = np.unique(group * ids.vocabulary.size + token, return_inverse=True)[1].reshape(-1)
        found.append(group)
    return found


@singledispatch
def told_apart(ids: Any) -> Groups:
    """Items that the identifiers' meaning cannot tell apart: of tokens all but the last, which may only count."""
    return np.asarray(ids.groups)


@told_apart.register
def _(ids: TokenIds) -> Groups:
    found = prefixes(ids)
    return found[-1] if found else ids.groups


@told_apart.register
def _(ids: VectorIds) -> Groups:
    written = np.concatenate([feature.vectors * feature.known[:, None] for feature in ids.features], axis=1)
    return np.unique(written, axis=0, return_inverse=True)[1].reshape(-1)


def capacity(ids: Ids, popularity: NDArray[np.integer]) -> dict[str, float | list[float]]:
    """For the items that make the first, second and last third of training interactions, the most popular first: how
    many are told apart by more than a last token, as a share of them.
    """
    order = np.argsort(-popularity, kind="stable")
    before = np.cumsum(popularity[order]) - popularity[order]
    third = np.minimum(3 * before // max(int(popularity.sum()), 1), 2)
    groups = told_apart(ids)[order]
    names = ("capacity_head", "capacity_middle", "capacity_tail")
    parts = [groups[third == number] for number in range(3)]
    return {name: len(np.unique(part)) / len(part) for name, part in zip(names, parts, strict=True) if len(part)}


def evenness(ids: Ids) -> dict[str, float | list[float]]:
    """For every position or slot: the ``gini`` coefficient of how often its codes are used and the ``perplexity`` of
    that use; where there are codebooks also ``dead_codes``, the share of codes that nobody uses.
    """
    counts, sizes = code_counts(ids)
    if not counts:
        return {}
    found: dict[str, float | list[float]] = {
        "gini": [gini(count) for count in counts],
        "perplexity": [perplexity(count) for count in counts],
    }
    if sizes:
        found["dead_codes"] = [1 - len(count) / size for count, size in zip(counts, sizes, strict=True)]
    return found


@singledispatch
def code_counts(ids: Any) -> tuple[list[NDArray[np.int64]], Sequence[int]]:
    """How often each code that is used is, for every position; and how many codes there are, where that is known."""
    return [], ()


@code_counts.register
def _(ids: TokenIds) -> tuple[list[NDArray[np.int64]], Sequence[int]]:
    lengths = ids.lengths[0]
    used = [ids.tokens[0, lengths > position, position] for position in range(int(lengths.max()))]
    return [np.unique(tokens, return_counts=True)[1] for tokens in used], ids.codebooks


@code_counts.register
def _(ids: SlotIds) -> tuple[list[NDArray[np.int64]], Sequence[int]]:
    return [np.unique(codes, return_counts=True)[1] for codes in ids.codes.T], ids.sizes


def gini(counts: NDArray[np.int64]) -> float:
    """0 where all are used alike, towards 1 where one is used alone."""
    ordered = np.sort(counts).astype(float)
    ranks = np.arange(1, len(ordered) + 1)
    return float((2 * ranks - len(ordered) - 1) @ ordered / (len(ordered) * ordered.sum()))


def perplexity(counts: NDArray[np.int64]) -> float:
    """How many codes used alike would be as uncertain."""
    shares = counts / counts.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def churn(first: Ids, second: Ids) -> float | None:
    """How far two fits disagree on which items belong together: one less the pairs of items that share a first code in
    both, as a share of those that do in either; averaged over slots. What the codes are called does not count. None for
    vectors.
    """
    ways = list(zip(leading(first), leading(second), strict=True))
    return float(np.mean([apart(one, other) for one, other in ways])) if ways else None


@singledispatch
def leading(ids: Any) -> list[Groups]:
    return []


@leading.register
def _(ids: TokenIds) -> list[Groups]:
    return [ids.tokens[0, :, 0].astype(np.int64)]


@leading.register
def _(ids: SlotIds) -> list[Groups]:
    return list(ids.codes.T.astype(np.int64))


def apart(one: Groups, other: Groups) -> float:
    """The Jaccard distance between the pairs of items that two groupings put together."""

    def pairs(groups: Groups) -> float:
        sizes = np.unique(groups, return_counts=True)[1].astype(float)
        return float((sizes * (sizes - 1)).sum() / 2)

    both = pairs(one * (int(other.max(initial=0)) + 1) + other)
    either = pairs(one) + pairs(other) - both
    return 1 - both / either if either else 0.0
