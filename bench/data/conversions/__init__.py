"""From the raw files of a data set to its interactions and the text of its items.

A conversion is two functions: one reads who took what, when; the other the text of the items that are left after the
rules of ``sources.toml``. Each names the roles of the files it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
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
    interactions: Callable[[Mapping[str, Path], Progress], Log]
    items: Callable[[Mapping[str, Path], Container[str], Progress], Items]


CONVERSIONS = {
    "amazon-2014": Conversion(amazon.interactions_2014, amazon.items_2014),
    "amazon-2023": Conversion(amazon.interactions_2023, amazon.items_2023),
    "movielens-100k": Conversion(movielens.interactions_100k, movielens.items_100k),
    "movielens-1m": Conversion(movielens.interactions_1m, movielens.items_1m),
    "steam": Conversion(steam.interactions, steam.items),
    "yelp": Conversion(yelp.interactions, yelp.items),
}


def convert(source: Source, files: Mapping[str, Path], ties: str, progress: Progress) -> tuple[Log, Items]:
    """The interactions that the rules of ``source`` leave, in the order of the written file, and their items' text."""
    if source.conversion not in CONVERSIONS:
        raise unknown("conversion", source.conversion, CONVERSIONS)
    conversion = CONVERSIONS[source.conversion]
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
