"""Text becomes typed settings, or one line that says what was wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import BenchError
from bench.settings import parse, value


@dataclass(frozen=True)
class Example:
    count: int = 3
    rate: float = 0.1
    fast: bool = False
    note: str = ""
    limit: int | None = 7
    order: Literal["up", "down"] = "up"
    cutoffs: tuple[int, ...] = (1, 5)
    side: Literal["left"] = field(default="left", metadata={"hint": "the right is elsewhere"})


@dataclass(frozen=True)
class Demanding:
    path: str
    depth: int = 2


def test_nothing_given_is_the_defaults() -> None:
    assert parse(Example, {}, "setting") == Example()


def test_every_type_is_read() -> None:
    given_text = {
        "count": " 12",
        "rate": "1e-3",
        "fast": "True",
        "note": "none = 3",
        "limit": "none",
        "order": "down",
        "cutoffs": "1, 10,20",
    }
    assert parse(Example, given_text, "setting") == Example(12, 0.001, True, "none = 3", None, "down", (1, 10, 20))


@given(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans())
def test_what_python_prints_is_read_back(count: int, rate: float, fast: bool) -> None:
    found = parse(Example, {"count": str(count), "rate": repr(rate), "fast": str(fast)}, "setting")
    assert (found.count, found.rate, found.fast) == (count, rate, fast)


@pytest.mark.parametrize(
    ("name", "text", "allowed"),
    [
        ("count", "1.5", "a whole number"),
        ("count", "", "a whole number"),
        ("rate", "fast", "a number"),
        ("rate", "nan", "a number"),
        ("rate", "inf", "a number"),
        ("fast", "1", "true or false"),
        ("limit", "few", "a whole number or none"),
        ("order", "sideways", "one of up, down"),
        ("cutoffs", "1,,5", "a list, each a whole number, with commas between"),
    ],
)
def test_a_bad_value_names_the_field_the_type_and_the_text(name: str, text: str, allowed: str) -> None:
    with pytest.raises(BenchError) as caught:
        parse(Example, {name: text}, "setting of some/scheme")
    assert str(caught.value) == f"setting of some/scheme '{name}' must be {allowed}; got '{text}'"


def test_a_field_may_say_where_else_to_look() -> None:
    with pytest.raises(BenchError, match=r"^setting 'side' must be one of left; got 'right'; the right is elsewhere$"):
        parse(Example, {"side": "right"}, "setting")


def test_an_unknown_field_comes_with_a_suggestion() -> None:
    with pytest.raises(
        BenchError, match=r"unknown setting of some/scheme 'cuont'; did you mean 'count'\? known: count, "
    ):
        parse(Example, {"cuont": "1"}, "setting of some/scheme")


def test_a_field_without_default_must_be_given() -> None:
    with pytest.raises(BenchError, match=r"setting 'path' must be given: text"):
        parse(Demanding, {"depth": "1"}, "setting")
    assert parse(Demanding, {"path": "here"}, "setting") == Demanding("here")


@pytest.mark.parametrize("kind", [Optional[int], int | None])  # noqa: UP045 -- both spellings of one type
def test_both_ways_to_write_an_optional_type(kind: Any) -> None:
    assert value("None", kind, "it") is None
    assert value("4", kind, "it") == 4


def test_a_field_type_that_is_not_supported_is_the_authors_mistake() -> None:
    with pytest.raises(TypeError, match="can't be of type"):
        value("x", dict, "it")
