"""Raw files that the user has fetched."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.data import registry
from bench.data.conversions.write import read_record
from bench.data.download import RetryPolicy
from bench.data.formats import read_atomic
from bench.data.get import GetRequest, get
from bench.data.registry import Counts, Source

QUICK = RetryPolicy(attempts=3, first_wait=0.0, timeout=5.0)


def reviews_of(toys: Source) -> str:
    return toys.files[0].name


@pytest.mark.parametrize("form", ["folder", "files", "unpacked"])
def test_raw_files_that_are_here_already(toys: Source, web: Any, tmp_path: Path, form: str, counts: Counts) -> None:
    hand = tmp_path / "hand"
    hand.mkdir()
    for file in toys.files:
        packed = web.files.pop(file.name)
        name, body = (file.name[:-3], gzip.decompress(packed)) if form == "unpacked" else (file.name, packed)
        (hand / name).write_bytes(body)
    given = tuple(sorted(hand.iterdir())) if form == "files" else (hand,)
    got = get(toys, tmp_path / "data", GetRequest(given=given), retry=QUICK)
    assert got.counts == counts
    assert web.asked == []
    assert len(list(hand.iterdir())) == 2  # they are the user's
    assert read_record(got.folder)["raw_files"][0]["url"] == ""  # type: ignore[index]


def test_given_files_that_are_not_the_right_ones(toys: Source, tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "hand").mkdir()
    (tmp_path / "hand" / "other.json").touch()
    said = refused(toys, tmp_path, GetRequest(given=(tmp_path / "hand",)))
    assert f"--from: expected one {reviews_of(toys)}; got other.json; 'toys' is made of" in said
    assert "--from 'absent' does not exist" in refused(toys, tmp_path, GetRequest(given=(Path("absent"),)))


def test_a_given_file_with_a_wrong_digest_stays(
    toys: Source, web: Any, tmp_path: Path, refused: Callable[..., str]
) -> None:
    for file in toys.files:
        (tmp_path / file.name).write_bytes(web.files[file.name])
    wrong = replace(toys, files=(replace(toys.files[0], sha256="0" * 64), toys.files[1]))
    assert "nothing is made of it" in refused(wrong, tmp_path / "data", GetRequest(given=(tmp_path,)))
    assert (tmp_path / reviews_of(toys)).exists()


def test_a_wrong_file_that_is_given_is_not_the_first_download(
    toys: Source, web: Any, tmp_path: Path, rows: list[tuple[str, str, int]], raw_reviews: Callable[..., bytes]
) -> None:
    toys = replace(toys, expected=None)
    (tmp_path / toys.files[1].name).write_bytes(web.files[toys.files[1].name])
    (tmp_path / reviews_of(toys)).write_bytes(raw_reviews(rows[:-7]))  # cut short by other means
    assert get(toys, tmp_path / "data", GetRequest(given=(tmp_path,)), retry=QUICK).new
    assert get(toys, tmp_path / "data", GetRequest(force=True), retry=QUICK).counts.interactions == len(rows)


def test_what_no_program_may_fetch_says_how_to_get_it(tmp_path: Path, refused: Callable[..., str]) -> None:
    yelp = registry.find("yelp")
    said = refused(yelp, tmp_path, GetRequest(accept_licence=True))
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
    request = GetRequest(accept_licence=True, given=(tmp_path / "yelp_dataset.tar",))
    got = get(yelp, tmp_path / "data", request, retry=QUICK)
    assert read_atomic(got.folder).items.text["title"] == tuple(f"Place {item}" for item in range(5))
