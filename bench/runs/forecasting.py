"""The figures of ``bench.ids.forecast`` for a data set as runs and ``bench ids show`` see it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench.data.dataset import TrainView
from bench.errors import BenchError
from bench.ids.forecast import forecast
from bench.ids.identifiers import Ids
from bench.ids.text import Embeddings, TextSettings, embed, stand_in


def forecast_of(ids: Ids, train: TrainView, results: Path) -> dict[str, float | list[float]]:
    """From training interactions and texts alone. Without texts there is no ``text_recall``."""
    return forecast(ids, train.items, train.sequences, texts(replace(train, cache=results / "cache")))


def texts(train: TrainView) -> Embeddings | None:
    """``[items, dimensions]`` from the default encoder, which needs no download; None where no item has text."""
    filled, count = stand_in(train.items)
    if count == len(train.items):
        return None
    try:
        return embed(replace(train, items=filled) if count else train, TextSettings())
    except BenchError:  # texts without a word
        return None
