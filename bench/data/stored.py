"""A data set as it is stored: atomic files, and the ``dataset.json`` beside them, which says what was decided."""

from __future__ import annotations

from pathlib import Path

from bench.data.conversions.write import read_record
from bench.data.dataset import Dataset
from bench.data.formats import read_atomic
from bench.data.ties import arranged, rule, tied

DECIDED = ("id", "file")  # orders of ties that are not the one in which atomic files are read


def read_stored(folder: Path, name: str | None = None) -> Dataset:
    """The data set of a folder, its ties in the order that it was made with."""
    found, record = read_atomic(folder, name), read_record(folder) or {}
    return with_ties(found, str(record.get("ties"))) if record.get("name") == found.name else found


def with_ties(dataset: Dataset, decided: str) -> Dataset:
    """In the order of ties that was decided when the data set was made."""
    return arranged(dataset, rule(decided)) if decided in DECIDED and tied(dataset).any() else dataset
