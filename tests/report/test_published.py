"""Published scores: that the file is sound, what matches what, and when a comparison is possible."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import plugins, recipes
from bench.contract import Contract, changed
from bench.report import published
from bench.report.published import (
    NOT_COMPARABLE,
    NOT_REPRODUCED,
    REPRODUCED,
    Claim,
    ClaimResult,
    Source,
    obstacles,
    result_of,
)
from bench.report.rows import Estimate
from bench.results.read import Result, load
from bench.results.schema import Costs, DatasetFacts, SchemeFacts
from bench.runs.subjects import SCHEMES, load_scheme, names
from bench.runs.subjects import settings as read

Store = Callable[..., Path]
WRITER = "nandakishormpai/t5-small-machine-articles-tag-generation"
SENTENCES = "sentence-transformers/sentence-t5-base"
STANDARD = {"split": "leave-one-out", "validation_in_test_history": True, "exclude_history": False, "max_history": 20}
MODEL = {"backbone": "google-t5/t5-small@1a2b3c4d", "epochs": 100, "max_steps": 0}
SCHEME, NO_COSTS = SchemeFacts("numeric/category", 1, {}, "scheme"), Costs(None, None, None, None, None)
BEAUTY = DatasetFacts("beauty", "51c0e77ab3d2f946", 22363, 12101, 198502)


def source(start: str) -> Source:
    (found,) = [source for source in published.load().sources if source.title.startswith(start)]
    return found


def claim(system: str = "SemID", data: str = "beauty", metric: str = "hit@10", start: str = "How to Index") -> Claim:
    (found,) = [
        claim
        for claim in published.claims(published.load(), data, system)
        if claim.metric == metric and claim.source.title.startswith(start)
    ]
    return found


@pytest.fixture
def ours(store: Store, tmp_path: Path) -> Result:
    """A run that everything may be compared with that was published about Beauty under leave-one-out."""
    store("numeric/category", dataset="beauty")
    (found,) = load(tmp_path)
    return replace(found, contract={**STANDARD, **MODEL}, preset="standard", dataset=BEAUTY)


def judge(ours: Result, value: float, interval: tuple[float, float] | None, about: Claim | None = None) -> ClaimResult:
    return result_of(published.load(), about or claim(), ours, Estimate(value, interval, None))


# --- the file ---


def rows() -> Iterator[tuple[str, Source, Sequence[float]]]:
    for source in published.load().sources:
        for data, systems in source.values.items():
            for system, values in systems.items():
                yield f"{source.title}, {data}, {system}", source, values


def test_every_value_is_possible() -> None:
    for at, source, values in rows():
        assert len(values) == len(source.metrics), at
        seen = {name: value for name, value in zip(source.metrics, values, strict=True) if value == value}
        assert seen, at
        assert all(0 < value < 1 for value in seen.values()), at
        for low, high in itertools.permutations(seen, 2):
            (kind, cutoff), (other, further) = low.split("@"), high.split("@")
            if (kind == other and int(cutoff) < int(further)) or (
                kind == "ndcg" and other == "hit" and cutoff == further
            ):
                assert seen[low] <= seen[high], at


def test_every_source_says_where_it_is_and_what_to_beware_of() -> None:
    sources = published.load().sources
    assert len({source.title for source in sources}) == len(sources) > 10
    for source in sources:
        assert re.match(r"arXiv \d{4}\.\d{5}|github\.com/\w+", source.where), source.title
        assert source.protocol
        assert source.caveat
        named = {system for systems in source.values.values() for system in systems}
        assert set(source.own) <= named
        for caution in source.cautions:
            assert set(caution.systems) <= named
            assert set(caution.data) <= set(source.values)


def test_what_is_matched_was_published() -> None:
    known = {system for source in published.load().sources for systems in source.values.values() for system in systems}
    assert {system for match in published.load().matches for system in match.systems} <= known


def test_nothing_is_asserted_from_memory() -> None:
    """P5's further scores are known to us from memory alone and must not be printed."""
    remembered = {0.0272, 0.0361, 0.0198, 0.0508, 0.0379, 0.0608, 0.0507, 0.0688, 0.0648, 0.0567, 0.0709}
    seen = {value for at, _, values in rows() if ", P5 prompt" in at for value in values}
    assert seen.isdisjoint(remembered)
    assert len(seen) > 10


