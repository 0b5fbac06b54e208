"""Import: the same interactions out of every format, what is guessed is said, and whatever is wrong is one line."""

from __future__ import annotations

import csv
import gzip
import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.dataset import Dataset
from bench.data.formats import read_atomic
from bench.data.formats.columns import Roles
from bench.data.importing import Options, read, write
from bench.errors import BenchError, an

NOW = 1_600_000_000
ROWS = [(f"u{u}", f"{(3 * u + 2 * t) % 9:03d}", NOW + 1000 * u + t) for u in range(4) for t in range(5)]
TITLES = {f"{k:03d}": f'thing "{k}", a {k % 3}' for k in range(9)}
HISTORIES = {f"u{u}": [item for user, item, _ in ROWS if user == f"u{u}"] for u in range(4)}
FRAME = pd.DataFrame(ROWS, columns=["user_id", "item_id", "timestamp"])


def sequences(dataset: Dataset) -> dict[str, list[str]]:
    return {
        user: [dataset.items.ids[item] for item in dataset.sequences[row]] for row, user in enumerate(dataset.users)
    }


def text(dataset: Dataset) -> dict[str, str]:
    return dict(zip(dataset.items.ids, next(iter(dataset.items.text.values())), strict=True))


def put(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def lines(*rows: tuple[Any, ...], between: str = ",") -> str:
    return "".join(between.join(map(str, row)) + "\n" for row in rows)


def csv_text(header: tuple[str, ...], rows: list[tuple[Any, ...]], **how: Any) -> str:
    from io import StringIO

    file = StringIO()
    csv.writer(file, **how).writerows([header, *rows])
    return file.getvalue()


HEADER = ("user_id", "item_id", "timestamp")
TABLES: dict[str, Callable[[], str | bytes]] = {
    "plain.csv": lambda: lines(HEADER, *ROWS),
    "windows.csv": lambda: ("\ufeff" + lines(HEADER, *ROWS)).replace("\n", "\r\n"),
    "quoted.csv": lambda: csv_text(HEADER, ROWS, quoting=csv.QUOTE_ALL),
    "semicolon.csv": lambda: lines(HEADER, *ROWS, between=";"),
    "bars.txt": lambda: lines(HEADER, *ROWS, between="|"),
    "told.csv": lambda: "\ufeffsep=;\r\n" + lines(HEADER, *ROWS, between=";").replace("\n", "\r\n"),
    "told.tsv": lambda: "sep=\t\n" + lines(HEADER, *ROWS, between="\t"),
    "tabs.tsv": lambda: lines(HEADER, *ROWS, between="\t"),
    "utf16.csv": lambda: lines(HEADER, *ROWS, between="\t").encode("utf-16"),
    "packed.csv.gz": lambda: gzip.compress(lines(HEADER, *ROWS).encode()),
    "other_order.csv": lambda: lines(
        ("rating", "Timestamp", "Product ID", "Customer-ID"), *((5, t, i, u) for u, i, t in ROWS)
    ),
    "index.csv": lambda: FRAME.to_csv(),
    "dates.csv": lambda: FRAME.assign(timestamp=pd.to_datetime(FRAME["timestamp"], unit="s")).to_csv(index=False),
    "lines.jsonl": lambda: "".join(json.dumps(dict(zip(HEADER, row, strict=True))) + "\n" for row in ROWS),
    "list.json": lambda: json.dumps([dict(zip(HEADER, row, strict=True)) for row in ROWS], indent=1),
    "literals.json": lambda: "".join(f"{dict(zip(HEADER, row, strict=True))}\n" for row in ROWS),
    "sparse.inter": lambda: lines(("user_id:token", "item_id:token", "timestamp:float"), *ROWS, between="\t"),
    "steam.inter": lambda: lines(("user_id:token", "product_id:token", "timestamp:float"), *ROWS, between="\t"),
    "ratings.dat": lambda: lines(*((u, i, 5, t) for u, i, t in ROWS), between="::"),
    "u.data": lambda: lines(*((u, i, 5, t) for u, i, t in ROWS), between="\t"),
    "sequential_data.txt": lambda: lines(*((u, *items) for u, items in HISTORIES.items()), between=" "),
    "all_item_seqs.json": lambda: json.dumps(HISTORIES),
}


@pytest.mark.parametrize("name", TABLES)
def test_every_format_holds_the_same_interactions(tmp_path: Path, name: str) -> None:
    path = put(tmp_path, name, TABLES[name]())
    dataset = read([path]).dataset
    assert sequences(dataset) == HISTORIES
    assert dataset.name == name.partition(".")[0]
    assert sequences(read([tmp_path]).dataset) == HISTORIES, "of a folder"
    if name not in ("sequential_data.txt", "all_item_seqs.json"):
        assert sorted(dataset.times.tolist()) == sorted(time for *_, time in ROWS)


def test_ids_that_differ_by_white_space_alone_are_told(tmp_path: Path) -> None:
    path = put(tmp_path, "shop.csv", lines(HEADER, ("u", "x", 1), ("u", " x", 2), ("u", "y", 3)))
    imported = read([path])
    assert imported.dataset.items.ids == (" x", "x", "y")
    assert any("1 item ids differ from another by white space" in note for note in imported.described["notes"])


@pytest.mark.parametrize("kind", ["plain", "category", "datetime", "float", "nullable"])
def test_parquet_in_every_type_that_pandas_writes(tmp_path: Path, kind: str) -> None:
    frame = FRAME.copy()
    if kind == "category":
        frame = frame.astype({"user_id": "category", "item_id": "category"})
    if kind == "datetime":
        frame["timestamp"] = pd.to_datetime(frame["timestamp"], unit="s")
    if kind == "float":
        frame["timestamp"] = frame["timestamp"].astype(float)
    if kind == "nullable":
        frame["timestamp"] = frame["timestamp"].astype("Int64")
    frame.to_parquet(tmp_path / "t.parquet")
    dataset = read([tmp_path / "t.parquet"]).dataset
    assert sequences(dataset) == HISTORIES
    assert dataset.times.tolist() == [time for *_, time in ROWS]


CATALOGUES: dict[str, Callable[[], str]] = {
    "items.csv": lambda: csv_text(("id", "title", "price"), [(key, title, 9.5) for key, title in TITLES.items()]),
    "products.tsv": lambda: "sku\ttitle\n" + lines(*TITLES.items(), between="\t"),
    "meta.jsonl": lambda: "".join(json.dumps({"parent_asin": k, "title": v}) + "\n" for k, v in TITLES.items()),
    "movies.json": lambda: json.dumps([{"item_id": key, "title": title} for key, title in TITLES.items()]),
    "metadata.sentence.json": lambda: json.dumps(TITLES),
    "plain.item.json": lambda: json.dumps({key: {"title": title, "asin": "x1"} for key, title in TITLES.items()}),
    "movies.dat": lambda: lines(*((key, title, "A|B") for key, title in TITLES.items()), between="::"),
    "plain.item": lambda: "item_id:token\ttitle:token_seq\n" + lines(*TITLES.items(), between="\t"),
}


@pytest.mark.parametrize("name", CATALOGUES)
@pytest.mark.parametrize("how", ["named", "beside", "folder"])
def test_every_catalogue_names_the_same_items(tmp_path: Path, name: str, how: str) -> None:
    interactions = put(tmp_path, "plain.csv", lines(HEADER, *ROWS))
    items = put(tmp_path, name, CATALOGUES[name]())
    asked = {"named": [interactions, items], "beside": [interactions], "folder": [tmp_path]}[how]
    dataset = read(asked).dataset
    assert text(dataset) == TITLES
    assert any(f"from '{name}'" in note for note in dataset.notes)


def test_histories_of_setrec_in_three_parts(tmp_path: Path) -> None:
    """Pickled dictionaries; training, validation, test is their order, whatever that of the command line."""
    for name, part in (("training", slice(0, 3)), ("validation", slice(3, 4)), ("testing", slice(4, 5))):
        held = {int(user[1:]): [int(item) for item in items[part]] for user, items in HISTORIES.items()}
        np.save(tmp_path / f"{name}_dict.npy", np.array(held, dtype=object))
    maps = {"id2title": {int(key): title for key, title in TITLES.items()}, "title2id": {}}
    np.save(tmp_path / "title_maps.npy", np.array(maps, dtype=object))
    paths = [tmp_path / f"{name}.npy" for name in ("testing_dict", "title_maps", "training_dict", "validation_dict")]
    dataset = read(paths).dataset
    assert sequences(dataset) == {user[1:]: [str(int(item)) for item in items] for user, items in HISTORIES.items()}
    assert text(dataset)["4"] == TITLES["004"]


def test_negative_samples_are_no_second_half_of_a_history(tmp_path: Path) -> None:
    content = lines(*((u, *items) for u, items in HISTORIES.items()), between=" ")
    path = put(tmp_path, "sequential_data.txt", content)
    put(tmp_path, "negative_samples.txt", content)
    put(tmp_path, "user_id2name.pkl", b"\x80\x04\0")
    with pytest.raises(
        BenchError, match=r"'negative_samples\.txt' and 'sequential_data\.txt' all list items of user 'u0'"
    ):
        read([tmp_path])
    assert sequences(read([path]).dataset) == HISTORIES


def test_files_of_a_folder_are_one_data_set_only_where_they_say_so(tmp_path: Path) -> None:
    for name, rows in (("toys.csv", ROWS[:10]), ("beauty.csv", ROWS[10:])):
        put(tmp_path, name, lines(HEADER, *rows))
    with pytest.raises(
        BenchError, match=r"holds 2 files of interactions \(beauty\.csv, toys\.csv\); name one, or those"
    ):
        read([tmp_path])
    assert sequences(read([tmp_path / "toys.csv", tmp_path / "beauty.csv"]).dataset) == HISTORIES
    (tmp_path / "toys.csv").rename(tmp_path / "toys.train.csv")
    (tmp_path / "beauty.csv").rename(tmp_path / "toys.test.csv")
    assert sequences(read([tmp_path]).dataset) == HISTORIES


def pre_split(cap: int) -> dict[str, list[str]]:
    """Every prefix of a history, newest ``cap`` items, on a line; the last for test, the one before for validation."""
    parts: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for user, items in HISTORIES.items():
        for at in range(1, len(items)):
            part = {len(items) - 1: "test", len(items) - 2: "valid"}.get(at, "train")
            parts[part].append(f"{user}\t{' '.join(items[max(0, at - cap) : at])}\t{items[at]}")
    return parts


@pytest.mark.parametrize("cap", [2, 3, 50])
def test_pre_split_prefixes_become_histories(tmp_path: Path, cap: int) -> None:
    for name, rows in pre_split(cap).items():
        put(
            tmp_path,
            f"Toys.{name}.inter",
            "user_id:token\titem_id_list:token_seq\titem_id:token\n" + "\n".join(rows) + "\n",
        )
    assert sequences(read([tmp_path]).dataset) == HISTORIES
    put(tmp_path, "Toys.test.inter", "user_id:token\titem_id_list:token_seq\titem_id:token\nu0\t001 002\t003\n")
    with pytest.raises(BenchError, match="differs from that of other lines"):
        read([tmp_path])


@pytest.mark.parametrize("of", ["id_mapping.json", "datamaps.json", "plain.item2id"])
def test_numbers_become_original_ids_where_a_map_is_named(tmp_path: Path, of: str) -> None:
    items = sorted(TITLES)
    number = {item: str(position + 1) for position, item in enumerate(items)}
    numbered = {user: [number[item] for item in held] for user, held in HISTORIES.items()}
    path = put(tmp_path, "sequential_data.txt", lines(*((u, *held) for u, held in numbered.items()), between=" "))
    nested = {"item2id": {"[PAD]": 0, **{k: int(v) for k, v in number.items()}}, "id2item": ["[PAD]", *items]}
    put(tmp_path, of, json.dumps(nested) if of.endswith("json") else lines(*number.items(), between="\t"))
    assert sequences(read([path], Options(id_map=tmp_path / of)).dataset) == HISTORIES
    assert sequences(read([path]).dataset) == numbered
    if of.endswith("json"):
        assert any(f"--id-map {of} gives the original ids" in note for note in read([tmp_path]).dataset.notes)
    put(tmp_path, of, json.dumps({"000": 1}) if of.endswith("json") else lines(("000", 1), between="\t"))
    with pytest.raises(BenchError, match=r"does not say which item \d ids are"):
        read([path], Options(id_map=tmp_path / of))


CELLS = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=4)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=12), st.sampled_from([",", ";", "\t", "|"]))
def test_ids_are_the_text_that_stands_there(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]], between: str
) -> None:
    """Whatever a CSV writer has to quote: quotation marks, separators, leading zeros."""
    folder = tmp_path_factory.mktemp("ids")
    rows = [(user, item, 100 + at) for at, (user, item) in enumerate(pairs)]
    path = put(folder, "x.csv", csv_text(HEADER, rows, delimiter=between, quoting=csv.QUOTE_ALL))
    found = sequences(read([path], Options(duplicates="keep")).dataset)
    assert Counter((user, item) for user, items in found.items() for item in items) == _untouched(pairs)


