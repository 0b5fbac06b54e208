"""RPG: the codes are those of product quantization after a rotation, told apart in the last slot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from semantic_ids import Rpg
from semantic_ids.quantizers import product_kmeans

from bench.data.dataset import Dataset, Sequences, TrainView
from bench.data.splits import leave_one_out
from bench.errors import BenchError
from bench.ids.identifiers import SlotIds
from bench.ids.text import embed
from bench.runs.subjects import load_scheme
from bench.runs.subjects import settings as settings_of
from bench.vocabulary import Vocabulary

MakeView = Callable[..., TrainView]
SMALL = {"slots": "4", "codes": "16", "dimensions": "12"}
PLAIN = {**SMALL, "quantizer": "pq"}


def fit(train: TrainView, **changes: str) -> SlotIds:
    return Rpg(settings_of(Rpg, {**PLAIN, **changes})).fit(train)


def words(count: int) -> list[str]:
    random = np.random.default_rng(3)
    return [" ".join(f"w{word}" for word in random.integers(0, 50, 3)) for _ in range(count)]


def test_every_slot_has_the_codes_of_its_block(titles: list[str], make_view: MakeView) -> None:
    train = make_view(titles)
    ids, plan = fit(train, collisions="none"), settings_of(Rpg, PLAIN)
    expected = product_kmeans(embed(train, plan), 4, 16, train.seed)
    assert ids.codes.tolist() == expected.codes.tolist()
    assert (ids.sizes, ids.temperature) == ((16,) * 4, 0.07)


def test_a_rotation_is_learned_where_there_are_items_enough(make_view: MakeView) -> None:
    train = make_view(words(300))
    turned, plain = fit(train, quantizer="opq"), fit(train)
    assert turned.codes.shape == plain.codes.shape == (300, 4)
    assert not np.array_equal(turned.codes, plain.codes)
    with pytest.raises(BenchError, match=r"got 255 items with 12; use semantic/pq, or set.quantizer=pq of set/rpg"):
        fit(make_view(words(255)), quantizer="opq")


def test_items_are_told_apart_in_the_last_slot_alone(titles: list[str], make_view: MakeView) -> None:
    train = make_view(titles)
    before, after = fit(train, collisions="none"), fit(train)
    assert np.array_equal(before.codes[:, :-1], after.codes[:, :-1])
    assert len(set(map(tuple, after.codes.tolist()))) == len(titles)
    count = Counter(map(tuple, before.codes.tolist()))
    lone = [count[tuple(row)] == 1 for row in before.codes.tolist()]
    assert np.array_equal(before.codes[lone], after.codes[lone])
    assert len(np.unique(before.groups)) < len(titles)
    allowed = [Rpg(settings_of(Rpg, {"collisions": rule})).allow_collisions for rule in ("none", "reassign")]
    assert allowed == [True, False]


def test_held_out_interactions_and_other_users_change_nothing(small: Dataset) -> None:
    train = leave_one_out(small).train
    other = replace(train, sequences=Sequences.from_rows([[0, 1], [2]]))
    options: dict[str, Any] = {"slots": "2", "codes": "4", "dimensions": "4"}
    assert fit(train, **options).codes.tobytes() == fit(other, **options).codes.tobytes()


def test_a_history_is_read_between_words_or_marks(small: Dataset, t5: Vocabulary) -> None:
    train = leave_one_out(small).train
    options: dict[str, Any] = {"slots": "2", "codes": "4", "dimensions": "4"}
    plain, spoken = fit(train, **options), fit(replace(train, language=t5), **options)
    assert plain.vocabulary.encode(f"{plain.template.before} {plain.template.after}") == [3, 4]
    assert spoken.vocabulary is t5
    assert t5.unk not in t5.encode(f"{spoken.template.before} {spoken.template.after}")
    assert np.array_equal(plain.codes, spoken.codes)


@pytest.mark.long  # a minute
def test_real_toys_have_codes_of_their_own(toys: Dataset) -> None:
    ids = Rpg(settings_of(Rpg, {"slots": "16", "codes": "64"})).fit(leave_one_out(toys).train)
    assert ids.codes.shape == (11_924, 16)
    assert len(np.unique(ids.codes, axis=0)) == 11_924
    assert all(len(np.unique(codes)) == 64 for codes in ids.codes.T)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("slots", "0", "setting 'slots' must be 1 or more; got 0"),
        ("codes", "1", "setting 'codes' must be 2 or more; got 1"),
        ("temperature", "0", "setting 'temperature' must be above 0; got 0.0"),
        ("quantizer", "rq", "'quantizer' must be one of opq, pq; got 'rq'"),
        ("collisions", "counter", "'collisions' must be one of reassign, none; got 'counter'"),
    ],
)
def test_settings_out_of_range_are_refused(setting: str, value: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        settings_of(Rpg, {setting: value})


def test_it_does_not_transfer_and_says_why() -> None:
    assert load_scheme("set/rpg") is Rpg
    assert not Rpg.supports_transfer
    assert "on the items of one catalogue" in Rpg.no_transfer_reason
