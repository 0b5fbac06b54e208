"""Amazon's reviews, of 2014 and of 2023 (McAuley and others)."""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import Path

from bench.data.conversions.items import Items, ItemsBuilder
from bench.data.conversions.lines import csv_records, json_lines, lines, python_lines, rating, value, whole
from bench.data.conversions.log import Log, LogBuilder
from bench.data.conversions.text import clean, joined, sentences
from bench.data.download import Progress

FIELDS_2014 = ("title", "brand", "categories", "price", "features", "description")
FIELDS_2023 = ("title", "store", "categories", "main_category", "price", "features", "description")
CSV_2023 = ("user_id", "parent_asin", "rating", "timestamp")


def interactions_2014(files: Mapping[str, Path], progress: Progress) -> Log:
    """JSON lines, grouped by product; ``unixReviewTime`` are the seconds of a day's beginning."""
    log = LogBuilder()
    for where, review in json_lines(lines(files["reviews"], progress=progress)):
        user, item = value(where, review, "reviewerID"), value(where, review, "asin")
        log.add(where, user, item, whole(where, review, "unixReviewTime"), rating(review.get("overall")))
    return log.build()


def items_2014(files: Mapping[str, Path], wanted: Container[str], progress: Progress) -> Items:
    """Python literals; ``categories`` are several paths, each from the broadest to the narrowest."""
    items = ItemsBuilder(wanted)
    for where, product in python_lines(lines(files["items"], progress=progress)):
        items.add(
            value(where, product, "asin"),
            title=clean(product.get("title")),
            brand=clean(product.get("brand")),
            categories=joined(product.get("categories")),
            price=_amount(product.get("price")),
            features=sentences(product.get("feature")),
            description=sentences(product.get("description")),
        )
    return items.build()


def interactions_2023(files: Mapping[str, Path], progress: Progress) -> Log:
    """CSV, time stamps in milliseconds. An item is a ``parent_asin``: variants of a product are one."""
    log = LogBuilder()
    for where, review in csv_records(lines(files["reviews"], progress=progress), CSV_2023):
        user, item = value(where, review, "user_id"), value(where, review, "parent_asin")
        log.add(where, user, item, whole(where, review, "timestamp"), rating(review["rating"]))
    return log.build()


def items_2023(files: Mapping[str, Path], wanted: Container[str], progress: Progress) -> Items:
    items = ItemsBuilder(wanted)
    for where, product in json_lines(lines(files["items"], progress=progress)):
        items.add(
            value(where, product, "parent_asin"),
            title=clean(product.get("title")),
            store=clean(product.get("store")),
            categories=joined(product.get("categories")),
            main_category=clean(product.get("main_category")),
            price=_amount(product.get("price")),
            features=sentences(product.get("features")),
            description=sentences(product.get("description")),
        )
    return items.build()


def _amount(price: object) -> str:
    """A price; "None" and a dash, which some products have in its place, are none."""
    text = clean(price)
    return text if any(map(str.isdigit, text)) else ""
