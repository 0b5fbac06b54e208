"""Files as programs export them: what a spreadsheet, pandas, Spark, MongoDB or a database does to ids, times and text
is undone and said, or refused in one line.
"""

from __future__ import annotations

import datetime
import decimal
import io
import json
import math
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.data.dataset import Dataset
from bench.data.formats.columns import Roles
from bench.data.importing import Options, read
from bench.errors import BenchError

NOW = 1_600_000_000
ROWS = [("u", "a", NOW), ("u", "b", NOW + 1), ("v", "b", NOW + 2)]
SAME = {"u": ["a", "b"], "v": ["b"]}
HEADER = "user_id,item_id,timestamp\n"
BODY = "".join(f"{user},{item},{time}\n" for user, item, time in ROWS)
PAIRS = "".join(f"{user},{item}\n" for user, item, _ in ROWS)


def sequences(dataset: Dataset) -> dict[str, list[str]]:
    return {
        user: [dataset.items.ids[item] for item in dataset.sequences[row]] for row, user in enumerate(dataset.users)
    }


def put(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def parquet(folder: Path, **columns: Any) -> Path:
    whole = {"user_id": ["u", "u", "v"], "item_id": ["a", "b", "b"], "timestamp": [NOW, NOW + 1, NOW + 2], **columns}
    pq.write_table(pa.table(whole), folder / "x.parquet")
    return folder / "x.parquet"


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ("\n\n" + HEADER + BODY, ""),
        ("# exported on Monday\n" + HEADER + BODY, "'x.csv' begins with a line of comment: skipped"),
        ("% bip, weighted\n% 3, 2, 2\n" + HEADER + BODY, "'x.csv' begins with 2 lines of comment: skipped"),
        ("# who, what, when\n" + HEADER + BODY, "'x.csv' begins with a line of comment: skipped"),
        ("#" + HEADER + BODY, ""),
        ('user_id,item_id,"time\nstamp"\n' + BODY, "columns: user_id as user, item_id as item, time stamp as time"),
        (HEADER + BODY + HEADER + BODY, "1 line within the rows name the columns again: skipped"),
        ("user_id,item_id\n" + PAIRS + "user_id,item_id\n", "1 line within the rows name the columns again: skipped"),
        ("\nuser_id,item_id\n" + PAIRS, ""),
        (HEADER + "\\N,a,5\nu,\\N,5\nu,a,\\N\n" + BODY, "1 row without a user: skipped"),
        ((HEADER + BODY).replace(",", ", "), "item ids have white space at their ends, all alike, such as ' a': read"),
        (
            (HEADER + BODY).replace(",a,", ",a  ,").replace(",b,", ",b  ,"),
            "item ids have white space at their ends, all",
        ),
    ],
)
def test_lines_that_are_no_rows_and_blanks_between_cells(tmp_path: Path, content: str, note: str) -> None:
    dataset = read([put(tmp_path, "x.csv", content)]).dataset
    assert sequences(dataset) == SAME
    assert note in "; ".join(dataset.notes)
    assert note or not any("comment" in said or "again" in said for said in dataset.notes)


def test_a_wrong_line_below_comments_is_called_by_its_number(tmp_path: Path) -> None:
    content = "# it's \"mine\n\n" + HEADER + BODY + "u,a\n"
    with pytest.raises(BenchError, match=r"x\.csv, line 7: 2 cells where the header has 3"):
        read([put(tmp_path, "x.csv", content)])
    lines = HEADER + BODY + HEADER + "u,b,soon\n"
    with pytest.raises(BenchError, match=r"x\.csv, row 5: time 'soon'"):
        read([put(tmp_path, "x.csv", lines)])


def test_ids_that_begin_with_the_sign_of_comments_are_ids(tmp_path: Path) -> None:
    path = put(tmp_path, "x.csv", "#x1,a,5\nv,b,6\n")
    assert sequences(read([path], Options(Roles("1", "2", "3"))).dataset) == {"#x1": ["a"], "v": ["b"]}


