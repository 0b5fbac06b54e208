"""What an import says that it has guessed, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench.data.formats import read_atomic
from bench.data.formats.columns import Roles
from bench.data.importing import Options, read, store, write
from bench.errors import BenchError

NOW = 1_600_000_000


ROWS = [(f"u{u}", f"{(3 * u + 2 * t) % 9:03d}", NOW + 1000 * u + t) for u in range(4) for t in range(5)]


TITLES = {f"{k:03d}": f'thing "{k}", a {k % 3}' for k in range(9)}


def put(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def lines(*rows: tuple[Any, ...], between: str = ",") -> str:
    return "".join(between.join(map(str, row)) + "\n" for row in rows)


HEADER = ("user_id", "item_id", "timestamp")


def test_guesses_are_said_and_written_down(tmp_path: Path) -> None:
    put(tmp_path, "products.json", json.dumps([{"sku": key, "title": title} for key, title in TITLES.items()]))
    path = put(tmp_path, "clicks.csv", lines(("customer", "sku", "bought_at"), *ROWS))
    imported = read([path, tmp_path / "products.json"], Options(Roles(time="bought_at")), "shop")
    assert imported.dataset.notes == (
        "time stamps: seconds",
        "columns: customer as user, sku as item, bought_at as time",
        "text: title from 'products.json'",
    )
    write(imported, tmp_path / "shop")
    stored = json.loads((tmp_path / "shop" / "dataset.json").read_text())
    assert (stored["name"], stored["users"], stored["items"], stored["interactions"]) == ("shop", 4, 9, 20)
    assert (stored["time"], stored["ties"], stored["duplicates"]) == ("seconds", "digest", "exact")
    assert [source["file"] for source in stored["sources"]] == ["clicks.csv", "products.json"]
    assert stored["columns"][0]["time"] == "bought_at"
    assert str(tmp_path) not in (tmp_path / "shop" / "dataset.json").read_text()
    back = read_atomic(tmp_path / "shop")
    assert (back.fingerprint, back.notes) == (stored["fingerprint"], imported.dataset.notes[3:])
    with pytest.raises(BenchError, match="holds a data set 'shop' already; give another --name, or --force"):
        write(imported, tmp_path / "shop")
    write(imported, tmp_path / "shop", force=True)


def test_a_catalogue_that_nobody_named_and_that_does_not_fit_is_left_out_and_said(tmp_path: Path) -> None:
    """It may be another data set's; whoever names it, or asks for its columns, means it."""
    items = put(tmp_path, "products.json", json.dumps([{"sku": f"x{key}", "title": "t"} for key in TITLES]))
    path = put(tmp_path, "clicks.csv", lines(HEADER, *ROWS))
    imported = read([path], Options(), "shop")
    assert imported.dataset.items.text == {}
    (note,) = (note for note in imported.dataset.notes if "text" in note)
    assert note == (
        "items have no text: none of them is in 'products.json' beside the file: ids are '000' here, 'x000' there"
    )
    assert [source["file"] for source in imported.described["sources"]] == ["clicks.csv"]
    for options in (Options(items=(items,)), Options(fields=("title",))):
        with pytest.raises(BenchError, match=r"none of the 9 items is in 'products\.json': ids are '000' here"):
            read([path], options, "shop")


