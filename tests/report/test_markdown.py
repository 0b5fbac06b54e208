"""Markdown, read back by a parser: what is a table stays one, and nothing that comes from outside becomes markup."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from bench.console import visible
from bench.report.markdown import escaped, markdown
from bench.report.tables import chapters
from bench.results.read import load

OURS = {"text", "strong_open", "strong_close", "em_open", "em_close", "html_inline"}
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def words(inline: Token) -> str:
    return "".join(child.content for child in inline.children or [] if child.type == "text")


def cells(tokens: list[Token]) -> list[list[str]]:
    """The lines of all tables, as a reader sees them."""
    found: list[list[str]] = []
    for before, token in pairwise(tokens):
        if before.type == "tr_open":
            found.append([])
        if before.type in ("th_open", "td_open"):
            found[-1].append(words(token))
    return found


def test_names_read_as_they_are_and_nothing_of_them_is_markup(hostile: tuple[Path, dict[str, str]]) -> None:
    root, names = hostile
    made = chapters(load(root))
    tokens = PARSER.parse(markdown(made))
    inlines = [token for token in tokens if token.type == "inline"]
    kinds = {child.type for token in inlines for child in token.children or []}
    assert kinds == OURS
    tags = {child.content for token in inlines for child in token.children or [] if child.type == "html_inline"}
    assert tags == {"<u>", "</u>"}
    lines = cells(tokens)
    tables = [table for chapter in made for table in chapter.tables]
    first = [text for table in tables for text in (table.head.title, *(cell.text for cell in table.head.cells))]
    assert [line[0] for line in lines] == [text.strip() for text in first]
    assert set(names.values()) <= set(first)
    widths = [1 + len(table.columns) for table in tables for _ in range(1 + len(table.head.cells))]
    assert [len(line) for line in lines] == widths
    said = ["".join(words(token).split()) for token in inlines]
    for text in names.values():
        setting = "".join(text.rpartition(" /")[0].split())
        assert any(f"(sep={setting})" in line for line in said)
        assert f"madeby:benchrun--setx={setting}" in said


def test_numbers_and_names_stay_legible_in_the_file_itself() -> None:
    assert escaped("max_history=20, AT&T, C#") == "max_history=20, AT&T, C\\#"
    assert escaped("a|b_c") == "a\\|b_c"


@given(st.text("ab1 *_`[]()<>|$~&#;!\\\\-\n", max_size=20).map(visible))
@pytest.mark.filterwarnings("error")
def test_any_text_is_read_back_as_it_is(text: str) -> None:
    text = re.sub(" +", " ", text).strip() or "x"
    parsed = PARSER.parse(f"| a |\n| --- |\n| {escaped(text)} |\n")
    assert cells(parsed) == [["a"], [text]]
    inline = PARSER.parse(f"- *n*: {escaped(text)}")[3]
    assert words(inline) == f"n: {text}"
