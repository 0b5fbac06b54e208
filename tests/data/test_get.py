"""`bench data get` from end to end: a real server, raw files in their sources' forms, and all that goes wrong."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from bench.data import registry, sources
from bench.data.conversions.write import read_record
from bench.data.download import Patience
from bench.data.formats import read_atomic
from bench.data.get import Got, Wish, get
from bench.data.registry import Counts, Source
from bench.errors import BenchError

QUICK = Patience(attempts=3, first_wait=0.0, timeout=5.0)
DAYS = 400
FILES = ["dataset.json", "interactions.parquet", "items.parquet", "toys.inter", "toys.item"]


def planted() -> list[tuple[str, str, int]]:
    """Reviews as SNAP has them: grouped by item, dated by the day. A user takes five neighbouring items on one day."""
    draws = random.Random(3)
    rows = []
    for user in range(60):
        for _ in range(3):
            first, day = draws.randrange(36), draws.randrange(DAYS)
            rows += [(f"A{user:03d}", f"B{first + step:03d}", day) for step in range(5)]
    return sorted(rows, key=lambda row: row[1])


def raw_reviews(rows: Sequence[tuple[str, str, int]]) -> bytes:
    lines = (
        json.dumps({"reviewerID": user, "asin": item, "overall": 4.0, "unixReviewTime": day * 86400})
        for user, item, day in rows
    )
    return gzip.compress("\n".join(lines).encode(), mtime=0)


ROWS = planted()
COUNTS = Counts(len({row[0] for row in ROWS}), len({row[1] for row in ROWS}), len(ROWS))
META = gzip.compress(
    "\n".join(
        str({"asin": f"B{item:03d}", "title": f"Item &amp; {item}", "categories": [["Toys", "Games"]]})
        for item in range(50)
    ).encode(),
    mtime=0,
)


@pytest.fixture
def toys(web: Any) -> Source:
    """The source of Toys, from a server of ours with few reviews."""
    source = registry.find("toys")
    contents = {file.name: raw for file, raw in zip(source.files, (raw_reviews(ROWS), META), strict=True)}
    web.files.update(contents)
    files = tuple(replace(file, urls=(web.url(file.name),)) for file in source.files)
    return replace(source, files=files, expected=COUNTS)


def reviews_of(toys: Source) -> str:
    return toys.files[0].name


def remains(root: Path) -> list[str]:
    """What is in a data folder but locks."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.suffix != ".lock")


def refused(source: Source, root: Path, wish: Wish | None = None) -> str:
    with pytest.raises(BenchError) as caught:
        get(source, root, wish, patience=QUICK)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_data_set_arrives_and_is_found_by_its_name(toys: Source, web: Any, tmp_path: Path) -> None:
    got = get(toys, tmp_path, patience=QUICK)
    assert got == Got(tmp_path / "toys", COUNTS, new=True)
    assert remains(tmp_path) == ["first_downloads.json", *(f"toys/{name}" for name in FILES)]
    found = sources.find("toys", tmp_path)
    assert Counts(len(found.users), len(found.items), len(found.sequences.values)) == COUNTS
    assert found.items.text["title"][:2] == ("Item & 0", "Item & 1")
    assert set(found.items.text["categories"]) == {"Toys, Games"}
    again = get(toys, tmp_path, patience=QUICK)
    assert again == replace(got, new=False)
    assert len(web.asked) == 2


def test_what_is_written_says_where_it_comes_from(toys: Source, web: Any, tmp_path: Path) -> None:
    folder = get(toys, tmp_path, patience=QUICK).folder
    record = read_record(folder)
    assert record is not None
    assert (record["name"], record["ties"], record["text"]) == ("toys", "digest", ["title", "categories"])
    assert record["conversion"] == {"name": "amazon-2014", "version": 1, "k_core": 0, "repeats": "keep"}
    assert record["counts"] == vars(COUNTS)
    assert record["licence"] == "none stated: do not redistribute"
    assert record["data_digest"] == read_atomic(folder).fingerprint
    assert record["raw_files"] == [
        {"name": file.name, "url": file.urls[0], "sha256": hashlib.sha256(web.files[file.name]).hexdigest()}
        for file in toys.files
    ]
    for name in FILES[1:]:
        assert record["files"][name] == hashlib.sha256((folder / name).read_bytes()).hexdigest()


