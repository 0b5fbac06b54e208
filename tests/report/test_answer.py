"""What a report says in sentences, against results whose order is known, and where it has to keep silent."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench.evaluation.metrics import Ranks, summaries
from bench.report.comparisons import Family, Pair, compare, every
from bench.report.pairs import gap
from bench.report.rows import Row, sections
from bench.report.spending import clock
from bench.report.table import STRONG, Table
from bench.report.tables import chapters
from bench.results.read import load

Store = Callable[..., Path]


def said(root: Path) -> str:
    """All sentences on the only data set, without emphasis."""
    (chapter,) = chapters(load(root))
    text = " ".join(chapter.answer)
    for mark in STRONG:
        text = text.replace(mark, "")
    return text


def sentence(root: Path, word: str) -> str:
    """The only sentence with these words."""
    (found,) = [part for part in re.split(r"(?<=[a-z)0-9])\.\s+(?=[A-Z\w])", said(root)) if word in part]
    return found


def test_a_scheme_that_is_ahead_of_all_others_leads_by_what_the_tests_say(store: Store, tmp_path: Path) -> None:
    for name, quality in (("best", 0.8), ("middle", 0.4), ("lowest", 0.1)):
        store(name, quality=quality)
    store("pop", kind="baseline", quality=0.05)
    rows = {row.label: row for row in sections(load(tmp_path))[0].rows}
    found = compare(every(list(rows.values())), ("ndcg@10",))
    pairs = every(list(rows.values()))
    of_pair = {frozenset((pair.one.label, pair.other.label)): each for pair, each in zip(pairs, found, strict=True)}
    lead = of_pair[frozenset(("best", "middle"))]["ndcg@10"]
    text = said(tmp_path)
    assert f"best leads the schemes with NDCG@10 {rows['best'].metric('ndcg@10')[0]:.4f} (95 % interval " in text
    assert "ahead of all 2 other schemes" in text
    assert f"Its lead over middle is +{abs(lead.difference):.4f} (+" in text
    assert "best is ahead of the baseline beside it, the best of which is pop" in text
    assert "not told apart" not in text


def test_what_is_not_told_apart_is_never_called_a_lead(store: Store, tmp_path: Path) -> None:
    for name, quality in (("first", 0.80), ("closely", 0.75), ("furthest", 0.05)):
        store(name, quality=quality)
    text = said(tmp_path)
    assert "leads" not in text
    assert re.search(r"(first|closely) has the highest score of the 3 schemes, NDCG@10", text)
    assert "is not told apart from it. It is ahead of furthest." in text


def test_where_nothing_is_told_apart_no_scheme_leads(store: Store, tmp_path: Path) -> None:
    for name in ("one", "two", "six"):
        store(name, quality=0.4)  # names of one length draw the same ranks
    text = said(tmp_path)
    assert text.startswith("No scheme leads. ")
    assert "are not told apart from it" in text
    assert "ahead of" not in text


def test_what_is_level_with_the_best_is_not_called_behind_it(store: Store, tmp_path: Path) -> None:
    for name in ("one", "two", "six"):
        store(name, quality=0.4)
    text = said(tmp_path)
    assert re.search(
        r"but (\w+) and (\w+) are not told apart from it\. Of the others, not told apart from each other: ", text
    )
    assert "ehind" not in text


def test_a_row_that_is_better_on_the_users_in_common_is_neither_level_nor_behind(
    store: Store, sealed: Callable[[Path], None], tmp_path: Path
) -> None:
    """The one tested only the users whom the other finds; its mean is higher, and on these users it is worse."""
    store("quxux", quality=0.6, users=50)
    path = store("others", quality=0.9) / "per_user.parquet"
    frame = pd.read_parquet(path)
    few = pd.read_parquet(next(tmp_path.glob("runs/*/quxux*/*/0/per_user.parquet")))
    frame.loc[: len(few) - 1, "target"] = few["target"]
    frame["rank"] = frame["code_rank"] = pd.array([1 if at < len(few) else 50 for at in range(len(frame))], "Int32")
    frame.to_parquet(path)
    stored = json.loads((path.parent / "result.json").read_text())
    ranks = Ranks.of_items(frame["rank"].to_numpy(float))
    (path.parent / "result.json").write_text(json.dumps({**stored, "metrics": summaries(ranks, complete=False)}))
    sealed(path.parent)
    text = said(tmp_path)
    assert "No scheme leads. quxux has the highest score of the 2 schemes" in text
    assert "but on the users that both tested others is ahead of it." in text
    assert "not told apart" not in text
    (chapter,) = chapters(load(tmp_path))
    made, quality = chapter.table("pairs"), chapter.table("quality")
    assert made is not None
    assert quality is not None
    assert made.columns[1].cells[0].mark == "*"
    assert {cell.highlight for column in quality.columns for cell in column.cells} == {""}


def test_pairs_behind_the_best_are_named_or_counted(store: Store, tmp_path: Path) -> None:
    store("best of all", quality=0.9)
    for name in ("b", "cc"):
        store(name, quality=0.3)
    assert "Of the others, not told apart from each other: " in said(tmp_path)
    for name in ("ddd", "eeee"):
        store(name, quality=0.3)
    assert re.search(
        r"Of the 6 pairs of other schemes, \d are not told apart; the pair matrix names them", said(tmp_path)
    )


def test_every_statement_agrees_with_the_family_of_tests(store: Store, tmp_path: Path) -> None:
    """Whoever is named as ahead or behind has a corrected p below 0.05, whoever as level has not."""
    qualities = {"semantic/a": 0.55, "semantic/bb": 0.5, "textual/ccc": 0.35, "numeric/dddd": 0.33, "set/eeeee": 0.1}
    for name, quality in qualities.items():
        store(name, quality=quality)
    for name, quality in (("markov", 0.7), ("sasrec", 0.45), ("pop", 0.02)):
        store(name, kind="baseline", quality=quality)
    (section,) = sections(load(tmp_path))
    rows = {row.label: row for row in section.rows}
    pairs = every(section.rows)
    corrected = {
        frozenset((pair.one.label, pair.other.label)): found["ndcg@10"].corrected
        for pair, found in zip(pairs, compare(pairs, ("ndcg@10", "hit@10")), strict=True)
    }
    top = max(qualities, key=lambda name: rows[name].metric("ndcg@10")[0])
    score = {name: row.metric("ndcg@10")[0] for name, row in rows.items()}
    of_top = {name: corrected[frozenset((top, name))] for name in rows if name != top}
    level = {name for name, p in of_top.items() if p >= 0.05}
    between, beside, _ = chapters(load(tmp_path))[0].answer
    first, _, behind = between.partition(" Of the others, not told apart")
    named = {name for name in qualities if name in first.partition("but ")[2].partition(" not told apart")[0]}
    assert named == level & set(qualities)
    assert named | {name for name in qualities if name in first.partition("It is ahead of ")[2].partition(". ")[0]} == (
        set(qualities) - {top}
    )
    unclear = {
        frozenset((one, other))
        for one, other in combinations(set(qualities) - {top}, 2)
        if corrected[frozenset((one, other))] >= 0.05
    }
    said_level = [set(pair.split(" and ")) for pair in re.findall(r"[\w/]+ and [\w/]+", behind.partition(". ")[0])]
    assert {frozenset(pair) for pair in said_level} == unclear
    ahead = beside.partition(f"Ahead of {top}: ")[2].partition(". ")[0]
    lost = {name for name in ("markov", "sasrec", "pop") if name not in level and score[name] < score[top]}
    assert {name for name in ("markov", "sasrec", "pop") if name in ahead} == (
        {"markov", "sasrec", "pop"} - level - lost
    )
    assert {name for name in lost if name in beside.partition("is ahead of ")[2]} == lost


def test_one_seed_says_which_differences_are_noise_and_several_do_not(store: Store, tmp_path: Path) -> None:
    store("one", quality=0.5)
    store("three", quality=0.1)
    (section,) = sections(load(tmp_path))
    score = section.rows[0].metric("ndcg@10")[0]
    least = 1.96 * 0.07 * 2**0.5 * score
    assert f"differences below about {least:.4f} (19 % of the best score) are within the noise of training" in said(
        tmp_path
    )
    assert "an assumption until a row has several seeds" in said(tmp_path)
    store("one", quality=0.5, seed=1)
    assert "noise of training" not in said(tmp_path)  # which is of two rows of one seed
    store("three", quality=0.1, seed=1)
    assert "noise of training" not in said(tmp_path)


def test_one_scheme_alone_is_not_called_the_best(store: Store, tmp_path: Path) -> None:
    store("one", quality=0.5)
    text = said(tmp_path)
    assert text.startswith("one reaches NDCG@10 0.")
    assert "It is the only scheme here. " in text
    assert "No baseline can be compared with it." in text
    assert "highest" not in text


def test_schemes_under_different_contracts_are_not_compared(store: Store, tmp_path: Path) -> None:
    store("one", quality=0.9)
    store("three", quality=0.1, contract={"beam": 50})
    text = said(tmp_path)
    assert text.count("It is the only scheme here.") == 2
    assert "Under contract A: one reaches" in text
    assert "Under contract B: three reaches" in text
    assert "ahead" not in text


def test_what_cannot_be_compared_is_said_and_belongs_to_no_lead(store: Store, tmp_path: Path) -> None:
    """Two versions of one scheme are two programs; the third may be compared with both."""
    store("one", version=2, quality=0.8)
    store("one", version=1, quality=0.5)
    store("three", quality=0.1)
    text = said(tmp_path)
    assert "one@2 leads the schemes with" in text
    assert "ahead of the other scheme that can be compared with it." in text
    assert "one@1 cannot be compared with it." in text


def test_baselines_alone_and_probes_alone_claim_nothing_about_identifiers(store: Store, tmp_path: Path) -> None:
    probe = {"name": "pop", "version": 1, "settings": {}, "kind": "baseline", "probe": True}
    folder = store("pop", kind="baseline", quality=0.3)
    rewrite(folder, scheme={**probe, "inputs": "", "leaks": False, "source": "", "recipe": ""})
    text = said(tmp_path)
    assert text.startswith("No identifier scheme was run on these data. What counts are probes alone")
    assert "The highest probe is pop, NDCG@10 0." in text
    store("sasrec", kind="baseline", quality=0.2)
    assert "The highest baseline is sasrec, NDCG@10 0." in said(tmp_path)


def test_a_probe_above_the_highest_baseline_is_named(store: Store, tmp_path: Path) -> None:
    for name, quality in (("pop", 0.6), ("repeat", 0.2), ("random", 0.001)):
        probe = {"name": name, "version": 1, "settings": {}, "kind": "baseline", "probe": True}
        folder = store(name, kind="baseline", quality=quality)
        rewrite(folder, scheme={**probe, "inputs": "", "leaks": False, "source": "", "recipe": ""})
    store("sasrec", kind="baseline", quality=0.2)
    found = said(tmp_path).partition("The highest baseline is sasrec")[2]
    assert re.search(
        r"\. Ahead of it: pop \(probe\) 0\.\d{4}\. repeat \(probe\) 0\.\d{4} is not told apart from it\.", found
    )
    assert "random" not in found


def rewrite(folder: Path, **said: Any) -> None:
    path = folder / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **said}))


def test_a_leak_is_not_mentioned_as_ahead(store: Store, tmp_path: Path) -> None:
    store("one", quality=0.4)
    store("two-leak", quality=0.9, leaks=True)
    store("max-leak", kind="baseline", quality=0.9, leaks=True)
    assert "leak" not in said(tmp_path)


def test_no_hit_at_all_is_said_as_that(store: Store, tmp_path: Path) -> None:
    store("one", quality=0.0)
    store("pop", kind="baseline", quality=0.0)
    assert said(tmp_path).startswith("No scheme ranked a target among its first ten: NDCG@10 is 0.")


def test_scores_that_mean_nothing_lead_to_no_conclusion(store: Store, tmp_path: Path) -> None:
    store("one", quality=0.9, preset="smoke")
    store("three", quality=0.1, preset="smoke")
    store("pop", kind="baseline", quality=0.2, preset="smoke", training=None)
    (chapter,) = chapters(load(tmp_path))
    assert (
        chapter.banner == "The scores of trained models here mean nothing: preset smoke only shows that everything runs"
    )
    text = said(tmp_path)
    assert text.startswith("No conclusion about identifiers can be drawn")
    assert "leads" not in text
    assert "three" not in text
    store("sixteen", quality=0.3, preset="cpu", contract={"epochs": 20})
    (chapter,) = chapters(load(tmp_path))
    assert chapter.banner.startswith("The scores of one, three mean nothing: ")
    assert "sixteen reaches NDCG@10" in said(tmp_path)


def test_a_preset_that_counts_has_no_banner_and_a_baseline_that_trains_nothing_neither(
    store: Store, tmp_path: Path
) -> None:
    store("pop", kind="baseline", preset="smoke")
    store("one")
    assert chapters(load(tmp_path))[0].banner == ""


def test_costs_are_said_and_compared_only_on_one_machine(store: Store, tmp_path: Path) -> None:
    store("one", quality=0.9)
    store("three", quality=0.1)
    text = said(tmp_path)
    assert "one costs: its training took 22 min and ranking 1,000 users took 7.94 s." in text
    assert "Training of the other scheme took 22 min." in text
    store("sixteen", quality=0.2, environment={"device": "cuda:0"})
    assert "ran on different machines, so their times do not compare" in said(tmp_path)


@pytest.mark.parametrize(("value", "text"), [(0.004, "< 0.01 s"), (42, "42.0 s"), (1500, "25 min"), (11_160, "3.1 h")])
def test_a_time_reads_as_one_says_it(value: float, text: str) -> None:
    assert clock(value) == text


def test_runs_without_an_audit_say_so(store: Store, tmp_path: Path) -> None:
    store("one")
    assert said(tmp_path).endswith("No audit of the data is stored with these runs.")


# -- the matrix -------------------------------------------------------------------------------------------------------


def matrix(root: Path) -> Table | None:
    return chapters(load(root))[0].table("pairs")


@pytest.fixture
def compared(store: Store, tmp_path: Path) -> list[Row]:
    for name, quality in (("a", 0.7), ("bb", 0.65), ("ccc", 0.2)):
        store(name, quality=quality)
    store("p5-leak", quality=0.9, leaks=True)
    store("pop", kind="baseline", quality=0.1)
    store("random", kind="baseline", quality=0.01)
    return list(sections(load(tmp_path))[0].rows)


def test_the_matrix_has_every_scheme_and_the_best_baseline(compared: list[Row], tmp_path: Path) -> None:
    made = matrix(tmp_path)
    assert made is not None
    assert [cell.value for cell in made.head.cells] == ["a", "bb", "ccc", "pop"]
    assert [column.title for column in made.columns] == ["1", "2", "3", "4"]
    scores = {row.label: row.metric("ndcg@10")[0] for row in compared}
    names = [str(cell.value) for cell in made.head.cells]
    found = {
        frozenset((pair.one.label, pair.other.label)): each["ndcg@10"]
        for pair, each in zip(every(compared), compare(every(compared), ("ndcg@10", "hit@10")), strict=True)
    }
    for row, name in enumerate(names):
        assert made.columns[row].cells[row].text == ""
        for column, other in enumerate(names):
            cell = made.columns[column].cells[row]
            if row == column:
                continue
            assert cell.value == pytest.approx(scores[name] - scores[other], abs=1e-9)
            assert cell.p == found[frozenset((name, other))].corrected
            assert (cell.mark == "*") is (found[frozenset((name, other))].corrected < 0.05)
            assert cell.value == -(made.columns[row].cells[column].value or 0)  # type: ignore[operator]


def test_nothing_has_no_sign_of_less(store: Store, tmp_path: Path) -> None:
    for name in ("one", "two"):
        store(name, quality=0.4)
    made = matrix(tmp_path)
    assert made is not None
    assert {cell.text for column in made.columns for cell in column.cells} == {"", "+0.0000"}


def test_only_what_was_tested_has_a_difference(store: Store, tmp_path: Path) -> None:
    store("one", quality=0.5)
    assert matrix(tmp_path) is None
    store("three", quality=0.3, contract={"beam": 50})
    assert matrix(tmp_path) is None
    store("pop", kind="baseline", quality=0.1)
    made = matrix(tmp_path)
    assert made is not None
    texts = [[cell.text for cell in row] for row in made.rows]
    assert [row[0] for row in texts] == ["1 one [A]", "2 three [B]", "3 pop [A, B]"]
    assert texts[0][2] == texts[1][1] == "\N{EN DASH}"


def test_where_no_scheme_is_baselines_are_compared(store: Store, tmp_path: Path) -> None:
    for name, quality in (("pop", 0.1), ("random", 0.01)):
        store(name, kind="baseline", quality=quality)
    made = matrix(tmp_path)
    assert made is not None
    assert made.title == "Baselines in pairs, NDCG@10"


def test_a_gap_has_its_sign_whichever_row_is_named_first() -> None:
    one, other = Row("one", ()), Row("other", ())
    values = ((0.01,), (0.03,))
    import numpy as np

    found = Family((Pair(one, other),), ("ndcg@10",), *(np.array([[v[0]]]) for v in (*values, (0.2,))))
    assert [found.pair_index.get(frozenset(pair)) for pair in combinations((one, other), 2)] == [0]
    for first, second, sign in ((one, other, 1), (other, one, -1)):
        seen = gap(found, first, second)
        assert seen is not None
        assert (seen.difference, seen.p) == (sign * 0.2, 0.03)
        assert seen.told_apart
    assert gap(found, one, one) is None
