"""Every conversion on raw files written in the form of its source."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.data import registry
from bench.data.conversions import CONVERSIONS, convert
from bench.data.conversions.items import Items, ItemsBuilder
from bench.data.conversions.log import Log
from bench.data.conversions.movielens import title_and_year
from bench.data.download import NoProgress
from bench.errors import BenchError

GzLines = Callable[[Path, list[Any]], Path]
Zipped = Callable[[Path, dict[str, str]], Path]
Reviews = Callable[[list[tuple[str, str, int]]], list[dict[str, Any]]]


def converted(name: str, files: dict[str, Path], **changes: Any) -> tuple[list[tuple[str, ...]], Items, Log]:
    """Rows as (user, item, time, rating), the items, and the log."""
    log, items = convert(replace(registry.find(name), **changes), files, "digest", NoProgress())
    users, names = (log.user_ids[user] for user in log.users), (log.item_ids[item] for item in log.items)
    return list(zip(users, names, log.times.tolist(), log.ratings.tolist(), strict=True)), items, log


def test_every_source_has_a_conversion_that_reads_its_roles() -> None:
    for source in registry.load().values():
        assert source.conversion in CONVERSIONS
        assert {file.role for file in source.files} in ({"archive"}, {"reviews", "items"})
    with pytest.raises(BenchError, match="unknown conversion 'amazn-2014'; did you mean 'amazon-2014'"):
        convert(replace(source, conversion="amazn-2014"), {}, "digest", NoProgress())


KNIGHTS = {
    "asin": "B2",
    "description": "A &lt;b&gt;big&lt;/b&gt;\\nbox.",
    "title": "Knights &amp;amp; Dragons",
    "price": 12.99,
    "brand": "PLAYMOBIL&reg;",
    "related": {"also_bought": ["B1"]},
    "salesRank": {"Toys & Games": 7},
    "categories": [["Toys & Games", "Arts, Crafts"], ["Toys & Games", "Figures"]],
}
ROBOT = {"asin": "B1", "title": '<span id="productTitle">Robot</span>', "categories": [["Others"]]}
BARE = {"asin": "B1", "categories": [["Toys & Games"]]}  # the same, without a title
META_2014 = [str(product) for product in (KNIGHTS, {"asin": "B9", "title": "Nobody took it"}, BARE, ROBOT)]


def test_amazon_2014(tmp_path: Path, gz_lines: GzLines, reviews_2014: Reviews) -> None:
    rows = [("A1", "B1", 3), ("A2", "B1", 1), ("A1", "B2", 2), ("A1", "B2", 2)]
    files = {
        "reviews": gz_lines(tmp_path / "reviews.json.gz", reviews_2014(rows)),
        "items": gz_lines(tmp_path / "meta.json.gz", META_2014),
    }
    found, items, log = converted("toys", files)
    day = 86400
    assert found == [("A1", "B2", 2 * day, 5), ("A1", "B2", 2 * day, 5), ("A1", "B1", 3 * day, 5), ("A2", "B1", day, 5)]
    assert set(items.rows) == {"B1", "B2"}
    columns = {field: items.column(field, log.item_ids) for field in items.fields}
    assert columns == {
        "title": ["Robot", "Knights & Dragons"],
        "brand": ["", "PLAYMOBIL®"],
        "categories": ["Toys & Games", "Toys & Games, Arts Crafts, Figures"],
        "price": ["", "12.99"],
        "features": ["", ""],
        "description": ["", "A big box."],
    }


CSV_2023 = """user_id,parent_asin,rating,timestamp
U1,P1,5.0,1609459200002
U1,P2,4.0,1609459200001
U1,P1,1.0,1509459200000
U2,P1,3.0,1609459200000
U2,P2,3.0,1609459200000
U3,P1,3.0,1609459200000
"""


@pytest.mark.parametrize("header", [True, False])
def test_amazon_2023_keeps_the_earliest_of_a_parent_and_the_core(tmp_path: Path, header: bool) -> None:
    (tmp_path / "reviews.csv").write_text(CSV_2023 if header else CSV_2023.partition("\n")[2])
    product = {
        "title": "Pick",
        "store": None,
        "categories": ["Guitars, Parts", "Picks"],
        "price": "None",
        "features": ["a", "b"],
    }
    lines = [{"parent_asin": name, "main_category": "Musical Instruments", **product} for name in ("P1", "P2", "P3")]
    (tmp_path / "meta.jsonl").write_text("\n".join(map(json.dumps, lines)))
    files = {"reviews": tmp_path / "reviews.csv", "items": tmp_path / "meta.jsonl"}
    found, items, _ = converted("musical-instruments", files, k_core=2)
    assert found[:2] == [("U1", "P1", 1509459200000, 1.0), ("U1", "P2", 1609459200001, 4.0)]
    assert sorted(found[2:]) == [("U2", "P1", 1609459200000, 3.0), ("U2", "P2", 1609459200000, 3.0)]
    assert items.rows["P1"] == ("Pick", "", "Guitars Parts, Picks", "Musical Instruments", "", "a b", "")
    with pytest.raises(BenchError, match=r"'musical-instruments': no interaction is left of reviews\.csv, "):
        converted("musical-instruments", files)


def test_movielens_1m(tmp_path: Path, zipped: Zipped) -> None:
    members = {
        "ml-1m/movies.dat": "1::Toy Story (1995)::Animation|Children's|Comedy\n2::Misérables, Les (1995)::Drama",
        "ml-1m/ratings.dat": "6040::1::5::956704000\n6040::2::3::956703999\n1::1::1::978300760\n",
        "ml-1m/users.dat": "1::F::1::10::48067\n",
    }
    found, items, log = converted("ml-1m", {"archive": zipped(tmp_path / "ml-1m.zip", members)})
    assert found == [("1", "1", 978300760, 1), ("6040", "2", 956703999, 3), ("6040", "1", 956704000, 5)]
    assert [items.rows[item] for item in log.item_ids] == [
        ("Toy Story", "1995", "Animation Children's Comedy"),
        ("Misérables, Les", "1995", "Drama"),
    ]


FILM = "{}|{} ({})|01-Jan-1995||http://us.imdb.com/M/title-exact?{}|{}"


def test_movielens_100k(tmp_path: Path, zipped: Zipped) -> None:
    members = {
        "ml-100k/u.data": "196\t1\t3\t881250949\n196\t267\t1\t881250949\n22\t1\t5\t878887116\n",
        "ml-100k/u.item": "\n".join(
            [
                FILM.format(1, "Cérémonie, La", 1995, "C%E9r%E9monie", "0|1|0|0|0|1|0|0|0|0|0|0|0|0|0|0|1|0|0"),
                "267|unknown||||1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0",
            ]
        ),
    }
    found, items, _ = converted("ml-100k", {"archive": zipped(tmp_path / "ml-100k.zip", members)})
    assert sorted(row[:3] for row in found) == [
        ("196", "1", 881250949),
        ("196", "267", 881250949),
        ("22", "1", 878887116),
    ]
    assert items.rows["1"] == ("Cérémonie, La", "1995", "Action Comedy Thriller")
    assert items.rows["267"] == ("unkonwn", "unkonwn", "unknown")  # as RecBole has it


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        ("Toy Story (1995)", ("Toy Story", "1995")),
        ("Seven (Se7en) (1995)", ("Seven (Se7en)", "1995")),
        ("Marlene Dietrich: Shadow and Light (1996) ", ("Marlene Dietrich: Shadow and Light", "1996")),
        ("Land Before Time III (1995) (V)", ("Land Before Time III (1995)", "V")),  # as RecBole has it
    ],
)
def test_titles_and_years(raw: str, found: tuple[str, str]) -> None:
    assert title_and_year(raw) == found


STEAM = """
{u'username': u'Chaos Syren', u'product_id': u'725280', u'date': u'2017-12-17', u'text': u"It's \\u2764"}
{u'username': u'Chaos Syren', u'product_id': u'328100', u'page_order': 1, u'date': u'2017-08-02', u'text': u'n'}
{u'username': u'  ', u'product_id': u'328100', u'page_order': 1, u'date': u'2017-08-02', u'text': u'by nobody'}
{u'username': u'B', u'product_id': u'328100', u'date': u'2017-08-02', u'compensation': u'Product received for free'}
"""
GAMES = """
{u'app_name': u'Kitty', u'title': u'Lost Kitty', u'tags': [u'Strategy', u'Action'], u'price': 4.99, u'id': u'725280'}
{u'app_name': u'No id'}
{u'app_name': u'Only an app &amp; name', u'price': u'Free To Play', u'id': u'328100'}
"""


def test_steam(tmp_path: Path, gz_lines: GzLines) -> None:
    files = {
        "reviews": gz_lines(tmp_path / "reviews.json.gz", STEAM.strip().split("\n")),
        "items": gz_lines(tmp_path / "games.json.gz", GAMES.strip().split("\n")),
    }
    found, items, log = converted("steam", files, k_core=0)
    assert [row[:3] for row in found] == [
        ("B", "328100", 1501632000),
        ("Chaos Syren", "328100", 1501632000),
        ("Chaos Syren", "725280", 1513468800),
    ]
    assert items.column("title", log.item_ids) == ["Only an app & name", "Lost Kitty"]
    assert items.column("tags", log.item_ids) == ["", "Strategy, Action"]
    assert items.column("price", log.item_ids) == ["Free To Play", "4.99"]


def test_yelp_is_2019_by_the_second(tmp_path: Path) -> None:
    dates = [
        "2018-12-31 23:59:59",
        "2019-01-01 00:00:00",
        "2019-06-01 12:00:01",
        "2019-12-31 00:00:00",
        "2019-12-31 00:00:01",
    ]
    reviews = [
        {"review_id": "r", "user_id": f"u{number}", "business_id": "b", "stars": 4.0, "text": "x", "date": date}
        for number, date in enumerate(dates)
    ]
    business = {"business_id": "b", "name": "Moon Congee", "city": "Las Vegas", "categories": "Chinese, Dim Sum"}
    bare = {"business_id": "c", "name": "None", "categories": None}
    (tmp_path / "yelp_academic_dataset_review.json").write_text("\n".join(map(json.dumps, reviews)))
    (tmp_path / "yelp_academic_dataset_business.json").write_text("\n".join(map(json.dumps, [business, bare])))
    roles = {"reviews": "review", "items": "business"}
    files = {role: tmp_path / f"yelp_academic_dataset_{name}.json" for role, name in roles.items()}
    found, items, _ = converted("yelp", files, k_core=1)
    assert found == [("u1", "b", 1546300800, 4.0), ("u2", "b", 1559390401, 4.0), ("u3", "b", 1577750400, 4.0)]
    assert items.rows == {"b": ("Moon Congee", "Chinese, Dim Sum", "Las Vegas")}


@pytest.mark.parametrize(
    ("review", "said"),
    [
        ({"asin": "B", "unixReviewTime": 1}, "reviews.json.gz, line 1: no reviewerID; got asin, unixReviewTime"),
        ({"reviewerID": " ", "asin": "B", "unixReviewTime": 1}, "line 1: no reviewerID"),
        ({"reviewerID": "A", "asin": "B", "unixReviewTime": 1.5}, "line 1: unixReviewTime is 1.5; expected a whole"),
        ({"reviewerID": "A", "asin": "B"}, "line 1: unixReviewTime is None; expected a whole"),
    ],
)
def test_a_record_that_lacks_something_is_named(tmp_path: Path, gz_lines: GzLines, review: Any, said: str) -> None:
    files = {"reviews": gz_lines(tmp_path / "reviews.json.gz", [review]), "items": tmp_path / "none"}
    with pytest.raises(BenchError, match=said):
        converted("toys", files)


def test_the_first_text_of_an_item_counts() -> None:
    items = ItemsBuilder({"a"})
    items.add("a", title="", brand="one")
    items.add("b", title="x", brand="x")
    items.add("a", title="two", brand="three")
    assert items.build().column("title", ["b", "a"]) == ["", "two"]
    assert items.build().column("brand", ["b", "a"]) == ["", "one"]


def test_ids_of_steam_keep_what_looks_like_markup() -> None:
    from bench.data.conversions.steam import identity

    assert [identity(name) for name in ("<Player>", "[X]<b>Tom", " [X] Tom", None, 730)] == [
        *("<Player>", "[X]<b>Tom", "[X] Tom"),
        *("", "730"),
    ]


def test_categories_of_yelp_are_a_text_with_commas_or_a_list() -> None:
    from bench.data.conversions.yelp import _parts

    assert _parts("Bars, Food") == ["Bars", " Food"]
    assert _parts(["Bars", "Food"]) == ["Bars", "Food"]
    assert _parts(None) == [""]