@pytest.mark.parametrize("again", ["user_id", "item_id", "timestamp"])
def test_two_columns_of_one_name_are_not_chosen_between(tmp_path: Path, again: str) -> None:
    content = f"user_id,item_id,timestamp,{again}\nu,a,5,z\n"
    role = {"user_id": "user", "item_id": "item", "timestamp": "time"}[again]
    table = pa.table([["u"], ["a"], [5], ["z"]], names=["user_id", "item_id", "timestamp", again])
    pq.write_table(table, tmp_path / "x.parquet")
    for path in (put(tmp_path, "x.csv", content), tmp_path / "x.parquet"):
        with pytest.raises(BenchError, match=rf"{again} and {again} \(column 4\) may both be the {role}; name one"):
            read([path])
        chosen = Options(Roles(**{role: f"{again} (column 4)"}))
        if role != "time":
            assert "z" in str(sequences(read([path], chosen).dataset))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_two_columns_of_one_name_that_is_not_read(tmp_path: Path, ending: str) -> None:
    """Ratings without ``--min-rating``, and what says nothing of an interaction, are read by nobody."""
    names = ["user", "note", "item", "rating", "time", "rating", "note"]
    rows = [("u", "x y", item, 1, stamp, 5, "p") for item, stamp in (("a", 5), ("b", 6))]
    path = tmp_path / f"x.{ending}"
    put(tmp_path, "x.csv", "".join(",".join(map(str, row)) + "\n" for row in (names, *rows)))
    pq.write_table(pa.table([list(column) for column in zip(*rows, strict=True)], names=names), tmp_path / "x.parquet")
    dataset = read([path]).dataset
    assert sequences(dataset) == {"u": ["a", "b"]}
    for name in ("note", "rating"):
        assert f"'{path.name}' has several columns '{name}': none is read" in dataset.notes
    with pytest.raises(BenchError, match=r"rating and rating \(column 6\) may both be the rating; name one with --rat"):
        read([path], Options(min_rating=3))
    dataset = read([path], Options(Roles(rating="rating (column 6)"), min_rating=3)).dataset
    assert sequences(dataset) == {"u": ["a", "b"]}
    assert f"'{path.name}' has several columns 'rating': 'rating (column 6)' alone is read" in dataset.notes


def test_two_columns_of_time_where_none_is_asked_for(tmp_path: Path) -> None:
    path = put(tmp_path, "x.csv", "user,item,time,time\nu,b,5,6\nu,a,4,5\n")
    assert sequences(read([path], Options(Roles(time="none"))).dataset) == {"u": ["b", "a"]}


def test_texts_of_two_columns_of_one_name_in_parquet(tmp_path: Path) -> None:
    """They are told apart as those of a table in text are."""
    table = pa.table([["x", "y"], ["a", "b"], ["p", "q"]], names=["note", "item", "note"])
    pq.write_table(table, tmp_path / "items.parquet")
    found = read([put(tmp_path, "x.csv", "user,item\nu,a\nu,b\n"), tmp_path / "items.parquet"]).dataset
    assert found.items.text == {"note": ("x", "y"), "note (column 3)": ("p", "q")}


def test_quotation_marks_behind_backslashes(tmp_path: Path) -> None:
    log = put(tmp_path, "x.csv", HEADER + BODY)
    items = 'item_id,title,brand\na,"an \\"odd, old\\" thing",A\nb,"8\\"",B\n'
    dataset = read([log, put(tmp_path, "items.csv", items)]).dataset
    assert dataset.items.text["title"] == ('an "odd, old" thing', '8"')
    assert "'items.csv' has backslashes before quotation marks: taken out" in dataset.notes
    put(tmp_path, "items.csv", 'item_id,title,brand\na,"a ""thing"" in C:\\",A\nb,"C:\\x",B\n')
    assert read([log, tmp_path / "items.csv"]).dataset.items.text["title"] == ('a "thing" in C:\\', "C:\\x")


def test_cells_that_say_that_there_is_nothing_are_no_text(tmp_path: Path) -> None:
    """As the titles of many items would be one identifier; a title that one item alone has may be real."""
    log = put(tmp_path, "x.csv", "user_id,item_id\nu,a\nu,b\nu,c\nu,d\nu,e\n")
    items = put(tmp_path, "items.csv", "item_id,title\na,nan\nb,nan\nc,\\N\nd,\\N\ne,None\n")
    dataset = read([log, items]).dataset
    assert dataset.items.text == {"title": ("", "", "", "", "None")} or dataset.items.text == {}
    put(tmp_path, "items.csv", "item_id,title\na,nan\nb,nan\nc,\\N\nd,\\N\ne,A toy\n")
    dataset = read([log, items]).dataset
    assert dataset.items.text == {"title": ("", "", "", "", "A toy")}
    assert "4 texts in 'items.csv' are 'nan', '\\N': read as none" in dataset.notes


