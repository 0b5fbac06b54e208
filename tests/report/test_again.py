"""The request at the end of a report: what is there, read back, is what the command would be given."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import html5lib
import pytest
from markdown_it import MarkdownIt

from bench.report import html
from bench.report.again import TITLE, again
from bench.report.markdown import markdown
from bench.report.tables import chapters
from bench.report.write import OutputPaths, ReportFilter, write
from bench.results.read import load

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Store = Callable[..., Path]


def in_page(text: str) -> str:
    document = html5lib.parse(text, namespaceHTMLElements=False)
    (found,) = document.iter("pre")
    return "".join(found.itertext())


def in_markdown(text: str) -> str:
    (found,) = (token for token in MarkdownIt().parse(text) if token.type == "fence")
    assert found.info == "toml"
    return found.content


def requests(text: str) -> list[dict[str, Any]]:
    found = tomllib.loads(text)
    return list(found.get("request", [found]))


def test_both_reports_end_with_the_request_for_their_rows_alone(store: Store, tmp_path: Path) -> None:
    store("numeric/random", preset="cpu")
    store("numeric/random", preset="cpu", seed=1)
    store("pop", kind="baseline", preset="cpu")
    store("numeric/random", dataset="beauty", preset="cpu")
    files = OutputPaths(tmp_path / "report.md", html=tmp_path / "report.html")
    write(tmp_path, ReportFilter(["toys"]), files)
    page, text = (tmp_path / "report.html").read_text(), files.out.read_text()
    for found in (requests(in_page(page)), requests(in_markdown(text))):
        assert {tuple(each["dataset"]) for each in found} == {("toys",)}
        assert [(each.get("id-scheme"), each.get("baseline"), each["seed"]) for each in found] == [
            (["numeric/random"], None, "0-1"),
            (None, ["pop"], "0"),
        ]
    assert text.index(f"## {TITLE}") > text.index("## How to read the tables")
    assert '<a href="#again">' in page


def test_it_is_folded_in_the_page(store: Store, tmp_path: Path) -> None:
    store("pop", kind="baseline")
    found = load(tmp_path)
    document = html5lib.parse(html.page(found, chapters(found), again(found)), namespaceHTMLElements=False)
    (details,) = (each for each in document.iter("details") if each.find("pre") is not None)
    assert "open" not in details.attrib


def test_names_full_of_markup_stay_in_their_block(hostile: tuple[Path, dict[str, str]]) -> None:
    root, names = hostile
    found = load(root)
    made, request = chapters(found), again(found)
    assert "\n" in request
    for text in (in_markdown(markdown(made, request)), in_page(html.page(found, made, request))):
        assert text.strip() == request
        written = {name for each in requests(text) for name in each["id-scheme"]}
        assert {" ".join(name.split()) for name in written} == {" ".join(name.split()) for name in names}


def test_a_fence_is_longer_than_what_it_holds() -> None:
    request = 'x = "```` y"'
    assert in_markdown(markdown([], request)) == f"{request}\n"


def test_a_recipe_that_is_not_installed_leaves_a_report_without_it(store: Store, tmp_path: Path) -> None:
    stored = store("numeric/random") / "result.json"
    stored.write_text(stored.read_text().replace('"recipe": ""', '"recipe": "of-another-package"'))
    found = load(tmp_path)
    assert again(found) == ""
    assert TITLE not in markdown(chapters(found), again(found)) + html.page(found, chapters(found), again(found))


def test_what_a_result_names_is_not_run(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil.py").write_text("from pathlib import Path\nPath('ran').touch()\n")
    monkeypatch.chdir(tmp_path)
    store("evil.py:Scheme")
    assert "# evil.py:Scheme: of a file, or of a package that is not installed here" in again(load(tmp_path))
    assert not (tmp_path / "ran").exists()