@pytest.mark.parametrize(
    ("start", "data", "system"),
    [
        ("IDGenRec (SIGIR", "toys", "IDGenRec"),
        ("IDGenRec (SIGIR", "sports", "IDGenRec"),
        ("TIGER", "toys", "TIGER"),
    ],
)
def test_known_broken_values_carry_their_warning(start: str, data: str, system: str) -> None:
    caution = claim(system, data, start=start).caution
    assert caution is not None
    assert caution.comparable is (system == "TIGER")


# --- what stands for what ---


@pytest.mark.parametrize(
    ("scheme", "settings", "system"),
    [
        ("numeric/random", {}, "RID"),
        ("numeric/sequential", {}, "SID"),
        ("numeric/sequential", {"order": "original", "first": 1001}, "SID"),
        ("numeric/sequential", {"order": "random"}, "SID random order"),
        ("numeric/collaborative", {"clusters": 10, "leaf": 200}, "CID N=10 T=200"),
        ("numeric/collaborative", {"clusters": 7}, None),
        ("numeric/randomized", {}, None),
        ("sasrec/bpr", {}, "SASRec"),
        ("textual/idgenrec", {"users": "off"}, "IDGenRec"),
        ("textual/idgenrec-user-leak", {}, "IDGenRec"),
        ("semantic/rqvae", {"encoder": "tfidf-svd"}, "TIGER"),
        ("sasrec/ce", {}, None),  # papers train it with one negative, and it does worse so
        ("pop", {}, None),
    ],
)
def test_a_scheme_with_its_settings_stands_for_a_system(
    ours: Result, scheme: str, settings: dict[str, Any], system: str | None
) -> None:
    result = replace(ours, scheme=replace(ours.scheme, name=scheme, settings=settings))
    assert next(iter(published.systems(published.load(), result)), None) == system


RECIPES = sorted(name.partition(":")[0] for name in plugins.offers(recipes.RECIPES) if name.endswith(":published"))


@pytest.mark.parametrize("owner", [owner for owner in RECIPES if owner in names(SCHEMES)])
def test_what_has_a_recipe_of_a_paper_stands_for_its_system(ours: Result, owner: str) -> None:
    """Run as the recipe says, neither settings nor contract forbid to compare with what its authors say of it."""
    recipe = recipes.find(owner, "published")
    stated = asdict(read(load_scheme(owner), recipe.settings))
    contract = asdict(changed(Contract(), recipe.contract))
    result = replace(ours, scheme=replace(ours.scheme, name=owner, settings=stated), contract=contract)
    data = {name for source in published.load().sources for name in source.values}
    systems = published.systems(published.load(), result)
    every = [each for at in data for system in systems for each in published.claims(published.load(), at, system)]
    ours_alone = [
        [why for why in obstacles(published.load(), each, result) if why.startswith("our ")]
        for each in every
        if each.own
    ]
    assert [] in ours_alone


@pytest.mark.parametrize(
    ("scheme", "settings", "system", "said"),
    [
        ("textual/idgenrec", {"users": "off"}, "IDGenRec", ["our users off, not on"]),
        ("textual/idgenrec", {"users": "on", "generator": WRITER}, "IDGenRec", []),
        ("textual/idgenrec", {"users": "on", "generator": "mini"}, "IDGenRec", [f"our generator mini, not {WRITER}"]),
        ("semantic/rqvae", {"encoder": "tfidf-svd"}, "TIGER", [f"our encoder tfidf-svd, not {SENTENCES}"]),
        ("semantic/rqvae", {"encoder": SENTENCES}, "TIGER", []),
    ],
)
def test_settings_that_a_system_needs_forbid_a_comparison(
    ours: Result, scheme: str, settings: dict[str, Any], system: str, said: list[str]
) -> None:
    contract = {**ours.contract, "backbone": "tiger" if system == "TIGER" else "t5-small"}
    result = replace(ours, scheme=replace(ours.scheme, name=scheme, settings=settings), contract=contract)
    about = claim(system, metric="hit@5", start="TIGER (" if system == "TIGER" else "GRAM")
    assert obstacles(published.load(), about, result) == said