def test_numbers_that_json_has_none_for(tmp_path: Path) -> None:
    records = [
        {"user_id": math.nan, "item_id": "a", "timestamp": 5},
        *({"user_id": "u", "item_id": item, "timestamp": 5} for item in "ab"),
    ]
    path = put(tmp_path, "x.json", json.dumps(records))
    put(tmp_path, "items.json", json.dumps([{"item_id": "a", "title": math.nan}, {"item_id": "b", "title": "B"}]))
    dataset = read([path]).dataset
    assert (dataset.users, dataset.items.text) == (("u",), {"title": ("", "B")})


def test_types_that_mongodb_writes(tmp_path: Path) -> None:
    records = [
        {"user": {"$oid": user}, "item": {"$numberLong": item}, "createdAt": {"$date": {"$numberLong": str(time)}}}
        for user, item, time in (("u", "7", NOW), ("u", "8", NOW + 1))
    ]
    path = put(tmp_path, "x.json", "".join(json.dumps(record) + "\n" for record in records))
    assert sequences(read([path]).dataset) == {"u": ["7", "8"]}


def test_floating_numbers_of_a_table(tmp_path: Path) -> None:
    """A gap makes numbers floats, and floats hold fewer digits than ids and time stamps have."""
    gap = read([parquet(tmp_path, user_id=[7.0, math.nan, 8.0], timestamp=[5.0, 6.0, 7.0])]).dataset
    assert sequences(gap) == {"7": ["a"], "8": ["b"]}
    assert "1 row without a user: skipped" in gap.notes
    late = read([parquet(tmp_path, timestamp=[5.0, math.nan, 7.0])]).dataset
    assert sequences(late) == {"u": ["a"], "v": ["b"]}
    for wrong in (np.array([76561198000000001] * 3, np.float64), np.array([1 << 25] * 3, np.float32)):
        with pytest.raises(BenchError, match=r"column 'user_id': .* floating number with more digits than it can hold"):
            read([parquet(tmp_path, user_id=wrong)])
    for bits, stamps in ((32, np.array([NOW, 5, 6], np.float32)), (16, np.array([5, 4000, 6], np.float16))):
        with pytest.raises(BenchError, match=f"time '.*'; {bits}-bit floating numbers above 2.* have lost their order"):
            read([parquet(tmp_path, timestamp=stamps)])


def test_types_of_a_table_that_are_no_ids_and_no_times(tmp_path: Path) -> None:
    raw = pa.array([b"\xff\xfe", b"\xfe\xff", b"\xff\xfe"], pa.binary(2))
    for kind in (pa.binary(2), pa.binary(), pa.large_binary()):
        with pytest.raises(BenchError, match="column 'item_id' holds bytes that are no text"):
            read([parquet(tmp_path, item_id=raw.cast(kind))])
    hours = [datetime.time(9), datetime.time(10), datetime.time(11)]
    for clock in (pa.time32("s"), pa.time64("us")):
        with pytest.raises(BenchError, match="time '09:00:00'; a time of day says no date"):
            read([parquet(tmp_path, timestamp=pa.array(hours, clock))])
    numbers = pa.array([decimal.Decimal(7), decimal.Decimal(8), decimal.Decimal(8)], pa.decimal128(38, 9))
    assert read([parquet(tmp_path, item_id=numbers)]).dataset.items.ids == ("7", "8")


@pytest.mark.parametrize("cell", ["[1, 2]", "['a', 'b']", '["a"]'])
def test_a_list_in_a_cell_is_no_id(tmp_path: Path, cell: str) -> None:
    table = f"user_id|item_id\nu|{cell}\nv|{cell}\n"
    with pytest.raises(BenchError, match=r"column 'item_id': \[.*\] is a list and no id; write a row for each"):
        read([put(tmp_path, "x.csv", table)])
    assert read([put(tmp_path, "x.csv", table.replace("v|" + cell, "v|[REC]"))]).dataset.items.ids == (cell, "[REC]")


