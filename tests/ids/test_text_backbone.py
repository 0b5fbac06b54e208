"""Texts that the contract's own backbone reads: kept under its digest, and refused where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.data.dataset import ItemTable, Progress, Sequences, TextReader, TrainView
from bench.errors import BenchError
from bench.ids.scheme import IdScheme
from bench.ids.text import TextSettings, embed, encoder_digest
from bench.runs.fitting import fit_key

TITLES = tuple(f"{color} {thing}" for color in ("red", "blue", "green") for thing in ("car", "doll"))
ASKED: list[int] = []


def reader(digest: str, scale: float) -> TextReader:
    def read(texts: Sequence[str], progress: Progress) -> NDArray[np.float32]:
        ASKED.append(len(texts))
        return scale * np.array([[len(text), text.count("e"), 1] for text in texts], np.float32)

    return TextReader(read, digest)


def view(cache: Path | None = None, by: TextReader | None = None) -> TrainView:
    items = ItemTable(TITLES, {"title": TITLES})
    return TrainView("toy", items, Sequences.from_rows([[0]]), 1, cache=cache, reader=by)


def test_vectors_are_kept_by_the_digest_of_the_backbone(tmp_path: Path) -> None:
    settings = TextSettings(encoder="backbone", dimensions=0)
    one, other = reader("aaaa", 1.0), reader("bbbb", 2.0)
    ASKED.clear()
    first = embed(view(tmp_path, one), settings)
    np.testing.assert_array_equal(first[0], [len("red car"), 1, 1])
    np.testing.assert_array_equal(embed(view(tmp_path, one), settings), first)
    np.testing.assert_array_equal(embed(view(tmp_path, other), settings), 2 * first)
    assert [len(TITLES)] * 2 == ASKED
    assert encoder_digest("backbone") == ""


def test_without_a_pretrained_backbone_nothing_is_read() -> None:
    with pytest.raises(BenchError, match="encoder=backbone reads texts with a pretrained backbone; this one starts"):
        embed(view(), TextSettings(encoder="backbone"))


def test_identifiers_are_kept_apart_by_what_read_their_texts() -> None:
    class Scheme(IdScheme):
        name = "mine/reads"
        Settings = TextSettings

        def fit(self, train: TrainView) -> None:  # type: ignore[override]
            """Never called here."""

    scheme = Scheme(TextSettings(encoder="backbone"))
    plain = Scheme(TextSettings())
    one, other = (view(by=reader(digest, 1.0)) for digest in ("aaaa", "bbbb"))
    assert fit_key(scheme, one) != fit_key(scheme, other)
    assert fit_key(plain, one) == fit_key(plain, other) == fit_key(plain, replace(one, reader=None))
