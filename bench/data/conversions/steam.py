"""Reviews of games on Steam (Kang and McAuley, 2018)."""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import Path

from bench.data.conversions.items import Items, ItemsBuilder
from bench.data.conversions.lines import lines, moment, python_lines
from bench.data.conversions.log import Log, LogBuilder
from bench.data.conversions.text import clean, joined
from bench.data.download import Progress

FIELDS = ("title", "developer", "publisher", "genres", "tags", "specs", "price")


def interactions(files: Mapping[str, Path], progress: Progress) -> Log:
    """Python literals; ``date`` is a day, and a user is known by name. There are no ratings. Reviews
    without a user or a game are skipped.
    """
    log = LogBuilder()
    for where, review in python_lines(lines(files["reviews"], progress=progress)):
        user, item = (identity(review.get(name)) for name in ("username", "product_id"))
        if user and item:
            log.add(where, user, item, moment(where, review, "date", "%Y-%m-%d"))
    return log.build()


def items(files: Mapping[str, Path], wanted: Container[str], progress: Progress) -> Items:
    """Python literals. Some games have no id and are no game of a review; some have an ``app_name`` and no title."""
    games = ItemsBuilder(wanted)
    for _, game in python_lines(lines(files["items"], progress=progress)):
        games.add(
            identity(game.get("id")),
            title=clean(game.get("title")) or clean(game.get("app_name")),
            developer=clean(game.get("developer")),
            publisher=clean(game.get("publisher")),
            genres=joined(game.get("genres")),
            tags=joined(game.get("tags")),
            specs=joined(game.get("specs")),
            price=clean(game.get("price")),
        )
    return games.build()


def identity(value: object) -> str:
    """An id as text, without blanks around it; what looks like markup in it is part of it."""
    return "" if value is None else " ".join(str(value).split())
