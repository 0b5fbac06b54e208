"""GroupLens' ratings of films: every rating, high or low, is an interaction."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from pathlib import Path

from bench.data.conversions.items import Items, ItemsBuilder
from bench.data.conversions.lines import Line, Record, lines, rating, separated, value, whole
from bench.data.conversions.log import Log, LogBuilder
from bench.data.conversions.text import clean
from bench.data.download import Progress

RATINGS = ("user", "item", "rating", "timestamp")
GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
FILMS_100K = ("item", "title", "released", "on_video", "address", *GENRES)
FIELDS = ("title", "year", "genres")
FILMS_1M = ("item", "title", "genres")
# RecBole spells the one film without a title so, in title and year; with it both copies are one data set.
NAMELESS = "unkonwn"


def interactions_100k(files: Mapping[str, Path], progress: Progress) -> Log:
    return _ratings(separated(_lines(files, "u.data", progress), "\t", RATINGS))


def items_100k(files: Mapping[str, Path], wanted: Container[str], progress: Progress) -> Items:
    """A flag for each genre, in the order of ``GENRES``."""
    items = ItemsBuilder(wanted)
    for where, film in separated(_lines(files, "u.item", progress), "|", FILMS_100K):
        title, year = title_and_year(film["title"])
        genres = " ".join(genre for genre in GENRES if film[genre] == "1")
        items.add(value(where, film, "item"), title=title, year=year, genres=genres)
    return items.build()


def interactions_1m(files: Mapping[str, Path], progress: Progress) -> Log:
    return _ratings(separated(_lines(files, "ratings.dat", progress), "::", RATINGS))


def items_1m(files: Mapping[str, Path], wanted: Container[str], progress: Progress) -> Items:
    """Genres are divided by ``|``, and written with spaces, as those of MovieLens-100k."""
    items = ItemsBuilder(wanted)
    for where, film in separated(_lines(files, "movies.dat", progress), "::", FILMS_1M):
        title, year = title_and_year(film["title"])
        genres = " ".join(clean(film["genres"].replace("|", " ")).split())
        items.add(value(where, film, "item"), title=title, year=year, genres=genres)
    return items.build()


def title_and_year(text: str) -> tuple[str, str]:
    """``Seven (Se7en) (1995)`` is ``Seven (Se7en)`` of ``1995``: the year is in the last parentheses."""
    title, opened, year = clean(text).rpartition("(")
    return (title.strip(), year.partition(")")[0]) if opened else (NAMELESS, NAMELESS)


def _lines(files: Mapping[str, Path], member: str, progress: Progress) -> Iterator[Line]:
    return lines(files["archive"], member, encoding="latin-1", progress=progress)


def _ratings(rows: Iterator[Record]) -> Log:
    log = LogBuilder()
    for where, row in rows:
        user, item = value(where, row, "user"), value(where, row, "item")
        log.add(where, user, item, whole(where, row, "timestamp"), rating(row["rating"]))
    return log.build()
