"""Whatever a file has in the place of a name, an error is one line that a person can read."""

from __future__ import annotations

from bench.errors import LONGEST_WORD, BenchError, CorruptError


def test_line_breaks_are_shown_and_do_not_break_the_line() -> None:
    assert str(BenchError("row 1: time 'a\nb\r' is none")) == r"row 1: time 'a\nb\r' is none"


def test_endless_words_are_cut_and_paths_are_not() -> None:
    said = str(CorruptError(f"time '{'9' * 5000}' is none"))
    assert said.startswith("time '999")
    assert said.endswith("9… is none")
    assert len(said) < LONGEST_WORD
    path = "/folder" * (LONGEST_WORD // 7)
    assert str(BenchError(f"no file {path}")) == f"no file {path}"
