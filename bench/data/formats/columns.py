"""Which column of a table is the user, the item, the time, the rating, and which hold text: told by their names."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from bench.errors import BenchError, unknown

USER = (
    "user_id user userid uid reviewerid reviewer_id customer_id customerid customer visitor_id visitorid member_id "
    "memberid account_id client_id username user_name user_hash session_id sessionid session reviewer u"
)
ITEM = (
    "item_id item itemid iid parent_asin asin product_id productid product movie_id movieid isbn book_id business_id "
    "article_id articleid track_id song_id artist_id game_id app_id appid listing_id content_id news_id goods_id sku "
    "product_code stock_code stockcode recipe_id course_id video_id photo_id poi_id item_sku i"
)
TIME = (
    "timestamp time unixreviewtime unix_time datetime date_time date created_at event_time event_timestamp "
    "timestamp_ms time_ms ts review_time reviewtime review_date order_date purchase_date click_time "
    "interaction_time invoicedate t"
)
RATING = "rating overall stars score rate ratings review_overall"
NO_TIME = "none"  # asked for, says that no column is the time
LONG_NAMES = [name for name in TIME.split() if len(name) > 5]  # a typing error in a short one makes another word
KEY = f"id {ITEM}"  # in a catalogue, "id" alone is the item's
TEXTS = "title name brand category categories genres description text"
AGAIN = re.compile(r" \(column \d+\)$")  # what tells the second column of a name from the first
LIST = "item_id_list"  # of RecBole's pre-split files


@dataclass(frozen=True)
class Roles:
    """The column of each role; "" where a table has none."""

    user: str = ""
    item: str = ""
    time: str = ""
    rating: str = ""


def normalized(name: str) -> str:
    """``"Customer ID:token"`` is ``customer_id``."""
    return re.sub(r"\W+", "_", name.partition(":")[0].strip().lower()).strip("_")


def guess(columns: Sequence[str], asked: Roles, where: str) -> Roles:
    """The roles that are asked for, where the table has those columns, and those that names tell. BenchError where two
    columns have an equal claim to one role. Of ratings, which few read, none is chosen then (``require_rating``).
    """
    names = {"user": USER, "item": ITEM} if asked.time == NO_TIME else {"user": USER, "item": ITEM, "time": TIME}
    found = Roles(**{role: _column(columns, getattr(asked, role), words, where, role) for role, words in names.items()})
    ratings = _claims(columns, asked.rating, RATING)
    return replace(found, rating=ratings[0] if len(ratings) == 1 else "")


def require_rating(columns: Sequence[str], where: str) -> None:
    """BenchError that says why a table has no column of ratings."""
    if not _column(columns, "", RATING, where, "rating"):
        raise BenchError(f"--min-rating needs a column of ratings, and '{where}' has none; name it: --rating")


def distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Names of all columns; a nameless one, as of pandas' index, and a second of one name are called by number."""
    named = [name or f"column {number}" for number, name in enumerate(names, 1)]
    seen = Counter[str]()
    found = []
    for number, name in enumerate(named, 1):
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name} (column {number})")
    return tuple(found)


def notes(columns: Sequence[str], roles: Roles, where: str) -> list[str]:
    """Which columns of one name are not read: whoever meant one of those should know."""
    read = {AGAIN.sub("", name): f"'{name}' alone" for name in vars(roles).values()}
    names = dict.fromkeys(AGAIN.sub("", name) for name in columns if AGAIN.search(name))
    return [f"'{where}' has several columns '{name}': {read.get(name, 'none')} is read" for name in names]


def key_of(columns: Sequence[str], asked: str, where: str) -> str:
    """The column of a catalogue that names its items; "" where there is none."""
    return _column(columns, asked, KEY, where, "item")


def check_named(asked: Roles, columns: Sequence[str]) -> None:
    """BenchError where a column that is asked for is in none of the tables, which have these ``columns``."""
    for role in ("user", "item", "time", "rating"):
        name = getattr(asked, role)
        if name and not _named(columns, name) and (role, name) != ("time", NO_TIME):
            raise unknown(f"column --{role}", name, columns)


def likely_time(columns: Sequence[str]) -> str:
    """A column that is called nearly as time stamps are, or something with "time" or "date"; "" where there is none."""
    near = (name for name in columns if difflib.get_close_matches(normalized(name), LONG_NAMES, 1, 0.85))
    return next(near, next((name for name in columns if "time" in name.lower() or "date" in name.lower()), ""))


def other_time(columns: Sequence[str], chosen: str) -> str:
    """Another column that is called as time stamps are; "" where there is none, or the chosen one says that it is no
    time of day.
    """
    known = {*map(_joined, "" if "stamp" in chosen.lower() else TIME.split())}
    return next((name for name in columns if name != chosen and _joined(name) in known), "")


def told(columns: Iterable[str]) -> bool:
    """Whether any of these is the name of a role: a first line of such names is a header."""
    known = {*map(_joined, f"{USER} {ITEM} {TIME} {RATING} {LIST} id title name".split())}
    return any(_joined(column) in known for column in columns)


def of_table(names: Iterable[Any]) -> bool:
    """Whether these name the columns of a table and are no ids: a user and an item, or an item and what it is."""
    return _of_table(tuple(name for name in names if isinstance(name, str)))


@lru_cache(maxsize=1 << 10)  # records of one file have the same few sets of names
def _of_table(names: tuple[str, ...]) -> bool:
    found = set(map(_joined, names))
    users, items, texts = ({*map(_joined, words.split())} for words in (USER, KEY, TEXTS))
    return bool(found & items and found & (users | texts))


def _column(columns: Sequence[str], asked: str, names: str, where: str, role: str) -> str:
    claims = _claims(columns, asked, names)
    if len(claims) > 1:
        raise BenchError(f"{where}: {' and '.join(claims)} may both be the {role}; name one with --{role}")
    return claims[0]


def _claims(columns: Sequence[str], asked: str, names: str) -> list[str]:
    """The columns that may be meant: the one asked for, or those whose name comes first; "" alone for none."""
    if found := _named(columns, asked):
        return [found]
    by_name: dict[str, list[str]] = {}
    for column in columns:
        by_name.setdefault(_joined(column), []).append(column)
    return next((by_name[name] for name in map(_joined, names.split()) if name in by_name), [""])


def _joined(name: str) -> str:
    """``artistID`` and ``artist_id`` are one name, and the second column of a name has that name too."""
    return normalized(AGAIN.sub("", name)).replace("_", "")


def _named(columns: Sequence[str], asked: str) -> str:
    """A column by its name, or by its name without ``:type``; "" where there is none."""
    return next((column for column in columns if asked and asked in (column, column.partition(":")[0])), "")
