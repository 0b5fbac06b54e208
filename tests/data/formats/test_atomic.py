"""Atomic files: equal to a slow reading whatever the order of rows, and a clear line for whatever is wrong."""

from __future__ import annotations

import hashlib
import random
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.dataset import Dataset, ItemTable
from bench.data.formats import read_atomic, write_atomic
from bench.errors import BenchError

Row = tuple[str, str, str]
INTER = "user_id:token\titem_id:token\ttimestamp:float"
ITEM = "item_id:token\ttitle:token_seq\tprice:float\tbrand:token"
TIMES = st.sampled_from(["1", "2", "2.0", "2.5", "1e3", "-4", "881250949"])
LOGS = st.lists(st.tuples(st.sampled_from("uvw"), st.sampled_from("abcdefg"), TIMES), min_size=1, max_size=25)
CELL = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\t\n\r\0<&"), max_size=6)


def write(folder: Path, rows: list[Row] | str, items: str | None = None, header: str = INTER) -> Path:
    body = rows if isinstance(rows, str) else "".join("\t".join(row) + "\n" for row in rows)
    (folder / "d.inter").write_bytes(f"{header}\n{body}".encode())
    if items is not None:
        (folder / "d.item").write_bytes(items.encode())
    return folder


def read(rows: list[Row], items: str | None = None) -> Dataset:
    with TemporaryDirectory() as folder:
        return read_atomic(write(Path(folder), rows, items))


def contents(dataset: Dataset) -> tuple[object, ...]:
    rows = [dataset.sequences[user].tolist() for user in range(len(dataset.users))]
    return dataset.users, dataset.items.ids, dict(dataset.items.text), rows, dataset.times.tolist(), dataset.fingerprint


def slow_sequences(rows: list[Row]) -> dict[str, list[tuple[str, float]]]:
    """Items and times of each user, by time and then by BLAKE2b of user, NUL, item."""

    def key(row: Row) -> tuple[float, bytes]:
        return float(row[2]), hashlib.blake2b(f"{row[0]}\0{row[1]}".encode(), digest_size=8).digest()

    users = sorted({row[0] for row in rows})
    return {user: [(row[1], float(row[2])) for row in sorted(rows, key=key) if row[0] == user] for user in users}


@settings(deadline=None)
@given(LOGS, st.randoms(use_true_random=False))
def test_equals_a_slow_reading_in_any_order_of_rows(rows: list[Row], shuffler: random.Random) -> None:
    items = [f"{item}\ttitle of {item}\t1\t{item.upper()}\n" for item in "abcdez"]
    dataset = read(rows, ITEM + "\n" + "".join(items))
    found = {
        user: [(dataset.items.ids[item], stamp) for item, stamp in zip(dataset.sequences[row], times, strict=True)]
        for row, (user, times) in enumerate(
            zip(dataset.users, np.split(dataset.times, dataset.sequences.offsets[1:-1]), strict=True)
        )
    }
    assert found == slow_sequences(rows)
    assert list(dataset.users) == sorted(found)
    assert list(dataset.items.ids) == sorted({row[1] for row in rows})
    shuffler.shuffle(rows)
    shuffler.shuffle(items)
    assert contents(read(rows, ITEM + "\n" + "".join(items))) == contents(dataset)


@settings(deadline=None)
@given(LOGS, st.data())
def test_what_is_written_reads_back_the_same(rows: list[Row], data: st.DataObject) -> None:
    ids = sorted({row[1] for row in rows})
    text = {name: tuple(data.draw(CELL) for _ in ids) for name in data.draw(st.sampled_from(["", "t", "tu"]))}
    bare = read(rows)
    dataset = Dataset("d", bare.users, ItemTable(bare.items.ids, text), bare.sequences, bare.times)
    with TemporaryDirectory() as folder:
        write_atomic(dataset, Path(folder) / "new")
        assert contents(read_atomic(Path(folder) / "new")) == contents(dataset)


