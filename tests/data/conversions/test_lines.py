"""Raw files: packed, corrupt, in the forms of their sources; every error names file and line."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.data.conversions import lines as reading
from bench.data.conversions.lines import csv_records, json_lines, lines, moment, python_lines, rating, separated, whole
from bench.errors import BenchError

TEXT = "first\n\nsecond\r\nthird"
LINES = [("NAME, line 1", "first"), ("NAME, line 3", "second"), ("NAME, line 4", "third")]


def packed(path: Path) -> tuple[Path, str]:
    """TEXT at this path, as its suffix says, and the member it is."""
    data = TEXT.encode()
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(data))
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("folder/inside.txt", data)
    elif path.suffix == ".tar":
        with tarfile.open(path, "w") as tar:
            info = tarfile.TarInfo("folder/inside.txt")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    else:
        path.write_bytes(data)
    return path, "inside.txt" if path.suffix in (".zip", ".tar") else ""


@pytest.mark.parametrize("name", ["a.json", "a.json.gz", "a.zip", "a.tar"])
def test_lines_of_packed_files(tmp_path: Path, name: str) -> None:
    path, member = packed(tmp_path / name)
    called = f"{name} (inside.txt)" if member else name
    assert list(lines(path, member)) == [(where.replace("NAME", called), text) for where, text in LINES]


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbffirst\n")
    assert list(lines(tmp_path / "a")) == [("a, line 1", "first")]


def test_other_encodings_and_what_is_in_none(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one\nMis\xe9rables\n")
    assert [text for _, text in lines(tmp_path / "a", encoding="latin-1")] == ["one", "Misérables"]
    with pytest.raises(BenchError, match=r"a, line 2 is not utf-8"):
        list(lines(tmp_path / "a"))


@pytest.mark.parametrize(("flag", "method", "why"), [(1, 8, "encrypted"), (0, 99, "compression")])
def test_a_zip_with_a_password_is_one_line(tmp_path: Path, flag: int, method: int, why: str) -> None:
    path, member = packed(tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flags and method of both its headers
        start = data.index(signature) + at
        data[start], data[start + 2] = flag, method
    path.write_bytes(data)
    with pytest.raises(
        BenchError, match=rf"a.zip \(inside.txt\) cannot be unpacked: .*{why}.*without a password"
    ) as caught:
        list(lines(path, member))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", [5, 30, -1, -6])
def test_a_truncated_gzip_is_corrupt(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(TEXT.encode())[:keep])
    with pytest.raises(BenchError, match=r"a.json.gz is corrupt after line \d+: .*; get it again"):
        list(lines(path))


def test_what_is_no_archive_is_corrupt(tmp_path: Path) -> None:
    for name in ("a.zip", "a.gz", "a.tar"):
        (tmp_path / name).write_bytes(b"<html>Please log in</html>")
        with pytest.raises(BenchError, match=f"{name}.* is corrupt after line 0"):
            list(lines(tmp_path / name, "inside.txt"))


def test_an_archive_without_the_file_says_what_it_holds(tmp_path: Path) -> None:
    path, _ = packed(tmp_path / "a.zip")
    with pytest.raises(BenchError, match=r"a.zip: expected one file u.data; the archive holds folder/inside.txt"):
        list(lines(path, "u.data"))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="cannot be read: FileNotFoundError"):
        list(lines(tmp_path / "absent"))


class Told:
    def __init__(self) -> None:
        self.positions: list[tuple[int, int | None]] = []

    def start(self, what: str) -> None: ...

    def note(self, text: str) -> None: ...

    def update(self, done: int, total: int | None) -> None:
        self.positions.append((done, total))


def test_progress_is_that_of_the_file_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "TELL_EVERY", 10)
    text = "".join(f"line {n}\n" for n in range(200_000))  # several of the buffers that gzip reads, of 128 kB
    (tmp_path / "a.gz").write_bytes(gzip.compress(text.encode()))
    told = Told()
    assert len(list(lines(tmp_path / "a.gz", progress=told))) == 200_000
    size = (tmp_path / "a.gz").stat().st_size
    assert {total for _, total in told.positions} == {size}
    assert 0 < told.positions[0][0] < told.positions[-1][0] <= size


def test_whole_numbers_keep_all_their_digits() -> None:
    ((where, record),) = json_lines(iter([("a, line 1", '{"time": 20140102030405001}')]))
    assert whole(where, record, "time") == 20140102030405001
    assert whole(where, {"time": "20140102030405003"}, "time") == 20140102030405003
    for wrong in (1.5, "1.5", None, True, "now"):
        with pytest.raises(BenchError, match=r"a, line 1: time is .*; expected a whole number"):
            whole(where, {"time": wrong}, "time")


def test_python_literals_are_read_and_never_run(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    good = "{u'a': 'it\\'s', 'b': [['x']], 'c': None, 'd': True, 'e': 1.5}"
    assert next(python_lines(iter([("a", good)])))[1] == {"a": "it's", "b": [["x"]], "c": None, "d": True, "e": 1.5}
    for bad in (f"open({str(trap)!r}, 'w')", "{'a': __import__('os')}", "{'a': ", "(" * 5000, "\0"):
        with pytest.raises(BenchError, match="a, line 7: not a Python literal"):
            next(python_lines(iter([("a, line 7", bad)])))
    assert not trap.exists()


@pytest.mark.parametrize(("form", "text"), [(json_lines, "[1]"), (python_lines, "[1]"), (json_lines, "3")])
def test_a_record_has_named_fields(form: Callable[..., object], text: str) -> None:
    with pytest.raises(BenchError, match=r"a, line 2: a (list|int) where a record with named fields is needed"):
        next(form(iter([("a, line 2", text)])))  # type: ignore[call-overload]


def test_broken_json_is_named() -> None:
    with pytest.raises(BenchError, match="a, line 2: not JSON"):
        next(json_lines(iter([("a, line 2", '{"a": ')])))


def test_csv_with_and_without_header_and_in_another_order() -> None:
    columns = ("user_id", "item")
    expected = [{"user_id": "u,1", "item": "i"}]
    for text in (['"u,1",i'], ["user_id,item", '"u,1",i'], ["user_id,item", '"u,1",i']):
        assert [
            record for _, record in csv_records(((f"a, line {n}", t) for n, t in enumerate(text)), columns)
        ] == expected
    swapped = csv_records(iter([("a", "user_id,other,item"), ("b", "u,x,i")]), columns)
    assert next(swapped)[1] == {"user_id": "u", "other": "x", "item": "i"}
    with pytest.raises(BenchError, match="a: no column item; got user_id, other"):
        next(csv_records(iter([("a", "user_id,other")]), columns))
    with pytest.raises(BenchError, match="b: 3 cells; expected 2: user_id, item"):
        next(csv_records(iter([("b", "u,i,x")]), columns))


def test_separated_cells() -> None:
    assert (
        next(separated(iter([("a", "1::Toy Story (1995)::Comedy")]), "::", ("i", "t", "g")))[1]["t"]
        == "Toy Story (1995)"
    )
    with pytest.raises(BenchError, match="a: 2 cells; expected 3: i, t, g"):
        next(separated(iter([("a", "1::Toy Story (1995)")]), "::", ("i", "t", "g")))


def test_dates_and_ratings() -> None:
    assert moment("a", {"date": "2017-12-17"}, "date", "%Y-%m-%d") == 1513468800
    assert moment("a", {"date": "1970-01-02 00:00:01"}, "date", "%Y-%m-%d %H:%M:%S") == 86401
    with pytest.raises(BenchError, match=r"a: date is '17.12.2017'; expected a date as %Y-%m-%d"):
        moment("a", {"date": "17.12.2017"}, "date", "%Y-%m-%d")
    assert rating("4.0") == 4.0
    assert rating(None) != rating(None)
