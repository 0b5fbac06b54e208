"""Tables in text against Python's own reader, and what their first lines tell."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.formats.delimited import Delimited, delimited
from bench.data.formats.opening import look

CELL = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\r\ufeff"), max_size=8)


def table(folder: Path, name: str, content: str) -> Delimited:
    (folder / name).write_bytes(content.encode())
    found = delimited(look(folder / name))
    assert found is not None
    return found


def cells(found: Delimited) -> list[tuple[str, ...]]:
    batches = list(found.batches(list(found.columns)))
    return [row for batch in batches for row in zip(*(batch[name].to_pylist() for name in found.columns), strict=True)]


@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=6), st.sampled_from([",", ";", "|", "\t"]))
def test_quoted_cells_are_those_that_were_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], between: str
) -> None:
    file = io.StringIO()
    csv.writer(file, delimiter=between, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([("user", "item"), *rows])
    found = table(tmp_path_factory.mktemp("d"), "x.csv", file.getvalue())
    assert (found.separator, found.header, found.columns) == (between, True, ("user", "item"))
    assert cells(found) == rows


@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=6))
def test_atomic_files_have_no_quotes(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    plain = [tuple(cell.replace("\t", " ").replace("\n", " ") for cell in row) for row in rows]
    text = "".join(f"{a}\t{b}\n" for a, b in [("item_id:token", "title:token_seq"), *plain])
    assert cells(table(tmp_path_factory.mktemp("d"), "x.item", text)) == plain


@pytest.mark.parametrize(
    ("content", "columns", "header"),
    [
        ("1::2::5::978300760\n", ("user_id", "item_id", "rating", "timestamp"), False),
        ("1::Toy Story (1995)::Animation|Comedy\n2::x, y::z\n", ("item_id", "title", "genres"), False),
        ("UserID::MovieID::Rating\n1::2::5\n", ("UserID", "MovieID", "Rating"), True),
        ("196\t242\t3\t881250949\n", ("user_id", "item_id", "rating", "timestamp"), False),
        ("u1,i1,5\nu2,i2,4\n", ("1", "2", "3"), False),
        ("u1,p1,2024-01-31\nu2,p2,2024-01-31T12:00:00Z\n", ("1", "2", "3"), False),
        (",user,item\n0,u,i\n", ("column 1", "user", "item"), True),
        ("user,item,note,note\n1,2,3,4\n", ("user", "item", "note", "note (column 4)"), True),
        ("kunde;artikel;zeit\n1;2;3\n", ("kunde", "artikel", "zeit"), True),
        ('"user, or so",item\n1,2\n', ("user, or so", "item"), True),
        (" user , item\n1,2\n", ("user", "item"), True),
    ],
)
def test_the_first_line_tells_names_or_is_a_row(
    tmp_path: Path, content: str, columns: tuple[str, ...], header: bool
) -> None:
    found = table(tmp_path, "x.dat", content)
    assert (found.columns, found.header) == (columns, header)
    assert len(cells(found)) == content.count("\n") - header


def test_double_colons_part_cells_wherever_a_piece_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.data.formats import delimited as module

    rows = [(str(n), f"title {n}: part", "a|b") for n in range(500)]
    monkeypatch.setattr(module, "BLOCK", 64)
    assert cells(table(tmp_path, "movies.dat", "".join("::".join(row) + "\n" for row in rows))) == rows


def test_tabs_with_and_without_quotes(tmp_path: Path) -> None:
    quoted = 'item\ttitle\na\t"8"" doll"\nb\tx\n'
    assert cells(table(tmp_path, "q.tsv", quoted)) == [("a", '8" doll'), ("b", "x")]
    bare = 'item\ttitle\na\t"8" doll\nb\tx"\n'
    assert cells(table(tmp_path, "b.tsv", bare)) == [("a", '"8" doll'), ("b", 'x"')]


@pytest.mark.parametrize("content", ["one\ntwo\n", "just words here\n"])
def test_one_column_is_no_table(tmp_path: Path, content: str) -> None:
    (tmp_path / "x").write_text(content)
    assert delimited(look(tmp_path / "x")) is None
