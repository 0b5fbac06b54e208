"""The study's page: its tables are those of the stored rows, its commands exist, and its sentences hold."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest
import typer

from bench import cli

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "pages" / "study.md").read_text(encoding="utf-8")
FAMILIES = ("set/setrec", "textual/title", "semantic/rqkmeans", "numeric/category+independent")


@pytest.fixture(scope="module")
def study() -> ModuleType:
    """docs/study.py, which is no package."""
    found = importlib.util.spec_from_file_location("docs_study", ROOT / "docs" / "study.py")
    assert found
    assert found.loader
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module
    found.loader.exec_module(module)
    return module


def number(study: ModuleType, data: str, name: str, what: str) -> float:
    return float(study.cell_text(data, name, what).split()[0])


@pytest.mark.parametrize("data", ["toys", "yelp", "ties"])
def test_scores_of_slices_are_means_over_their_users(study: ModuleType, data: str) -> None:
    """Counted anew from what is stored of each user."""
    for row in study.section(data).rows:
        ranks = parquet.read_table(row.first.folder / "per_user.parquet")["rank"].to_numpy()
        gains = np.where(ranks <= 10, 1 / np.log2(ranks + 1.0), 0.0)
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


def test_every_row_is_where_the_page_says_and_its_command_exists(study: ModuleType) -> None:
    command: Any = typer.main.get_command(cli.app)
    for data, folder in study.FOLDERS.items():
        shown = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| `bench run ([^`]+)` \|$", study.places(data), re.M)
        assert len(shown) == sum(len(row.runs) for row in study.section(data).rows)
        for name, place, options in shown:
            assert (ROOT / "results" / folder / place / "result.json").is_file()
            given = command.commands["run"].make_context("run", shlex.split(options)).params
            assert name in (given["baseline"] or given["id_scheme"])
    assert study.places("ties").count("--set ties=presumed") == len(study.section("ties").rows)
    assert "--set" not in study.places("toys") + study.places("yelp")


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


def test_what_the_study_says_of_toys_is_so(study: ModuleType) -> None:
    """Where new rows say otherwise, docs/pages/study.md has to be written anew."""

    def toys(name: str, what: str) -> float:
        return number(study, "toys", name, what)

    whole = [toys(name, "quality/NDCG@10") for name in FAMILIES]
    unseen = [toys(name, "transition/unseen") for name in FAMILIES]
    assert whole == sorted(whole, reverse=True)
    assert unseen == sorted(unseen, reverse=True)
    assert min(unseen) > toys("sasrec/ce", "transition/unseen") > toys("markov", "transition/unseen")
    assert toys("sasrec/ce", "transition/seen") > max(toys(name, "transition/seen") for name in FAMILIES)
    assert toys("set/setrec", "popularity/23") > toys("graph", "popularity/23")
    assert min(toys(name, "warm-cold/Hit@10 cold") for name in FAMILIES) > 0.4
    ratios = {
        name: toys(name, "direction/higher") / toys(name, "direction/not") for name in ("graph", "sasrec/ce", *FAMILIES)
    }
    assert min(ratios.values()) > 1 > toys("pop", "direction/higher") / toys("pop", "direction/not")
    for name, said in (("graph", "4.7"), ("sasrec/ce", "2.2"), ("set/setrec", "1.5")):
        assert f"{ratios[name]:.1f}" == said
        assert f"`{name}` by {'a factor of ' if name == 'graph' else ''}{said}" in PAGE


def test_what_the_study_says_of_equal_time_is_what_the_page_of_both_kinds_says() -> None:
    """Whose numbers are compared with stored rows by a test of its own."""
    said = PAGE[PAGE.index("### At equal time") : PAGE.index("## Yelp")]
    scores = re.findall(r"0\.\d{4} \[[^\]]+\]", said)
    other = (ROOT / "docs" / "pages" / "decoder-only.md").read_text(encoding="utf-8")
    assert len(scores) == 4
    assert all(score in other for score in scores)
    assert scores == sorted(scores, reverse=True)


def test_what_the_study_says_of_the_order_of_ids_is_so(study: ModuleType) -> None:
    as_it_is, told_nothing = (
        {name: number(study, data, name, "quality/NDCG@10") for name in ("graph", "markov", "itemknn")}
        for data in ("toys", "ties")
    )
    assert told_nothing["markov"] < as_it_is["markov"] / 2
    assert told_nothing["graph"] < as_it_is["graph"]
    assert told_nothing["itemknn"] > as_it_is["itemknn"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"{told_nothing[name]:.4f}" in readme for name in ("graph", "markov"))
    for name in ("set/setrec", "textual/title", "semantic/rqkmeans", "graph", "sasrec/ce"):
        assert study.cell_text("toys", name, "transition/unseen").split()[0] in readme


def test_what_the_study_says_of_yelp_is_so(study: ModuleType) -> None:
    yelp = study.section("yelp").rows
    for name in ("semantic/rqkmeans", "textual/title"):
        low = [number(study, "yelp", name, f"popularity/{slice}") for slice in ("0", "1–6", "7–15", "16–35")]  # noqa: RUF001
        assert max(low) < 0.0002
        assert number(study, "yelp", name, "popularity/36") > number(study, "yelp", "pop", "popularity/36")
    assert all(
        number(study, "yelp", row.label, "direction/not") > number(study, "yelp", row.label, "direction/higher")
        for row in yelp
    )
