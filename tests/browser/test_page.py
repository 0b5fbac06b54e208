"""The page in a real browser: sorting, filtering, links, no error, nothing that sticks out on a phone, contrast."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from bench.report import html
from bench.report.again import again
from bench.report.tables import chapters
from bench.results.read import load
from tests.report.conftest import write_run

Open = Callable[..., AbstractContextManager[Any]]

pytestmark = pytest.mark.long
CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")
SCHEMES = ("numeric/random", "semantic/rqkmeans", "semantic/rqvae", "set/setrec", "textual/title")
LONG = "semantic/a-name-that-is-longer-than-the-screen-of-a-phone-and-has-no-blank-in-it"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three data sets, one of them under the smoke preset, seeds, curves, a leak, baselines, a very long name."""
    root = tmp_path_factory.mktemp("results")
    curve = [{"step": step, "loss": 3.0, "ndcg@10": step / 900} for step in (20, 40, 60)]
    training = {"selection": "ndcg@10", "curve": curve}
    for number, scheme in enumerate((*SCHEMES, LONG)):
        write_run(root, scheme, quality=0.1 + 0.12 * number, training=training)
        write_run(root, scheme, dataset="beauty", quality=0.2)
    write_run(root, SCHEMES[0], dataset="ml-100k", preset="smoke", quality=0.2)
    write_run(root, SCHEMES[1], dataset="ml-100k", preset="smoke", quality=0.3)
    write_run(root, "numeric/p5-leak", leaks=True, quality=0.95)
    for name, quality in (("pop", 0.1), ("sasrec", 0.4)):
        write_run(root, name, kind="baseline", quality=quality)
    found = load(root)
    path = root / "report.html"
    path.write_text(html.page(found, chapters(found), again(found)), encoding="utf-8")
    return path


def column(driver: Any, name: str, at: int) -> list[str]:
    script = "return [...table.tBodies[0].rows].filter(r => !r.hidden).map(r => r.cells[arguments[1]].innerText.trim())"
    return list(driver.execute_script(TABLE + script, name, at))


TABLE = "const table = document.querySelector(`article[data-dataset=toys] h3[id$='-${arguments[0]}']`)"
TABLE += ".parentElement.querySelector('table');"


def click(driver: Any, name: str, at: int) -> None:
    driver.execute_script(TABLE + "table.tHead.rows[0].cells[arguments[1]].querySelector('button').click()", name, at)


def test_the_browser_has_nothing_to_say(browse: Open, page: Path) -> None:
    with browse(page) as driver:
        assert driver.title == "Item identifiers compared"
        click(driver, "quality", 1)
        assert driver.get_log("browser") == []


def test_titles_sort_their_table_both_ways(browse: Open, page: Path) -> None:
    with browse(page) as driver:
        click(driver, "quality", 1)
        first = [float(text.split()[0].rstrip("\N{DAGGER}")) for text in column(driver, "quality", 1)]
        assert first == sorted(first, reverse=True)
        assert len(first) == 9
        click(driver, "quality", 1)
        again = [float(text.split()[0].rstrip("\N{DAGGER}")) for text in column(driver, "quality", 1)]
        assert again == sorted(first)
        click(driver, "quality", 0)
        names = column(driver, "quality", 0)
        assert names == sorted(names)
        state = TABLE + "return [...table.tHead.rows[0].cells].map(c => c.getAttribute('aria-sort'))"
        assert driver.execute_script(state, "quality")[:2] == ["ascending", None]


def choose(driver: Any, **said: object) -> None:
    """Set controls of the filter: boxes by their value, lists by their name."""
    for name, value in said.items():
        if isinstance(value, bool):
            driver.find_element("css selector", f"form.filters input[value='{name}']").click()
        else:
            box = driver.find_element("css selector", f"form.filters select[name='{name}']")
            box.find_element("xpath", f"./option[text()='{value}']").click()


def test_groups_are_filtered_in_every_table_and_the_matrix_stays_square(browse: Open, page: Path) -> None:
    with browse(page) as driver:
        before = column(driver, "quality", 0)
        choose(driver, semantic=False, leaks=False)
        shown = column(driver, "quality", 0)
        assert shown == [name for name in before if not name.startswith("semantic") and "leaks" not in name]
        rows = "return [...table.rows].map(r => [...r.cells].filter(c => c.checkVisibility()).length).filter(n => n)"
        visible = driver.execute_script(TABLE + rows, "pairs")
        assert visible == [len(visible)] * len(visible)
        assert not any(name.startswith("semantic") for name in column(driver, "costs", 0))
        click(driver, "pairs", 1)  # sorted, the columns are still those of the rows
        choose(driver, semantic=True, textual=False)
        visible = driver.execute_script(TABLE + rows, "pairs")
        assert visible == [len(visible)] * len(visible)
        assert "lines of tables shown" in driver.find_element("css selector", "form.filters output").text


def test_presets_and_data_sets_are_filtered(browse: Open, page: Path) -> None:
    with browse(page) as driver:
        choose(driver, dataset="beauty")
        script = "return [...document.querySelectorAll('article[data-dataset]')].filter(a => !a.hidden).map(a => a.id)"
        (shown,) = driver.execute_script(script.replace("a.id", "a.dataset.dataset"))
        assert shown == "beauty"
        choose(driver, dataset="all", preset="smoke")
        assert column(driver, "quality", 0) == ["sasrec", "pop"]  # baselines are trained under no preset


def test_every_link_leads_somewhere_on_the_page(browse: Open, page: Path) -> None:
    with browse(page) as driver:
        links = driver.find_elements("css selector", "nav a")
        assert len(links) > 30
        targets = [str(link.get_dom_attribute("href")) for link in links]
        assert len(set(targets)) == len(targets)
        for target in targets:
            (found,) = driver.find_elements("css selector", target)
            assert found.tag_name in ("h2", "h3")
        links[5].click()
        assert driver.execute_script("return location.hash") == targets[5]
        top = driver.execute_script(f"return document.querySelector('{targets[5]}').getBoundingClientRect().top")
        assert 0 <= top < 200


@pytest.mark.parametrize("width", [320, 390, 820, 1400])
def test_nothing_sticks_out_of_the_page(browse: Open, page: Path, width: int) -> None:
    """Wide tables and pictures scroll in their own boxes, and these do scroll on a phone."""
    with browse(page, width=width) as driver:
        driver.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert driver.execute_script("return document.documentElement.scrollWidth") <= width
        assert driver.execute_script("scrollBy(500, 0); return scrollX") == 0
        wide = "return [...document.querySelectorAll('.wide')].filter(w => w.scrollWidth > w.clientWidth + 1).length"
        assert (driver.execute_script(wide) > 0) is (width < 1400) or width == 1400


@pytest.mark.parametrize("dark", [False, True])
def test_all_text_is_told_from_what_lies_behind_it(browse: Open, page: Path, dark: bool) -> None:
    with browse(page, dark=dark) as driver:
        driver.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
        paper = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(255, 255, 255)") is not dark
        assert driver.execute_script(CONTRAST) == []
        driver.execute_script("document.querySelector('.answer').style.color = '#999'")
        assert (driver.execute_script(CONTRAST) != []) is not dark  # so it would have been seen


def test_a_page_whose_scores_mean_nothing_says_so_before_anything_else(browse: Open, page: Path) -> None:
    with browse(page, width=390) as driver:
        banner = driver.find_element("css selector", "header .banner")
        assert "mean nothing: preset smoke only shows that everything runs" in banner.text
        assert banner.rect["y"] < 500