def _untouched(pairs: list[tuple[str, str]]) -> Counter[tuple[str, str]]:
    """As they are, but for whole columns of numbers with ".0", which are whole numbers."""
    return Counter(pairs)


def test_titles_with_line_breaks_quotes_and_markup_are_one_line(tmp_path: Path) -> None:
    rows = [("a", 'first\nline, "quoted"'), ("b", "<b>bold</b> &amp;amp; more"), ("c", "x\\ny\tz")]
    put(tmp_path, "items.csv", csv_text(("item", "title"), rows))
    path = put(tmp_path, "x.csv", lines(("user", "item", "time"), *(("u", key, 9) for key in "abc")))
    dataset = read([path]).dataset
    assert text(dataset) == {"a": 'first line, "quoted"', "b": "bold & more", "c": "x y z"}
    assert "1 texts held markup, such as tags and entities escaped twice: taken out" in dataset.notes


def test_lists_categories_and_empty_values_are_text(tmp_path: Path) -> None:
    records = [
        {
            "asin": "a",
            "title": None,
            "categories": [["Toys", "Cars & Vans"], ["Red"]],
            "price": 3.5,
            "imUrl": "http://x",
        },
        {"asin": "b", "title": "B", "categories": "Toys|Dolls", "related": {"also_bought": ["a"]}, "price": 7},
    ]
    put(tmp_path, "meta.json", "".join(f"{record}\n" for record in records))
    path = put(tmp_path, "x.csv", lines(("user", "asin", "time"), ("u", "a", 1), ("u", "b", 2)))
    assert dict(read([path]).dataset.items.text) == {
        "title": ("", "B"),
        "categories": ("Toys, Cars & Vans, Red", "Toys, Dolls"),
    }
    assert dict(read([path], Options(fields=("price", "title"))).dataset.items.text) == {
        "price": ("3.5", "7"),
        "title": ("", "B"),
    }
    with pytest.raises(BenchError, match=r"unknown text field 'brand'; known: .*categories, .*title in"):
        read([path], Options(fields=("brand", "title", "categories")))


