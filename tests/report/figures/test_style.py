"""One look for each scheme, in all pictures, with any selection of others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report.figures.style import COLORS, GRAY, explained, family_colors, heading, looks
from bench.report.rows import sections
from bench.results.read import load

Store = Callable[..., Path]
families = st.lists(st.text("abcdefghij", min_size=1, max_size=6), unique=True, min_size=1, max_size=10)


def luminance(color: str) -> float:
    channels = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("color", [*COLORS, GRAY])
@pytest.mark.parametrize("paper", ["#ffffff", "#15191e"])
def test_every_color_is_seen_on_light_and_on_dark(color: str, paper: str) -> None:
    dark, light = sorted([luminance(color), luminance(paper)])
    assert (light + 0.05) / (dark + 0.05) >= 3


def test_a_scheme_looks_alike_on_all_data_and_a_baseline_is_grey(store: Store, tmp_path: Path) -> None:
    store("textual/title")
    store("pop", kind="baseline")
    store("random", kind="baseline")
    alone = looks(sections(load(tmp_path)))
    store("numeric/random")
    store("numeric/random", dataset="beauty")
    found = looks(sections(load(tmp_path)))
    assert found["textual/title"] == alone["textual/title"]
    assert found["textual/title"].color != found["numeric/random"].color
    assert found["pop"].color == found["random"].color == GRAY
    assert found["pop"].marker != found["random"].marker


def test_members_of_a_family_share_its_color_and_differ_by_marker(store: Store, tmp_path: Path) -> None:
    for number in range(12):
        store(f"family/{number}", users=30, quality=0.5)
    found = looks(sections(load(tmp_path)))
    assert len({look.color for look in found.values()}) == 1
    assert len({look.marker for look in found.values()}) == 12


def test_pictures_with_letters_say_what_they_mean(store: Store, tmp_path: Path) -> None:
    store("one")
    (section,) = sections(load(tmp_path))
    assert explained(section) == heading(section)
    store("two", contract={"beam": 50}, preset=None)
    (section,) = sections(load(tmp_path))
    ids = [row.first.contract_id for row in section.rows]
    presets = [row.first.preset or "own" for row in section.rows]
    said = ", ".join(f"[{letter}] {name} ({preset})" for letter, name, preset in zip("AB", ids, presets, strict=True))
    assert explained(section) == f"{heading(section)}\ncontracts: {said}"


@given(families)
def test_families_have_colors_of_their_own_as_long_as_there_are_some(names: Sequence[str]) -> None:
    found = family_colors(names)
    assert len({color for color, _ in found.values()}) == min(len(names), len(COLORS))
    assert len(set(found.values())) == len(names)
    assert found == family_colors(names[::-1])


@given(families.filter(lambda names: len(names) < len(COLORS)), st.text("abcdefghij", min_size=1, max_size=6))
def test_a_further_family_moves_none_that_wants_another_color(names: list[str], further: str) -> None:
    wanted = {name: family_colors([name])[name] for name in [*names, further]}
    before, after = family_colors(names), family_colors([*names, further])
    if len(set(wanted.values())) == len({*names, further}):
        assert all(after[name] == before[name] == wanted[name] for name in names)
    else:
        assert set(before) <= set(after)
