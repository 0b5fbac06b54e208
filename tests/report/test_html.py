"""The page: valid, whole, and with everything that the results hold."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from xml.etree.ElementTree import Element

import html5lib
import pytest

from bench.report import html
from bench.report.table import DAGGER, DASH, Cell, Note, Source, strong
from bench.report.tables import chapters
from bench.results.read import Result, load

Store = Callable[..., Path]
NameItems = Callable[..., None]
NOWHERE = Source((), ())
HOSTILE = "</td><script>alert('x')</script> & \"co\" <b>"


@pytest.fixture(scope="module")
def results(
    stores: Callable[[Path], Store], name_items: NameItems, tmp_path_factory: pytest.TempPathFactory
) -> list[Result]:
    """Two data sets, two seeds, a collision, a missing identifier file, a hostile title, a baseline."""
    root = tmp_path_factory.mktemp("results")
    store = stores(root)
    training = {"selection": "ndcg@10", "curve": [{"step": 20, "loss": 3.0}, {"step": 40, "ndcg@10": 0.1}]}
    for seed in (0, 1):
        folder = store("textual/title", seed=seed, quality=0.4, shared=4, training=training)
        name_items(folder, [[number % 7, number] for number in range(40)], [HOSTILE] * 40)
    name_items(store("numeric/sequential", quality=0.2), [[number] for number in range(40)])
    store("numeric/random", dataset="beauty", quality=0.0)
    store("pop", kind="baseline")
    return load(root)


@pytest.fixture(scope="module")
def page(results: list[Result]) -> str:
    return html.page(results, chapters(results))


def parsed(text: str) -> Element:
    """The document; a ParseError where a strict HTML5 parser finds anything wrong."""
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    document: Element = parser.parse(text)
    return document


def words(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def test_the_page_is_valid_html(page: str) -> None:
    document = parsed(page)
    assert document.get("lang") == "en"
    ids = Counter(element.get("id") for element in document.iter() if element.get("id"))
    assert [name for name, count in ids.items() if count > 1] == []
    referred = re.findall(r'(?:url\(#|href="#|aria-labelledby=")([^")]+)', page)
    assert len(referred) > 20
    assert set(referred) <= set(ids)


def test_the_check_sees_a_broken_page(page: str) -> None:
    with pytest.raises(html5lib.html5parser.ParseError):
        parsed(page.replace("</table>", "</tabel>", 1))


def test_nothing_is_loaded_from_anywhere(page: str) -> None:
    addresses = set(re.findall(r'(?:src|href|action|data|poster)="([^"]*)"', page))
    assert all(address.startswith(("#", "data:")) for address in addresses)
    assert set(re.findall(r"https?://[^\s\"'<]+", page)) == {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_tables_say_what_they_are(page: str) -> None:
    tables = list(parsed(page).iter("table"))
    captions = [words(table.find("caption")) for table in tables]  # type: ignore[arg-type]
    assert captions.count("Identifiers of some items: toys") == 1
    for data in ("toys", "beauty"):
        of_data = [caption.removesuffix(f": {data}") for caption in captions if caption.endswith(f": {data}")]
        assert {"Quality, strict", "Costs", "NDCG@10 by length of the history"} <= set(of_data)
        assert any("ublished" in caption for caption in of_data)
    for table in tables:
        caption = table.find("caption")
        assert caption is not None
        assert words(caption)
        assert {cell.get("scope") for cell in table.findall("thead/tr/th")} == {"col"}
        assert {cell.get("scope") for cell in table.findall("tbody/tr/th")} == {"row"}
        widths = {len(row) for row in table.iter("tr")}
        assert len(widths) == 1


def test_headings_go_down_step_by_step(page: str) -> None:
    levels = [int(element.tag[1]) for element in parsed(page).iter() if re.fullmatch(r"h\d", str(element.tag))]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_numbers_carry_what_they_are_sorted_by(page: str) -> None:
    quality = next(
        table for table in parsed(page).iter("table") if "Quality, strict: toys" in "".join(table.itertext())
    )
    cells = [row[1] for row in quality.findall("tbody/tr")]
    assert [f"{float(cell.get('data-key', 'nan')):.4f}" for cell in cells] == [
        words(cell).split()[0].rstrip(DAGGER) for cell in cells
    ]
    assert quality.findall("thead/tr/th")[1].get("class") == "number"


def test_pictures_have_a_text_and_take_the_colors_of_the_page(page: str) -> None:
    pictures = list(parsed(page).iter("{http://www.w3.org/2000/svg}svg")) or re.findall(r"<svg[^>]*>", page)
    assert len(pictures) == 10  # seven of toys; beauty has neither identifiers nor a curve
    assert page.count('role="img" aria-label="') == 10
    assert "var(--ink)" in page
    assert "#333333" not in page
    assert page.count("<figcaption>") == 10


def test_all_schemes_show_the_same_items(page: str) -> None:
    table = next(table for table in parsed(page).iter("table") if "Identifiers of" in "".join(table.itertext()))
    rows = [[words(cell) for cell in row] for row in table.findall("tbody/tr")]
    assert len(rows) == html.SAMPLE
    for item, textual, numeric in rows:
        number = int(item.rpartition("(item")[2].rstrip(")"))
        assert (textual, numeric) == (f"{number % 7} {number}", str(number))


def test_what_comes_from_outside_stays_text(page: str) -> None:
    assert "<script>alert" not in page
    assert HOSTILE in "".join(parsed(page).itertext())


def test_no_name_becomes_markup(hostile: tuple[Path, dict[str, str]]) -> None:
    root, names = hostile
    found = load(root)
    document = parsed(html.page(found, chapters(found)))
    assert len(list(document.iter("script"))) == 1
    assert not list(document.iter("b"))
    heads = [words(row[0]) for table in document.iter("table") for row in table.findall("tbody/tr")]
    texts = "".join(words(document).split())
    for text in names.values():
        assert " ".join(text.split()) in heads
        assert "".join(f"(sep={text.rpartition(' /')[0]})".split()) in texts
    items = [head for head in heads if re.search(r"\(item\d+\)$", head)]
    titles = {" ".join(text.rpartition(" /")[0].split()) for text in names.values()}
    assert {item.rpartition(" (")[0] for item in items} == titles
    drawn = ["".join(element.itertext()) for element in document.iter() if str(element.tag).endswith("text")]
    for text in names.values():  # in pictures too: no mathematics, no lost legend
        assert any("".join(text.split()) in "".join(line.split()) for line in drawn), text


def test_the_contract_and_the_environment_stand_under_the_tables(page: str) -> None:
    said = words(parsed(page))
    for expected in ("split=leave-one-out", "backbone=mini", "torch=2.13.0", "published system", "not comparable"):
        assert expected in said


def test_the_same_results_give_the_same_page(page: str, results: list[Result]) -> None:
    assert html.page(results, chapters(results)) == page


def test_one_cell_without_hits_is_a_page(store: Store, tmp_path: Path) -> None:
    store("pop", kind="baseline", quality=0.0, users=3)
    found = load(tmp_path)
    document = parsed(html.page(found, chapters(found)))
    assert "1 baseline, 1 data set, 1 finished run" in words(document)


def test_the_header_counts_schemes_and_not_rows(store: Store, tmp_path: Path) -> None:
    store("textual/title", quality=0.4)
    store("textual/title", quality=0.3, contract={"split": "global-temporal"})
    store("textual/title", version=2, quality=0.3)
    store("numeric/random")
    for history in (20, 50):
        store("pop", kind="baseline", contract={"max_history": history})
    found = load(tmp_path)
    lead = words(parsed(html.page(found, chapters(found))).findall("body/header/p")[0])
    assert lead.startswith("2 identifier schemes, 1 baseline, 1 data set, 6 finished runs.")


def test_neighboring_notes_of_one_title_are_put_together() -> None:
    one, two, three, four = (Note(title, text) for title, text in (("a", "1"), ("b", "2"), ("b", "3"), ("a", "4")))
    assert html.together([one, two, three, four]) == [("a", [one]), ("b", [two, three]), ("a", [four])]


@pytest.mark.parametrize(
    ("cell", "made"),
    [
        (
            Cell("0.5", NOWHERE, 0.5, sd=0.1, ends=(0.4, 0.6), highlight="best", mark=DAGGER),
            f"<strong>0.5{DAGGER}</strong> <small>± 0.1000 [0.4000{DASH}0.6000]</small>",
        ),
        (Cell("0.5", NOWHERE, 0.5, highlight="second"), "<u>0.5</u>"),
        (Cell("a < b & **c**", NOWHERE), "a &lt; b &amp; **c**"),
        (Cell("numeric/random", NOWHERE), "numeric/<wbr>random"),
    ],
)
def test_a_cell_is_written_as_what_it_is(cell: Cell, made: str) -> None:
    assert html.shown(cell) == made


def test_a_note_emphasises_what_is_strong() -> None:
    assert html.pieces(f"**a** {strong('b < c')}.") == "**a** <strong>b &lt; c</strong>."


def test_every_cell_names_its_source_and_sorts_by_its_value(page: str, results: list[Result]) -> None:
    """The page has the cells of the tables in their order, with their unrounded values."""
    tables = [table for chapter in chapters(results) for table in chapter.tables]
    cells = [cell for table in tables for row in table.rows for cell in row]
    drawn = [
        cell
        for table in parsed(page).iter("table")
        if "Identifiers of some" not in words(table.find("caption"))  # type: ignore[arg-type]
        for row in table.findall("tbody/tr")
        for cell in row
    ]
    assert [cell.get("title") for cell in drawn] == [str(cell.source) for cell in cells]
    for cell, seen in zip(drawn, cells, strict=True):
        number = isinstance(seen.value, float | int) and cell.tag == "td"
        assert (cell.get("data-key") is not None) is number
        assert not number or float(cell.get("data-key", "")) == seen.value
