"""What schemes declare that they need is near what they take, and grows as it should."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from numeric_ids import Independent
from semantic_ids import Letter, RqKmeans, RqVae
from set_ids import CfOnly, SetRec
from textual_ids import IdGenRec

from bench.ids.limits import DAY, CatalogueSize
from bench.ids.scheme import IdScheme

PEAKS = Path(__file__).with_name("peaks.py")
FACTOR = 4.0  # between what is declared and what is measured, either way
FEW = ("numeric/sequential", "semantic/rqkmeans", "set/setrec")  # the others: tests/long
TEN_THOUSAND, MILLION = (CatalogueSize(items, items, 8 * items) for items in (10_000, 1_000_000))
Grown = Mapping[str, tuple[float, float]]


def grown(*schemes: str, sizes: str = "2000,30000") -> Grown:
    """Bytes by which the larger of two catalogues takes more than the smaller: declared and measured."""
    words = [sys.executable, str(PEAKS), sizes, *schemes]
    child = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert child.returncode == 0, child.stderr
    found: Grown = json.loads(child.stdout)
    return found


@pytest.fixture(scope="module")
def few() -> Grown:
    return grown(*FEW)


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
@pytest.mark.parametrize("name", FEW)
def test_declared_memory_is_within_a_factor_of_what_is_measured(few: Grown, name: str) -> None:
    declared, measured = few[name]
    assert measured / FACTOR < declared < measured * FACTOR


@pytest.mark.parametrize("scheme", [SetRec(), CfOnly(), Letter()], ids=lambda scheme: scheme.name)
def test_a_sasrec_over_a_million_items_takes_days_and_its_hint_hours(scheme: IdScheme) -> None:
    needs = scheme.needs(MILLION)
    assert needs
    assert needs.seconds > DAY
    assert "sasrec_negatives=1024" in needs.hint
    helped = type(scheme)(type(scheme).Settings(sasrec_negatives=1024)).needs(MILLION)
    assert helped
    assert helped.seconds < DAY
    assert helped.memory < needs.memory


@pytest.mark.parametrize(
    "scheme", [SetRec(), CfOnly(), Letter(), RqKmeans(), RqVae(), IdGenRec()], ids=lambda scheme: scheme.name
)
def test_catalogues_of_papers_are_within_every_limit(scheme: IdScheme) -> None:
    needs = scheme.needs(TEN_THOUSAND)
    assert needs
    assert needs.seconds < DAY / 4
    assert needs.memory < 3e9


def test_a_token_for_each_item_needs_less_with_negatives() -> None:
    large = replace(MILLION, batch=128)
    needs, fewer = Independent().needs(large), Independent().needs(replace(large, negatives=1024))
    assert needs
    assert fewer
    assert "use --set negatives=1024, " in needs.hint
    assert "negatives" not in fewer.hint
    assert fewer.memory < needs.memory - 1e9  # scores of 128 x 1,000,000


def test_a_million_names_are_refused_or_end() -> None:
    needs = IdGenRec().needs(MILLION)
    assert needs
    assert needs.seconds > DAY / 2
    assert "textual/title" in needs.hint
