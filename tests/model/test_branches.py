"""Prefixes of many users in short rows: each is decoded as if it were alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from bench.backbone.protocol import LANES, Cache
from bench.backbone.t5 import T5
from bench.ids.identifiers import TokenIds
from bench.model.branches import WIDTHS, Branches, best_width, own_alone
from bench.model.trie import Trie
from bench.vocabulary import Vocabulary

MakeT5 = Callable[..., T5]

VOCABULARY = Vocabulary.private("abcdefghij")
SOURCE = torch.randint(3, 13, (3, 9), generator=torch.Generator().manual_seed(1))
MASK = torch.arange(9) < torch.tensor([9, 2, 5])[:, None]
CODES = [[a, b, c] for a in (3, 4, 5, 6) for b in (7, 8) for c in (9, 10)]
TRIE = Trie.of(TokenIds.from_lists(CODES, VOCABULARY))


def read(model: T5, mask: Tensor | None = MASK) -> Cache:
    return model.start(model.encode(SOURCE, mask), mask)


def path(node: int) -> list[int]:
    """Nodes from the root to this one."""
    found = [node]
    while found[0]:
        inside = (TRIE.first <= found[0]) & (found[0] < TRIE.first + TRIE.count)
        found.insert(0, int(inside.nonzero()[0, 0]))
    return found


def alone(model: T5, user: int, node: int, mask: Tensor | None) -> Tensor:
    """The hidden state of a prefix, by one call over all its tokens."""
    tokens = TRIE.token[path(node)][None].expand(len(SOURCE), -1)
    return model.decode(tokens, read(model, mask))[user, -1]


@pytest.mark.parametrize("mask", [MASK, None], ids=["padded", "whole"])
@pytest.mark.parametrize("tidy", [False, True])
@torch.no_grad()
def test_each_prefix_is_decoded_as_if_alone(t5: MakeT5, mask: Tensor | None, tidy: bool) -> None:
    model = t5(vocabulary=VOCABULARY.size, layers=2, decoder_layers=2)
    branches = Branches(model, read(model, mask), TRIE)
    users, nodes, numbers = torch.arange(3), torch.zeros(3, dtype=torch.long), torch.zeros(3, dtype=torch.long)
    wanted = [(0, [1, 2, 3, 4]), (2, [2, 4])], [(0, [5, 6, 11, 12]), (2, [7])]  # of the second user nothing more
    for length in range(3):
        hidden = branches.decode(users, nodes, numbers, length)
        for row, (user, node) in enumerate(zip(users.tolist(), nodes.tolist(), strict=True)):
            torch.testing.assert_close(hidden[row], alone(model, user, node, mask), atol=1e-5, rtol=1e-5)
        if length == 2:
            break
        kept = branches.keep(torch.arange(len(users)), users)
        number = {(u, n): k for u, n, k in zip(users.tolist(), nodes.tolist(), kept.tolist(), strict=True)}
        pairs = [(user, node) for user, several in wanted[length] for node in several]
        parents = torch.tensor([number[user, path(node)[-2]] for user, node in pairs])
        users, nodes = (torch.tensor(values) for values in zip(*pairs, strict=True))
        needed = branches.needed(parents)
        assert int(needed.sum()) < len(needed)
        numbers = branches.forget(needed)[parents] if tidy else parents


def test_rows_are_padded_little() -> None:
    for counts in ([136, 20, 3], [62] * 8, [1] * 9, [17, 5, 5], [200, 1, 1, 1]):
        numbers = torch.tensor(counts)
        width = best_width(numbers)
        rows = int(((numbers + width - 1) // width).sum())
        assert rows * width <= min(len(counts) * max(counts), 1.5 * sum(counts) + width)


@pytest.mark.parametrize("width", WIDTHS[1:])
@pytest.mark.parametrize("length", [1, 2, 3])
def test_no_keys_are_left_over(width: int, length: int) -> None:
    mask = own_alone(width, length, torch.device("cpu"))
    assert mask.shape[1] % LANES == 0
    assert ((mask == 0).sum(1) == length + 1).all()


@torch.no_grad()
def test_more_keys_that_nobody_sees_change_nothing_but_rounding(t5: MakeT5) -> None:
    model = t5(vocabulary=VOCABULARY.size)
    for mask in (MASK, None):
        tokens, cache = SOURCE[:, :3], read(model, mask)
        assert cache.aligned().cross[0][0].shape[2] == LANES  # type: ignore[attr-defined]
        found = model.decode(tokens, cache.aligned())
        torch.testing.assert_close(found, model.decode(tokens, cache), atol=1e-5, rtol=1e-5)
