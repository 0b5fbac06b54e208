"""What a person reads of a marked-up text, against the parser of HTML that browsers' rules define."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import html5lib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.markup import is_marked_up, plain

WORDS = st.sampled_from(["bear", "car & van", "3 < 4", "Tom's", "ü", "50%"])
AROUND = st.sampled_from(
    ["<b>{}</b>", '<span id="t">{}</span>', "{}<br/>", "<p class='x'>{}</p>", "<!-- x -->{}", "{}"]
)


def read_by_a_browser(markup: str) -> str:
    tree = html5lib.parseFragment(markup, treebuilder="dom")
    tree.normalize()
    return " ".join("".join(_texts(tree)).split())


def _texts(node: Any) -> Iterator[str]:
    for child in node.childNodes:
        yield from [child.data] if child.nodeType == child.TEXT_NODE else _texts(child)


@given(st.lists(st.tuples(AROUND, WORDS), min_size=1, max_size=4))
def test_equals_what_a_browser_shows(parts: list[tuple[str, str]]) -> None:
    markup = " ".join(around.format(word.replace("&", "&amp;").replace("<", "&lt;")) for around, word in parts)
    assert plain(markup) == read_by_a_browser(markup)


@given(st.text("<>&;/ab amp;lt;br", max_size=20))
def test_what_is_plain_stays_as_it_is(text: str) -> None:
    assert plain(plain(text)) == plain(text)


@pytest.mark.parametrize("text", ["<Untitled>", "I <3 you", "a < b > c", "x &amp; y", "R&B", "", "<>", "&amp; <"])
def test_ordinary_text_is_not_marked_up(text: str) -> None:
    assert not is_marked_up(text)


@pytest.mark.parametrize("text", ["<br>", "a</b>", "x &amp;amp; y", "&lt;b&gt;x", "<BR/>", "<script>1</script>"])
def test_markup_is_seen(text: str) -> None:
    assert is_marked_up(text)