def test_text_is_what_stands_there(tmp_path: Path) -> None:
    """Quotation marks, "NA", "nan" and line separators of other alphabets are text; prices are not."""
    rows = [("NA", "nan", "1"), ("null", "07", "2"), ("NA", '"x', "3"), ("NA", "1e5", "4")]
    items = f'{ITEM}\nnan\tNA\t1\tnull\n07\t"8"" Doll\t2\t\n"x\t a\u2028b\r \t3\té\n1e5\tNaN\t4\t"\n'
    dataset = read_atomic(write(tmp_path, rows, items))
    assert (dataset.name, dataset.users, dataset.items.ids) == ("d", ("NA", "null"), ('"x', "07", "1e5", "nan"))
    assert dataset.items.text == {"title": (" a\u2028b\r ", '"8"" Doll', "NaN", "NA"), "brand": ("é", "", '"', "null")}
    assert list(dataset.items.text) == ["title", "brand"]
    assert dataset.notes == ()


def test_windows_line_ends_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    plain = read([("u", "a", "1"), ("u", "b", "2")], f"{ITEM}\na\tA\t1\tx\nb\tB\t2\ty\n")
    (tmp_path / "d.inter").write_bytes(f"\ufeff{INTER}\nu\ta\t1\nu\tb\t2\n\n".replace("\n", "\r\n").encode())
    (tmp_path / "d.item").write_bytes(f"\ufeff{ITEM}\na\tA\t1\tx\nb\tB\t2\ty".replace("\n", "\r\n").encode())
    assert contents(read_atomic(tmp_path)) == contents(plain)


def test_columns_in_another_order_and_further_columns_change_nothing(tmp_path: Path) -> None:
    header = "rating:float\ttimestamp:float\titem_id:token\tuser_id:token"
    dataset = read_atomic(write(tmp_path, "5\t2\tb\tu\n1\t1\ta\tu\n", header=header))
    assert contents(dataset) == contents(read([("u", "a", "1"), ("u", "b", "2")]))


def test_what_had_to_be_decided_is_noted() -> None:
    rows = [("u", "a", "1"), ("u", "a", "1"), ("u", "b", "1"), ("u", "a", "2"), ("v", "a", "1"), ("u", "a", "1.0")]
    repeated = "2 interactions repeat another (same user, item and time): kept"
    assert read(rows).notes == ("there is no d.item: items have no text", repeated)
    assert len(read(rows).times) == len(rows)
    known = f"{ITEM}\na\tA\t1\tx\ny\tY\t1\ty\nz\tZ\t1\tz\n"
    dataset = read(rows, known)
    assert dataset.notes == (
        "1 of 2 items are not in d.item: their text is empty",
        "2 items of d.item have no interaction: not in the catalogue",
        repeated,
    )
    assert dataset.items.text == {"title": ("A", ""), "brand": ("x", "")}


GOOD = "u\ta\t1\nu\tb\t2\n"


