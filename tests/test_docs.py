"""The site: what is made from the code is complete, and (in `make test-long`) it builds without a warning."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from bench.contract import PRESETS
from bench.versions import DISTRIBUTION
from tests import pages

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs" / "pages").glob("*.md"))


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """Each part is made once for all pages and tests."""
    module = pages.module("generate")
    module.PARTS.update({name: functools.cache(part) for name, part in module.PARTS.items()})
    return module


@pytest.mark.parametrize(("group", "part"), [("bench.id_schemes", "schemes"), ("bench.baselines", "baselines")])
def test_every_scheme_is_there_with_its_settings(generate: ModuleType, group: str, part: str) -> None:
    text = generate.PARTS[part]()
    chapters = dict(re.findall(r"^## `([^`]+)`[^\n]*\n(.*?)(?=^## |\Z)", text, flags=re.M | re.DOTALL))
    for entry in distribution(DISTRIBUTION).entry_points.select(group=group):
        cls = entry.load()
        assert f"Version {cls.version}" in chapters[cls.name]
        assert entry.name == cls.name or f"`{entry.name}`" in chapters[cls.name]
        for name, default in vars(cls.Settings()).items():
            assert f"| `{name}` | `{generate.plain(default)}` | " in chapters[cls.name]


def test_code_inside_of_lines_is_broken_where_a_reader_would(generate: ModuleType) -> None:
    html = "<p><code>bench run --html out/a-b.html</code> a-b/c</p><pre><span></span><code>x --html a/b</code></pre>"
    made = generate.with_breaks(html)
    assert made.endswith('a-b/c</p><pre><span></span><code>x <span class="whole">--html</span> a/b</code></pre>')
    assert '<span class="whole">--html</span> out/<wbr><span class="whole">a-b.html</span></code>' in made
    assert re.sub("<wbr>|</?span[^>]*>", "", made) == html.replace("<span></span>", "")
    long = f"<code>{'very-' * 12}long</code>"
    assert generate.with_breaks(long) == long


def test_every_setting_says_what_it_means(generate: ModuleType) -> None:
    assert list(generate.unexplained()) == []


def test_facts_are_of_schemes_and_settings_that_exist(generate: ModuleType) -> None:
    names = {cls.name for group in ("bench.id_schemes", "bench.baselines") for cls in generate.offered(group)}
    assert set(generate.facts()["papers"]) <= names
    every = [cls.Settings for group in ("bench.id_schemes", "bench.baselines") for cls in generate.offered(group)]
    fields = {
        (generate.title(owner), name)
        for settings in every
        for name in vars(settings())
        for owner in generate.owners(settings, name)
    }
    assert {(cls, name) for cls, said in generate.facts()["meanings"].items() for name in said} <= fields


def test_a_comment_above_beside_and_below_a_field_is_found(generate: ModuleType) -> None:
    contract = generate.contract.Contract
    assert generate.meaning(contract, "max_history") == "newest items shown"
    assert generate.meaning(contract, "part_power").startswith("of joined data sets")


def test_a_comment_of_several_lines_is_whole_and_a_heading_is_none_of_it(generate: ModuleType) -> None:
    contract = generate.contract.Contract
    decoder = generate.meaning(contract, "decoder")
    assert decoder.startswith("beam: beam search; certified: best first until")
    assert decoder.endswith("exact: every item is scored")
    assert generate.meaning(contract, "negatives").startswith("tokens that the loss tells the right one from")
    assert generate.meaning(contract, "split").startswith("leave-one-out: of each user the newest item is the test")
    assert generate.meaning(contract, "dropout") == "dropout of the network while it trains"


def test_what_is_said_of_a_setting_is_of_its_class(generate: ModuleType) -> None:
    """A word may be a setting of several classes, and stand in a sentence about another one."""
    of = {cls.name: cls.Settings for cls in generate.offered("bench.id_schemes")}
    assert generate.meaning(of["set/setrec"], "batch") == "examples of one of its steps"
    assert generate.meaning(of["semantic/rqvae"], "batch") == "items or examples of a step"
    assert generate.meaning(of["semantic/rqvae"], "optimizer") == "what takes the steps: `adam` or `adagrad`"
    assert generate.meaning(of["set/rpg"], "temperature") == "of the softmax over the codes of a slot"
    assert generate.meaning(of["semantic/mtgrec"], "temperature").startswith("of the softmax over influence")


def test_presets_are_those_of_the_code(generate: ModuleType) -> None:
    assert re.findall(r"^\| `(\w+)` \|", generate.presets(), flags=re.M) == list(PRESETS)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_generated_part_and_number_is_there(generate: ModuleType, path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert generate.filled(text, generate.ON_SITE) == text, "python docs/generate.py --write brings it up to date"
    on_site = generate.filled(text)
    assert "made when the site is built" not in on_site
    parts = re.findall(r"<!-- generated: ([\w-]+) -->", text)
    assert all(generate.PARTS[part]() in on_site for part in parts)
    assert len(parts) == text.count("<!-- end -->")


def test_a_number_and_a_part_are_replaced_where_they_are_not_those_stored(generate: ModuleType) -> None:
    old = "has 0.9999<!-- toys: pop ndcg@10 -->, in &lt; 9.01<!-- toys: pop processor --> s, of "
    old += "<!-- generated: toys-conditions -->9 users<!-- end -->."
    made = generate.filled(old)
    assert re.fullmatch(r"has 0\.0\d{3}<!-- toys: pop ndcg@10 -->, in (&lt; )?0\.\d\d<!-- .* -->19,412 users.*", made)
    assert generate.filled(made) == made
    for cut in (
        "<!-- generated: toys -->\nwords\n<!-- generated: yelp -->\n0\n<!-- end -->",
        "has <!-- toys: pop ndcg@10 -->",
    ):
        with pytest.raises(ValueError, match="without what belongs to it"):
            generate.filled(cut)


@pytest.mark.parametrize("data", ["toys", "yelp"])
def test_numbers_are_those_of_the_stored_results(generate: ModuleType, data: str) -> None:
    for name, stored in generate.results(data).items():
        mean = np.mean([each["metrics"]["strict"]["ndcg@10"] for each in stored])
        assert float(generate.shown(data, name, "ndcg@10")) == pytest.approx(mean, abs=5e-5)
        assert {each["dataset"]["name"] for each in stored} == {data}
    with pytest.raises(KeyError):
        generate.filled(f"0<!-- {data}: nothing ndcg@10 -->")


def test_what_the_prose_says_of_the_results_is_so(generate: ModuleType) -> None:
    """Where new results say otherwise, docs/pages/choosing.md and README.md have to be written anew."""

    def number(name: str, what: str) -> float:
        return float(generate.shown("toys", name, what).replace(",", ""))

    kinds = {
        name: found[0]["scheme"] for name, found in generate.results("toys").items() if not found[0]["scheme"]["leaks"]
    }
    ranked = sorted(kinds, key=lambda name: -number(name, "ndcg@10"))
    assert ranked[:2] == ["graph", "markov"]
    assert next(name for name in ranked if not kinds[name]["probe"]) == "sasrec/ce"
    schemes = [name for name in ranked if kinds[name]["kind"] != "baseline"]
    digits = ["numeric/sequential", "numeric/random"]
    first = ["set/setrec", "textual/title", "semantic/pq", "textual/idgenrec", "semantic/rqkmeans"]
    assert schemes[:5] == first
    assert (schemes[-3:], len(schemes)) == (["set/rpg", *digits], 18)
    codes = [name for name in schemes if name.startswith("semantic/")]
    assert sorted(codes, key=lambda name: number(name, "construction"))[:2] == ["semantic/pq", "semantic/rqkmeans"]
    assert max(number(name, "parameters") for name in codes) < min(
        number(name, "parameters") for name in schemes if name not in (*codes, *digits)
    )
    assert max(schemes, key=lambda name: number(name, "parameters")) == "numeric/category+independent"
    assert max(schemes, key=lambda name: number(name, "processor")) == "set/setrec"
    assert sorted(schemes, key=lambda name: number(name, "inference"))[:2] == ["set/rpg", "set/setrec"]


def test_what_the_prose_says_of_yelp_is_so(generate: ModuleType) -> None:
    rows = {name: found[0]["metrics"]["strict"]["ndcg@10"] for name, found in generate.results("yelp").items()}
    ranked = sorted(rows, key=lambda name: -rows[name])
    first = ["sasrec/ce", "graph", "itemknn", "set/setrec", "markov"]
    assert ranked == [*first, "numeric/category+independent", "semantic/rqkmeans", "textual/title", "pop"]
    readme = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
    assert all(f"{rows[name]:.4f}" in readme for name in ranked if name not in ("itemknn", "pop"))


class Links(HTMLParser):
    """Addresses and names of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.names: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.names |= {value for key in ("id", "name") if (value := given.get(key))}
        link = given.get("href") if tag in ("a", "link") else given.get("src")
        self.links += [link] if link else []


def broken(site: Path) -> Iterator[str]:
    """Links within the site that lead nowhere."""
    pages = {path: Links(path) for path in site.rglob("*.html") if path.name != "404.html"}
    for path, page in pages.items():
        for link in page.links:
            target, _, name = link.partition("#")
            if re.match(r"[a-z]+:|//", link):
                continue
            found = (path.parent / target).resolve() if target else path
            if not found.exists() or (name and found in pages and name not in pages[found].names):
                yield f"{path.name}: {link}"


@pytest.mark.long
def test_the_site_builds_without_a_warning_and_links_lead_somewhere(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="MkDocs is not installed: pip install -e '.[docs]'")
    site = tmp_path / "site"
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "-f",
        str(ROOT / "docs" / "mkdocs.yml"),
        "-d",
        str(site),
    ]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    assert len(list(site.glob("*.html"))) > len(PAGES)
    assert list(broken(site)) == []
