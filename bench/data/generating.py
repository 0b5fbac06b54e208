"""Catalogues that are made up, as large as wanted: to see what a million items take before a shop has them.

Every block of users and of items is drawn from a seed of its own and written at once, so memory does not grow with the
catalogue. Each item is one of a group, users stay with a group for some time and go on to the next, and popularity
falls as a power within each group: there is something to learn, but nothing to conclude about real shops.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import gcd, isqrt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bench import plugins
from bench.data import importing, registry, sources
from bench.data.conversions.write import RECORD, sha256
from bench.data.formats.writing import joined_lines, writing
from bench.errors import BenchError
from bench.files import replacing

Numbers = NDArray[np.int64]

MOST = 500_000_000  # items or users: above it titles repeat, and places times factors pass 64 bits
WIDEST = 1 << 16  # vectors: those of all groups and of a block of items are in memory
AT_ONCE = 1 << 15  # users or items in memory at a time
SHORTEST, MEAN, LONGEST = 5, 8, 20  # interactions of a user
FIRST = SHORTEST - 2  # of a user's interactions, that may be fixed: the last two are held out
GROUPS = 3000  # at most
STAY, NEXT, FOLLOW = 0.7, 0.9, 0.3  # within the group; that or the next group; the item after the last one
STARTED, YEAR, DAY = 1_577_836_800, 31_536_000, 86_400.0  # seconds
SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
ADJECTIVES = (
    *("red", "blue", "green", "black", "white", "small", "large", "light", "heavy", "soft", "hard", "round", "flat"),
    *("wooden", "woolen", "metal", "paper", "glass", "cotton", "leather", "modern", "classic", "simple", "fine"),
)
Q = 0.5  # of a vector's spread, what is the item's own and not its group's


@dataclass(frozen=True)
class Shop:
    """What is made: so many ``items``, each in training for one user at least, and ``users`` of 5 to 20 interactions.
    ``width`` is that of the vectors, 0 for none.
    """

    name: str
    items: int
    users: int
    seed: int = 0
    width: int = 0

    def __post_init__(self) -> None:
        if self.items < LONGEST:
            raise BenchError(f"--items must be {LONGEST} or more; got {self.items}")
        for name, most in (("items", MOST), ("users", MOST), ("width", WIDEST)):
            if getattr(self, name) > most:
                option = "vectors" if name == "width" else name
                raise BenchError(f"--{option} must be {most:,} or less; got {getattr(self, name):,}")
        if self.users * FIRST < self.items:
            raise BenchError(
                f"{self.users:,} users are too few for each of {self.items:,} items to be in training once; give "
                f"--users {-(-self.items // FIRST)} or more"
            )

    @property
    def groups(self) -> int:
        return min(GROUPS, max(1, isqrt(self.items)))

    @cached_property
    def _scrambling(self) -> tuple[int, int]:
        """Factor and summand of the permutation that hides an item's group from its id."""
        random = np.random.default_rng([self.seed, self.items])
        factor = int(random.integers(self.items // 2, self.items)) | 1
        while gcd(factor, self.items) > 1:
            factor += 2
        return factor, int(random.integers(self.items))

    def item(self, places: Numbers) -> Numbers:
        """The item in each place; place ``p`` is in group ``p % groups``, number ``p // groups`` there."""
        factor, summand = self._scrambling
        return (places * factor + summand) % self.items

    def place(self, items: Numbers) -> Numbers:
        """Where each item is: the other way round."""
        factor, summand = self._scrambling
        return (items - summand) * int(pow(factor, -1, self.items)) % self.items


def interactions(shop: Shop) -> Iterator[tuple[Numbers, Numbers, Numbers]]:
    """Users, items and times (seconds), by user and time, a block of users after the other."""
    for start in range(0, shop.users, AT_ONCE):
        users = np.arange(start, min(start + AT_ONCE, shop.users))
        random = np.random.default_rng([shop.seed, 1, start])
        lengths = np.minimum(SHORTEST + random.poisson(MEAN - SHORTEST, len(users)), LONGEST)
        walked = _walks(shop, users, random)
        times = STARTED + random.integers(0, YEAR, len(users))[:, None]
        times = times + np.cumsum(1 + random.exponential(DAY, walked.shape).astype(np.int64), axis=1)
        there = np.arange(LONGEST) < lengths[:, None]
        yield np.repeat(users, lengths), walked[there], times[there]


def _walks(shop: Shop, users: Numbers, random: np.random.Generator) -> Numbers:
    """``[users, LONGEST]``: items in order. The first interactions of all users together hold every item once."""
    groups, place = shop.groups, np.zeros(len(users), np.int64)
    walked = np.empty((len(users), LONGEST), np.int64)
    for step in range(LONGEST):
        place = _next(shop, place, random) if step else random.integers(0, groups, len(users))
        fixed = users + step * shop.users
        place = np.where(fixed < shop.items, fixed % shop.items, place) if step < FIRST else place
        walked[:, step] = shop.item(place)
    return walked


def _next(shop: Shop, place: Numbers, random: np.random.Generator) -> Numbers:
    """The place after each: the next one of the group, a popular one there, or one of another group."""
    groups, deep = shop.groups, shop.items // shop.groups
    draw, other = random.random(len(place)), random.integers(0, groups, len(place))
    number = (deep * random.random(len(place)) ** 3).astype(np.int64)
    follows = random.random(len(place)) < FOLLOW
    group = np.where(draw < STAY, place % groups, np.where(draw < NEXT, (place + 1) % groups, other))
    number = np.where(follows & (draw < STAY), (place // groups + 1) % deep, number)
    found = number * groups + group
    return np.where(found == place, (found + groups) % (deep * groups), found)


def words(numbers: Numbers) -> list[str]:
    """A word of three syllables for each number below 343,000, another one for each."""
    count = len(SYLLABLES)
    parts = numbers // count**2 % count, numbers // count % count, numbers % count
    triples = zip(*(part.tolist() for part in parts), strict=True)
    return [SYLLABLES[one] + SYLLABLES[two] + SYLLABLES[three] for one, two, three in triples]


def texts(shop: Shop, items: Numbers) -> tuple[list[str], list[str]]:
    """Titles, of which no two are the same, and categories. Items of one group share the category and a word."""
    place, half = shop.place(items), len(SYLLABLES) ** 3 // 2
    group, number = place % shop.groups, place // shop.groups
    kinds, models = words(group), words(half + number)
    looks = [ADJECTIVES[each] for each in ((number * 7 + group) % len(ADJECTIVES)).tolist()]
    return [f"{look} {kind} {model}" for look, kind, model in zip(looks, kinds, models, strict=True)], kinds


def vectors(shop: Shop, items: Numbers) -> NDArray[np.float32]:
    """``[items, width]``: the vector of an item's group, and something of its own. ``items`` are a block of them."""
    random = np.random.default_rng([shop.seed, 2, int(items[0])])
    centers = np.random.default_rng([shop.seed, 3]).standard_normal((shop.groups, shop.width), np.float32)
    own = random.standard_normal((len(items), shop.width), np.float32)
    return np.asarray(centers[shop.place(items) % shop.groups] + np.float32(Q) * own)


def store(shop: Shop, data_dir: Path | None, force: bool = False) -> tuple[dict[str, Any], Path]:
    """Write the data set into a folder of its own in the folder of data sets. What was made, and where."""
    if shop.name != importing.name_of(Path(shop.name)):
        raise BenchError(f"--name takes letters, digits, - and _; got '{shop.name}'")
    if shop.name in registry.load() or shop.name in plugins.offers(plugins.DATASETS):
        raise BenchError(f"'{shop.name}' is the name of a published or an installed data set; give another with --name")
    folder = sources.home(data_dir) / shop.name
    if not force:
        importing.refuse_taken(folder, shop.name)
    (folder / RECORD).unlink(missing_ok=True)
    count = _write_interactions(shop, folder / f"{shop.name}.inter")
    _write_items(shop, folder / f"{shop.name}.item")
    made = [folder / f"{shop.name}{ending}" for ending in (".inter", ".item")]
    made += _write_vectors(shop, folder) if shop.width else []
    described = {
        "format": 1,
        "name": shop.name,
        "users": shop.users,
        "items": shop.items,
        "interactions": count,
        "generated": {"seed": shop.seed, "vectors": shop.width},
        "ties": "digest",
        "notes": ["this data set is made up: scores on it say nothing about any real one"],
        "files": {file.name: sha256(file) for file in made},
    }
    with replacing(folder / RECORD, "the description of the data set") as partial:
        partial.write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    return described, folder


def _named(mark: str, numbers: Numbers, count: int) -> pa.Array:
    """Ids of one length, whose order is that of the numbers."""
    digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), len(str(count - 1)), "0")
    return pc.binary_join_element_wise(mark, digits, "")


def _write_interactions(shop: Shop, path: Path) -> int:
    written = 0
    with writing(path) as file:
        file.write(b"user_id:token\titem_id:token\ttimestamp:float\n")
        for users, items, times in interactions(shop):
            stamps = pa.array(times).cast(pa.string())
            file.write(joined_lines(_named("u", users, shop.users), _named("i", items, shop.items), stamps))
            written += len(items)
    return written


def _blocks(shop: Shop) -> Iterator[Numbers]:
    return (np.arange(start, min(start + AT_ONCE, shop.items)) for start in range(0, shop.items, AT_ONCE))


def _write_items(shop: Shop, path: Path) -> None:
    with writing(path) as file:
        file.write(b"item_id:token\ttitle:token_seq\tcategory:token_seq\n")
        for items in _blocks(shop):
            titles, kinds = texts(shop, items)
            file.write(joined_lines(_named("i", items, shop.items), pa.array(titles), pa.array(kinds)))


def _write_vectors(shop: Shop, folder: Path) -> list[Path]:
    """``NAME.vectors.npy`` and ``NAME.ids.txt``, as ``bench.ids.embeddings`` reads them."""
    rows, ids = folder / f"{shop.name}.vectors.npy", folder / f"{shop.name}.ids.txt"
    with writing(rows) as file, writing(ids) as names:
        shape = {"descr": "<f4", "fortran_order": False, "shape": (shop.items, shop.width)}
        np.lib.format.write_array_header_1_0(file, shape)
        for items in _blocks(shop):
            file.write(vectors(shop, items).astype("<f4").tobytes())
            names.write(joined_lines(_named("i", items, shop.items)))
    return [rows, ids]