def test_a_leak_is_compared_with_the_same_leak_alone(ours: Result) -> None:
    """The authors' code leaks as ``textual/idgenrec-user-leak`` does; who ran it again without has other scores."""
    facts = SchemeFacts("textual/idgenrec-user-leak", 1, {"users": "on", "generator": WRITER}, "scheme", leaks=True)
    leak = replace(ours, scheme=facts)
    honest = replace(ours, scheme=replace(facts, name="textual/idgenrec", leaks=False))
    theirs, again = (claim("IDGenRec", metric="hit@5", start=start) for start in ("IDGenRec (SIGIR", "GRAM"))
    assert obstacles(published.load(), theirs, leak) == []
    assert obstacles(published.load(), again, leak) == ["ours is shown validation and test items, theirs is not"]
    assert "test item included" in obstacles(published.load(), theirs, honest)[0]
    assert obstacles(published.load(), again, honest) == []
    by_number = replace(ours, scheme=SchemeFacts("numeric/p5-leak", 1, {}, "scheme", leaks=True))
    assert obstacles(published.load(), claim("P5 prompt 2-3", start="P5"), by_number) == []
    shared = {name for source in published.load().sources for each in source.cautions for name in each.shared}
    assert all(load_scheme(name).leaks for name in shared)


def test_claims_put_the_authors_before_others() -> None:
    found = published.claims(published.load(), "beauty", "TIGER")
    assert [claim.own for claim in found] == [True] * 4 + [False] * 16
    assert {claim.value for claim in found if claim.metric == "ndcg@10"} == {0.0384, 0.0378, 0.0321, 0.0298, 0.0338}


def test_a_value_that_is_not_known_is_no_claim() -> None:
    found = published.claims(published.load(), "beauty", "RID")
    assert [(claim.metric, claim.value) for claim in found] == [("hit@5", 0.0353), ("hit@10", 0.0491)]


# --- results ---


def test_inside_our_interval_is_reproduced(ours: Result) -> None:
    assert judge(ours, 0.0600, (0.0540, 0.0660)) == ClaimResult(REPRODUCED, "it lies in our interval")


@pytest.mark.parametrize(("value", "said"), [(0.0625, "4% lower"), (0.0680, "4% higher")])
def test_close_by_is_reproduced(ours: Result, value: float, said: str) -> None:
    assert judge(ours, value, (value - 1e-4, value + 1e-4)) == ClaimResult(REPRODUCED, f"ours is {said}")


@pytest.mark.parametrize(("value", "said"), [(0.0326, "50% lower"), (0.0978, "50% higher")])
def test_far_off_is_not_reproduced(ours: Result, value: float, said: str) -> None:
    assert judge(ours, value, (value - 1e-4, value + 1e-4)) == ClaimResult(NOT_REPRODUCED, f"ours is {said}")


def test_without_any_hit_nothing_is_reproduced(ours: Result) -> None:
    assert judge(ours, 0.0, None) == ClaimResult(NOT_REPRODUCED, "ours is 100% lower")


def test_a_metric_that_is_not_ours_is_not_compared(ours: Result) -> None:
    assert result_of(published.load(), claim(), ours, None) == ClaimResult(
        NOT_COMPARABLE, "hit@10 is not among our metrics"
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"contract": {"split": "global-time"}}, "split global-time, not leave-one-out"),
        ({"contract": {"exclude_history": True}}, "exclude_history yes, not no"),
        ({"contract": {"validation_in_test_history": False}}, "validation_in_test_history no, not yes"),
        ({"contract": {"max_history": 50}}, "max_history 50, not 20"),
        ({"contract": {"max_steps": 10}}, "max_steps 10, not 0"),
        ({"contract": {"epochs": 8}}, "epochs 8, below 20"),
        ({"contract": {"backbone": "mini"}, "preset": "cpu"}, "our preset 'cpu': backbone mini, not t5-small"),
        ({"contract": {"candidates": "sampled"}}, "candidates sampled, not all"),
        ({"dataset": {"users": 22364}}, "their data have 22,363 users, ours 22,364"),
        ({"dataset": {"interactions": 1}}, "their data have 198,502 interactions, ours 1"),
    ],
)
def test_what_differs_forbids_a_comparison_and_is_said(ours: Result, change: dict[str, Any], said: str) -> None:
    changed = replace(
        ours,
        contract={**ours.contract, **change.get("contract", {})},
        dataset=replace(ours.dataset, **change.get("dataset", {})),
        preset=change.get("preset", ours.preset),
    )
    found = judge(changed, claim().value, (0.0, 1.0))
    assert found.outcome == NOT_COMPARABLE
    assert said in found.why


