"""The stored rows of models on data that they have not seen, and what the pages say of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.report.rows import Row, sections
from bench.report.sampling import resample
from bench.results.read import load

ROOT = Path(__file__).resolve().parents[2]
STORED = ROOT / "results" / "zero-shot"
DATA = ("ml-100k", "toys", "beauty", "yelp")
FITTED, UNSEEN, HOUR = "", "zero-shot", "zero-shot after an hour"
SHORT, LONG = "8m", "60m"
OF_TEXTS = {  # with these settings
    "semantic/rqkmeans": {"encoder": "hashed"},
    "set/semantic-only": {"encoder": "hashed", "negatives": 1024},
}
TESTED_ON = {"semantic/rqkmeans": ("toys", "beauty"), "set/semantic-only": ("toys", "beauty", "yelp")}
Rows = dict[tuple[str, str, str], Row]


@pytest.fixture(scope="module")
def rows() -> Rows:
    """By data set, scheme, and how it came to know the data: fitted on them, not at all, or by adapting on so many."""
    found = {}
    for row in (row for section in sections(load(STORED)) for row in section.rows):
        run = row.first
        hour = run.contract.get("budget") == LONG
        few = f"{run.adapted_on} users{' after an hour' if hour else ''}"
        how = (few if run.adapted_on else HOUR if hour else UNSEEN) if run.trained_on else FITTED
        assert (run.dataset.name, run.scheme.name, how) not in found
        found[run.dataset.name, run.scheme.name, how] = row
    resample([run for row in found.values() for run in row.runs], ["ndcg@10"])
    return found


def score(row: Row) -> float:
    return row.metric("ndcg@10")[0]


def ends(row: Row) -> tuple[float, float]:
    interval = row.estimate("ndcg@10").interval
    assert interval
    return interval


def test_models_were_trained_on_the_other_three_for_as_long_as_is_said(rows: Rows) -> None:
    assert {data for data, *_ in rows} == {*DATA}
    for (data, name, how), row in rows.items():
        assert row.seeds == [0]
        assert {*row.first.trained_on.split("+")} == ({*DATA} - {data} if how else {""}), (data, name, how)
        if name in ("textual/title", "unisrec/inductive", *OF_TEXTS):
            assert row.first.contract["budget"] == (LONG if how.endswith("hour") else SHORT)
        if name in ("textual/title", *OF_TEXTS):
            assert row.first.contract["training"] == "shared"
    for data in DATA:
        assert {name for at, name, how in rows if (at, how) == (data, UNSEEN)} == {
            *("graph", "markov", "pop", "textual/title", "unisrec/inductive"),
            *(of for of, tested in TESTED_ON.items() if data in tested),
        }
    assert {name for _, name, how in rows if how == HOUR} == {"textual/title", "unisrec/inductive"}
    for name, settings in OF_TEXTS.items():
        for data in TESTED_ON[name]:
            assert settings.items() <= rows[data, name, UNSEEN].first.scheme.settings.items()


def test_the_page_says_what_is_stored(rows: Rows) -> None:
    page = (ROOT / "docs" / "pages" / "transfer.md").read_text()
    section = page[page.index("## What transfers") : page.index("## How long identifiers")]
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line[:1] == "|"]
    (head, _), shown = lines[:2], [line for line in lines[2:] if len(line) == 5 and line[0][:1] == "`"]
    assert {how for _, _, how in rows if how == HOUR} == {HOUR for line in shown if "an hour" in line[0]}
    names = {title: title.lower() for title in head[1:]}
    assert {*names.values()} == {*DATA}
    assert len(shown) == 12
    for said, *cells in shown:
        name = re.match(r"`([^`]+)`", said)
        assert name
        for title, cell in zip(head[1:], cells, strict=True):
            how = HOUR if "an hour" in said else UNSEEN if "unseen" in said else FITTED
            row = rows.get((names[title], name[1], how))
            assert cell.split()[0] == (f"{score(row):.4f}" if row else "–"), (said, title)  # noqa: RUF001


def test_what_the_page_says_of_the_rows_is_so(rows: Rows) -> None:
    for data in DATA:
        unseen = {name: score(row) for (at, name, how), row in rows.items() if (at, how) == (data, UNSEEN)}
        assert max(unseen, key=lambda name: unseen[name]) == "graph"
        assert (unseen["markov"], unseen["pop"]) == (0, 0)
        model, chance = rows[data, "unisrec/inductive", UNSEEN], rows[data, "random", FITTED]
        assert (ends(model)[0] > ends(chance)[1]) is (data != "ml-100k")
        words = rows[data, "textual/title", UNSEEN]
        assert ends(words)[0] <= ends(chance)[1]
        assert (score(model) > score(rows[data, "pop", FITTED])) is (data == "yelp")
    chance = {data: rows[data, "random", FITTED] for data in DATA}
    for data in ("toys", "beauty"):
        assert ends(rows[data, "textual/title", HOUR])[0] <= ends(chance[data])[1]
    lasting = {name: {data for data, of, how in rows if (of, how) == (name, HOUR)} for _, name, _ in rows}
    assert lasting["textual/title"] == {"toys", "beauty"}
    assert lasting["unisrec/inductive"] == {"toys", "beauty", "yelp"}
    above = {("toys", "semantic/rqkmeans"), ("beauty", "set/semantic-only")}
    for data, name in ((data, name) for name, tested in TESTED_ON.items() for data in tested):
        found = rows[data, name, UNSEEN]
        assert (ends(found)[0] > ends(chance[data])[1]) is ((data, name) in above)
        if (data, name) in above:
            assert 2.4 < score(found) / score(chance[data]) < 3.2
        assert score(found) <= score(rows[data, "unisrec/inductive", UNSEEN]) / 2
    hour, short = (rows["yelp", "unisrec/inductive", how] for how in (HOUR, UNSEEN))
    assert ends(short)[0] < score(hour) < ends(short)[1]
    for data, times in (("toys", 2), ("beauty", 1.6)):
        hour, short = (rows[data, "unisrec/inductive", how] for how in (HOUR, UNSEEN))
        assert ends(hour)[0] > ends(short)[1]
        assert ends(hour)[0] < ends(rows[data, "pop", FITTED])[1]
        assert (ends(hour)[1] < ends(rows[data, "pop", FITTED])[0]) is (data == "beauty")
        assert score(hour) < score(rows[data, "graph", UNSEEN]) / 6
        assert score(hour) == pytest.approx(times * score(short), rel=0.08)
    yelp = {(name, how): row for (data, name, how), row in rows.items() if data == "yelp"}
    likeness, model = yelp["graph", UNSEEN], yelp["unisrec/inductive", UNSEEN]
    for name in ("graph", "markov", "pop"):
        assert ends(likeness)[0] > ends(yelp[name, FITTED])[1]
    assert score(model) == pytest.approx(2 * score(yelp["pop", FITTED]), rel=0.05)
    assert score(model) == pytest.approx(2 * score(yelp["textual/title", FITTED]), rel=0.06)


def test_what_the_page_says_of_a_few_users_is_so(rows: Rows) -> None:
    def at(data: str, how: str, name: str = "unisrec/inductive") -> Row:
        return rows[data, name, how]

    for data in ("toys", "beauty", "yelp"):
        assert abs(score(at(data, "100 users")) - score(at(data, UNSEEN))) < 0.0003
        assert ends(at(data, "100 users"))[0] < score(at(data, UNSEEN)) < ends(at(data, "100 users"))[1]
    assert 3 < score(at("ml-100k", "100 users")) / score(at("ml-100k", UNSEEN)) < 4
    assert 8.5 < at("ml-100k", UNSEEN).first.dataset.users / 100 < 9.5
    assert 3 < score(at("toys", "1000 users")) / score(at("toys", UNSEEN)) < 3.5
    assert 1.9 < score(at("toys", "1000 users after an hour")) / score(at("toys", HOUR)) < 2.1
    assert 6 < score(at("beauty", "1000 users")) / score(at("beauty", UNSEEN)) < 6.6
    level = [(data, how) for data in ("toys", "beauty") for how in ("1000 users",)]
    for data, how in (*level, ("ml-100k", "100 users")):
        chain, model = at(data, how, "markov"), at(data, how)
        assert ends(chain)[0] <= ends(model)[1]
        assert ends(model)[0] <= ends(chain)[1]
    assert 2 < score(at("yelp", UNSEEN)) / score(at("yelp", "1000 users", "markov")) < 2.5
    assert ends(at("yelp", UNSEEN))[0] > ends(at("yelp", "1000 users", "markov"))[1]
    assert ("yelp", "unisrec/inductive", "1000 users") not in rows
    assert {name for _, name, how in rows if "users" in how} == {"markov", "pop", "unisrec/inductive"}


def test_the_readme_says_what_is_stored(rows: Rows) -> None:
    readme = " ".join((ROOT / "README.md").read_text().split())
    said = readme[readme.index("**Unseen catalogues.**") :].partition("[Which identifier?]")[0]
    for name in ("graph", "unisrec/inductive"):
        shown = ", ".join(f"{score(rows[data, name, UNSEEN]):.4f}" for data in ("toys", "beauty", "yelp"))
        assert f"{shown} and {score(rows['ml-100k', name, UNSEEN]):.4f}" in said
    toys, beauty, yelp = (score(rows[data, "unisrec/inductive", HOUR]) for data in ("toys", "beauty", "yelp"))
    assert f"after an hour {toys:.4f} on Toys, {beauty:.4f} on Beauty and {yelp:.4f} on Yelp" in said
