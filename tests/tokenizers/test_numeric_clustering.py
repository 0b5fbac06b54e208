"""Trees of co-occurrence clusters: against dense and published ways, and on graphs made to break them."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
import scipy.sparse as sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from numeric_ids import Collaborative, CollaborativeSettings, clustering, spectral
from numeric_ids.clustering import clustered, incidence, oriented, packed, split
from numeric_ids.spectral import cluster, components, eigenvectors, walk
from numpy.typing import NDArray
from sklearn.cluster import SpectralClustering

from bench.data.dataset import Dataset, ItemTable, Sequences, TrainView
from bench.data.splits import leave_one_out
from bench.errors import BenchError

Rows = list[list[int]]


def view(rows: Rows, items: int, seed: int = 0) -> TrainView:
    return TrainView("lists", ItemTable(tuple(map(str, range(items))), {}), Sequences.from_rows(rows), seed)


def user_item(rows: Rows, items: int) -> sparse.csc_array:
    return incidence(Sequences.from_rows(rows), items)


def together(rows: Rows, items: int) -> NDArray[np.float64]:
    """How many users took both, pair by pair."""
    counts = np.zeros((items, items))
    for row in rows:
        for one, other in combinations(sorted(set(row)), 2):
            counts[one, other] += 1
            counts[other, one] += 1
    return counts


def communities(sizes: list[int], users: int, seed: int, strays: int = 0) -> Rows:
    """Users who take four items of one community each; of these, ``strays`` users take items anywhere."""
    random = np.random.default_rng(seed)
    edges = np.cumsum([0, *sizes])
    homes = random.integers(0, len(sizes), users)
    rows = [random.integers(edges[home], edges[home + 1], 4).tolist() for home in homes]
    return rows + [random.integers(0, edges[-1], 4).tolist() for _ in range(strays)]


def cluster_paths(train: TrainView, clusters: int, leaf: int, spread: bool) -> list[tuple[int, ...]]:
    """Each item's way."""
    paths, leaf_of = clustering.cluster_paths(train, clusters, leaf, spread)
    return [paths[leaf] for leaf in leaf_of]


def groups(labels: NDArray[np.int64]) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)}


def test_a_users_items_are_counted_once_each() -> None:
    assert user_item([[2, 0, 2], [], [1]], 4).toarray().tolist() == [[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]]


@given(st.lists(st.lists(st.integers(0, 8), max_size=4), max_size=8))
def test_pieces_are_those_a_search_finds(rows: Rows) -> None:
    counts = together(rows, 9)
    reached = np.linalg.matrix_power(counts + np.eye(9), 9) > 0
    assert groups(components(user_item(rows, 9))) == groups(np.argmax(reached, axis=1))


@pytest.mark.parametrize("dense", [0, 10_000])
def test_eigenvectors_are_those_of_the_dense_laplacian(dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectral, "DENSE", dense)
    rows = communities([40, 30, 30], 400, seed=1, strays=15)
    counts = together(rows, 100)
    degrees = counts.sum(axis=0)
    walks = np.eye(100) - counts / degrees[:, None]
    found = eigenvectors(user_item(rows, 100), 3, np.random.default_rng(0))
    values = np.sort(np.linalg.eigvals(walks).real)[:3]
    assert walks @ found == pytest.approx(found * values, abs=1e-4)
    scaled = found * np.sqrt(degrees)[:, None]
    assert scaled.T @ scaled == pytest.approx(np.eye(3), abs=1e-6)


@pytest.mark.parametrize("dense", [0, 10_000])
def test_two_communities_are_told_apart_as_by_the_sign_of_the_second_eigenvector(
    dense: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spectral, "DENSE", dense)
    rows = communities([60, 40], 500, seed=2, strays=10)
    counts = together(rows, 100)
    scale = 1 / np.sqrt(counts.sum(axis=0))
    second = np.linalg.eigh(np.eye(100) - scale[:, None] * counts * scale)[1][:, 1]
    labels = split(user_item(rows, 100), 2, np.random.default_rng(0))
    assert groups(labels) == groups((second > 0).astype(np.int64)) == {frozenset(range(60)), frozenset(range(60, 100))}