@pytest.mark.parametrize(
    ("inter", "message"),
    [
        ("", r"d\.inter is empty; expected a header with user_id, item_id, timestamp, and rows"),
        ("\n\n", r"d\.inter is empty"),
        (INTER, r"d\.inter, line 1: a header and no rows"),
        (f"{INTER}\n\n", r"d\.inter, line 1: a header and no rows"),
        (
            f"userid:token\titem_id:token\ttimestamp:float\n{GOOD}",
            r"got userid:token, .*is 'userid' meant to be 'user_",
        ),
        (
            f"user_id:token\titem_id:token\n{GOOD}",
            r"line 1: no column 'timestamp'; got user_id:token, item_id:token;",
        ),
        (
            f"{INTER.replace(chr(9), ',')}\n{GOOD}",
            r"no column 'item_id'; got user_id:token,item_id:token,tim.*; separate columns by tabs, not commas$",
        ),
        (f"{INTER}\tuser_id:token\nu\ta\t1\tu\n", r"line 1: a column occurs twice"),
        (f"{INTER}\tx\n", r"line 1: column 'x': unknown type ''; known: float"),
        (f"{INTER}\tx:tokens\n", r"column 'x': unknown type 'tokens'; did you mean 'token'"),
        (f"{INTER}\n{GOOD}u\tc\n", r"d\.inter, line 4: 2 cells where the header has 3"),
        (f"{INTER}\n{GOOD}u\tc\t1\t2\n", r"d\.inter, line 4: 4 cells where the header has 3"),
        (f"{INTER}\nu\ta\t1\n\n{GOOD}", r"d\.inter, line 3: 1 cells"),
        (f"{INTER}\n{GOOD}u\ta\0\t1\n", r"d\.inter, line 4: a NUL byte"),
        (f"{INTER}\n{GOOD}\ta\t1\n", r"d\.inter, line 4: an empty user_id"),
        (f"{INTER}\n{GOOD}u\t \t1\n", r"d\.inter, line 4: an empty item_id"),
        (f"{INTER}\n{GOOD}u\ta\t\n", r"d\.inter, line 4: timestamp ''; expected a finite number"),
        (f"{INTER}\n{GOOD}u\ta\tnan\n", r"line 4: timestamp 'nan'"),
        (f"{INTER}\n{GOOD}u\ta\t-inf\n", r"line 4: timestamp '-inf'"),
        (f"{INTER}\n{GOOD}u\ta\t2014-07-23\nu\ta\tx\n", r"line 4: timestamp '2014-07-23'"),
    ],
)
def test_bad_interactions_are_one_clear_line(tmp_path: Path, inter: str, message: str) -> None:
    (tmp_path / "d.inter").write_text(inter)
    with pytest.raises(BenchError, match=message) as caught:
        read_atomic(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("", r"d\.item is empty"),
        (ITEM, r"d\.item, line 1: a header and no rows"),
        ("itemid:token\ttitle:token\na\tA\n", r"d\.item, line 1: no column 'item_id'; .*is 'itemid' meant"),
        ("item_id:token\na\nb\na\nb\n", r"d\.item: item_id 'a' stands on lines 2, 4;"),
        (f"{ITEM}\na\tA\t1\tx\n\tB\t1\ty\n", r"d\.item, line 3: an empty item_id"),
        ("item_id:token\na\n\nb\n", r"d\.item, line 3: an empty item_id"),
        (f"{ITEM}\na\tA\t1\n", r"d\.item, line 2: 3 cells where the header has 4"),
    ],
)
def test_bad_item_files_are_one_clear_line(tmp_path: Path, item: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        read_atomic(write(tmp_path, GOOD, item))


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_another_encoding_is_named_with_its_first_wrong_byte(tmp_path: Path, encoding: str) -> None:
    text = f"{ITEM}\na\tCafé\t1\tx\n"
    write(tmp_path, GOOD)
    (tmp_path / "d.item").write_bytes(text.encode(encoding))
    position = text.index("é") if encoding == "latin-1" else 0
    with pytest.raises(BenchError, match=rf"d\.item is not UTF-8 at byte {position} \(0x"):
        read_atomic(tmp_path)


def test_a_folder_must_hold_the_file_that_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"asked for one \*\.inter file in '.*'; got nothing"):
        read_atomic(tmp_path)
    with pytest.raises(BenchError, match="which is not a folder"):
        read_atomic(tmp_path / "absent")
    write(tmp_path, GOOD)
    (tmp_path / "e.inter").write_text(f"{INTER}\nw\tz\t9\n")
    with pytest.raises(BenchError, match=r"got d\.inter, e\.inter; exactly one is needed"):
        read_atomic(tmp_path)
    with pytest.raises(BenchError, match=r"asked for f\.inter"):
        read_atomic(tmp_path, "f")
    assert read_atomic(tmp_path, "e").users == ("w",)


