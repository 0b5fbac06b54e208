"""Histories as encoder input, against a plain concatenation of lists."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.data.dataset import Sequences
from bench.errors import BenchError
from bench.ids.identifiers import Template, TokenIds
from bench.ids.users import UserIds
from bench.model.inputs import EncoderInput, HistoryWriter
from bench.vocabulary import Vocabulary

VOCABULARY = Vocabulary.private(["a", "b", "c", "d", ";", ",", "history", "next", "?"])
PAD, EOS = VOCABULARY.pad, VOCABULARY.eos
TEMPLATES = [
    Template(),
    Template("history", ";", "next ?"),
    Template(separator="; ,"),
    Template(before="history history"),
    Template(after="?"),
]
Written = tuple[list[int], list[tuple[int, int]]]

codes_of_items = st.lists(st.lists(st.integers(3, 6), min_size=1, max_size=4), min_size=3, max_size=3)
histories = st.lists(st.lists(st.integers(0, 2), max_size=7), min_size=1, max_size=5)


def oracle(ids: TokenIds, history: list[int], room: int, variant: int = 0) -> Written:
    """One row and its spans: items are dropped from the old end until the row has at most ``room`` tokens."""
    before, separator, after = (
        ids.vocabulary.encode(text) for text in (ids.template.before, ids.template.separator, ids.template.after)
    )
    row, spans = list(before), []
    for position, item in enumerate(history):
        code = ids.code(item, variant)
        row += separator if position else []
        spans.append((len(row), len(row) + len(code)))
        row += code
    row += [*after, ids.vocabulary.eos]
    return (row, spans) if len(row) <= room or not history else oracle(ids, history[1:], room, variant)


def agree(found: EncoderInput, expected: list[Written], pad: int = PAD) -> None:
    width = max(len(row) for row, _ in expected)
    assert found.tokens.tolist() == [row + [pad] * (width - len(row)) for row, _ in expected]
    used = [[position < len(row) for position in range(width)] for row, _ in expected]
    assert found.mask is None if all(map(all, used)) else found.mask is not None
    if found.mask is not None:
        assert found.mask.tolist() == used
    assert found.spans.tolist() == [[row, *span] for row, (_, spans) in enumerate(expected) for span in spans]


@given(codes_of_items, histories, st.sampled_from(TEMPLATES), st.integers(6, 30))
@example([[3], [4], [5]], [[]], TEMPLATES[1], 6)
@example([[3], [4, 4], [5]], [[0, 1, 2], []], TEMPLATES[1], 10)
@example([[3], [4, 4], [5]], [[0, 1, 2], [2]], TEMPLATES[1], 9)
def test_rows_are_plain_concatenations(
    codes: list[list[int]], rows: list[list[int]], template: Template, room: int
) -> None:
    ids = TokenIds.from_lists(codes, VOCABULARY, template)
    writer, sequences = HistoryWriter(ids, max_tokens=room), Sequences.from_rows(rows)
    expected = [oracle(ids, row, room) for row in rows]
    agree(writer.write(sequences), expected)
    assert writer.lengths(sequences).tolist() == [len(row) for row, _ in expected]


@given(codes_of_items, histories)
def test_every_span_holds_its_items_own_tokens(codes: list[list[int]], rows: list[list[int]]) -> None:
    ids = TokenIds.from_lists(codes, VOCABULARY, TEMPLATES[1])
    found = HistoryWriter(ids).write(Sequences.from_rows(rows))
    read = [tuple(found.tokens[row, start:stop].tolist()) for row, start, stop in found.spans]
    assert read == [tuple(codes[item]) for row in rows for item in row]
    assert found.spans[:, 0].tolist() == [number for number, row in enumerate(rows) for _ in row]


@given(codes_of_items, histories, st.integers(6, 30), st.randoms())
def test_each_history_may_have_a_template_of_its_own(
    codes: list[list[int]], rows: list[list[int]], room: int, random: Any
) -> None:
    """Rows, spans and lengths are those of the template alone, with the separator of the identifiers."""
    ids = TokenIds.from_lists(codes, VOCABULARY, Template(separator=";"))
    writer, sequences = HistoryWriter(ids, room, TEMPLATES), Sequences.from_rows(rows)
    prompts = np.array([random.randrange(len(TEMPLATES)) for _ in rows])
    alone = [
        TokenIds.from_lists(codes, VOCABULARY, replace(TEMPLATES[prompt], separator=";")) for prompt in prompts.tolist()
    ]
    expected = [oracle(named, row, room) for named, row in zip(alone, rows, strict=True)]
    agree(writer.write(sequences, prompts=prompts), expected)
    assert writer.lengths(sequences, prompts=prompts).tolist() == [len(row) for row, _ in expected]


@given(codes_of_items, histories, st.integers(6, 30))
def test_all_tokens_of_an_item_are_one_word(codes: list[list[int]], rows: list[list[int]], room: int) -> None:
    """Numbered from the oldest item that is shown; template, separators, end and padding are no item."""
    ids = TokenIds.from_lists(codes, VOCABULARY, TEMPLATES[1])
    found = HistoryWriter(ids, room).write(Sequences.from_rows(rows))
    for row, history in enumerate(rows):
        _, spans = oracle(ids, history, room)
        expected = [0] * found.tokens.shape[1]
        for number, (start, stop) in enumerate(spans, start=1):
            expected[start:stop] = [number] * (stop - start)
        assert found.item_position_ids[row].tolist() == expected


def test_the_parts_stand_in_their_order() -> None:
    ids = TokenIds.from_lists([[3], [4, 5]], VOCABULARY, Template("history", ";", "next ?"))
    found = HistoryWriter(ids).write(Sequences.from_rows([[0, 1, 0]]))
    texts = [VOCABULARY.tokenizer.id_to_token(token) for token in found.tokens[0].tolist()]
    assert texts == ["history", "a", ";", "b", "c", ";", "a", "next", "?", "</s>"]


def test_items_that_just_fit_stay() -> None:
    """`history a ; a ; a next ? </s>` has nine tokens; in eight the oldest item goes, never the question."""
    ids = TokenIds.from_lists([[3]], VOCABULARY, TEMPLATES[1])
    sequences = Sequences.from_rows([[0, 0, 0]])
    items = {room: len(HistoryWriter(ids, room).write(sequences).spans) for room in range(4, 10)}
    assert items == {9: 3, 8: 2, 7: 2, 6: 1, 5: 1, 4: 0}
    for room in range(4, 10):
        row = HistoryWriter(ids, room).write(sequences).tokens[0].tolist()
        assert row[:1] == VOCABULARY.encode("history")
        assert row[-3:] == [*VOCABULARY.encode("next ?"), EOS]


def test_a_template_without_room_for_itself_is_an_error() -> None:
    ids = TokenIds.from_lists([[3]], VOCABULARY, TEMPLATES[1])
    with pytest.raises(BenchError, match="the template takes 4 tokens"):
        HistoryWriter(ids, 3, [Template(), TEMPLATES[1]])
    with pytest.raises(
        BenchError, match="the template takes 4 tokens without any history item; the encoder reads at most 3"
    ):
        HistoryWriter(ids, 3)


USERS = UserIds(np.array([[4, PAD, PAD], [3, 3, 5], [6, 5, PAD]], np.int32), np.array([1, 3, 2], np.int32))


@given(codes_of_items, histories, st.sampled_from(TEMPLATES), st.integers(11, 30), st.data())
def test_a_known_user_stands_before_everything(
    codes: list[list[int]], rows: list[list[int]], template: Template, room: int, data: st.DataObject
) -> None:
    """User and separator, then what there would be without, in the room that is left; spans move along."""
    ids = TokenIds.from_lists(codes, VOCABULARY, template)
    writer, sequences = HistoryWriter(replace(ids, users=USERS), room), Sequences.from_rows(rows)
    user_rows = np.array([data.draw(st.integers(0, 2)) for _ in rows])
    owned = replace(sequences, user_rows=user_rows)
    expected = []
    for row, owner in zip(rows, user_rows.tolist(), strict=True):
        head = [*USERS.code(owner), *VOCABULARY.encode(template.separator)]
        tail, spans = oracle(ids, row, room - len(head))
        expected.append((head + tail, [(start + len(head), stop + len(head)) for start, stop in spans]))
        assert len(expected[-1][0]) <= room
    agree(writer.write(owned), expected)
    assert writer.lengths(owned).tolist() == [len(row) for row, _ in expected]
    agree(writer.write(sequences), [oracle(ids, row, room) for row in rows])  # nobody is known
    agree(HistoryWriter(ids, room).write(owned), [oracle(ids, row, room) for row in rows])  # users have no names
    other = TokenIds.from_lists([code[::-1] for code in codes], VOCABULARY, template)
    renamed, named = writer.renamed(other), HistoryWriter(replace(other, users=USERS), room)
    assert renamed.write(owned).tokens.tolist() == named.write(owned).tokens.tolist()


def test_each_history_has_its_own_user_template_and_variant() -> None:
    tokens = np.array([[[3, 4], [5, PAD]], [[6, PAD], [3, 3]]], np.int32)
    ids = TokenIds(tokens, np.array([[2, 1], [1, 2]], np.int32), VOCABULARY, Template(separator=";"), users=USERS)
    writer = HistoryWriter(ids, templates=[TEMPLATES[1], TEMPLATES[4]])
    histories = Sequences(np.array([0, 1, 1], np.int32), np.array([0, 2, 3, 3]), np.array([2, 0, 1]))
    found = writer.write(histories, np.array([1, 0, 0]), np.array([0, 1, 0]))
    texts = [[VOCABULARY.tokenizer.id_to_token(token) for token in row if token] for row in found.tokens.tolist()]
    assert [" ".join(text) for text in texts] == [
        "d c ; history d ; a a next ? </s>",
        "b ; c ? </s>",
        "a a c ; history next ? </s>",
    ]
    assert found.item_position_ids.tolist()[0] == [0, 0, 0, 0, 1, 0, 2, 2, 0, 0, 0]


def test_a_user_without_room_beside_the_template_is_an_error() -> None:
    ids = replace(TokenIds.from_lists([[3]], VOCABULARY, TEMPLATES[1]), users=USERS)
    history = Sequences(np.array([0], np.int32), np.array([0, 1]), np.array([1]))
    assert HistoryWriter(ids, 8).lengths(history).tolist() == [8]  # the item went, not the user
    with pytest.raises(BenchError, match=r"takes 4 tokens .* the longest identifier of a user 4; .* at most 7"):
        HistoryWriter(ids, 7)


def test_no_histories_are_an_empty_batch() -> None:
    found = HistoryWriter(TokenIds.from_lists([[3]], VOCABULARY)).write(Sequences.from_rows([]))
    assert found.tokens.shape == (0, 1)
    assert found.spans.shape == (0, 3)


def test_variants_write_their_own_tokens() -> None:
    tokens = np.array([[[3, 4], [5, PAD]], [[6, PAD], [3, 3]]], np.int32)
    ids = TokenIds(tokens, np.array([[2, 1], [1, 2]], np.int32), VOCABULARY, TEMPLATES[1])
    writer, rows = HistoryWriter(ids), [[0, 1, 1], [1, 0]]
    for variant in range(2):
        expected = [oracle(ids, row, 512, variant) for row in rows]
        agree(writer.write(Sequences.from_rows(rows), variant), expected)
        assert writer.lengths(Sequences.from_rows(rows), variant).tolist() == [len(row) for row, _ in expected]


@pytest.mark.parametrize("separator", [" ; ", ""])
def test_identifiers_of_a_language_model_are_never_tokenized_again(t5_tokenizer: Path, separator: str) -> None:
    """Pieces of a word, read back as text beside others, would become other tokens; spliced as tokens they can't."""
    vocabulary = Vocabulary.of_language_model(t5_tokenizer, size=32128)
    codes = [
        vocabulary.ids(["▁tick"]),
        vocabulary.ids(["e", "t"]),
        *vocabulary.encode_batch(["barbie", "ticket to ride"]),
    ]
    template = Template("What would a customer buy next after", separator, " ?")
    ids = TokenIds.from_lists(codes, vocabulary, template)
    rows = [[0, 1], [2], [], [3, 1, 2]]
    found = HistoryWriter(ids).write(Sequences.from_rows(rows))
    agree(found, [oracle(ids, row, 512) for row in rows], vocabulary.pad)
    for row, start, stop in found.spans:
        assert found.tokens[row, start:stop].tolist() in codes
    words = vocabulary.decode(found.tokens[3].tolist())
    assert words.startswith("What would a customer buy next after ticket to ride")
    assert words.endswith("?")
    if not separator:  # here reading the text again would have told
        text = vocabulary.decode(found.tokens[0].tolist())
        assert [*vocabulary.encode(text), vocabulary.eos] != oracle(ids, rows[0], 512)[0]
