"""The list of sources: what stands in it, and what another list must be like."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.data import registry
from bench.data.registry import Counts
from bench.errors import BenchError


def test_every_source_says_where_it_comes_from_and_what_to_expect() -> None:
    sources = registry.load()
    assert {"toys", "beauty", "sports", "yelp", "ml-100k", "ml-1m", "steam"} <= set(sources)
    assert {"musical-instruments", "industrial-scientific", "video-games"} <= set(sources)
    for name, source in sources.items():
        assert source.name == name
        assert source.licence
        assert source.page.startswith("https://")
        assert source.version >= 1
        assert bool(source.by_hand) != all(file.urls for file in source.files)
        for file in source.files:
            assert all(re.fullmatch(rf"https?://[^ {{}}]+/{re.escape(file.name)}", url) for url in file.urls)
            assert re.fullmatch("([0-9a-f]{64})?", file.sha256)
            assert re.fullmatch("([0-9a-f]{32})?", file.md5)
    assert [name for name, source in sources.items() if source.expected is None] == ["steam"]
    assert [name for name, source in sources.items() if source.must_accept] == ["ml-100k", "ml-1m", "yelp"]


def test_counts_of_papers() -> None:
    counts = {name: source.expected for name, source in registry.load().items()}
    assert counts["toys"] == Counts(19_412, 11_924, 167_597)
    assert counts["beauty"] == Counts(22_363, 12_101, 198_502)
    assert counts["sports"] == Counts(35_598, 18_357, 296_337)
    assert str(counts["ml-100k"]) == "943 users, 1,682 items, 100,000 interactions"


def test_a_revision_is_part_of_the_address() -> None:
    for name in ("musical-instruments", "industrial-scientific", "video-games"):
        source = registry.find(name)
        assert re.fullmatch("[0-9a-f]{40}", source.revision)
        assert all(f"/resolve/{source.revision}/" in url for file in source.files for url in file.urls)


ENTRY = """
[mine]
description = "d"
page = "p"
licence = "l"
conversion = "amazon-2014"
version = 1
text = ["title"]
files = [{ role = "reviews", name = "r", megabytes = 3 }, { role = "items", name = "i" }]
"""


def test_a_list_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sources.toml"
    path.write_text(ENTRY + ENTRY.replace("[mine]", "[toys]"))
    monkeypatch.setenv("BENCH_SOURCES", str(path))
    assert registry.find("toys").description == registry.find("mine").description == "d"
    assert registry.find("beauty").description.startswith("Amazon")
    monkeypatch.delenv("BENCH_SOURCES")
    assert registry.find("toys").description.startswith("Amazon")
    source = registry.find("mine", path)
    assert [file.role for file in source.files] == ["reviews", "items"]
    assert source.megabytes == 0  # that of one file is not known
    with pytest.raises(BenchError, match="unknown data set to get 'mien'; did you mean 'mine'"):
        registry.find("mien", path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[mine", r"the list of sources '.*' cannot be read"),
        ("mine = 3", r"'.*', \[mine\]: .*; a source has name, description, page"),
        (ENTRY.replace("licence", "license"), r"\[mine\]: .*license"),
        (ENTRY.replace('role = "reviews", ', ""), r"\[mine\]: .*role"),
        (ENTRY.replace("description", "# "), r"\[mine\]: .*description"),
        (f'{ENTRY}repeats = "first"', "unknown rule for repeats 'first'; known: earliest, keep"),
        (f"{ENTRY}expected = {{ users = 3 }}", r"\[mine\]: .*items"),
        (f"{ENTRY}repeats = 1", r"\[mine\]: repeats must be a text; got 1; a source has name"),
        (f'{ENTRY}k_core = "5"', r"\[mine\]: k_core must be a whole number; got '5'"),
        (f"{ENTRY}must_accept = 1", r"\[mine\]: must_accept must be true or false; got 1"),
        (f"{ENTRY}expected = {{ users = 3.5, items = 2, interactions = 4 }}", r"users must be a whole number; got 3.5"),
        (ENTRY.replace('name = "r"', "name = 5"), r"\[mine\]: name must be a text; got 5"),
        (ENTRY.replace('name = "r"', 'name = "r", urls = "https://x/r"'), "urls must be a list of texts"),
        (ENTRY.replace('["title"]', '"title"'), r"\[mine\]: text must be a list of texts; got 'title'"),
        (f"mine = {'[' * 5_000}", r"the list of sources '.*' cannot be read"),
    ],
)
def test_a_list_that_is_none(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "sources.toml"
    path.write_text(text)
    with pytest.raises(BenchError, match=said):
        registry.load(path)


def test_a_list_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="cannot be read"):
        registry.load(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[ml-1m]", '["../../esc"]'),
        ('name = "ml-1m.zip"', 'name = "../../x.zip"'),
        ('urls = ["https', 'urls = "https'),
    ],
)
def test_a_list_of_sources_names_no_path_and_every_address_whole(tmp_path: Path, old: str, new: str) -> None:
    """A list from elsewhere decides which files are written and which folders are cleared."""
    text = registry.LIST.read_text(encoding="utf-8")
    begin = text.index("[ml-1m]")
    block = text[begin : text.index("\n[", text.index("[[ml-1m.files]]") + 1)]
    assert old in block
    changed = block.replace(old, new, 1).replace('.zip"]', '.zip"') if "urls" in old else block.replace(old, new, 1)
    if old == "[ml-1m]":
        changed = changed.replace("[[ml-1m.files]]", '[["../../esc".files]]')
    (tmp_path / "mine.toml").write_text(changed, encoding="utf-8")
    with pytest.raises(BenchError, match=r"single names|urls must be a list"):
        registry.load(tmp_path / "mine.toml")
