"""Yelp's reviews of 2019, as S3-Rec takes them (Zhou and others, 2020)."""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import Path

from bench.data.conversions.items import Items, ItemsBuilder
from bench.data.conversions.lines import json_lines, lines, moment, rating, value
from bench.data.conversions.log import Log, LogBuilder
from bench.data.conversions.text import clean, joined
from bench.data.download import Progress

FIELDS = ("title", "categories", "city")
FIRST, LAST = "2019-01-01 00:00:00", "2019-12-31 00:00:00"
REVIEWS, BUSINESSES = "yelp_academic_dataset_review.json", "yelp_academic_dataset_business.json"


def interactions(files: Mapping[str, Path], progress: Progress) -> Log:
    """JSON lines, dated by the second."""
    log = LogBuilder()
    for where, review in json_lines(lines(files["reviews"], REVIEWS, progress=progress)):
        if FIRST <= value(where, review, "date") <= LAST:
            user, item = value(where, review, "user_id"), value(where, review, "business_id")
            log.add(where, user, item, moment(where, review, "date", "%Y-%m-%d %H:%M:%S"), rating(review.get("stars")))
    return log.build()


def items(files: Mapping[str, Path], wanted: Container[str], progress: Progress) -> Items:
    """JSON lines; categories are one text with commas."""
    businesses = ItemsBuilder(wanted)
    for where, business in json_lines(lines(files["items"], BUSINESSES, progress=progress)):
        businesses.add(
            value(where, business, "business_id"),
            title=clean(business.get("name")),
            categories=joined(_parts(business.get("categories"))),
            city=clean(business.get("city")),
        )
    return businesses.build()


def _parts(categories: object) -> list[object]:
    """One text with commas, or a list of texts, as copies of the data have it."""
    if isinstance(categories, list):
        return categories
    return [*str(categories or "").split(",")]
