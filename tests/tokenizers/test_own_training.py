"""What schemes train of their own against PyTorch's count of the operators that whole epochs really called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from semantic_ids import Fsq, Letter, LetterNoCf, LetterNoDiversity, MtgRec, RqKmeansPlus, RqVae
from semantic_ids.schemes import Trained
from set_ids.schemes import SetRec
from textual_ids.generator import Bootstrap, bootstrap, bootstrap_flops
from textual_ids.generators import first_writer
from textual_ids.idgenrec import IdGenRecSettings
from torch.utils.flop_counter import FlopCounterMode

from bench import linear
from bench.backbone.t5 import T5, T5Config
from bench.data.dataset import Dataset, ItemTable, Sequences, TrainView
from bench.data.splits import leave_one_out
from bench.runs.subjects import settings as settings_of
from bench.vocabulary import Vocabulary

SMALL = {"dimensions": "12", "hidden": "16,10", "epochs": "3", "batch": "64"}
CODES = {**SMALL, "codes": "16"}
LATENT = {**CODES, "latent": "6"}
TEXTS = [[4, 5, 6, 1], [7, 1], [8, 9, 4, 4, 5, 1], [5, 1], [9, 8, 7, 1]]


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The count knows nothing of oneDNN's private operator."""
    monkeypatch.setattr(linear, "ONEDNN", None)
    torch.set_num_threads(1)


def counted(call: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())


@pytest.fixture(scope="module")
def view() -> TrainView:
    """150 items, of which training sequences hold 100: two batches, the second of them smaller."""
    random = np.random.default_rng(2)
    words = [" ".join(f"w{word}" for word in random.integers(0, 40, 4)) for _ in range(150)]
    items = ItemTable(tuple(f"i{item}" for item in range(150)), {"title": tuple(words)})
    rows = [*random.permutation(100).reshape(20, 5), *(random.permutation(100)[:6] for _ in range(7))]
    return TrainView("titles", items, Sequences.from_rows(rows), seed=1)


@pytest.mark.parametrize(
    ("scheme", "options"),
    [
        (RqVae, LATENT),
        (RqVae, {**LATENT, "balance": "0.3", "commitment": "first", "reset_after": "1"}),
        (MtgRec, {**LATENT, "variants": "2", "levels": "2"}),
        (RqKmeansPlus, CODES),
        (Fsq, {**SMALL, "grid": "3,4"}),
        (Letter, {**LATENT, "vectors": "sasrec", "balance": "0.1"}),
        (LetterNoCf, LATENT),
        (LetterNoDiversity, LATENT),
    ],
)  # fmt: skip
def test_epochs_of_an_auto_encoder(scheme: type[Trained], options: Mapping[str, str], view: TrainView) -> None:
    made = scheme(settings_of(scheme, options))
    vectors = np.random.default_rng(0).normal(size=(100, 12)).astype(np.float32)
    model = made.tokenizer(vectors, replace(view, own_training={}), np.arange(100))
    assert 3 * model.epoch_flops() == counted(lambda: list(model.epochs()))


def test_alignment_with_vectors_of_another_width() -> None:
    """A layer leads from codes to them, which learns."""
    from semantic_ids.letter import LetterTokenizer
    from semantic_ids.settings import LetterSettings

    random = np.random.default_rng(0)
    vectors, others = (random.normal(size=(90, width)).astype(np.float32) for width in (12, 9))
    plan = LetterSettings(codes=16, latent=6, hidden=(8,), epochs=2, batch=50, clusters=4)
    model = LetterTokenizer(vectors, others, 3, plan)
    assert 2 * model.epoch_flops() == counted(lambda: list(model.epochs()))


@pytest.mark.parametrize("batch", [2, 3])
def test_the_bootstrap_of_a_generator(batch: int) -> None:
    vocabulary = Vocabulary.private("abcdefghij")
    shape = {"d_model": 16, "d_kv": 6, "d_ff": 20, "heads": 3, "layers": 2, "decoder_layers": 1}
    model = T5(T5Config(vocabulary.size, **shape))  # type: ignore[arg-type]
    plan, targets = Bootstrap(2, batch, 1e-3), [text[:2] for text in TEXTS]
    expected = counted(lambda: bootstrap(model, vocabulary, TEXTS, targets, plan, 5))
    assert bootstrap_flops(model, TEXTS, targets, plan, 5) == expected


def test_all_that_a_scheme_trains_is_in_its_sum(toy: Dataset, view: TrainView) -> None:
    """LETTER has a SASRec and an auto-encoder."""
    letter = Letter(settings_of(Letter, LATENT))
    letter.fit(own := replace(view, own_training={}))
    sasrec = letter.collaborative(alone := replace(view, own_training={}))
    model = letter.tokenizer(np.zeros((100, 12), np.float32), replace(view, own_training={}), np.arange(100))
    assert len(sasrec) == 150
    assert own.own_training["own_flops"] == alone.own_training["own_flops"] + 3 * model.epoch_flops()
    train = leave_one_out(toy).train
    SetRec().fit(train)
    assert train.own_training["own_flops"] > 0


def test_a_generator_from_the_cache_counts_as_a_fresh_one(toy: Dataset, tiny: Path, tmp_path: Path) -> None:
    settings = IdGenRecSettings(generator=str(tiny), bootstrap_epochs=2, vocabulary=80)
    train = replace(leave_one_out(toy).train, cache=tmp_path)
    views = [replace(train, cached_seconds=[], own_training={}) for _ in range(2)]
    for each in views:
        first_writer(settings, each)
    assert [len(each.cached_seconds) for each in views] == [0, 1]
    assert views[0].own_training == views[1].own_training
    assert views[0].own_training["own_flops"] > 0


def test_operations_that_one_part_does_not_count_are_not_known(view: TrainView) -> None:
    for calls, known in (((5, 7), True), ((5, None), False), ((None, 5), False), ((None, 5, 5), False)):
        own = replace(view, own_training={})
        for flops in calls:
            own.count_training(2, 30, flops)
        whole = {"own_steps": 2 * len(calls), "own_examples": 30 * len(calls)}
        assert own.own_training == {**whole, **({"own_flops": 12} if known else {})}
