"""Whatever a file has in the place of a name, an error is one line that a person can read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.errors import LONGEST_WORD, BenchError, CorruptError, counted, in_one_line


def test_line_breaks_are_shown_and_do_not_break_the_line() -> None:
    assert str(BenchError("row 1: time 'a\nb\r' is none")) == r"row 1: time 'a\nb\r' is none"


def test_endless_words_are_cut_and_paths_are_not() -> None:
    said = str(CorruptError(f"time '{'9' * 5000}' is none"))
    assert said.startswith("time '999")
    assert said.endswith("9… is none")
    assert len(said) < LONGEST_WORD
    path = "/folder" * (LONGEST_WORD // 7)
    assert str(BenchError(f"no file {path}")) == f"no file {path}"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/" + "x" * 300 + "/there", "'" + "x" * 40 + "…' is a name of 300 letters"),
        ("x/" * 3000, "'" + "x/" * 20 + "…' is a path"),
    ],
)
def test_a_name_that_no_disk_takes_is_told_as_one(path: str, told: str) -> None:
    with pytest.raises(OSError, match="too long") as caught:
        os.stat(path)
    assert in_one_line(caught.value) == (
        f"{told}, which is too long for a file here; most disks take 255 bytes; give a shorter name"
    )


def test_other_errors_of_the_system_keep_its_words(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="directory") as caught:
        (tmp_path / "none" / "file").touch()
    assert in_one_line(caught.value) == f"No such file or directory: '{tmp_path}/none/file'"


def test_one_is_no_plural() -> None:
    assert [counted(number, "row") for number in (0, 1, 2, 1200)] == ["0 rows", "1 row", "2 rows", "1,200 rows"]
