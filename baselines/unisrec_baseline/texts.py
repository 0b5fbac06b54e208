"""The text vectors that UniSRec reads: of every item, and for pre-training of every item with fewer words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import ItemTable, TrainView
from bench.ids import embeddings
from bench.ids.spaces import TextSpace
from bench.ids.text import compose
from unisrec_baseline.examples import fewer_words
from unisrec_baseline.settings import Settings

POOR = "text"  # the one column of texts with fewer words, where fields are not read apart


def poorer(train: TrainView, space: TextSpace, settings: Settings) -> NDArray[np.float32] | None:
    """``[items, dimensions]``: the texts without some of their words, which are drawn once; None where a file has the
    vectors and no text is read.
    """
    if embeddings.is_file(settings.encoder) or not settings.word_drop_share:
        return None
    random, texts = train.random(), _texts(train.items, settings)
    drawn = {name: tuple(fewer_words(cells, settings.word_drop, random)) for name, cells in texts.items()}
    view = replace(train, items=ItemTable(train.items.ids, drawn))
    return replace(space, settings=replace(settings, fields=tuple(drawn))).placed(view)


def _texts(items: ItemTable, settings: Settings) -> dict[str, list[str]]:
    """By name what an encoder reads: one text of all fields, or each by itself."""
    if settings.pool == "text":
        return {POOR: compose(items, settings.fields, settings.separator)}
    return {name: list(items.text[name]) for name in settings.fields or items.text}
