"""Rows that are published and rows made today stand in one table under one name."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from bench.results.read import Result, load
from bench.runs.request import stated_settings
from bench.runs.subjects import installed_baseline, installed_scheme
from bench.runs.subjects import settings as settings_of

ROOT = Path(__file__).resolve().parents[2]
STORED = [result for folder in sorted((ROOT / "results").glob("*/runs")) for result in load(folder.parent)]


@pytest.mark.parametrize("result", STORED, ids=lambda result: result.path)
def test_a_setting_that_came_later_is_not_said_at_its_default(result: Result) -> None:
    """One that is said where older rows do not have it parts them; it is marked ``later``."""
    installed = installed_baseline if result.scheme.kind == "baseline" else installed_scheme
    subject = installed(result.scheme.name)
    settings = settings_of(subject, {})
    marks = ["later", *(["transfer"] if result.contract.get("trained_on") else [])]  # these are of tests on unseen data
    more = {field.name for field in fields(settings) if any(field.metadata.get(mark) for mark in marks)}
    assert set(stated_settings(settings)) <= set(result.scheme.settings)
    assert set(result.scheme.settings) - set(stated_settings(settings)) <= more
