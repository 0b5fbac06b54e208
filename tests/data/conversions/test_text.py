"""Text of items as people see it."""

from __future__ import annotations

import pytest

from bench.data import markup
from bench.data.conversions.text import clean, joined, sentences
from bench.data.formats.catalogue import Catalogue


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        ("LEGO Star Wars", "LEGO Star Wars"),
        ("Barnes &amp; Noble", "Barnes & Noble"),
        ("Barnes &amp;amp; Noble &amp;quot;Nook&amp;quot;", 'Barnes & Noble "Nook"'),
        ("caf&eacute; &#39;n&#x27; bar", "café 'n' bar"),
        ("AT&T R&copyright Q&A &unknown; 5 &lt; 6", "AT&T R&copyright Q&A &unknown; 5 < 6"),
        ('<span id="productTitle" class="a-size-large">Puzzle</span>', "Puzzle"),
        ("&lt;b&gt;Big&lt;/b&gt; deal<br/>today", "Big deal today"),
        ("<script>var title = 'x';</script>Doll <!-- sold -->house<style>p {}</style>", "Doll house"),
        ("I <3 you, 5 < 6 > 4", "I <3 you, 5 < 6 > 4"),
        (r"two\nlines\tand\r\nmore", "two lines and more"),
        ("two\nlines\tand\x00a\u2028null\u200b", "two lines and a null"),
        ("<Untitled>", "<Untitled>"),
        ("&lt;Untitled&gt; <b>deluxe</b>", "<Untitled> deluxe"),
        ("  wide\u00a0 spaces  ", "wide spaces"),
        (["", None, "first", "second"], "first"),
        ([], ""),
        (None, ""),
        (float("nan"), ""),
        (True, ""),
        ({"a": 1}, ""),
        (12.99, "12.99"),
        (7, "7"),
    ],
)
def test_one_value_is_one_clean_line(raw: object, seen: str) -> None:
    assert clean(raw) == seen
    assert clean(seen) == seen  # once is enough


@pytest.mark.parametrize(
    "raw", ["<Untitled>", "R&copyright", "&lt;b&gt;Big&lt;/b&gt; deal", r"a\nb", "x\u200by", "&amp;amp;copy;", "5 < 6"]
)
def test_raw_files_files_of_one_s_own_and_stored_text_are_cleaned_alike(raw: str) -> None:
    found = Catalogue()
    found.add("item", {"title": raw})
    assert clean(raw) == markup.plain(raw) == found.column("title", ["item"])[0]


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        ([["Toys &amp; Games", "Puzzles"], ["Toys &amp; Games", "3-D Puzzles"]], "Toys & Games, Puzzles, 3-D Puzzles"),
        (["Arts, Crafts & Sewing", "Yarn"], "Arts Crafts & Sewing, Yarn"),
        ("Animation|Children's|Comedy", "Animation, Children's, Comedy"),
        (["Games|Board Games", "Games"], "Games, Board Games"),
        (["", None, []], ""),
        (None, ""),
        ("One", "One"),
    ],
)
def test_names_are_joined_once_each(raw: object, seen: str) -> None:
    assert joined(raw) == seen


def test_a_text_in_pieces_is_one_line() -> None:
    assert sentences(["First.", None, "<p>Second.</p>"]) == "First. Second."
    assert sentences("Only one.") == "Only one."
    assert sentences(None) == ""
