"""The study's page: its tables are those of the stored rows, its commands exist, and its sentences hold."""

from __future__ import annotations

import json
import re
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from typer.testing import CliRunner

from bench import cli
from bench.report.seed_notes import ORIGIN
from bench.runs import matrix
from tests import pages
from tests.pages import strict_gains

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "pages" / "study.md").read_text(encoding="utf-8")
DATA = ("--data-dir", "~/data")
FAMILIES = ("set/setrec", "textual/title", "semantic/rqkmeans", "numeric/category+independent")


@pytest.fixture(scope="module")
def study() -> ModuleType:
    return pages.module("study")


def number(study: ModuleType, data: str, name: str, what: str) -> float:
    return float(study.cell_text(data, name, what).split()[0])


@pytest.mark.parametrize("data", ["toys", "yelp", "ties"])
def test_scores_of_slices_are_means_over_their_users(study: ModuleType, data: str) -> None:
    """Counted anew from the ranks of users, over all seeds."""
    for row in study.section(data).rows:
        gains = np.mean([strict_gains(run) for run in row.runs], axis=0)
        assert number(study, data, row.label, "quality/NDCG@10") == pytest.approx(gains.mean(), abs=5e-5)
        seen = row.first.table.column("transition_seen").astype(bool)
        assert number(study, data, row.label, "transition/seen") == pytest.approx(gains[seen].mean(), abs=5e-5)
        assert number(study, data, row.label, "transition/unseen") == pytest.approx(gains[~seen].mean(), abs=5e-5)


def test_a_table_has_the_rows_and_columns_that_are_asked_for(study: ModuleType) -> None:
    lines = study.table("toys", "quality", ("NDCG@10",), ("graph", "set/setrec")).splitlines()
    assert [line.split(" | ")[0].strip("| ") for line in lines] == ["scheme", "---", "graph (probe)", "set/setrec"]
    assert lines[0].count("|") == 3


def test_what_is_not_stored_cannot_be_shown(study: ModuleType) -> None:
    for name, what in (("nothing", "quality/NDCG@10"), ("graph", "quality/nothing"), ("graph", "nothing/NDCG@10")):
        with pytest.raises(KeyError, match=re.escape(name)):
            study.cell_text("toys", name, what)


