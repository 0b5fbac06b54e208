"""A table in a notebook: whatever strangers call their items and data, it is shown and does nothing."""

from __future__ import annotations

from html5lib import HTMLParser

from bench.report import fragment
from bench.report.table import Cell, Column, Note, Source, Table, strong

NOWHERE = Source((), ())
HOSTILE = "<script>alert(1)</script> & \"quoted\" 'text' \x1b[31m </td>{}"


def table() -> Table:
    head = Column(HOSTILE, (Cell(HOSTILE, NOWHERE),), numeric=False)
    score = Column("NDCG@10", (Cell("0.1000", NOWHERE, 0.1, sd=0.01, ends=(0.05, 0.15)),))
    return Table("t", HOSTILE, head, (score,), (Note(HOSTILE, f"{HOSTILE} {strong(HOSTILE)}"),))


def test_text_from_outside_is_text() -> None:
    page = fragment.html([table()], banner=HOSTILE)
    tree = HTMLParser(strict=True, namespaceHTMLElements=False).parseFragment(page)
    assert {element.tag for element in tree.iter() if isinstance(element.tag, str)} <= {
        *("DOCUMENT_FRAGMENT", "div", "p", "strong", "table", "caption", "thead", "tbody", "tr", "th", "td", "small"),
        *("em", "br"),
    }
    assert "".join(tree.itertext()).count(HOSTILE.replace("\x1b", " ")) == 7
    assert "\x1b" not in page


def test_a_cell_has_its_deviation_and_interval() -> None:
    assert ">0.1000 ± 0.0100 [0.0500\N{EN DASH}0.1500]<" in fragment.html([table()])