def test_parquet_and_atomic_files_hold_the_same_and_all_columns(toys: Source, tmp_path: Path) -> None:
    folder = get(toys, tmp_path, patience=QUICK).folder
    table = pq.read_table(folder / "interactions.parquet").to_pandas()
    assert str(table["time"].dtype) == "int64"
    rows = [line.split("\t") for line in (folder / "toys.inter").read_text().splitlines()]
    assert rows[0] == ["user_id:token", "item_id:token", "rating:float", "timestamp:float"]
    assert [[row[0], row[1], row[3]] for row in rows[1:]] == table[["user", "item", "time"]].astype(
        str
    ).to_numpy().tolist()
    items = pq.read_table(folder / "items.parquet").to_pandas()
    assert list(items) == ["item", "title", "brand", "categories", "price", "features", "description"]
    assert Counter(zip(table["user"], table["item"], table["time"] // 86400, strict=True)) == Counter(ROWS)


def test_the_same_raw_files_give_the_same_bytes(toys: Source, tmp_path: Path) -> None:
    one, two = (get(toys, tmp_path / name, patience=QUICK).folder for name in ("one", "two"))
    for name in FILES:
        assert (one / name).read_bytes() == (two / name).read_bytes()


# -- ties -------------------------------------------------------------------------------------------------------------


def sequences(folder: Path) -> list[list[tuple[str, int]]]:
    """Items and time stamps of each user in the order of the file."""
    users: dict[str, list[tuple[str, int]]] = {}
    for line in (folder / "toys.inter").read_text().splitlines()[1:]:
        user, item, _, time = line.split("\t")
        users.setdefault(user, []).append((item, int(time)))
    return list(users.values())


def ascending_within_days(rows: list[list[tuple[str, int]]]) -> float:
    pairs = [a[0] < b[0] for row in rows for a, b in pairwise(row) if a[1] == b[1] and a[0] != b[0]]
    return sum(pairs) / len(pairs)


def markov_hits(rows: list[list[tuple[str, int]]]) -> float:
    """Share of last items that are the most frequent follower of the item before, as counted in all but last items."""
    followers: dict[str, Counter[str]] = {}
    for row in rows:
        for (before, _), (after, _) in pairwise(row[:-1]):
            followers.setdefault(before, Counter())[after] += 1
    hits = [followers.get(row[-2][0], Counter({"": 1})).most_common(1)[0][0] == row[-1][0] for row in rows]
    return sum(hits) / len(hits)


def test_ties_by_id_are_what_a_chain_lives_on_and_the_default_has_none(toys: Source, tmp_path: Path) -> None:
    rows = {
        ties: sequences(get(toys, tmp_path / ties, Wish(ties=ties), patience=QUICK).folder)
        for ties in ("digest", "id", "file")
    }
    for found in rows.values():
        assert all(row == sorted(row, key=lambda each: each[1]) for row in found)
    assert rows["file"] == rows["id"]  # for the source groups reviews by item
    assert ascending_within_days(rows["id"]) == 1.0
    assert 0.4 < ascending_within_days(rows["digest"]) < 0.6
    assert markov_hits(rows["id"]) > 0.6
    assert markov_hits(rows["digest"]) < 0.25
    assert [read_record(tmp_path / ties / "toys")["ties"] for ties in rows] == list(rows)  # type: ignore[index]


def test_rows_stand_in_the_order_in_which_they_are_read(toys: Source, tmp_path: Path) -> None:
    folder = get(toys, tmp_path, patience=QUICK).folder
    found = read_atomic(folder)
    read = [
        [found.items.ids[item] for item in row] for row in (found.sequences[user] for user in range(len(found.users)))
    ]
    assert read == [[item for item, _ in row] for row in sequences(folder)]


# -- digests and counts -----------------------------------------------------------------------------------------------


def test_a_wrong_published_digest_names_both_and_keeps_nothing(toys: Source, web: Any, tmp_path: Path) -> None:
    body = web.files[reviews_of(toys)]
    for kind, other, name in (("sha256", "0" * 64, "SHA-256"), ("md5", "0" * 32, "MD5")):
        wrong = replace(toys, files=(replace(toys.files[0], **{kind: other}), toys.files[1]))
        said = refused(wrong, tmp_path)
        assert (
            f"{web.url(reviews_of(toys))} has {name} {hashlib.new(kind, body).hexdigest()}, where published is {other}"
            in said
        )
        assert "the file is not kept" in said
        assert reviews_of(toys) not in str(remains(tmp_path))
        assert not (tmp_path / "toys").exists()
        right = replace(toys.files[0], **{kind: hashlib.new(kind, body).hexdigest()})
        assert get(replace(toys, files=(right, toys.files[1])), tmp_path / kind, patience=QUICK).new


def test_a_digest_is_recorded_at_the_first_download_and_compared_ever_after(
    toys: Source, web: Any, tmp_path: Path
) -> None:
    first = web.files[reviews_of(toys)]
    get(toys, tmp_path, patience=QUICK)
    web.files[reviews_of(toys)] = raw_reviews([*ROWS[1:], ("A999", "B000", 1)])
    said = refused(toys, tmp_path, Wish(force=True))
    found, recorded = (hashlib.sha256(body).hexdigest() for body in (web.files[reviews_of(toys)], first))
    assert (
        f"has SHA-256 {found}, where recorded at the first download ({tmp_path / 'first_downloads.json'}) is {recorded}"
        in said
    )
    assert read_record(tmp_path / "toys") is not None  # what was there stays
    web.files[reviews_of(toys)] = first
    assert get(toys, tmp_path, Wish(force=True), patience=QUICK).new
    newer = replace(toys, revision="2")
    web.files[reviews_of(toys)] = raw_reviews(ROWS[::-1])
    assert get(newer, tmp_path, Wish(force=True), patience=QUICK).new  # another revision is another file


def test_wrong_counts_name_both_and_keep_nothing(toys: Source, tmp_path: Path) -> None:
    said = refused(replace(toys, expected=Counts(61, 50, 900)), tmp_path)
    assert f"'toys': {COUNTS} after the conversion, where are expected 61 users, 50 items, 900 interactions" in said
    assert remains(tmp_path) == []


def test_counts_that_nobody_publishes_are_recorded(toys: Source, web: Any, tmp_path: Path) -> None:
    unknown = replace(toys, expected=None)
    assert get(unknown, tmp_path, patience=QUICK).counts == COUNTS
    record = json.loads((tmp_path / "first_downloads.json").read_text())
    assert record["toys"]["counts"] == vars(COUNTS)
    record["toys"]["counts"]["users"] = 59
    (tmp_path / "first_downloads.json").write_text(json.dumps(record))
    assert "where the first download gave 59 users" in refused(unknown, tmp_path, Wish(force=True))
    assert get(replace(unknown, version=2), tmp_path, Wish(force=True), patience=QUICK).new


def test_a_broken_record_is_named(toys: Source, tmp_path: Path) -> None:
    (tmp_path / "first_downloads.json").write_text("{")
    assert "first_downloads.json', the record of first downloads, cannot be read" in refused(toys, tmp_path)


def test_a_truncated_gzip_from_the_source_keeps_nothing(toys: Source, web: Any, tmp_path: Path) -> None:
    web.files[reviews_of(toys)] = web.files[reviews_of(toys)][:-200]
    assert f"{reviews_of(toys)} is damaged after line" in refused(toys, tmp_path)
    assert remains(tmp_path) == []
    web.files[reviews_of(toys)] = raw_reviews(ROWS)
    assert get(toys, tmp_path, patience=QUICK).new


def test_a_page_in_place_of_the_file_keeps_nothing(toys: Source, web: Any, tmp_path: Path) -> None:
    web.files[reviews_of(toys)] = b"<html>Please log in</html>"
    assert "is damaged after line 0: BadGzipFile" in refused(toys, tmp_path)
    assert remains(tmp_path) == []


# -- addresses --------------------------------------------------------------------------------------------------------


def test_a_mirror_stands_in(toys: Source, web: Any, tmp_path: Path) -> None:
    first, second = toys.files
    mirrored = replace(first, urls=(web.url("gone"), *first.urls))
    assert get(replace(toys, files=(mirrored, second)), tmp_path, patience=QUICK).new
    assert [path for path, _ in web.asked] == ["gone", first.name, second.name]


def test_a_file_that_is_gone_says_what_else_to_do(toys: Source, web: Any, tmp_path: Path) -> None:
    del web.files[reviews_of(toys)]
    said = refused(toys, tmp_path)
    assert f"cannot download {web.url(reviews_of(toys))}: the server answers 404" in said
    assert "bench data get toys --from FOLDER, with reviews_Toys_and_Games_5.json.gz and meta_Toys" in said
    assert remains(tmp_path) == []


def test_an_interrupted_download_goes_on_and_whole_files_are_not_fetched_twice(
    toys: Source, web: Any, tmp_path: Path
) -> None:
    reviews, meta = (file.name for file in toys.files)
    web.faults[meta] = [("cut", 100)] + [("status", 503, {})] * 5
    assert "100 bytes are kept: rerun to resume" in refused(toys, tmp_path)
    assert not (tmp_path / "toys").exists()
    web.faults[meta] = []
    assert get(toys, tmp_path, patience=QUICK).new
    assert [path for path, _ in web.asked].count(reviews) == 1
    assert web.asked[-1] == (meta, "bytes=100-")
    assert remains(tmp_path) == ["first_downloads.json", *(f"toys/{name}" for name in FILES)]


# -- raw files by hand ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["folder", "files", "unpacked"])
def test_raw_files_that_are_here_already(toys: Source, web: Any, tmp_path: Path, form: str) -> None:
    hand = tmp_path / "hand"
    hand.mkdir()
    for file in toys.files:
        packed = web.files.pop(file.name)
        name, body = (file.name[:-3], gzip.decompress(packed)) if form == "unpacked" else (file.name, packed)
        (hand / name).write_bytes(body)
    given = tuple(sorted(hand.iterdir())) if form == "files" else (hand,)
    got = get(toys, tmp_path / "data", Wish(given=given), patience=QUICK)
    assert got.counts == COUNTS
    assert web.asked == []
    assert len(list(hand.iterdir())) == 2  # they are the user's
    assert read_record(got.folder)["raw_files"][0]["url"] == ""  # type: ignore[index]


def test_given_files_that_are_not_the_right_ones(toys: Source, tmp_path: Path) -> None:
    (tmp_path / "hand").mkdir()
    (tmp_path / "hand" / "other.json").touch()
    said = refused(toys, tmp_path, Wish(given=(tmp_path / "hand",)))
    assert f"--from: needed is one {reviews_of(toys)}; found other.json; 'toys' is made of" in said
    assert "--from 'absent' does not exist" in refused(toys, tmp_path, Wish(given=(Path("absent"),)))


def test_a_given_file_with_a_wrong_digest_stays(toys: Source, web: Any, tmp_path: Path) -> None:
    for file in toys.files:
        (tmp_path / file.name).write_bytes(web.files[file.name])
    wrong = replace(toys, files=(replace(toys.files[0], sha256="0" * 64), toys.files[1]))
    assert "nothing is made of it" in refused(wrong, tmp_path / "data", Wish(given=(tmp_path,)))
    assert (tmp_path / reviews_of(toys)).exists()


def test_what_no_program_may_fetch_says_how_to_get_it(tmp_path: Path) -> None:
    yelp = registry.find("yelp")
    said = refused(yelp, tmp_path, Wish(accept_licence=True))
    for part in (
        "sign Yelp's agreement",
        "https://www.yelp.com/dataset",
        "bench data get yelp --from FILE",
        *yelp.files,
    ):
        assert getattr(part, "name", part) in said


def test_the_archive_of_yelp_holds_both_files(tmp_path: Path) -> None:
    import io
    import tarfile

    reviews = [
        {"user_id": f"u{user}", "business_id": f"b{item}", "stars": 3.0, "date": f"2019-03-01 10:00:{user + item:02d}"}
        for user in range(5)
        for item in range(5)
    ]
    businesses = [{"business_id": f"b{item}", "name": f"Place {item}", "categories": "A, B"} for item in range(6)]
    with tarfile.open(tmp_path / "yelp_dataset.tar", "w") as archive:
        for name, records in (("review", reviews), ("business", businesses)):
            data = "\n".join(map(json.dumps, records)).encode()
            info = tarfile.TarInfo(f"yelp_academic_dataset_{name}.json")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    yelp = replace(registry.find("yelp"), expected=Counts(5, 5, 25))
    wish = Wish(accept_licence=True, given=(tmp_path / "yelp_dataset.tar",))
    got = get(yelp, tmp_path / "data", wish, patience=QUICK)
    assert read_atomic(got.folder).items.text["title"] == tuple(f"Place {item}" for item in range(5))


# -- licence, place, disk ---------------------------------------------------------------------------------------------


def test_a_licence_is_accepted_before_anything_is_fetched(toys: Source, web: Any, tmp_path: Path) -> None:
    licensed = replace(toys, must_accept=True)
    said = refused(licensed, tmp_path)
    assert "'toys' has a licence: none stated: do not redistribute (https://snap" in said
    assert said.endswith("if you accept it, add --accept-licence")
    assert web.asked == []
    assert get(licensed, tmp_path, Wish(accept_licence=True), patience=QUICK).new


@pytest.mark.parametrize("place", ["toys/toys.inter", "toys/notes.txt", "toys.inter"])
def test_somebody_elses_files_are_not_touched(toys: Source, web: Any, tmp_path: Path, place: str) -> None:
    (tmp_path / "toys").mkdir()
    (tmp_path / place).write_text("mine")
    for wish in (Wish(), Wish(force=True)):
        assert "holds a data set that `bench data get` has not made; move it away" in refused(toys, tmp_path, wish)
    assert (tmp_path / place).read_text() == "mine"
    assert web.asked == []


def test_what_is_here_in_another_form_is_said_and_made_anew_by_force(toys: Source, tmp_path: Path) -> None:
    folder = get(toys, tmp_path, patience=QUICK).folder
    assert "is here and has another ties; --force makes it anew" in refused(toys, tmp_path, Wish(ties="id"))
    assert "is here and has another text" in refused(toys, tmp_path, Wish(text=("title",)))
    assert "is here and has another conversion" in refused(replace(toys, version=2), tmp_path)
    assert get(toys, tmp_path, Wish(text=("brand",), force=True), patience=QUICK).new
    assert list(read_atomic(folder).items.text) == ["brand"]


def test_what_has_changed_on_disk_is_said(toys: Source, tmp_path: Path) -> None:
    folder = get(toys, tmp_path, patience=QUICK).folder
    with (folder / "toys.inter").open("a") as file:
        file.write("A000\tB000\t5\t1\n")
    (folder / "items.parquet").unlink()
    said = refused(toys, tmp_path)
    assert "has changed since (items.parquet, toys.inter); --force makes it anew" in said
    assert get(toys, tmp_path, Wish(force=True), patience=QUICK).new
    assert not get(toys, tmp_path, patience=QUICK).new


def test_unknown_columns_and_rules(toys: Source, tmp_path: Path) -> None:
    assert "unknown text column 'titel'; did you mean 'title'?" in refused(toys, tmp_path, Wish(text=("titel",)))
    assert "unknown rule for ties 'random'" in refused(toys, tmp_path, Wish(ties="random"))
    assert not (tmp_path / "toys").exists()


CALL = """
import resource, sys
from dataclasses import replace
from pathlib import Path
from bench.data import registry
from bench.data.download import Patience
from bench.data.get import Wish, get
from bench.errors import BenchError
limit = int(sys.argv[3])
import bench.data.conversions.write
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
try:
    toys = replace(registry.find("toys"), expected=None)
    print(get(toys, Path(sys.argv[1]), Wish(given=(Path(sys.argv[2]),), force=True)).counts)
except BenchError as error:
    print(error)
"""


@pytest.fixture
def by_hand(toys: Source, web: Any, tmp_path: Path) -> Path:
    folder = tmp_path / "hand"
    folder.mkdir()
    for file in toys.files:
        (folder / file.name).write_bytes(web.files[file.name])
    return folder


@pytest.mark.parametrize("limit", [1_000, 5_000, 10_000])
def test_a_disk_that_fills_while_writing_keeps_nothing(by_hand: Path, tmp_path: Path, limit: int) -> None:
    root = tmp_path / "data"
    done = subprocess.run([sys.executable, "-c", CALL, root, by_hand, str(limit)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"cannot write to '{root}': "), done.stdout
    assert "make room, or name another folder with --data-dir" in done.stdout
    assert remains(root) == []


def test_a_full_disk_leaves_the_old_data_set_as_it_was(by_hand: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    for limit in ("0", "10000"):
        done = subprocess.run([sys.executable, "-c", CALL, root, by_hand, limit], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert "cannot write" in done.stdout
    record = read_record(root / "toys")
    assert record is not None
    assert read_atomic(root / "toys").fingerprint == record["data_digest"]


def test_a_killed_run_leaves_nothing_that_counts_as_a_data_set(by_hand: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    stop = CALL.replace(
        "import bench.data.conversions.write", "import os, bench.data.get as g\ng._sync = lambda folder: os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", stop, root, by_hand, "0"], capture_output=True, text=True)
    assert done.returncode == 9, done.stderr
    assert not (root / "toys").exists()
    done = subprocess.run([sys.executable, "-c", CALL, root, by_hand, "0"], capture_output=True, text=True)
    assert done.stdout.strip() == str(COUNTS), done.stderr
    assert remains(root) == ["first_downloads.json", *(f"toys/{name}" for name in FILES)]


def test_two_at_once_do_not_meet(toys: Source, tmp_path: Path) -> None:
    from filelock import FileLock

    (tmp_path / ".downloads").mkdir()
    with FileLock(tmp_path / ".downloads" / "toys.lock"):
        assert "another `bench data get toys` is at work in" in refused(toys, tmp_path)
    assert get(toys, tmp_path, patience=QUICK).new


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to(toys: Source, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "cannot write to" in refused(toys, tmp_path)
    tmp_path.chmod(0o700)


# -- MovieLens-100k: two copies, one data set -------------------------------------------------------------------------


def grouplens(folder: Path) -> dict[str, str]:
    """The archive of GroupLens, made again from RecBole's copy: `u.data` and `u.item` in their own form."""
    genres = (
        *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
        *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
    )
    films = []
    for line in (folder / "ml-100k.item").read_text(encoding="utf-8").splitlines()[1:]:
        item, title, year, names = line.split("\t")
        flags = "|".join(str(int(genre in names.split(" "))) for genre in genres)
        known = "unknown|||" if item == "267" else f"{title} ({year})|01-Jan-1995||http://us.imdb.com/M/title-exact?x"
        films.append(f"{item}|{known}|{flags}")
    rows = (folder / "ml-100k.inter").read_text().splitlines()[1:]
    return {"ml-100k/u.data": "\n".join(rows) + "\n", "ml-100k/u.item": "\n".join(films) + "\n"}


def test_movielens_from_grouplens_is_that_of_recbole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = sources.located("ml-100k", tmp_path)
    if folder is None:
        pytest.skip("RecBole is not installed: pip install --no-deps recbole==1.2.1")
    import zipfile

    with zipfile.ZipFile(tmp_path / "ml-100k.zip", "w") as archive:
        for name, text in grouplens(folder).items():
            archive.writestr(name, text.encode("latin-1"))
    source = registry.find("ml-100k")
    source = replace(source, files=(replace(source.files[0], md5=""),))
    wish = Wish(accept_licence=True, given=(tmp_path / "ml-100k.zip",))
    got = get(source, tmp_path / "data", wish, patience=QUICK)
    of_recbole = sources.find("ml-100k")
    monkeypatch.setattr(sources, "_embedded", lambda: None)
    of_grouplens = sources.find("ml-100k", tmp_path / "data")
    assert got.folder == tmp_path / "data" / "ml-100k"
    assert of_grouplens.fingerprint == of_recbole.fingerprint == read_record(got.folder)["data_digest"]  # type: ignore[index]
    assert of_grouplens.dated_fingerprint == of_recbole.dated_fingerprint