@pytest.mark.parametrize(
    ("name", "content", "options", "said"),
    [
        (
            "x.csv",
            lines(("kunde", "artikel"), ("u", "a")),
            {},
            r"no column of users or items among kunde, artikel; name",
        ),
        ("x.csv", lines(("user", "artikel"), ("u", "a")), {}, "no column of items among user, artikel"),
        (
            "x.csv",
            lines(HEADER, ("u", "a", 1)),
            {"user": "usr"},
            r"unknown column --user 'usr'; did you mean 'user_id'\?",
        ),
        ("x.csv", lines(("user", "User", "item"), ("u", "v", "a")), {}, "user and User may both be the user; name one"),
        ("x.csv", lines(HEADER, ("u", "a", 1), ("u", "b")), {}, r"x\.csv, line 3: 2 cells where the header has 3"),
        ("x.csv", 'user,item,time\nu,"a\nb",1\nu,b,2,3\n', {}, r"line 4: 4 cells where the header has 3"),
        (
            "x.csv",
            lines(HEADER, ("u", "a"), ("u", "b", 2), ("u", "c"), ("u", "d", 1, 2)),
            {},
            r"line 2: 2 cells where the header has 3; the same in lines 4, 5; correct or remove them$",
        ),
        ("x.csv", lines(HEADER, *[("u", "a")] * 40), {}, r"line 2: .*; the same in lines 3, 4, .*, 11, …; correct"),
        ("x.csv", 'user,item,time\nu,b,1\nu,"a,1\n' + "u,b,2\n" * 50, {}, "line 3: 2 cells .*; a quotation mark in it"),
        ("x.csv", 'user,item,time\nu,b,1\nu,"a,1\n' + "u,b,2\n" * 50_000, {}, "line 3: .*; a quotation mark in it"),
        (
            "x.csv",
            lines(HEADER, ("u", "a", "5/6/2024")),
            {},
            r"row 1: time '5/6/2024'; expected a number or an ISO date",
        ),
        ("x.csv", lines(HEADER, ("u", "a", 1), ("u", "b", "x")), {}, r"row 2: time 'x'; expected a finite number"),
        ("x.csv", lines(HEADER, ("u", "a", NOW), ("u", "b", NOW * 1000)), {}, "the column mixes seconds"),
        ("x.csv", lines(HEADER), {}, "no interaction is left of 0 rows"),
        ("x.csv", lines(HEADER, ("", "a", 1)), {}, "no interaction is left of 1 row: 1 without a user"),
        ("x.csv", "just one column\nof words\n", {}, "is not read: it is no table"),
        ("x.json", "[5]", {}, "is not read: it holds no records"),
        ("x.json", '{"a": 5}', {}, "no interactions found: 'x.json': it is a catalogue"),
        ("x.json", '{"a": [1], "a": [2]}', {}, "has the key 'a' twice"),
        ("x.json", '{"a": [1}', {}, "is not valid JSON"),
        ("x.json", '{"a": [{"b": 1}]}', {}, "user 'a' must have a flat list of items"),
        (
            "x.json",
            '{"events": [{"b": 1, "c": 2}]}',
            {},
            "no column of users or items among b, c; name its columns with",
        ),
        (
            "x.json",
            '{"events": [{"u": 1, "i": 2}], "items": [{"id": 2, "title": "t"}]}',
            {},
            "holds several tables, 'events' and 'items': write each to a file of its own",
        ),
        ("x.jsonl", '{"user": "u", "item": "a"}\n{"user": \n', {}, r"x\.jsonl, line 2: neither a JSON object nor"),
        ("x.jsonl", '{"user": "u", "item": "a"}\n[1]\n', {}, r"line 2: .*found a list"),
        ("x.parquet", b"PAR1 and nothing", {}, r"x\.parquet' is corrupt"),
        ("x.txt", "u a b\nu c d\n", {}, "is not read|has a line already"),
        ("x.csv", lines(HEADER, ("u\tv", "a", 1)), {}, ""),
        ("x.csv", "sep=;\nuser;item\nu;a\nu\n", {}, r"line 4: 1 cells where the header has 2$"),
        (
            "x.jsonl",
            '{"user": {"id": "u"}, "item": "a"}\n' * 2,
            {},
            r"column 'user': \{'id': 'u'\} is no id; expected a text",
        ),
        ("x.json", '[{"user": "u", "item": ["a", "b"]}]', {}, r"column 'item': \['a', 'b'\] is no id"),
        (
            "x.csv",
            lines(("kunde", "item"), ("u", "a")),
            {},
            r"no column of users is among kunde, item \(name its columns",
        ),
        (
            "items.csv",
            lines(("item", "title"), ("a", "A")),
            {},
            r"no interactions found: 'items\.csv': it is a catalogue",
        ),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, name: str, content: Any, options: dict[str, str], said: str) -> None:
    path = put(tmp_path, name, content)
    if not said:
        with pytest.raises(BenchError, match="holds a tab, a line break or a NUL"):
            write(read([path]), tmp_path / "out")
        return
    with pytest.raises(BenchError, match=said) as caught:
        read([path], Options(Roles(**options)))
    assert "\n" not in str(caught.value)


def test_files_that_do_not_fit_together_are_one_line(tmp_path: Path) -> None:
    log = put(tmp_path, "x.csv", lines(HEADER, ("u", "7", 1)))
    with pytest.raises(BenchError, match=r"none of the 1 items is in 'i\.csv': ids are '7' here, 'x' there"):
        read([log, put(tmp_path, "i.csv", lines(("item", "title"), ("x", "A")))])
    with pytest.raises(BenchError, match="'7' here may be '007' there: write ids as the same text in both files"):
        read([log, put(tmp_path, "i.csv", lines(("item", "title"), ("x", "A"), ("007", "A")))])
    undated = put(tmp_path, "y.csv", lines(("user", "item"), ("u", "7")))
    with pytest.raises(BenchError, match=r"'x\.csv' has time stamps and 'y\.csv' has none"):
        read([log, undated])
    dated = put(tmp_path, "z.csv", lines(HEADER, ("u", "7", "2024-01-31")))
    with pytest.raises(BenchError, match="some time stamps are dates and some are numbers"):
        read([log, dated])
    with pytest.raises(BenchError, match="--fields title: there is no file of items"):
        read([log], Options(fields=("title",)))
    (tmp_path / "empty").mkdir()
    with pytest.raises(BenchError, match="holds no file"):
        read([tmp_path / "empty"])
    with pytest.raises(BenchError, match="unknown rule for --duplicates 'frist'; did you mean 'first'"):
        Options(duplicates="frist")  # type: ignore[arg-type]
    rated = lines(("user", "item", "rating"), ("u", "a", ""), ("u", "a", "4"), ("u", "a", "4,5"), between=";")
    rated_file = put(tmp_path, "r.csv", rated)
    with pytest.raises(BenchError, match=r"--min-rating needs ratings that are numbers, such as 4\.5; got '4,5'$"):
        read([rated_file], Options(min_rating=2))


def test_a_least_rating_needs_ratings(tmp_path: Path) -> None:
    (tmp_path / "clicks.csv").write_text("user,item,time\nu,a,1\nu,b,2\n")
    with pytest.raises(BenchError, match=r"--min-rating needs a column of ratings, and 'clicks\.csv' has none"):
        store([tmp_path / "clicks.csv"], Options(min_rating=4.0), "", tmp_path / "data", False)


def test_an_import_takes_no_published_name(tmp_path: Path) -> None:
    (tmp_path / "toys.csv").write_text("user,item,time\nu,a,1\nu,b,2\n")
    with pytest.raises(BenchError, match="'toys' is the name of a published or an installed data set"):
        store([tmp_path / "toys.csv"], Options(), "", tmp_path / "data", False)


def test_an_import_never_replaces_its_own_source(tmp_path: Path) -> None:
    raw = tmp_path / "data" / "shop" / "shop.csv"
    raw.parent.mkdir(parents=True)
    raw.write_text("user,item,time\nu,a,1\nu,b,2\n")
    with pytest.raises(BenchError, match="which would be replaced; give another name with --name"):
        store([raw], Options(), "", tmp_path / "data", True)
    assert raw.read_text().startswith("user,")


def test_a_table_with_text_that_is_no_utf_8_is_one_line(tmp_path: Path) -> None:
    """A bit that flipped, for instance: Parquet has no digest of its text."""
    path = tmp_path / "x.parquet"
    frame = pd.DataFrame({"user": ["u1", "u2"], "item": ["word", "other"], "time": [1, 2]})
    frame.to_parquet(path, compression=None)
    path.write_bytes(path.read_bytes().replace(b"word", b"w\xffrd"))
    with pytest.raises(BenchError, match=r"x\.parquet' is corrupt: .*UTF8"):
        read([path])


@pytest.mark.parametrize("item", [{"id": "a"}, ["a", "b"]])
def test_an_id_that_holds_others_is_refused_in_a_table_too(tmp_path: Path, item: object) -> None:
    path = tmp_path / "x.parquet"
    pd.DataFrame({"user": ["u1"], "item": [item], "time": [1]}).to_parquet(path)
    with pytest.raises(BenchError, match=r"x\.parquet', column 'item': .* is no id; expected a text or a number"):
        read([path])


def test_what_a_spreadsheet_has_changed_is_said(tmp_path: Path) -> None:
    """Rounded time stamps, none that became 0, and ids that have lost their zeros."""
    put(tmp_path, "items.csv", lines(("item", "title"), ("1", "A"), ("b", "B")))
    rounded = put(tmp_path, "x.csv", lines(HEADER, ("u", "001", "1.71E+09"), ("u", "b", "1.71E+09")))
    notes = read([rounded]).dataset.notes
    assert "time stamps look rounded by a spreadsheet, such as '1.71E+09': what came first may be lost" in notes
    assert any("1 of 2 items are not in" in note and "'001' here may be '1' there" in note for note in notes)
    zeros = put(tmp_path, "y.csv", lines(HEADER, ("u", "a", NOW), ("u", "b", 0), ("u", "c", NOW + 1)))
    assert "1 time stamps are 0, the year 1970: these rows come first; take them out if it means none" in (
        read([zeros], Options(items=(tmp_path / "items.csv",))).dataset.notes
    )
    positions = put(tmp_path, "z.csv", lines(HEADER, ("u", "a", 0), ("u", "b", 1)))
    assert not any("1970" in note for note in read([positions]).dataset.notes)
    path = put(tmp_path, "w.csv", lines(HEADER, ("u", "null", 1), ("u", "NaN", 2), ("u", "b", 3)))
    assert any(
        note.startswith("'NaN', 'null' are read as ids of items like any") for note in read([path]).dataset.notes
    )
