"""Points are the rows of the table, and the front is what no other point beats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bench.report.figures.points import Point, beyond, front, points
from bench.report.figures.style import Look, looks
from bench.report.rows import Estimate, sections
from bench.results.read import load

Store = Callable[..., Path]
LOOK = Look("#000000", "o", "-")
values = st.tuples(st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.4]), st.sampled_from([None, 0.5, 1.0, 2.0, 4.0]))


def test_points_are_those_of_the_table(store: Store, tmp_path: Path) -> None:
    store("textual/title", quality=0.4, shared=4)
    store("numeric/random", quality=0.3, contract={"beam": 50})
    store("pop", kind="baseline", quality=0.1)
    (section,) = sections(load(tmp_path))
    found = points(section, looks([section]))
    assert [point.estimate for point in found] == [row.estimate("ndcg@10") for row in section.rows]
    assert [point.seconds for point in found] == [7.94, 7.94, 0.021]
    assert [point.label for point in found] == ["textual/title [A]", "numeric/random [B]", "pop [A, B]"]
    assert [point.contracts for point in found] == [("A",), ("B",), ("A", "B")]


@given(st.lists(values, max_size=12))
def test_the_front_is_what_nothing_beats(drawn: list[tuple[float, float | None]]) -> None:
    members = [
        Point(str(at), Estimate(value, None, None), seconds, LOOK, ("A",)) for at, (value, seconds) in enumerate(drawn)
    ]
    found = [(point.seconds, point.estimate.value) for point in front(members)]
    timed = [(seconds, value) for value, seconds in drawn if seconds]
    unbeaten = {
        (seconds, value)
        for seconds, value in timed
        if not any((s <= seconds and v >= value) and (s, v) != (seconds, value) for s, v in timed)
    }
    assert found == sorted(unbeaten)


def test_what_leaks_is_shown_but_not_on_the_front(store: Store, tmp_path: Path) -> None:
    store("textual/title", quality=0.4)
    store("max+1-leak", kind="baseline", quality=0.9, leaks=True)
    store("pop", kind="baseline", quality=0.1)
    (section,) = sections(load(tmp_path))
    found = points(section, looks([section]))
    assert found[0].label == "max+1-leak (leaks)"
    assert [point.aside for point in found] == [True, False, False]
    assert beyond(found, 1.0) == max(point.ends[1] for point in found[1:])  # a leak does not set the scale
    assert [point.label for point in front(found)] == ["pop", "textual/title"]