LOGS = st.lists(st.tuples(st.sampled_from("uvw"), st.sampled_from("abcd"), st.integers(1, 4)), min_size=1, max_size=20)


@given(LOGS, st.sampled_from(["exact", "first", "last", "keep"]), st.randoms(use_true_random=False))
def test_duplicates_follow_the_rule(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, int]], rule: Any, shuffler: random.Random
) -> None:
    expected = Counter({"exact": list(dict.fromkeys(rows)), "keep": rows}.get(rule, []))
    if rule in ("first", "last"):
        choose = min if rule == "first" else max
        pairs = {(user, item) for user, item, _ in rows}
        expected = Counter((u, i, choose(t for a, b, t in rows if (a, b) == (u, i))) for u, i in pairs)
    folder = tmp_path_factory.mktemp("rule")
    found = read([put(folder, "x.csv", lines(HEADER, *rows))], Options(duplicates=rule)).dataset
    users = [user for row, user in enumerate(found.users) for _ in found.sequences[row]]
    items = [found.items.ids[item] for item in found.sequences.values]
    assert Counter(zip(users, items, found.times.tolist(), strict=True)) == expected
    shuffler.shuffle(rows)
    again = read([put(folder, "x.csv", lines(HEADER, *rows))], Options(duplicates=rule)).dataset
    assert again.fingerprint == found.fingerprint, "whatever the order of rows"


