"""From the raw files of a data set to its interactions and the text of its items.

A conversion is two functions: one reads who took what, when; the other the text of the items that are left after the
rules of ``sources.toml``. Each names the roles of the files it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.data.conversions import amazon, movielens, steam, yelp
from bench.data.conversions.items import Items
from bench.data.conversions.log import Log, k_core, keep_earliest
from bench.data.conversions.ties import in_order
from bench.data.download import Progress
from bench.data.registry import Source
from bench.errors import BenchError, unknown


@dataclass(frozen=True)
class Conversion:
    """``fields`` are the text columns that ``items`` gives."""

    interactions: Callable[[Mapping[str, Path], Progress], Log]
    items: Callable[[Mapping[str, Path], Container[str], Progress], Items]
    fields: tuple[str, ...]


CONVERSIONS = {
    "amazon-2014": Conversion(amazon.interactions_2014, amazon.items_2014, amazon.FIELDS_2014),
    "amazon-2023": Conversion(amazon.interactions_2023, amazon.items_2023, amazon.FIELDS_2023),
    "movielens-100k": Conversion(movielens.interactions_100k, movielens.items_100k, movielens.FIELDS),
    "movielens-1m": Conversion(movielens.interactions_1m, movielens.items_1m, movielens.FIELDS),
    "steam": Conversion(steam.interactions, steam.items, steam.FIELDS),
    "yelp": Conversion(yelp.interactions, yelp.items, yelp.FIELDS),
}


def convert(source: Source, files: Mapping[str, Path], ties: str, progress: Progress) -> tuple[Log, Items]:
    """The interactions that the rules of ``source`` leave, in the order of the written file, and their items' text."""
    conversion = _conversion(source)
    progress.start(f"reading interactions of {source.name}")
    log = conversion.interactions(files, progress)
    if source.repeats == "earliest":
        log = keep_earliest(log)
    if source.k_core:
        log = k_core(log, source.k_core)
    if not len(log):
        raise BenchError(
            f"'{source.name}': no interaction is left of {', '.join(path.name for path in files.values())}"
        )
    progress.start(f"reading items of {source.name}")
    items = conversion.items(files, frozenset(log.item_ids), progress)
    return in_order(log, ties), items


def require_fields(source: Source, text: Sequence[str]) -> None:
    """BenchError for a text column that the conversion of ``source`` does not give."""
    fields = _conversion(source).fields
    for field in text:
        if field not in fields:
            raise unknown("text column", field, fields)


def _conversion(source: Source) -> Conversion:
    if source.conversion not in CONVERSIONS:
        raise unknown("conversion", source.conversion, CONVERSIONS)
    return CONVERSIONS[source.conversion]
