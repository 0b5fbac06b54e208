"""Lists on the command line: what they name, and one line for those that name nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import BenchError
from bench.lists import as_ranges, budget, counts, ids, named, parts, refuse_twice, schemes, seeds


def test_blanks_and_empty_parts_are_nothing() -> None:
    assert parts(" a, b b,,c ,") == ["a", "b b", "c"]
    assert parts(" , ") == []
    assert named("--dataset", "toys,beauty") == ["toys", "beauty"]
    assert named("--dataset", None) == []


def test_a_comma_may_be_part_of_a_path_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a,b.sem_ids"
    path.touch()
    assert schemes("--id-scheme", f"textual,file:{path},pop") == ["textual", f"file:{path}", "pop"]
    assert schemes("--id-scheme", f"file:{tmp_path}/c,d") == [f"file:{tmp_path}/c", "d"]
    assert schemes("--id-scheme", None) == []


ARTISTS = ("Crosby, Stills & Nash", "10,000 Maniacs", " Leading", "10", "a", "Nash")


@given(st.lists(st.sampled_from(ARTISTS), min_size=1, max_size=4))
def test_ids_with_commas_and_blanks_are_found_in_a_list(names: list[str]) -> None:
    """Every way to read the text as known ids is as good; the longest are taken first, which is what a person means."""
    assert ids(",".join(names), ARTISTS) == names


def test_ids_that_are_not_known_come_back_for_the_error_and_blanks_around_known_ones_go() -> None:
    assert ids("a, Nash ,b c,,10", ARTISTS) == ["a", "Nash", "b c", "10"]
    assert ids(" , ", ARTISTS) == []
    assert ids("10,001 Maniacs", ARTISTS) == ["10", "001 Maniacs"]


class Counted(dict[str, int]):
    looked = 0

    def __contains__(self, name: object) -> bool:
        self.looked += 1
        return super().__contains__(name)


def test_a_long_history_takes_time_as_it_is_long() -> None:
    known = Counted({f"i{number}": number for number in range(5000)} | {"a,b": 5000})
    assert ids(",".join([*known, "i7"]), known) == [*known, "i7"]
    assert known.looked < 5 * len(known)


def test_seeds_are_numbers_and_ranges_and_come_once() -> None:
    assert seeds("0, 7,0") == [0, 7]
    assert seeds("0-4") == [0, 1, 2, 3, 4]
    assert seeds("7,2-3,3-3") == [7, 2, 3]


@given(st.sets(st.integers(0, 40), min_size=1))
def test_seeds_as_ranges_are_read_back(asked: set[int]) -> None:
    text = as_ranges(asked)
    assert seeds(text) == sorted(asked)
    assert len(text) <= len(",".join(map(str, sorted(asked))))


SEEDS = "--seed takes whole numbers from 0 to 4,294,967,295, and ranges of them, such as 0-4,7; got '{}'"

BUDGET = "--budget takes an amount such as 30m, or with its steps 30m@4210; got '{}'"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: named("--dataset", ""), "--dataset takes one name or more, separated by commas; got ''"),
        (lambda: schemes("--id-scheme", ", "), "--id-scheme takes one name or more, separated by commas; got ', '"),
        (lambda: seeds("0,one"), SEEDS.format("0,one")),
        (lambda: seeds(","), SEEDS.format(",")),
        (lambda: seeds("4-0"), SEEDS.format("4-0")),
        (lambda: seeds("0-1-2"), SEEDS.format("0-1-2")),
        (lambda: seeds("0-999999999"), SEEDS.format("0-999999999")),
        (lambda: seeds("-1"), SEEDS.format("-1")),
        (lambda: seeds("4294967295-4294967296"), SEEDS.format("4294967295-4294967296")),  # RecBole takes no larger one
        (lambda: budget(""), BUDGET.format("")),
        (lambda: budget(" "), BUDGET.format(" ")),
        (lambda: budget("@4210"), BUDGET.format("@4210")),
    ],
)
def test_anything_else_is_one_line(call: Callable[[], object], said: str) -> None:
    with pytest.raises(BenchError) as caught:
        call()
    assert str(caught.value) == said


def test_one_line_has_one_value() -> None:
    refuse_twice(["split=leave-one-out", "epochs=3", "epochs=3"])
    with pytest.raises(BenchError, match="'split' is given twice, as leave-one-out and as global-temporal; give it"):
        refuse_twice(["split=leave-one-out", "split=global-temporal"])


def test_counts_are_numbers_in_order_and_come_once() -> None:
    assert counts("--adapt", "100, 0,10,100") == (0, 10, 100)
    for wrong in ("", "-1", "ten", "1.5"):
        with pytest.raises(BenchError, match="--adapt takes whole numbers separated by commas; got"):
            counts("--adapt", wrong)


@pytest.mark.parametrize(
    "call", [lambda: seeds("9" * 5000), lambda: counts("--adapt", "9" * 5000), lambda: budget("30m@" + "9" * 5000)]
)
def test_a_number_of_more_digits_than_python_reads_is_one_line(call: Callable[[], object]) -> None:
    with pytest.raises(BenchError, match=r"takes (whole numbers|an amount).*; got '.*…$"):
        call()
