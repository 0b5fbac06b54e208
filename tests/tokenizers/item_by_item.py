"""How identifiers are made one item after the other: the slow, obvious ways that the schemes are held to."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numeric_ids import categories
from numeric_ids.categories import MISSING, NEARLY_ALL, Names, category_texts
from numeric_ids.clustering import Leaf, incidence, leaves
from scipy import sparse
from textual_ids import Settings
from textual_ids.naming import unique_codes
from textual_ids.words import ItemWords, document_frequency, is_filler, rank, table, tokens_of

from bench.data.dataset import ItemTable, TrainView
from bench.ids.prompts import SEPARATOR
from bench.vocabulary import Vocabulary

Code = tuple[int, ...]
Path = tuple[str, ...]


def placed(paths: Sequence[Path], train: TrainView, own_token: bool) -> tuple[list[Code], Vocabulary]:
    """Paths, ended by a count in an order that the seed draws, or by a token of the item's own."""
    ends = [f"@{item}" for item in range(len(paths))]
    if not own_token:
        counts: Counter[Path] = Counter()
        for item in train.random().permutation(len(paths)).tolist():
            ends[item] = f"#{counts[paths[item]]}"
            counts[paths[item]] += 1
    codes = [(*path, end) for path, end in zip(paths, ends, strict=True)]
    vocabulary = Vocabulary.private(dict.fromkeys(token for code in codes for token in code))
    return [tuple(vocabulary.ids(code)) for code in codes], vocabulary


def category_paths(items: ItemTable) -> list[Path]:
    texts = category_texts(items, None)
    separator = "comma" if any("," in text for text in texts) else "space"
    paths = [categories.split(text, separator) for text in texts]
    start = root([path for path in paths if path])
    below = [path[len(start) :] if path[: len(start)] == start else path for path in paths]
    named = [short if path else (MISSING,) for short, path in zip(below, paths, strict=True)]
    return [tuple(f"[{name}]" for name in path) for path in named]


def root(paths: Sequence[Names]) -> Names:
    start: Names = ()
    while True:
        depth = len(start)
        longer = Counter(path[: depth + 1] for path in paths if path[:depth] == start and len(path) > depth)
        deeper, count = longer.most_common(1)[0] if longer else (start, 0)
        if not count or count < NEARLY_ALL * len(paths):
            return start
        start = deeper


def cluster_paths(train: TrainView, clusters: int, leaf: int, spread: bool) -> list[Path]:
    random, count = train.random(), len(train.items)
    seen = np.unique(train.sequences.values).astype(np.int64)
    unseen = random.permutation(np.setdiff1d(np.arange(count), seen))
    found = list(leaves(incidence(train.sequences, count)[:, seen], seen, (), clusters, leaf, random))
    nodes: list[Code] = [()] * count
    if spread:
        unseen = unseen[assigned(unseen.tolist(), found, leaf, nodes) :]
    rest = leaves(sparse.csc_array((0, len(unseen))), unseen, (clusters,), clusters, leaf, random)
    for group in [*found, *rest]:
        for item in group.items.tolist():
            nodes[item] = group.path
    return [tuple(f"<{'-'.join(map(str, node[:depth]))}>" for depth in range(1, len(node) + 1)) for node in nodes]


def assigned(unseen: Sequence[int], found: Sequence[Leaf], leaf: int, nodes: list[Code]) -> int:
    """How many items there was room for."""
    sizes = [(len(group.items), at) for at, group in enumerate(found)]
    heapq.heapify(sizes)
    for count, item in enumerate(unseen):
        if not sizes or sizes[0][0] >= leaf:
            return count
        size, at = sizes[0]
        nodes[item] = found[at].path
        heapq.heapreplace(sizes, (size + 1, at))
    return len(unseen)


def packed(sizes: Sequence[int], parts: int) -> list[int]:
    """The largest piece first, each into the part that is smallest so far."""
    home, loads = [0] * len(sizes), [(0, part) for part in range(parts)]
    for piece in sorted(range(len(sizes)), key=lambda piece: -sizes[piece]):
        load, home[piece] = loads[0]
        heapq.heapreplace(loads, (load + sizes[piece], home[piece]))
    return home


def titles(items: ItemTable, plan: Settings, vocabulary: Vocabulary | None, pieces: int = 0) -> list[Code]:
    """The codes of ``textual/title``, in the vocabulary given or in one that is trained on first choices."""
    words = table(items)
    shared_by, tokens = document_frequency(words), dict[str, int]()
    if vocabulary is not None:
        tokens = tokens_of(shared_by, vocabulary)
        shared_by = Counter({word: shared_by[word] for word in tokens})
    costs = tokens if pieces else None
    ranked = [rank(columns, shared_by, len(words), plan.min_shared, costs, pieces) for columns in words]
    if vocabulary is None:
        first = [next(names(item, shared_by, plan), "") for item in ranked]
        letters = " ".join(sorted(set("0123456789").union(*shared_by)))
        vocabulary = Vocabulary.trained([*first, letters], plan.vocabulary, reserved=[SEPARATOR])
    return [tuple(code) for code in unique_codes((names(item, shared_by, plan) for item in ranked), vocabulary)]


def names(item: ItemWords, shared_by: Counter[str], plan: Settings) -> Iterator[str]:
    fewest = max(1, min(plan.words, item.informative))
    for count in range(fewest, len(item.salient) + 1):
        chosen: Sequence[str] = item.salient[:count]
        if plan.order == "title":
            chosen = sorted(chosen, key=item.text.index)
        elif plan.order == "frequent":
            chosen = sorted(chosen, key=lambda word: (is_filler(word), -shared_by[word]))
        yield " ".join(chosen)
