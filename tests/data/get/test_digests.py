"""Digests and counts, published or recorded, and addresses that fail: both sides are named, nothing is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.data.conversions.write import read_record
from bench.data.download import RetryPolicy
from bench.data.get import GetRequest, get
from bench.data.registry import Counts, Source

QUICK = RetryPolicy(attempts=3, first_wait=0.0, timeout=5.0)
FILES = ["dataset.json", "interactions.parquet", "items.parquet", "toys.inter", "toys.item"]


def reviews_of(toys: Source) -> str:
    return toys.files[0].name


def test_a_wrong_published_digest_names_both_and_keeps_nothing(
    toys: Source, web: Any, tmp_path: Path, refused: Callable[..., str], remains: Callable[[Path], list[str]]
) -> None:
    body = web.files[reviews_of(toys)]
    for kind, other, name in (("sha256", "0" * 64, "SHA-256"), ("md5", "0" * 32, "MD5")):
        wrong = replace(toys, files=(replace(toys.files[0], **{kind: other}), toys.files[1]))
        said = refused(wrong, tmp_path)
        found = hashlib.new(kind, body).hexdigest()
        assert f"{web.url(reviews_of(toys))} has {name} {found}, expected {other} (published)" in said
        assert "the file is not kept" in said
        assert reviews_of(toys) not in str(remains(tmp_path))
        assert not (tmp_path / "toys").exists()
        right = replace(toys.files[0], **{kind: hashlib.new(kind, body).hexdigest()})
        assert get(replace(toys, files=(right, toys.files[1])), tmp_path / kind, retry=QUICK).new


def test_a_digest_is_recorded_at_the_first_download_and_compared_ever_after(
    toys: Source,
    web: Any,
    tmp_path: Path,
    rows: list[tuple[str, str, int]],
    refused: Callable[..., str],
    raw_reviews: Callable[..., bytes],
) -> None:
    first = web.files[reviews_of(toys)]
    get(toys, tmp_path, retry=QUICK)
    web.files[reviews_of(toys)] = raw_reviews([*rows[1:], ("A999", "B000", 1)])
    said = refused(toys, tmp_path, GetRequest(force=True))
    found, recorded = (hashlib.sha256(body).hexdigest() for body in (web.files[reviews_of(toys)], first))
    place = tmp_path / "first_downloads.json"
    assert f"has SHA-256 {found}, expected {recorded} (recorded at the first download in {place})" in said
    assert read_record(tmp_path / "toys") is not None  # what was there stays
    web.files[reviews_of(toys)] = first
    assert get(toys, tmp_path, GetRequest(force=True), retry=QUICK).new
    newer = replace(toys, revision="2")
    web.files[reviews_of(toys)] = raw_reviews(rows[::-1])
    assert get(newer, tmp_path, GetRequest(force=True), retry=QUICK).new  # another revision is another file


def test_wrong_counts_name_both_and_keep_nothing(
    toys: Source, tmp_path: Path, counts: Counts, refused: Callable[..., str], remains: Callable[[Path], list[str]]
) -> None:
    said = refused(replace(toys, expected=Counts(61, 50, 900)), tmp_path)
    assert f"'toys': {counts} after the conversion, expected 61 users, 50 items, 900 interactions (published)" in said
    assert remains(tmp_path) == []


def test_counts_that_nobody_publishes_are_recorded(
    toys: Source, web: Any, tmp_path: Path, counts: Counts, refused: Callable[..., str]
) -> None:
    unknown = replace(toys, expected=None)
    assert get(unknown, tmp_path, retry=QUICK).counts == counts
    record = json.loads((tmp_path / "first_downloads.json").read_text())
    assert record["toys"]["counts"] == vars(counts)
    record["toys"]["counts"]["users"] = 59
    (tmp_path / "first_downloads.json").write_text(json.dumps(record))
    assert "expected 59 users" in refused(unknown, tmp_path, GetRequest(force=True))
    assert get(replace(unknown, version=unknown.version + 1), tmp_path, GetRequest(force=True), retry=QUICK).new


def test_a_broken_record_is_named(toys: Source, tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "first_downloads.json").write_text("{")
    assert "first_downloads.json', the record of first downloads, cannot be read" in refused(toys, tmp_path)


def test_a_truncated_gzip_from_the_source_keeps_nothing(
    toys: Source,
    web: Any,
    tmp_path: Path,
    rows: list[tuple[str, str, int]],
    refused: Callable[..., str],
    remains: Callable[[Path], list[str]],
    raw_reviews: Callable[..., bytes],
) -> None:
    web.files[reviews_of(toys)] = web.files[reviews_of(toys)][:-200]
    assert f"{reviews_of(toys)} is corrupt after line" in refused(toys, tmp_path)
    assert remains(tmp_path) == []
    web.files[reviews_of(toys)] = raw_reviews(rows)
    assert get(toys, tmp_path, retry=QUICK).new


def test_a_page_in_place_of_the_file_keeps_nothing(
    toys: Source, web: Any, tmp_path: Path, refused: Callable[..., str], remains: Callable[[Path], list[str]]
) -> None:
    web.files[reviews_of(toys)] = b"<html>Please log in</html>"
    assert "is corrupt after line 0: BadGzipFile" in refused(toys, tmp_path)
    assert remains(tmp_path) == []


def test_a_mirror_stands_in(toys: Source, web: Any, tmp_path: Path) -> None:
    first, second = toys.files
    mirrored = replace(first, urls=(web.url("gone"), *first.urls))
    assert get(replace(toys, files=(mirrored, second)), tmp_path, retry=QUICK).new
    assert [path for path, _ in web.asked] == ["gone", first.name, second.name]


def test_a_file_that_is_gone_says_what_else_to_do(
    toys: Source, web: Any, tmp_path: Path, refused: Callable[..., str], remains: Callable[[Path], list[str]]
) -> None:
    del web.files[reviews_of(toys)]
    said = refused(toys, tmp_path)
    assert f"cannot download {web.url(reviews_of(toys))}: the server answers 404" in said
    assert "bench data get toys --from FOLDER, with reviews_Toys_and_Games_5.json.gz and meta_Toys" in said
    assert remains(tmp_path) == []


def test_an_interrupted_download_goes_on_and_whole_files_are_not_fetched_twice(
    toys: Source, web: Any, tmp_path: Path, refused: Callable[..., str], remains: Callable[[Path], list[str]]
) -> None:
    reviews, meta = (file.name for file in toys.files)
    web.faults[meta] = [("cut", 100)] + [("status", 503, {})] * 5
    assert "100 bytes are kept: rerun to resume" in refused(toys, tmp_path)
    assert not (tmp_path / "toys").exists()
    web.faults[meta] = []
    assert get(toys, tmp_path, retry=QUICK).new
    assert [path for path, _ in web.asked].count(reviews) == 1
    assert web.asked[-1] == (meta, "bytes=100-")
    assert remains(tmp_path) == ["first_downloads.json", *(f"toys/{name}" for name in FILES)]
