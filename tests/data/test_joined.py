"""Joined data sets against lists of pairs, and their splits against those of the parts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.dataset import Dataset, ItemTable, Sequences
from bench.data.formats import write_atomic
from bench.data.global_time import global_time
from bench.data.joined import join, part_range, restricted
from bench.data.sources import find
from bench.data.splits import Split, Targets, leave_one_out
from bench.errors import BenchError


def made(name: str, rows: list[list[int]], items: int, column: str = "title", first: int = 0) -> Dataset:
    """Items ``i<first>``… and users ``u0``…: two such data sets share the ids in which their numbers overlap."""
    ids = tuple(f"i{first + item}" for item in range(items))
    table = ItemTable(ids, {column: tuple(f"{name} {found}" for found in ids)})
    times = np.arange(sum(map(len, rows)), dtype=float)
    users = tuple(f"u{user}" for user in range(len(rows)))
    return Dataset(name, users, table, Sequences.from_rows(rows), times, (f"{name} is small",))


@st.composite
def dataset_lists(draw: st.DrawFn) -> list[Dataset]:
    found = []
    for name in ("a", "b", "c")[: draw(st.integers(2, 3))]:
        items = draw(st.integers(1, 6))
        one = st.lists(st.integers(0, items - 1), min_size=1, max_size=6)
        rows = [[0, 0, 0], *draw(st.lists(one, max_size=4))]  # leave-one-out needs somebody with three
        found.append(made(name, rows, items, draw(st.sampled_from(["title", "category"])), draw(st.integers(0, 4))))
    return found


@given(dataset_lists())
def test_every_user_keeps_its_items_and_no_two_data_sets_share_any(parts: list[Dataset]) -> None:
    joined = join(parts)
    expected, texts = [], []
    for part in parts:
        for user in range(len(part.users)):
            expected.append([(part.name, part.items.ids[item]) for item in part.sequences[user]])
        texts += [
            {column: values[item] for column, values in part.items.text.items()} for item in range(len(part.items))
        ]
    origin = [(part.name, item) for part in parts for item in part.items.ids]
    assert [[origin[item] for item in joined.sequences[user]] for user in range(len(joined.users))] == expected
    assert [
        {column: values[item] for column, values in joined.items.text.items() if values[item]}
        for item in range(len(origin))
    ] == texts
    for ids, seen in ((joined.items.ids, origin), (joined.users, [(p.name, u) for p in parts for u in p.users])):
        assert len(set(ids)) == len(ids)
        bare = [found for _, found in seen]
        assert list(ids) == [f"{name}:{found}" if bare.count(found) > 1 else found for name, found in seen]
    assert joined.times.tolist() == [time for part in parts for time in part.times.tolist()]
    assert (joined.name, joined.parts) == ("+".join(part.name for part in parts), tuple(parts))
    assert joined.notes == tuple(f"{part.name}: {part.name} is small" for part in parts)


@given(dataset_lists(), st.integers(1, 4), st.booleans())
def test_a_split_of_the_whole_is_on_each_part_the_split_of_the_part(
    parts: list[Dataset], cap: int, shown: bool
) -> None:
    whole = leave_one_out(join(parts), 3, cap, shown)
    for part in parts:
        at = part_range(join(parts), part)
        assert at is not None
        assert plain(restricted(whole, part, at)) == plain(leave_one_out(part, 3, cap, shown))


@given(dataset_lists())
def test_histories_of_a_part_stay_owned_by_users_of_the_whole(parts: list[Dataset]) -> None:
    joined = join(parts)
    whole = leave_one_out(joined)
    for part in parts:
        at = part_range(joined, part)
        assert at is not None
        found = restricted(whole, part, at)
        for sequences, users in (
            (found.train.sequences, np.arange(len(part.users))),
            (found.test.histories, found.test.users),
        ):
            assert sequences.user_rows is not None
            assert sequences.user_rows.tolist() == (users + at.users.start).tolist()


def plain(split: Split) -> list[object]:
    def rows(sequences: Sequences) -> list[list[int]]:
        return [sequences[row].tolist() for row in range(len(sequences))]

    def targets(found: Targets) -> list[object]:
        return [found.users.tolist(), found.items.tolist(), rows(found.histories), rows(found.seen)]

    train = split.train
    return [train.fingerprint, train.dataset, rows(train.sequences), targets(split.validation), targets(split.test)]


def dated(name: str, first_day: float, apart: float, item: int) -> Dataset:
    """Five users with ten interactions each, one after the other; the users begin ``apart``."""
    found = made(name, [[position % 4 for position in range(10)] for _ in range(5)], 4, first=item)
    times = [first_day + user * apart + position for user in range(5) for position in range(10)]
    return replace(found, times=np.array(times))


def test_a_cut_in_time_that_leaves_a_part_without_tests_is_refused() -> None:
    old, new = dated("old", 0, 0.1, 0), dated("new", 1000, 0.1, 9)
    joined = join([old, new])
    cut = global_time(joined)
    at = part_range(joined, old)
    assert at is not None
    with pytest.raises(
        BenchError, match=r"the split of 'old\+new' leaves no user of 'old' to test; with split=global-temporal"
    ):
        restricted(cut, old, at)
    late = part_range(joined, new)
    assert late is not None
    assert len(restricted(cut, new, late).test) == 5


def test_a_part_whose_interactions_are_numbered_is_not_cut_in_time() -> None:
    with pytest.raises(BenchError, match="interactions of 'numbered' are numbered, not dated"):
        global_time(join([dated("dated", 1000, 0.1, 0), dated("numbered", 0, 0, 9)]))


def test_what_is_joined_decides_the_fingerprint() -> None:
    a, b = made("a", [[0, 1, 2]], 3), made("b", [[2, 1]], 3, first=3)
    assert join([a, b]).fingerprint == join([a, b]).fingerprint
    assert len({join([a, b]).fingerprint, join([b, a]).fingerprint, a.fingerprint, b.fingerprint}) == 4
    assert part_range(join([a, b]), made("c", [[0, 0, 0]], 1)) is None
    assert part_range(a, a) is None


def test_names_with_a_plus_are_joined_and_a_folder_of_that_name_comes_first(tmp_path: Path) -> None:
    a, b = made("a", [[0, 1, 2]], 3), made("b", [[2, 1, 0]], 3)
    for dataset in (a, b):
        write_atomic(dataset, tmp_path / dataset.name)
    found = find(f"{tmp_path / 'a'} + {tmp_path / 'b'}")
    assert found.name == "a+b"
    assert found.items.ids == ("a:i0", "a:i1", "a:i2", "b:i0", "b:i1", "b:i2")
    write_atomic(made("mine", [[0, 1, 0]], 2), tmp_path / "x+y")
    assert find(str(tmp_path / "x+y")).parts == ()


def test_one_name_twice_is_refused() -> None:
    datasets = [made(name, [[0, 1, 0]], 2, first=first) for name, first in [("a", 0), ("b", 9), ("a", 20)]]
    with pytest.raises(BenchError) as caught:
        join(datasets)
    assert str(caught.value) == "'a+b+a' joins 'a' to itself; join data sets of different names"


def test_an_id_that_looks_like_a_name_and_an_id_is_refused() -> None:
    a, b = made("a", [[0, 1, 0]], 2), made("b", [[0, 1, 0]], 2)
    odd = Dataset("c", ("x",), ItemTable(("a:i0", "y"), {}), Sequences.from_rows([[0, 1, 0]]), np.zeros(3))
    with pytest.raises(BenchError, match=r"'a\+b\+c' has two items 'a:i0'; rename one in its file"):
        join([a, b, odd])


def test_a_joined_name_that_is_not_known_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="unknown data set 'toyz'; did you mean 'toys'"):
        find("toyz+beauty", tmp_path)
