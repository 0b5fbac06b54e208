"""Pictures inside a page: ids of their own, the page's colors, text that stays text."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from matplotlib.figure import Figure

from bench.report.figures.inline import inline
from bench.report.figures.style import INK, style


def drawn(prefix: str) -> str:
    with style():
        figure = Figure(figsize=(2, 2))
        panel = figure.subplots()
        panel.plot([0, 1], [0, 1], marker="o")
        panel.set_title('A "title" & <more>')
        panel.set_xlabel("leaning", fontstyle="italic")
        return inline(figure, prefix, 'said "aloud" & <more>')


def test_it_is_one_whole_element() -> None:
    root = ElementTree.fromstring(drawn("p"))
    assert root.tag.endswith("svg")
    assert root.get("aria-label") == 'said "aloud" & <more>'
    assert root.get("viewBox") == "0 0 144 144"
    assert root.get("width") is None
    said = "".join(root.itertext())
    assert 'A "title" & <more>' in said
    assert "Matplotlib" not in said


def test_two_pictures_share_no_id_and_refer_to_themselves() -> None:
    one, other = drawn("one"), drawn("other")
    ids = [set(re.findall(r'\bid="([^"]+)"', text)) for text in (one, other)]
    assert ids[0].isdisjoint(ids[1])
    assert set(re.findall(r'(?:url\(#|href="#)([^")]+)', one)) <= ids[0]
    assert len(re.findall(r"url\(#one-", one)) > 0


def test_black_on_white_becomes_the_colors_of_the_page() -> None:
    text = drawn("p")
    assert "var(--ink)" in text
    assert INK.lower() not in text
    assert "#ffffff" not in text
    assert not re.search(r"fill: ?#000000", text)


def test_the_same_figure_gives_the_same_text() -> None:
    assert drawn("p") == drawn("p")