@pytest.mark.parametrize("dense", [0, 10_000])
@pytest.mark.parametrize("count", [3, 5])
def test_clusters_are_those_of_the_published_code(count: int, dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenP5 calls scikit-learn on the dense matrix."""
    monkeypatch.setattr(spectral, "DENSE", dense)
    rows = communities([30, 20, 25, 15, 10], 600, seed=count, strays=20)
    published = SpectralClustering(count, affinity="precomputed", assign_labels="cluster_qr", random_state=0)
    found = cluster(eigenvectors(user_item(rows, 100), count, np.random.default_rng(0)))
    assert groups(found) == groups(published.fit(together(rows, 100)).labels_)


def test_a_walk_meets_near_items_first() -> None:
    chain = [[item, item + 1] for item in (3, 1, 0, 4, 2)]
    assert walk(user_item(chain, 6)).tolist() == [0, 1, 2, 3, 4, 5]
    assert walk(user_item([[0, 3], [3, 1], [0, 2], [2, 4]], 5)).tolist()[:1] == [0]


def test_pieces_are_packed_evenly_and_stay_whole() -> None:
    sizes = np.array([1, 7, 2, 3, 3, 1, 1])
    found = packed(sizes, 3)
    assert sorted(np.bincount(found, weights=sizes, minlength=3).tolist()) == [5, 6, 7]
    assert set(packed(np.ones(10, np.int64), 20).tolist()) == set(range(10))


# -- the tree ---------------------------------------------------------------------------------------------------------

TREE = {"clusters": st.integers(2, 5), "leaf": st.integers(1, 6), "spread": st.booleans(), "seed": st.integers(0, 3)}


@settings(max_examples=50)
@given(rows=st.lists(st.lists(st.integers(0, 24), max_size=6), max_size=20), **TREE)
def test_every_graph_becomes_a_tree_of_small_leaves(
    rows: Rows, clusters: int, leaf: int, spread: bool, seed: int
) -> None:
    train = view(rows, 25, seed)
    paths = cluster_paths(train, clusters, leaf, spread)
    sizes = Counter(paths)
    assert len(paths) == 25
    assert max(sizes.values()) <= leaf
    nodes = {path[:depth] for path in paths for depth in range(len(path) + 1)}
    inner = {node[:-1] for node in nodes if node}
    assert all(path not in inner for path in sizes if path)  # no leaf has children; the root may be one beside a branch
    children = Counter(node[:-1] for node in nodes if node)
    assert all(2 <= count <= clusters for node, count in children.items() if node)
    assert children[()] <= clusters + 1
    assert cluster_paths(train, clusters, leaf, spread) == paths


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("no user", []),
        ("nobody takes two", [[item] for item in range(60)]),
        ("everybody takes all", [list(range(60))] * 3),
        ("a star", [[0, item] for item in range(1, 60)]),
        ("a chain", [[item, item + 1] for item in range(59)]),
        ("pairs", [[item, item + 1] for item in range(0, 60, 2)]),
        ("two halves", [list(range(30)), list(range(30, 60))]),
        ("most in one piece", [list(range(50)), [50, 51], [52, 53, 54]]),
        ("a dense core with tails", [list(range(40)), *([item - 40, item] for item in range(40, 60))]),
    ],
)
@pytest.mark.parametrize("dense", [0, 10_000])
def test_difficult_graphs_end_in_shallow_trees(
    name: str, rows: Rows, dense: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spectral, "DENSE", dense)
    paths = cluster_paths(view(rows, 60), clusters=3, leaf=4, spread=False)
    assert max(Counter(paths).values()) <= 4
    assert max(map(len, paths)) <= 12


def test_pieces_that_fit_in_a_leaf_are_not_torn() -> None:
    rows = [[3 * piece, 3 * piece + 1, 3 * piece + 2] for piece in range(20)]
    paths = cluster_paths(view(rows, 60), clusters=4, leaf=6, spread=False)
    assert all(len({paths[item] for item in row}) == 1 for row in rows)


def test_where_no_eigenvector_converges_a_walk_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectral, "RESTARTS", 1)
    rows = [[item, item + 1] for item in range(1999)]
    graph, random = user_item(rows, 2000), np.random.default_rng(0)
    assert eigenvectors(graph, 4, random).shape[1] < 2
    assert clustered(graph, 4, random).tolist() == [item * 4 // 2000 for item in range(2000)]


def test_a_cluster_with_nearly_all_items_is_cut_in_equal_parts() -> None:
    rows = [list(range(100)), [0, 100], [100, 101]]  # nearly a clique, and a tail of two
    labels = clustered(user_item(rows, 102), 2, np.random.default_rng(0))
    assert np.bincount(labels).tolist() == [51, 51]
    assert labels[100] == labels[101]


# -- identifiers ------------------------------------------------------------------------------------------------------


def test_tokens_name_nodes_and_count_in_leaves() -> None:
    rows = [*communities([8, 8], 100, seed=0), [0, 15]]
    ids = Collaborative(CollaborativeSettings(clusters=2, leaf=4)).fit(view(rows, 18))
    texts = [ids.vocabulary.decode(ids.code(item)).split() for item in range(18)]
    assert {tuple(sorted({text[0] for text in part})) for part in (texts[:8], texts[8:16])} == {("<0>",), ("<1>",)}
    for text in texts:
        *path, last = text
        assert path == [f"<{path[-1][1:-1][: 2 * depth + 1]}>" for depth in range(len(path))]  # <1> <1-0> <1-0-1>
        assert last in {"#0", "#1", "#2", "#3"}
    assert sorted(texts[16:]) == [["<2>", "#0"], ["<2>", "#1"]]  # nobody took these two
    assert ids.template.separator == ""


def test_unseen_items_go_apart_or_where_there_is_room() -> None:
    rows = [[0, 1, 2], [3, 4], [2, 3]]
    apart = cluster_paths(view(rows, 40), clusters=3, leaf=5, spread=False)
    assert {path[0] for path in apart[5:]} == {3}
    assert not any(path[:1] == (3,) for path in apart[:5])
    assigned = Counter(cluster_paths(view(rows, 12), clusters=3, leaf=4, spread=True))
    assert assigned[()] == 0 or assigned[()] == 4
    few = cluster_paths(view(rows, 6), clusters=3, leaf=4, spread=True)
    assert few[5] in few[:5]
    assert cluster_paths(view(rows, 40, seed=1), 3, 5, False)[5:] != apart[5:]
    assert cluster_paths(view(rows, 40, seed=1), 3, 5, False)[:5] == apart[:5]


def test_settings_that_split_nothing_are_refused() -> None:
    with pytest.raises(BenchError, match="numeric/collaborative 'clusters' must be 2 or more; got 1"):
        CollaborativeSettings(clusters=1)
    with pytest.raises(BenchError, match="numeric/collaborative 'leaf' must be 1 or more; got 0"):
        CollaborativeSettings(leaf=0)


def test_items_of_one_leaf_are_taken_by_the_same_users_on_real_toys(toys: Dataset) -> None:
    train = leave_one_out(toys).train
    paths = cluster_paths(train, 20, 500, spread=False)
    assert max(Counter(paths).values()) <= 500
    assert max(map(len, paths)) <= 5
    number = {path: at for at, path in enumerate(dict.fromkeys(paths))}
    leaf_of = np.array([number[path] for path in paths])
    values, first = train.sequences.values, train.sequences.offsets[:-1]
    follows = np.ones(len(values), bool)
    follows[first] = False
    at = np.flatnonzero(follows)
    same = (leaf_of[values[at]] == leaf_of[values[at - 1]]).mean()
    shuffled = (leaf_of[values[at]] == leaf_of[np.random.default_rng(0).permutation(values[at - 1])]).mean()
    assert same > 0.15
    assert same > 5 * shuffled


def test_neither_sign_nor_last_digits_of_an_eigenvector_matter() -> None:
    random = np.random.default_rng(0)
    exact = np.round(random.normal(size=40), 1)
    expected = np.argsort(oriented(exact), kind="stable")
    for sign in (1, -1):
        computed = sign * 0.3 * exact + random.uniform(-1e-10, 1e-10, 40)
        assert np.argsort(oriented(computed), kind="stable").tolist() == expected.tolist()
    assert len(set(exact.tolist())) < 40  # some are equal


def test_an_item_between_clusters_is_of_the_first_whatever_the_last_digits() -> None:
    """Two blocks, and an item that is as near to the one as to the other."""
    vectors = np.array([[1.0, 0.0]] * 3 + [[0.0, 1.0]] * 3 + [[0.7, 0.7]])
    found = [cluster(vectors + np.random.default_rng(seed).uniform(-1e-10, 1e-10, (7, 2)))[6] for seed in range(9)]
    assert set(found) == {0}
