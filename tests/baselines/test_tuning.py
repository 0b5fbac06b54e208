"""A search repeats, never tries the same twice, and grows at its end."""

from __future__ import annotations

from recbole_baselines.models import RANGES
from recbole_baselines.tuning import draws


def test_a_longer_search_begins_with_a_shorter_one() -> None:
    assert draws(RANGES["SASRec"], 9, seed=3)[:4] == draws(RANGES["SASRec"], 4, seed=3)
    assert draws(RANGES["SASRec"], 9, seed=3) != draws(RANGES["SASRec"], 9, seed=4)


def test_no_trial_comes_twice_and_all_are_within_the_ranges() -> None:
    found = draws(RANGES["HGN"], 100, seed=0)
    assert len(found) == len({str(trial) for trial in found}) == 2 * 2 * 2
    assert all(trial[name] in choices for trial in found for name, choices in RANGES["HGN"].items())


def test_nothing_to_search_is_no_trial() -> None:
    assert draws(RANGES["SASRec"], 0, seed=0) == []
    assert draws({}, 5, seed=0) == []
