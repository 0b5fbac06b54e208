"""Data that look as if a program had changed them and are right as they stand: they are left alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from bench.data import twins
from bench.data.dataset import Dataset
from bench.data.formats import columns
from bench.data.formats.columns import Roles
from bench.data.importing import Options, read
from bench.errors import BenchError

HEADER = "user_id,item_id,timestamp\n"
BODY = "u,a,5\nu,b,6\nv,b,7\n"
SAME = {"u": ["a", "b"], "v": ["b"]}


def sequences(dataset: Dataset) -> dict[str, list[str]]:
    return {
        user: [dataset.items.ids[item] for item in dataset.sequences[row]] for row, user in enumerate(dataset.users)
    }


def put(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content)
    return path


def titles(folder: Path, items: str) -> tuple[str, ...]:
    log = put(folder, "x.csv", HEADER + BODY)
    return read([log, put(folder, "items.csv", items)]).dataset.items.text["title"]


def test_only_backslashes_before_quotation_marks_are_taken_out(tmp_path: Path) -> None:
    """MySQL writes NULL as one more, and Spark leaves those of paths alone."""
    path = put(tmp_path, "x.csv", 'user_id,item_id,note\n"u","a","say \\"x\\" y"\n\\N,"b","q"\n"w","c\\d","q"\n')
    dataset = read([path]).dataset
    assert sequences(dataset) == {"u": ["a"], "w": ["c\\d"]}
    assert "1 row without a user: skipped" in dataset.notes
    assert titles(tmp_path, 'item_id,title\n"a","an \\"odd\\", \\\\ old \\"thing\\""\n"b","D:\\x \\\\"\n') == (
        'an "odd", \\ old "thing"',
        "D:\\x \\",
    )
    with pytest.raises(BenchError, match=r"line 3: 3 cells where the header has 2"):
        titles(tmp_path, 'item_id,title\n"a","an \\"odd\\", thing"\n"b","B",C\n')


def test_backslashes_of_formulas_are_those_of_no_export(tmp_path: Path) -> None:
    """A cell that no quotation marks hold, or where they stand twice, may have some behind backslashes."""
    assert titles(tmp_path, 'item_id,title\na,Schr\\"odinger\nb,B\n') == ('Schr\\"odinger', "B")
    assert titles(tmp_path, 'item_id,title\na,"Schr\\""odinger, E."\nb,"C:\\"\n') == ('Schr\\"odinger, E.', "C:\\")


def test_users_that_begin_with_the_sign_of_comments_above_one_called_as_a_column(tmp_path: Path) -> None:
    path = put(tmp_path, "x.csv", "#1,a,5\n#2,b,6\nu,b,7\n")
    dataset = read([path], Options(Roles("1", "2", "3"))).dataset
    assert sequences(dataset) == {"#1": ["a"], "#2": ["b"], "u": ["b"]}
    path = put(tmp_path, "y.csv", "# user, item, time\n" + HEADER + BODY)
    assert sequences(read([path]).dataset) == SAME


@pytest.mark.parametrize("again", ["user_id, item_id", "\ufeffuser_id, item_id"])
def test_a_header_within_the_rows_has_blanks_or_a_mark_as_the_first_has(tmp_path: Path, again: str) -> None:
    path = put(tmp_path, "x.csv", f"user_id, item_id\nu, a\nu, b\n{again}\nv, b\n")
    assert sequences(read([path]).dataset) == SAME


def test_blanks_within_a_name_of_a_column(tmp_path: Path) -> None:
    path = put(tmp_path, "x.csv", "my  user,item_id\nu,a\nu,b\nv,b\n")
    assert sequences(read([path], Options(Roles(user="my  user"))).dataset) == SAME


def test_a_word_that_looks_as_an_archive_begins(tmp_path: Path) -> None:
    item = "m".rjust(257 - len(HEADER) - len("u,"), "x") + "ustard"
    path = put(tmp_path, "x.csv", f"{HEADER}u,{item},5\n")
    assert path.read_bytes()[257:262] == b"ustar"
    assert sequences(read([path]).dataset) == {"u": [item]}


def test_ids_of_one_length_are_found_in_a_catalogue_of_several(tmp_path: Path) -> None:
    log = put(tmp_path, "x.csv", HEADER + "u,ab ,5\nu,abc,6\n")
    items = put(tmp_path, "items.csv", "item_id,title\nab ,A doll\nabc,A ball\nlonger,A kite\n")
    dataset = read([log, items]).dataset
    assert (dataset.items.ids, dataset.items.text) == (("ab", "abc"), {"title": ("A doll", "A ball")})


def test_a_catalogue_under_numbers_that_are_items(tmp_path: Path) -> None:
    """And one under numbers of rows, whose items are named within."""
    things = {"0": {"title": "A doll", "asin": "B1"}, "1": {"title": "A ball", "asin": "B2"}}
    items = put(tmp_path, "items.json", json.dumps(things))
    for ids in (("0", "1"), ("B1", "B2")):
        log = put(tmp_path, "x.csv", HEADER + "".join(f"u,{item},{row}\n" for row, item in enumerate(ids)))
        dataset = read([log, items]).dataset
        assert (dataset.items.ids, dataset.items.text["title"]) == (ids, ("A doll", "A ball"))


def test_a_column_that_is_called_by_number(tmp_path: Path) -> None:
    log = put(tmp_path, "x.csv", HEADER + BODY)
    items = put(tmp_path, "items.json", json.dumps({"item_id": ["a", "b"], "title": ["A", "B"], "0": ["x", "y"]}))
    assert read([log, items]).dataset.items.text["title"] == ("A", "B")


def test_times_of_no_known_unit(tmp_path: Path) -> None:
    """Fractions that rise from 0 pass through the sizes of days and of seconds; stamps are no hours."""
    rows = put(tmp_path, "x.csv", HEADER + "u,a,12.5\nu,b,19543210.5\nv,b,700000000.25\n")
    assert sequences(read([rows]).dataset) == SAME
    steps = put(tmp_path, "y.csv", "user_id,item_id,timestamp,date\nu,a,1,x\nu,b,2,x\nv,b,3,x\n")
    assert sequences(read([steps]).dataset) == SAME


@pytest.mark.parametrize("text", [" ".join(map(str, range(20_000))), "a," * 40_000])
def test_a_line_that_is_longer_than_what_is_looked_at(tmp_path: Path, text: str) -> None:
    """It is a history, or is refused."""
    path = put(tmp_path, "x.txt", text)
    if "," in text:
        with pytest.raises(BenchError, match="no column of users or items"):
            read([path])
    else:
        assert len(read([path]).dataset.items) == 19_999


def test_records_of_one_kind_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked, joined = list[str](), columns._joined

    def watched(name: str) -> str:
        looked.append(name)
        return joined(name)

    monkeypatch.setattr(columns, "_joined", watched)
    assert all(columns.of_table({"user_id": row, "item_id": row, "only_here": row}) for row in range(100))
    assert looked.count("only_here") == 1


def test_ids_that_nothing_has_changed_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting all ids of millions takes longer than reading them."""
    counted = list[str]()

    def counter(ids: Iterable[str]) -> Counter[str]:
        some = list(ids)
        counted.extend(some)
        return Counter(some)

    monkeypatch.setattr(twins, "Counter", counter)
    assert twins.notes([str(row) for row in range(100)], "item") == ()
    assert not counted
    assert len(twins.notes(["7", "07"], "item")) == 1
    assert counted == ["7", "7"]