@given(LOGS, st.integers(1, 4))
def test_the_core_is_what_is_left_when_nothing_can_be_taken(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, int]], k: int
) -> None:
    left = list(dict.fromkeys(rows))
    while True:
        users, items = (Counter(row[position] for row in left) for position in (0, 1))
        kept = [row for row in left if users[row[0]] >= k and items[row[1]] >= k]
        if len(kept) == len(left):
            break
        left = kept
    path = put(tmp_path_factory.mktemp("core"), "x.csv", lines(HEADER, *rows))
    if not left:
        with pytest.raises(BenchError, match=f"no {k}-core"):
            read([path], Options(k_core=k))
        return
    dataset = read([path], Options(k_core=k)).dataset
    assert len(dataset.times) == len(left)
    assert set(dataset.items.ids) == {item for _, item, _ in left}


def test_ties_are_in_the_order_of_a_hash_and_never_of_the_ids(tmp_path: Path) -> None:
    items = [f"i{n:02d}" for n in range(40)]
    for order in (items, items[::-1]):
        found = sequences(read([put(tmp_path, "x.csv", lines(HEADER, *(("u", item, NOW) for item in order)))]).dataset)
        assert sorted(found["u"]) == items
        assert 10 < sum(a < b for a, b in zip(found["u"], found["u"][1:], strict=False)) < 30
    assert found == sequences(read([put(tmp_path, "y.csv", lines(HEADER, *(("u", i, NOW) for i in items)))]).dataset)