@pytest.mark.parametrize("data", ["toys", "yelp", "ties", "decoder"])
def test_every_row_is_where_the_page_says_and_its_command_asks_for_it(
    study: ModuleType, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command is read by the command line itself; its contract and settings are those of the stored row."""
    asked: list[matrix.Plan] = []
    monkeypatch.setattr(matrix, "execute", lambda plan, noted: asked.append(plan))
    runs = {(row.label, run.path): run for row in study.section(data).rows for run in row.runs}
    shown = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| `bench ([^`]+)` \|$", study.places(data), re.M)
    assert [(name, place) for name, place, _ in shown] == list(runs)
    for name, place, words in shown:
        run = runs[name, place]
        assert (ROOT / "results" / study.FOLDERS[data] / place / "result.json").is_file()
        found = CliRunner().invoke(cli.app, [word for word in shlex.split(words) if word not in DATA])
        assert found.exit_code == 0, found.output
        (subject,), contract, preset = matrix.resolve(asked.pop())
        assert (subject.name, preset) == (run.scheme.name, run.preset)
        lines = asdict(contract)
        assert {line: lines[line] for line in run.contract if line in lines} == {
            line: tuple(value) if isinstance(value, list) else value
            for line, value in run.contract.items()
            if line in lines
        }
        settings = json.loads(json.dumps(asdict(subject.settings)))
        assert {name: settings[name] for name in run.scheme.settings} == run.scheme.settings


def test_every_published_score_is_counted_once(study: ModuleType) -> None:
    stated = tomllib.loads((ROOT / "bench" / "report" / "published.toml").read_text(encoding="utf-8"))["source"]
    every = [
        (data, float(value))
        for source in stated
        for data, systems in source["values"].items()
        for values in systems.values()
        for value in values
    ]
    here = sum(data in study.PUBLISHED and not np.isnan(value) for data, value in every)
    elsewhere = sum(data not in study.PUBLISHED and not np.isnan(value) for data, value in every)
    assert sum(map(int, re.findall(r"\| (\d+) \|", study.claims()))) == here
    assert study.claims_elsewhere().startswith(f"{elsewhere} scores on ")


def test_a_claim_beside_a_row_says_what_became_of_it(study: ModuleType) -> None:
    assert "GRU4Rec (`gru4rec`) not comparable: our preset 'cpu': epochs 0, below 20" in study.claims()


def test_the_pictures_and_the_report_of_the_site_are_drawn(study: ModuleType) -> None:
    found = dict(study.drawn("yelp"))
    assert sorted(found) == ["yelp-compute.svg", "yelp-cost.svg", "yelp-quality.svg", "yelp-report.html"]
    assert all(f"({name})" in study.pictures("yelp") for name in found)
    assert "itemknn" in found["yelp-report.html"]
    assert all(content.lstrip().startswith("<") for content in found.values())


def ends(study: ModuleType, data: str, name: str, what: str) -> tuple[float, float]:
    low, high = re.findall(r"[\d.]+", study.cell_text(data, name, what).partition("[")[2])
    return float(low), float(high)


def highlighted(study: ModuleType, data: str, mark: str) -> set[str]:
    """Rows whose NDCG@10 is not told apart from the best, or from the second."""
    table = study.tables(data).table("quality")
    return {str(head.value) for head, cell, *_ in table.rows if cell.highlight == mark}


def told_apart(study: ModuleType, data: str) -> set[tuple[str, str]]:
    """The pairs that the report tells apart, the better one first."""
    table = study.tables(data).table("pairs")
    names = [str(cell.value) for cell in table.head.cells]
    cells = (
        (names[at], names[to], cell) for to, column in enumerate(table.columns) for at, cell in enumerate(column.cells)
    )
    return {(one, other) for one, other, cell in cells if cell.mark and cell.text.startswith("+")}


def test_the_table_of_the_readme_is_that_of_the_stored_rows(study: ModuleType) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in readme.splitlines() if line.startswith("| ")]
    rows = [
        line
        for line in lines
        if len(line) == 6 and line[0].partition(" ")[0] in study.names(study.tables("toys").table("quality"))
    ]
    assert len(rows) == 12
    columns = ("quality/NDCG@10", "quality/Hit@10", "costs/tokens_per_item", "costs/processor", "costs/inference")
    for name, *cells in rows:
        assert cells == [study.cell_text("toys", name.partition(" ")[0], what) for what in columns], name


def test_what_the_study_says_of_toys_is_so(study: ModuleType) -> None:
    """Where new rows say otherwise, docs/pages/study.md and README.md have to be written anew."""

    def toys(name: str, what: str) -> float:
        return number(study, "toys", name, what)

    sets, words, codes, categories = FAMILIES
    apart = told_apart(study, "toys")
    assert [toys(name, "quality/NDCG@10") for name in FAMILIES] == sorted(
        (toys(name, "quality/NDCG@10") for name in FAMILIES), reverse=True
    )
    rqvae, mtgrec, digits = "semantic/rqvae", "semantic/mtgrec", "numeric/sequential"
    idgenrec = "textual/idgenrec"
    assert {(sets, words), (sets, codes), (sets, categories), (words, categories), (codes, mtgrec)} <= apart
    assert not {(words, codes), (words, idgenrec), (codes, categories), (codes, rqvae)} & apart
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (p,) = re.findall(r"ahead of words \(p = ([\d.]+)\)", readme)
    assert f"p (Holm) = {p}" in study.answer("toys")
    for name in (idgenrec, rqvae, mtgrec, digits):  # in the table and in the sentence about it
        score = f"{toys(name, 'quality/NDCG@10'):.4f}"
        assert len(re.findall(rf"{score}[ ,]", readme)) == 2
    for numbers in (digits, "numeric/random"):
        assert ends(study, "toys", numbers, "quality/NDCG@10")[1] < ends(study, "toys", "pop", "quality/NDCG@10")[0]
    seeds = {row.label: len(row.runs) for row in study.section("toys").rows if not row.probe}
    assert {name for name, count in seeds.items() if count == 3} == {*FAMILIES, "sasrec/ce", "gru4rec"}
    assert {*seeds.values()} == {1, 3}
    spread = {row.label: row.metric("ndcg@10") for row in study.section("toys").rows if seeds.get(row.label) == 3}
    measured = sorted((round(100 * sd / mean) for mean, sd in spread.values()), reverse=True)
    assert f"({', '.join(f'{each} %' for each in measured)})" in ORIGIN
    assert toys("sasrec/ce", "quality/NDCG@10") > toys(sets, "quality/NDCG@10")
    for name, loss in (
        (words, 0.48),
        (codes, 0.49),
        (categories, 0.41),
        ("sasrec/ce", 0.19),
        ("gru4rec", 0.14),
        (sets, 0.17),
    ):
        assert 1 - toys(name, "history/8") / toys(name, "history/up") == pytest.approx(loss, abs=0.006)
    best = [toys(name, "popularity/1–") for name in FAMILIES]  # noqa: RUF001
    assert sorted(best)[2:] == [toys(codes, "popularity/1–"), toys(sets, "popularity/1–")]  # noqa: RUF001
    assert ends(study, "toys", sets, "popularity/23")[0] < ends(study, "toys", "graph", "popularity/23")[1]
    cold = [toys(name, "warm-cold/Hit@10_cold") for name in (codes, sets, words, categories)]
    assert [round(value, 1) for value in cold] == [0.5, 0.5, 0.4, 0.4]
    for name in study.LEADING + study.BESIDE:
        if name != "pop":
            assert toys(name, "direction/higher") > toys(name, "direction/not"), name
    for name, said in (("graph", "4.7"), ("sasrec/ce", "2.2"), (sets, "1.5")):
        assert f"{toys(name, 'direction/higher') / toys(name, 'direction/not'):.1f}" == said
        assert f"`{name}` by {'a factor of ' if name == 'graph' else ''}{said}" in PAGE


def test_of_identifiers_only_sets_are_ahead_of_counting_on_unseen_transitions(study: ModuleType) -> None:
    sets, *others = FAMILIES
    counting = [row.label for row in study.section("toys").rows if row.probe and not row.first.scheme.leaks]
    best = max(counting, key=lambda name: number(study, "toys", name, "transition/unseen"))
    assert ends(study, "toys", sets, "transition/unseen")[0] > ends(study, "toys", best, "transition/unseen")[1]
    for name in others:
        assert ends(study, "toys", name, "transition/unseen")[0] < ends(study, "toys", best, "transition/unseen")[1]
    trained = [
        row.label for row in study.section("toys").rows if not row.probe and row.label in study.LEADING + study.BESIDE
    ]
    assert min(trained, key=lambda name: number(study, "toys", name, "transition/unseen")) == "sasrec/ce"
    assert max(trained, key=lambda name: number(study, "toys", name, "transition/seen")) == "sasrec/ce"


def test_what_the_study_says_of_equal_time_is_what_the_page_of_both_kinds_says() -> None:
    """Whose numbers are compared with stored rows by a test of its own."""
    said = " ".join(PAGE[PAGE.index("### At equal time") : PAGE.index("## Yelp")].split())
    other = (ROOT / "docs" / "pages" / "decoder-only.md").read_text(encoding="utf-8")
    windows = other[other.index("`training=windows`") : other.index("Then with")]
    shown = dict(re.findall(r"^\| `([^`]+)` \| ([\d.]+ \[[^\]]+\])", windows, re.M))
    kinds = dict(zip(FAMILIES, ("sets", "words", "codes", "categories"), strict=True))
    assert shown.keys() == kinds.keys()
    for name, score in shown.items():
        assert f"{kinds[name]} {score}" in said


def test_what_the_study_says_of_the_order_of_ids_is_so(study: ModuleType) -> None:
    told_nothing, as_it_is = (
        {row.label: row.first for row in study.section(data).rows if row.label == "markov"}["markov"].table
        for data in ("ties", "toys")
    )
    kept = np.mean(told_nothing.targets == as_it_is.targets)
    assert 0.45 < kept < 0.55  # other items are held out for half of the users
    audit = study.answer("toys")
    assert "at least .0070 (15 %) and at most .0258 (55 %)" in audit
    rows = {row.label: row for row in study.section("ties").rows}
    assert {name for name, row in rows.items() if row.trained} == {"sasrec/ce", "semantic/rqkmeans"}
    answer = study.answer("ties")
    assert (
        "Ahead of semantic/rqkmeans: graph (probe) 0.0371 and itemknn (probe) 0.0319. sasrec/ce 0.0235 and markov"
        in answer
    )
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    for name in ("semantic/rqkmeans", "sasrec/ce", "markov", "graph"):
        assert study.cell_text("ties", name, "quality/NDCG@10").split()[0] in readme
    assert ends(study, "ties", "sasrec/ce", "quality/NDCG@10")[0] < ends(study, "ties", "markov", "quality/NDCG@10")[1]
    for name in ("sasrec/ce", "semantic/rqkmeans"):
        assert ends(study, "ties", name, "quality/NDCG@10")[1] < ends(study, "ties", "itemknn", "quality/NDCG@10")[0]
    yelp = study.section("yelp").rows
    assert all(
        number(study, "yelp", row.label, "direction/not") > number(study, "yelp", row.label, "direction/higher")
        for row in yelp
    )


def test_what_the_study_says_of_yelp_is_so(study: ModuleType) -> None:
    assert highlighted(study, "yelp", "best") == {"sasrec/ce", "graph", "itemknn", "set/setrec"}
    assert highlighted(study, "yelp", "second") == {"markov"}
    rows = {row.label: row.first for row in study.section("yelp").rows}
    counts = {"semantic/rqkmeans": 84, "textual/title": 59, "pop": 10, "set/setrec": 288, "sasrec/ce": 472}
    counts["numeric/category+independent"] = 133
    for name, count in counts.items():
        found = strict_gains(rows[name]) > 0
        assert len(np.unique(rows[name].table.targets[found])) == count
    for name, seen in (
        ("semantic/rqkmeans", ["0.0044", "0.0045", "0.0050", "0.0067"]),
        ("textual/title", ["0.0052", "0.0054", "0.0081", "0.0076"]),
        ("set/setrec", ["0.0164", "0.0182", "0.0194", "0.0211"]),
        ("numeric/category+independent", ["0.0036", "0.0092", "0.0111", "0.0116"]),
    ):
        curve = rows[name].training["curve"]
        assert [f"{point['ndcg@10']:.4f}" for point in curve if "ndcg@10" in point] == seen
    passes = [
        row.costs.target_examples / (row.dataset.interactions - 3 * row.dataset.users)
        for row in rows.values()
        if row.costs.target_examples
    ]
    assert passes
    assert {f"{each:.1f}" for each in passes} == {"3.9"}
    answer = study.answer("yelp")
    assert "**set/setrec leads the schemes**" in answer
    assert (
        "graph (probe) 0.0195, itemknn (probe) 0.0188 and markov (probe) 0.0155 are not told apart from set" in answer
    )
    best, second = (
        number(study, "yelp", name, "quality/NDCG@10") for name in ("set/setrec", "numeric/category+independent")
    )
    assert best / second == pytest.approx(1.83, abs=0.01)
