"""The prefix tree against a dictionary of prefixes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from bench.errors import BenchError
from bench.ids.identifiers import TokenIds
from bench.model.trie import Trie, with_eos
from bench.vocabulary import Vocabulary

VOCABULARY = Vocabulary.private("abcd")  # rows 3..6
PAD, EOS = VOCABULARY.pad, VOCABULARY.eos

Code = tuple[int, ...]
tokens = st.integers(3, 6)
ragged = st.lists(st.lists(tokens, min_size=1, max_size=4), min_size=1, max_size=25)
fixed = st.integers(1, 4).flatmap(lambda size: st.lists(st.lists(tokens, min_size=size, max_size=size), min_size=1))
catalogues = st.one_of(ragged, fixed)


def written(codes: list[list[int]]) -> list[Code]:
    """What is generated for every item: with the end token where the lengths differ."""
    end = [EOS] if len({len(code) for code in codes}) > 1 else []
    return [tuple(code + end) for code in codes]


def children_of(codes: list[Code]) -> dict[Code, set[int]]:
    """The dictionary of prefixes: every prefix, the empty one too, to the tokens that may follow it."""
    following: dict[Code, set[int]] = {}
    for code in codes:
        for position in range(len(code)):
            following.setdefault(code[:position], set()).add(code[position])
        following.setdefault(code, set())
    return following


def nodes_of(trie: Trie) -> dict[Code, int]:
    """Every node of the tree, by the tokens that lead to it."""
    found: dict[Code, int] = {}
    waiting: list[tuple[Code, int]] = [((), 0)]
    while waiting:
        prefix, node = waiting.pop()
        assert prefix not in found, "two nodes for one prefix"
        found[prefix] = node
        first, count = int(trie.first[node]), int(trie.count[node])
        waiting += [((*prefix, int(trie.token[child])), child) for child in range(first, first + count)]
    return found


def trie_of(codes: list[list[int]]) -> Trie:
    return Trie.of(TokenIds.from_lists(codes, VOCABULARY))


@given(catalogues)
@example([[3]])
@example([[3], [3, 4], [3, 4, 5]])
@example([[3, 4], [3, 4], [3, 4]])
def test_the_children_are_those_of_the_dictionary(codes: list[list[int]]) -> None:
    trie, expected = trie_of(codes), children_of(written(codes))
    nodes = nodes_of(trie)
    assert len(trie) == len(nodes) == len(expected)
    assert trie.depth == max(map(len, expected))
    for prefix, node in nodes.items():
        children = trie.token[trie.first[node] : trie.first[node] + trie.count[node]].tolist()
        assert children == sorted(expected[prefix])
    assert int(trie.token[0]) == PAD


@given(catalogues)
def test_leaves_are_the_identifiers_in_lexicographic_order(codes: list[list[int]]) -> None:
    trie, whole = trie_of(codes), written(codes)
    leaves = sorted(set(whole))
    assert len(trie.item_of_leaf) == len(leaves)
    assert [leaves[leaf] for leaf in trie.leaf_of_item.tolist()] == whole
    assert trie.item_of_leaf.tolist() == [whole.index(leaf) for leaf in leaves], "the lowest index of a collision"


@given(catalogues)
def test_a_node_covers_exactly_the_leaves_below_it(codes: list[list[int]]) -> None:
    trie, leaves = trie_of(codes), sorted(set(written(codes)))
    for prefix, node in nodes_of(trie).items():
        below = [position for position, leaf in enumerate(leaves) if leaf[: len(prefix)] == prefix]
        assert list(range(int(trie.low[node]), int(trie.high[node]))) == below
        item = int(trie.item_of_leaf[below[0]]) if prefix in leaves else -1
        assert int(trie.item[node]) == item
        assert (int(trie.count[node]) == 0) == (prefix in leaves)


@given(catalogues)
def test_nodes_are_numbered_breadth_first(codes: list[list[int]]) -> None:
    trie = trie_of(codes)
    depths = {node: len(prefix) for prefix, node in nodes_of(trie).items()}
    assert [depths[node] for node in range(len(trie))] == sorted(depths.values())
    inner = trie.count > 0
    ends = (trie.first + trie.count)[inner]
    assert trie.first[inner].tolist() == [1, *ends[:-1].tolist()], "the children of one node begin where the last ended"
    assert int(ends[-1]) == len(trie)


@given(ragged)
def test_the_end_is_written_only_where_lengths_differ(codes: list[list[int]]) -> None:
    rows = with_eos(TokenIds.from_lists(codes, VOCABULARY))
    assert [tuple(token for token in row if token >= 0) for row in rows.tolist()] == written(codes)
    assert all((np.diff((row < 0).astype(int)) >= 0).all() for row in rows), "-1 only after the end"


@given(catalogues)
@example([[3]])
@example([[3], [3, 4], [3, 4, 5]])
def test_paths_are_the_nodes_before_every_token(codes: list[list[int]]) -> None:
    trie = trie_of(codes)
    nodes = nodes_of(trie)
    expected = [[nodes[code[:position]] for position in range(trie.depth)] for code in written(codes)]
    assert trie.paths().tolist() == expected  # beyond its end a code is itself: its leaf


def test_a_prefix_of_another_identifier_ends_by_itself() -> None:
    trie = trie_of([[3, 4], [3], [3, 4, 5]])
    nodes = nodes_of(trie)
    assert {prefix for prefix, node in nodes.items() if trie.count[node] == 0} == {
        *((3, EOS), (3, 4, EOS), (3, 4, 5, EOS)),
    }
    assert trie.leaf_of_item.tolist() == [1, 0, 2]


@given(catalogues, st.randoms(use_true_random=False))
def test_a_tree_of_candidates_is_that_of_a_catalogue_without_the_others(codes: list[list[int]], random: object) -> None:
    candidates = np.array([random.random() < 0.5 for _ in codes])  # type: ignore[attr-defined]
    candidates[random.randrange(len(codes))] = True  # type: ignore[attr-defined]
    whole = written(codes)  # with the end token where lengths differ in the catalogue, though perhaps not in the tree
    trie, kept = Trie.among(TokenIds.from_lists(codes, VOCABULARY), candidates), np.flatnonzero(candidates).tolist()
    leaves = sorted({whole[item] for item in kept})
    assert set(nodes_of(trie)) == set(children_of([whole[item] for item in kept]))
    assert trie.item_of_leaf.tolist() == [min(item for item in kept if whole[item] == leaf) for leaf in leaves]
    leaf_of_item = [leaves.index(whole[item]) if item in kept else -1 for item in range(len(codes))]
    assert trie.leaf_of_item.tolist() == leaf_of_item
    ends = trie.item >= 0
    assert sorted(trie.item[ends].tolist()) == sorted(trie.item_of_leaf.tolist())
    assert (trie.count[ends] == 0).all()


def test_a_tree_of_nothing_is_refused() -> None:
    with pytest.raises(BenchError, match="ranking needs at least one candidate"):
        Trie.among(TokenIds.from_lists([[3], [4]], VOCABULARY), np.zeros(2, bool))


def test_every_variant_has_a_tree_of_its_own() -> None:
    tokens = np.array([[[3, 4], [5, 0]], [[6, 3], [6, 4]]], np.int32)
    ids = TokenIds(tokens, np.array([[2, 1], [2, 2]], np.int32), VOCABULARY)
    assert {prefix for prefix in nodes_of(Trie.of(ids)) if len(prefix) == 1} == {(3,), (5,)}
    assert set(nodes_of(Trie.of(ids, variant=1))) == {(), (6,), (6, 3), (6, 4), (6, 3, EOS), (6, 4, EOS)}


def test_a_real_catalogues_size_is_built_at_once() -> None:
    random = np.random.default_rng(0)
    codes = random.integers(3, 259, size=(20_000, 4))
    codes[1::2, :3] = codes[::2, :3]
    vocabulary = Vocabulary.private(str(code) for code in range(256))
    trie = Trie.of(TokenIds.from_lists(codes.tolist(), vocabulary))
    distinct = [len(np.unique(codes[:, :depth], axis=0)) for depth in range(5)]
    assert len(trie) == sum(distinct)
    assert len(trie.item_of_leaf) == distinct[4]
    for item in (0, 1, 777, 19_999):  # down the tree along the item's own tokens
        node = 0
        for token in codes[item]:
            children = trie.token[trie.first[node] : trie.first[node] + trie.count[node]]
            node = int(trie.first[node] + torch.searchsorted(children, int(token)))
        assert int(trie.low[node]) == int(trie.leaf_of_item[item])


@pytest.mark.parametrize("codes", [[[3]], [[3, 4]], [[4], [3, 5]]])
def test_another_device_gets_the_same_tree(codes: list[list[int]]) -> None:
    trie = trie_of(codes)
    moved = trie.to("meta")
    assert moved.depth == trie.depth
    for name, value in vars(trie).items():
        if isinstance(value, torch.Tensor):
            assert getattr(moved, name).device.type == "meta"
            assert getattr(moved, name).shape == value.shape


def test_every_leaf_knows_its_length() -> None:
    ids = TokenIds.from_lists([[3, 4], [3, 5, 6], [4]], Vocabulary.private("abcd"))
    trie = Trie.of(ids)
    lengths = trie.lengths[trie.leaf_of_item].tolist()
    assert lengths == [3, 4, 2]  # with the end token, since they differ
    assert trie.to("cpu").lengths.tolist() == trie.lengths.tolist()
