"""Where every vector of a history stands, against plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bench.data.dataset import Sequences
from bench.ids.identifiers import Feature, Template, VectorIds
from bench.model.set_inputs import SetWriter
from bench.vocabulary import Vocabulary

VOCABULARY = Vocabulary.private([*"abcde"])
TEMPLATES = (Template("a b", after="c"), Template("a", after="d e b"), Template("", after="e"))
KNOWN = np.ones(9, bool)


def writer(slots: int, max_tokens: int, attention: Any = "paper") -> SetWriter:
    feature = Feature("f", np.ones((9, 2), np.float32), KNOWN, slots=slots)
    return SetWriter(VectorIds((feature,), VOCABULARY, TEMPLATES[0], attention), max_tokens, TEMPLATES)


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 8), max_size=6), st.integers(0, 2)), min_size=1, max_size=5),
    st.integers(1, 4),
    st.integers(8, 40),
)
def test_every_place_is_what_the_loops_say(rows: list[tuple[list[int], int]], slots: int, max_tokens: int) -> None:
    found = writer(slots, max_tokens)
    histories, prompts = Sequences.from_rows([row for row, _ in rows]), np.array([prompt for _, prompt in rows])
    written, lengths = found.write(histories, prompts), found.lengths(histories, prompts)
    width = written.tokens.shape[1]
    positions = written.positions.expand(len(rows), width)
    numbers = written.item_position_ids.expand(len(rows), width)
    for row, (history, prompt) in enumerate(rows):
        before, after = (VOCABULARY.encode(text) for text in (TEMPLATES[prompt].before, TEMPLATES[prompt].after))
        room = (max_tokens - len(before) - len(after)) // slots
        kept = history[len(history) - min(room, len(history)) :]
        expected = [(token, -1, 0, 0, place) for place, token in enumerate(before)]
        for number, item in enumerate(kept):
            expected += [(0, item, slot, number + 1, len(before) + number) for slot in range(slots)]
        expected += [(token, -1, 0, 0, len(before) + len(kept) + place) for place, token in enumerate(after)]
        assert lengths[row] == len(expected) <= max_tokens
        columns = (written.tokens, written.items, written.slots, numbers, positions)
        assert [tuple(int(c[row, place]) for c in columns) for place in range(len(expected))] == expected
        mask = [True] * width if written.mask is None else written.mask[row].tolist()
        assert mask == [place < len(expected) for place in range(width)]
    assert (written.mask is None) == (len(set(lengths.tolist())) == 1)


def test_rows_laid_out_alike_share_their_positions() -> None:
    alike = writer(2, 40).write(Sequences.from_rows([[1, 2], [3, 4]]))
    assert alike.positions.tolist() == [0, 1, 2, 2, 3, 3, 4]
    assert alike.item_position_ids.tolist() == [0, 0, 1, 1, 2, 2, 0]
    assert writer(2, 40).write(Sequences.from_rows([[1, 2], [3]])).positions.shape == (2, 7)


def test_published_positions_go_on_behind_the_items_as_if_none_were_shared() -> None:
    written = writer(2, 40, "repo").write(Sequences.from_rows([[1, 2], [3]]))
    assert written.positions[0].tolist() == [0, 1, 2, 2, 3, 3, 6]
    assert written.positions[1, :5].tolist() == [0, 1, 2, 2, 4]