def test_the_protocol_of_the_source_counts_as_well(ours: Result) -> None:
    sampled = claim("P5 prompt 5-8", metric="hit@1", start="P5")
    assert obstacles(published.load(), sampled, ours)[0] == "they rank 1 of 100 items, we rank all"
    in_time = claim("SETRec", "toys", "recall@10", "SETRec")
    assert "split leave-one-out, not global-temporal" in " ".join(obstacles(published.load(), in_time, ours))
    unknown = claim("OpenP5 random", "cds", start="OpenP5")
    assert obstacles(published.load(), unknown, ours) == ["the statistics of their data are not known"]


def test_broken_values_are_never_compared(ours: Result) -> None:
    broken = claim("IDGenRec", "toys", start="IDGenRec (SIGIR")
    facts = DatasetFacts("toys", "9d1c3f6a7b2e4d58", 19412, 11924, 167597)
    (why,) = obstacles(published.load(), broken, replace(ours, dataset=facts))
    assert "sorted by item id, not by time" in why
    again = claim("IDGenRec", "toys", metric="hit@5", start="GRAM")
    assert obstacles(published.load(), again, replace(ours, dataset=facts)) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"epochs": 8}, ["our preset 'cpu': epochs 8, below 20"]), ({"epochs": 30}, []), ({"epochs": 20}, []), ({}, [])],
)
def test_a_baseline_is_checked_by_its_data_view_and_its_own_budget(
    ours: Result, settings: dict[str, Any], said: list[str]
) -> None:
    """Not by the name of its preset, which does not say what was changed in it."""
    scheme = replace(ours.scheme, name="sasrec/bpr", kind="baseline", settings=settings)
    baseline = replace(ours, scheme=scheme, contract=STANDARD, preset="cpu")
    assert obstacles(published.load(), claim("SASRec", start="IDGenRec (SIGIR"), baseline) == said


def test_every_model_of_a_published_size_is_named(ours: Result) -> None:
    """Where a source does not say which it had."""
    small = replace(ours, contract={**ours.contract, "backbone": "mini"})
    about = claim("IDGenRec", metric="hit@5", start="GRAM")
    assert "backbone mini, not tiger or t5-small" in " ".join(obstacles(published.load(), about, small))


def test_settings_of_a_scheme_are_no_budget(ours: Result) -> None:
    """Those of a quantizer say nothing about how long the recommender was trained."""
    assert (
        obstacles(published.load(), claim(), replace(ours, scheme=replace(ours.scheme, settings={"epochs": 1}))) == []
    )


@given(st.floats(1e-4, 0.5), st.floats(0, 0.5), st.floats(0, 0.1))
def test_a_reproduction_needs_the_interval_or_the_tolerance(value: float, ours_value: float, half: float) -> None:
    """Whatever the numbers, reproduced means one of the two, and nothing else does."""
    nothing: dict[str, Any] = {}
    seen = Result(
        folder=Path(),
        path="",
        bench="0",
        dataset=BEAUTY,
        scheme=SCHEME,
        contract={**STANDARD, **MODEL},
        contract_id="",
        preset=None,
        seed=0,
        split=nothing,
        metrics=nothing,
        identifiers=None,
        costs=NO_COSTS,
        training=None,
        environment=nothing,
        created="",
        files=nothing,
    )
    about = replace(claim(), value=value)
    estimate = Estimate(ours_value, (ours_value - half, ours_value + half), None)
    found = result_of(published.load(), about, seen, estimate)
    near = ours_value - half <= value <= ours_value + half or abs(ours_value / value - 1) <= 0.05
    assert (found.outcome == REPRODUCED) is near