def test_ids_that_are_one_number_or_one_word_are_told_apart_and_said(tmp_path: Path) -> None:
    one = put(tmp_path, "x.csv", HEADER + "u,7.0,5\nu,008,6\nu,caf\u00e9,7\n")
    other = put(tmp_path, "y.csv", HEADER + "u,7,8\nu,8,9\nu,cafe\u0301,10\n")
    notes = [note for note in read([one, other]).dataset.notes if "spelling" in note]
    assert len(notes) == 1
    assert notes[0].startswith("3 item ids differ from another in the spelling of one number or of letters alone")
    marks = put(tmp_path, "z.csv", HEADER + "u,caf\u00e9,7\n")
    items = put(tmp_path, "items.csv", "item_id,title\ncafe\u0301,A\n")
    with pytest.raises(BenchError, match=r"'caf\\xe9' here may be 'cafe\\u0301' there: write ids as the same text"):
        read([marks, items])


def test_a_catalogue_is_mended_as_the_interactions_are(tmp_path: Path) -> None:
    log = put(tmp_path, "x.csv", HEADER + "u,7.0,5\nu,8.0,6\n")
    items = put(tmp_path, "items.csv", "item_id,title\n7.0,A\n8.0,B\n")
    dataset = read([log, items]).dataset
    assert dataset.items.text == {"title": ("A", "B")}
    assert sum("written with '.0'" in note for note in dataset.notes) == 2


def test_times_that_cannot_be_told(tmp_path: Path) -> None:
    hours = "user_id,item_id,date,time\nu,a,20240101,235959\nu,b,20240102,1\n"
    with pytest.raises(BenchError, match="'time' holds small numbers, which may be the time of day, and 'date' may be"):
        read([put(tmp_path, "x.csv", hours)])
    assert sequences(read([tmp_path / "x.csv"], Options(Roles(time="date"))).dataset) == {"u": ["a", "b"]}
    assert sequences(read([tmp_path / "x.csv"], Options(Roles(time="time"))).dataset) == {"u": ["b", "a"]}
    zones = put(tmp_path, "y.csv", HEADER + "u,a,2024-01-01T10:00:00+05:00\nu,b,2024-01-01T08:00:00\n")
    assert "some dates name a time zone and some do not: those are read as UTC" in read([zones]).dataset.notes
    naive = put(tmp_path, "z.csv", HEADER + "u,a,2024-01-01 10:00:00\nu,b,2024-01-01 08:00:00\n")
    assert not any("zone" in note for note in read([naive]).dataset.notes)
    with pytest.raises(BenchError, match="row 2: time '9999-12-31'; expected dates from 1678 to 2261"):
        read([put(tmp_path, "w.csv", HEADER + "u,a,2024-01-01\nu,b,9999-12-31\n")])
    with pytest.raises(BenchError, match=r"the column mixes seconds .* and days as YYYYMMDD|mixes days as YYYYMMDD"):
        read([put(tmp_path, "v.csv", HEADER + f"u,a,{NOW}.5\nu,b,20240101\n")])


def test_lines_of_ids_say_whose_they_are(tmp_path: Path) -> None:
    path = put(tmp_path, "x.txt", "11 12 13\n14 15 16\n")
    assert "'x.txt': the first id on each line is read as the user, those after it as items in order" in (
        read([path]).dataset.notes
    )
    table = put(tmp_path, "y.txt", "".join(f"{row % 150} {row % 7} {NOW + row}\n" for row in range(300)))
    with pytest.raises(BenchError, match=r"user '0' has a line already, .*; in a table, part the cells by tabs or"):
        read([table])


def test_packed_and_wide_files(tmp_path: Path) -> None:
    assert sequences(read([put(tmp_path, "x.csv", (HEADER + BODY).encode("utf-32"))]).dataset) == SAME
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("x.csv"), io.BytesIO())
    with pytest.raises(BenchError, match=r"x\.tar\.gz' is a TAR archive; unpack it"):
        read([put(tmp_path, "x.tar.gz", made.getvalue())])
    with pytest.raises(
        BenchError, match=r"among ann, doll; name its columns with .*, or add a header if that is a row"
    ):
        read([put(tmp_path, "y.csv", "ann,doll\nbob,ball\n")])