def test_ids_that_differ_by_white_space_alone_are_told() -> None:
    dataset = read([("u", "x", "1"), ("u", " x", "2"), ("v ", "y", "1"), ("v", " z", "2")])
    assert dataset.items.ids == (" x", " z", "x", "y")
    said = "ids differ from another by white space at their ends alone, such as"
    assert f"1 user {said} 'v ' and 'v': each is a different user" in dataset.notes
    assert f"1 item {said} ' x' and 'x': each is a different item" in dataset.notes


def test_a_failed_write_leaves_the_old_files_and_nothing_else(tmp_path: Path) -> None:
    dataset = read([("u", "a", "1")], "item_id:token\tt:token\na\told\n")
    write_atomic(dataset, tmp_path)
    torn = Dataset("d", dataset.users, ItemTable(("a",), {"t": ("two\nlines",)}), dataset.sequences, dataset.times)
    with pytest.raises(BenchError, match=r"d\.item: 'two\\nlines' holds a tab, a line break"):
        write_atomic(torn, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.inter", "d.item"]
    assert contents(read_atomic(tmp_path)) == contents(dataset)
    with pytest.raises(BenchError, match=r"d\.inter cannot be written"):
        write_atomic(dataset, tmp_path / "d.item")


LOST: list[Row] = [("y", "a", "0"), ("y", "b", "2")]
GAP = (("a", "0"), ("b", "2"), ("c", "9"))


def positions(*shared: str) -> list[list[Row]]:
    """Runs of 200 users whose time stamps are positions, and one for each word of items under the id ``x``."""
    runs = [[(f"u{user:03d}", item, str(at)) for at, item in enumerate("abc")] for user in range(200)]
    return [*runs, *([("x", item, str(at)) for at, item in enumerate(word)] for word in shared)]


def joined(runs: list[list[Row]]) -> list[Row]:
    return [row for run in runs for row in run]


def test_users_merged_under_one_id_are_parted_wherever_their_runs_stand() -> None:
    runs = positions("cab", "ab", "abc")
    dataset = read(joined(runs))
    assert dataset.users[-3:] == ("x", "x#2", "x#3")
    assert [dataset.sequences[user].tolist() for user in (200, 201, 202)] == [[0, 1], [0, 1, 2], [2, 0, 1]]
    assert dataset.notes[0] == "1 user ids stand for 3 users: each is a user of its own, named id, id#2, ..."
    random.Random(0).shuffle(runs)
    assert contents(read(joined(runs))) == contents(dataset)


def test_merged_users_whose_runs_are_lost_are_refused() -> None:
    rows = joined(positions("cab", "abc"))
    with pytest.raises(BenchError, match=r"line \d+: user_id 'x' has several items at one position"):
        read(rows[::-1])
    with pytest.raises(
        BenchError, match=r"line 602: user_id 'u005' has several .* each row of a user a position of its"
    ):
        read([*joined(positions()), ("u005", "z", "1")])


@pytest.mark.parametrize("rows", [joined(positions("cab", "abc"))[1:], [*joined(positions("cab", "abc")), *LOST]])
def test_a_user_who_has_lost_a_row_does_not_merge_others(rows: list[Row]) -> None:
    dataset = read(rows)
    assert {"x", "x#2"} <= set(dataset.users)
    assert dataset.notes[0].startswith("1 user ids stand for 2 users")


@pytest.mark.parametrize(
    "rows",
    [
        joined(positions("cab", "abc")[150:]),  # shared ids are rare: here ties are ordinary
        # every fifth user starts at 1: these are times and no positions
        [row for row in joined(positions("cab", "abc")) if row[0][-1] not in "27" or row[2] != "0"],
        [*joined(positions("cab", "abc")), *((f"y{at}", item, time) for at in range(9) for item, time in GAP)],
    ],
)
def test_ordinary_ties_stay_with_their_user(rows: list[Row]) -> None:
    dataset = read(rows)
    assert list(dataset.users) == sorted({row[0] for row in rows})
    assert contents(read(rows[::-1])) == contents(dataset)


@pytest.mark.parametrize(("name", "users", "items"), [("toys", 19_412, 11_924), ("beauty", 22_363, 12_101)])
def test_real_data_is_read_whole_and_fast(real_data: Path, name: str, users: int, items: int) -> None:
    started = time.perf_counter()
    dataset = read_atomic(real_data / name)
    assert time.perf_counter() - started < 5  # half a second on an idle core
    assert (len(dataset.users), len(dataset.items)) == (users, items)
    assert list(dataset.items.text) == ["title", "categories"]
    with TemporaryDirectory() as folder:
        write_atomic(dataset, Path(folder))
        assert contents(read_atomic(Path(folder))) == contents(dataset)


@pytest.mark.parametrize("first", [20240115093000000, 2**60, 2**63 - 10])
def test_long_time_stamps_keep_their_order(first: int) -> None:
    """A float64 knows 53 bits: these would tie there, and a hash would order them."""
    rows = [("u", item, str(first + at)) for at, item in enumerate("gbeacdf")]
    random.Random(2).shuffle(rows)
    dataset = read(rows)
    assert [dataset.items.ids[item] for item in dataset.sequences[0]] == list("gbeacdf")
    assert dataset.times.tolist() == [first + at for at in range(7)]
    with TemporaryDirectory() as folder:
        write_atomic(dataset, Path(folder))
        assert contents(read_atomic(Path(folder))) == contents(dataset)
    other = Dataset(dataset.name, dataset.users, dataset.items, dataset.sequences, dataset.times - 1)
    assert other.dated_fingerprint != dataset.dated_fingerprint


@pytest.mark.parametrize("stamp", [str(2**63 + 1), "1" * 5000, "20240115093000000.5", "1_000", "0x1p3"])
def test_time_stamps_whose_digits_would_be_lost_are_refused(stamp: str) -> None:
    with pytest.raises(BenchError, match=r"line 2: timestamp '") as caught:
        read([("u", "a", stamp), ("u", "b", "1.5")])
    assert "\n" not in str(caught.value)


def test_whole_numbers_in_any_writing_are_whole() -> None:
    dataset = read([("u", "a", "1e3"), ("u", "b", "2.0"), ("u", "c", " 3")])
    assert (dataset.times.dtype.kind, dataset.times.tolist()) == ("i", [2, 3, 1000])


def test_lines_that_stand_twice_are_no_second_user() -> None:
    """Where time is a position, whichever position it is; the note is that of a file with dates."""
    runs = positions()
    for at in range(3):
        dataset = read([*joined(runs), runs[5][at], runs[77][2]])
        assert len(dataset.users) == 200
        assert "2 interactions repeat another (same user, item and time): kept" in dataset.notes
    assert read([*joined(runs), *runs[5]]).users[5:7] == ("u005", "u005#2"), "a whole run is"


MARKED = {
    '<span id="productTitle" class="a-size-large">bear and car</span>': "bear and car",
    "bear &amp;amp; car &quot;deluxe&quot;<br />": 'bear & car "deluxe"',
    "one<br>two<p>three</p>": "one two three",
    "H<sub>2</sub>O <!-- no --> <script>alert('x')</script>pump": "H2O pump",
    "&lt;b&gt;Bold&lt;/b&gt; Doll": "Bold Doll",
}
CLEAN = ["<Untitled>", "I <3 you", "a < b > c", "R&B & <<Soul>>", "AT&amp;T", "x<y", "&unknown;", "  two  spaces "]


def test_markup_is_taken_out_of_text_and_noted() -> None:
    texts = [*MARKED, *CLEAN]
    rows = [("u", f"i{n:02d}", str(n)) for n in range(len(texts))]
    body = "".join(f"i{n:02d}\t{text}\n" for n, text in enumerate(texts))
    dataset = read(rows, "item_id:token\ttitle:token_seq\n" + body)
    assert dataset.items.text["title"] == (*MARKED.values(), *CLEAN)
    assert dataset.notes == ("5 texts of d.item held markup, such as tags and entities escaped twice: taken out",)
