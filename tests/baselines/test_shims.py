"""Each mend does what it says, and RecBole still needs it. Where one of these fails, a mend may go."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from recbole_baselines import shims

Facts = tuple[dict[str, bool], dict[str, Any]]

HISTORIES = st.lists(st.lists(st.integers(1, 9), max_size=5), min_size=1, max_size=6)


def padded(histories: list[list[int]], width: int) -> tuple[torch.Tensor, torch.Tensor]:
    rows = torch.tensor([history + [0] * (width - len(history)) for history in histories])
    return rows, torch.tensor([len(history) for history in histories])


@pytest.mark.parametrize("what", ["numpy names", "trust", "gradients", "arguments", "graphics card", "ml-100k", "ray"])
def test_recbole_does_not_run_unpatched(facts: Facts, what: str) -> None:
    assert facts[0][what]


@pytest.mark.parametrize("name", ["caser", "hgn"])
def test_files_still_give_a_narrower_width_than_was_declared(facts: Facts, name: str) -> None:
    assert facts[1][name].answers["probe"]["width"] < 12
    assert facts[1][name].answers["probe"]["fails"]


def test_bert4rec_still_drops_the_oldest_item(facts: Facts) -> None:
    assert facts[1]["bert4rec"].answers["probe"]["drops"]


def test_bert4rec_still_divides_by_the_number_of_masked_places(facts: Facts) -> None:
    assert facts[1]["bert4rec"].answers["probe"]["nan"]
    assert not facts[1]["bert4rec"].answers["probe"]["patched"]


def test_s3rec_still_pretrains_on_rows_padded_on_the_left_and_is_tuned_on_others(facts: Facts) -> None:
    assert facts[1]["s3rec"].answers["probe"]["left"]
    assert facts[1]["s3rec"].answers["probe"]["right"]


def test_s3rec_still_pretrains_without_the_item_after_a_history(facts: Facts) -> None:
    assert facts[1]["s3rec"].answers["probe"]["without"]


def test_pop_still_counts_an_item_once_a_batch(facts: Facts) -> None:
    assert facts[1]["recbole-pop"].answers["probe"] == 1


def test_itemknn_still_ignores_the_history(facts: Facts) -> None:
    """RecBole answered for users without a history, and as for their training interactions."""
    knn = facts[1]["itemknn"]
    assert np.allclose(knn.answers["probe"], knn.scores[:2], atol=1e-6)
    assert np.abs(knn.scores[:2]).max() > 0


@given(HISTORIES)
def test_widened_rows_have_empty_places_behind(histories: list[list[int]]) -> None:
    rows, _ = padded(histories, 5)
    assert shims.widen(rows, 8).tolist() == padded(histories, 8)[0].tolist()
    assert shims.widen(rows, 5).tolist() == rows.tolist()


@given(HISTORIES)
def test_the_oldest_item_is_spared_by_a_place_in_front(histories: list[list[int]]) -> None:
    rows, lengths = shims.spare_oldest_item(*padded(histories, 6))
    assert rows.tolist() == [[0, *history, *[0] * (5 - len(history))] for history in histories]
    assert lengths.tolist() == [len(history) + 1 for history in histories]


@given(HISTORIES)
def test_rows_padded_left_end_with_the_last_item(histories: list[list[int]]) -> None:
    rows, lengths = shims.pad_left(*padded(histories, 6))
    assert rows.tolist() == [[0] * (6 - len(history)) + history for history in histories]
    assert set(lengths.tolist()) == {6}


@given(HISTORIES, st.data())
def test_the_next_item_is_put_behind_a_history(histories: list[list[int]], data: st.DataObject) -> None:
    items = data.draw(st.lists(st.integers(1, 9), min_size=len(histories), max_size=len(histories)))
    rows, lengths = shims.with_next(*padded(histories, 5), torch.tensor(items))
    expected = [[*history, item][-5:] for history, item in zip(histories, items, strict=True)]
    assert rows.tolist() == padded(expected, 5)[0].tolist()
    assert lengths.tolist() == [len(history) for history in expected]