FRAME = pd.DataFrame(ROWS, columns=["user_id", "item_id", "timestamp"])
THINGS = pd.DataFrame({"item_id": ["b", "a"], "title": ["a ball", "a doll"]})


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("way", ["columns", "index", "split", "table", "list", "wrapped"])
def test_a_table_that_one_json_object_holds(tmp_path: Path, way: Any, indent: int | None) -> None:
    """Pandas' own default among them, which reads as a map from the names of the columns."""

    def text(frame: pd.DataFrame) -> str:
        made = {"list": frame.to_dict("list"), "wrapped": {"count": 3, "data": frame.to_dict("records")}}
        return json.dumps(made[way] if way in made else json.loads(frame.to_json(orient=way)), indent=indent)

    log, items = put(tmp_path, "x.json", text(FRAME)), put(tmp_path, "items.json", text(THINGS))
    dataset = read([log, items]).dataset
    assert sequences(dataset) == SAME
    assert dataset.items.text == {"title": ("a doll", "a ball")}


def test_maps_of_users_and_of_items_stay_what_they_are(tmp_path: Path) -> None:
    path = put(tmp_path, "x.json", json.dumps({"0": ["a", "b"], "1": ["b"], "data": ["a"]}))
    put(tmp_path, "items.json", json.dumps({"a": {"title": "a doll"}, "b": {"title": "a ball"}}))
    dataset = read([path]).dataset
    assert sequences(dataset) == {"0": ["a", "b"], "1": ["b"], "data": ["a"]}
    assert dataset.items.text == {"title": ("a doll", "a ball")}


def test_dates_of_shops_and_spreadsheets(tmp_path: Path) -> None:
    rows = "u,a,2024-01-01 10:00:00 +0100\nu,b,2024-01-01 9:30\nu,c,2024-01-01 09:15:00 +00:00\n"
    assert sequences(read([put(tmp_path, "x.csv", HEADER + rows)]).dataset) == {"u": ["a", "c", "b"]}


def test_no_rating_of_a_database(tmp_path: Path) -> None:
    path = put(tmp_path, "x.csv", "user_id,item_id,rating\nu,a,\\N\nu,b,5\n")
    assert sequences(read([path], Options(min_rating=4)).dataset) == {"u": ["b"]}


@pytest.mark.parametrize("name", ["events", "interactions"])
def test_events_under_a_name(tmp_path: Path, name: str) -> None:
    """Their fields may be short, or be told with options; a record of its own may have events within."""
    events = [{"u": user, "i": item, "ts": time} for user, item, time in ROWS]
    content = json.dumps({"count": 3, name: events})
    assert sequences(read([put(tmp_path, "x.json", content)]).dataset) == SAME
    empty = json.dumps({"items": [], name: events})
    assert sequences(read([put(tmp_path, "x.json", empty)]).dataset) == SAME
    strange = content.replace('"u":', '"who":').replace('"i":', '"what":').replace('"ts":', '"at":')
    chosen = Options(Roles("who", "what", "at"))
    assert sequences(read([put(tmp_path, "x.json", strange)], chosen).dataset) == SAME
    one = json.dumps({"user": "u", "item": "a", "data": [{"b": 1}]})
    assert sequences(read([put(tmp_path, "x.jsonl", one)]).dataset) == {"u": ["a"]}


def test_a_large_table_in_parquet_says_so_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A few kilobytes may unfold to millions of rows; columns that nobody needs are not unfolded."""
    rows = {"user": ["u"] * 5, "item": list("abcde"), "note": ["x" * 1000] * 5, "other": [1] * 5}
    pq.write_table(pa.table(rows), tmp_path / "x.parquet")
    read([tmp_path / "x.parquet"])
    assert capsys.readouterr().err == ""
    asked: list[list[str]] = []
    whole = pq.ParquetFile.iter_batches
    monkeypatch.setattr("bench.data.formats.records.LARGE", 5)
    monkeypatch.setattr(
        pq.ParquetFile,
        "iter_batches",
        lambda file, columns, **more: asked.append(columns) or whole(file, columns=columns),
    )
    read([tmp_path / "x.parquet"])
    assert capsys.readouterr().err == "'x.parquet' has 5 rows, of which 2 of 4 columns are read\n"
    assert asked == [["user", "item"]]