def test_low_ratings_go_only_where_that_is_asked_for(tmp_path: Path) -> None:
    rows = [("u", "a", 5, 1), ("u", "b", 3.5, 2), ("u", "c", "", 3), ("u", "d", 4, 4)]
    path = put(tmp_path, "x.csv", lines(("user", "item", "stars", "time"), *rows))
    whole = read([path]).dataset
    assert (len(whole.times), "every row counts, whatever its stars; --min-rating keeps those of high ones") == (
        4,
        whole.notes[2],
    )
    high = read([path], Options(min_rating=4)).dataset
    assert sequences(high) == {"u": ["a", "d"]}
    assert "2 rows without a rating of 4 or more: skipped" in high.notes


@pytest.mark.parametrize("name", ["timestmp", "eventdate", "timeframe", "Date of purchase"])
def test_a_column_that_may_be_the_time_is_not_passed_over(tmp_path: Path, name: str) -> None:
    path = put(tmp_path, "x.csv", lines(("user", "item", name), ("u", "a", 9), ("u", "b", 5)))
    with pytest.raises(BenchError, match=f"is '{name}' meant. Name it with --time, or use --time none"):
        read([path])
    assert sequences(read([path], Options(Roles(time=name))).dataset) == {"u": ["b", "a"]}
    dataset = read([path], Options(Roles(time="none"))).dataset
    assert sequences(dataset) == {"u": ["a", "b"]}
    assert "there are no time stamps: the order of the file is taken for that of time" in dataset.notes


def test_names_of_columns_are_read_in_any_spelling(tmp_path: Path) -> None:
    path = put(tmp_path, "x.csv", lines(("User-ID", "artistID", "Unix Time"), ("u", "a", 9)))
    assert sequences(read([path]).dataset) == {"u": ["a"]}


def test_rows_that_lack_something_are_counted(tmp_path: Path) -> None:
    path = put(
        tmp_path, "x.csv", lines(HEADER, ("u", "a", 1), ("", "b", 2), ("u", " ", 3), ("u", "c", ""), ("u", "d", 5))
    )
    dataset = read([path]).dataset
    assert sequences(dataset) == {"u": ["a", "d"]}
    for what in ("user", "item", "time"):
        assert f"1 row without {an(what)}: skipped" in dataset.notes


def test_long_stamps_keep_their_order_to_the_end(tmp_path: Path) -> None:
    order = list("gbeacdf")
    rows = [("u", item, 20240115093000000 + at) for at, item in enumerate(order)]
    random.Random(1).shuffle(rows)
    imported = read([put(tmp_path, "clock.csv", lines(HEADER, *rows))])
    write(imported, tmp_path / "out")
    for dataset in (imported.dataset, read_atomic(tmp_path / "out")):
        assert sequences(dataset) == {"u": order}
    assert imported.described["time"] == "moments as YYYYMMDDhhmmssmmm"


def test_ids_that_a_program_has_changed_are_noted(tmp_path: Path) -> None:
    frame = pd.DataFrame({"user": [7, None, 12], "item": ["1.23457E+12", "nan", "b"], "time": [1, 2, 3]})
    dataset = read([put(tmp_path, "gap.csv", frame.to_csv(index=False))]).dataset
    assert dataset.users == ("12", "7")
    assert any("written with '.0'" in note for note in dataset.notes)
    assert any("rounded by a spreadsheet, such as '1.23457E+12'" in note for note in dataset.notes)
    frame.to_parquet(tmp_path / "gap.parquet")
    assert read([tmp_path / "gap.parquet"]).dataset.users == ("12", "7")
    path = put(tmp_path, "nan.csv", lines(HEADER, ("nan", "a", 1), ("u", "a", 2)))
    assert any("'nan' is read as the id of a user" in note for note in read([path]).dataset.notes)


def test_latin_text_is_read_and_said(tmp_path: Path) -> None:
    put(tmp_path, "movies.csv", "id,title\na,Amélie\n".encode("cp1252"))
    path = put(tmp_path, "x.csv", lines(("user", "item", "time"), ("u", "a", 1)))
    dataset = read([path]).dataset
    assert text(dataset) == {"a": "Amélie"}
    assert "'movies.csv' is not UTF-8; read as cp1252" in dataset.notes
