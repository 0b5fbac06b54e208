"""What ties in time, ordered by each rule, against sorting by hand; and what positions instead of times can't say."""

from __future__ import annotations

import hashlib
from itertools import groupby, pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.conversions.log import LogBuilder
from bench.data.conversions.ties import in_order
from bench.data.dataset import Dataset, ItemTable, Sequences
from bench.data.formats import read_atomic
from bench.data.joined import join
from bench.data.ties import Rule, arranged, id_ranks, positional, rule, tied, unnumbered
from bench.errors import BenchError

Log = list[list[tuple[int, int]]]  # (item, time) of each user
NAMES = ("c", "a", "d", "b", "e", "f")
LOGS = st.lists(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=9), min_size=1, max_size=4
)


def dataset_of(log: Log, name: str = "d", ids: tuple[str, ...] = NAMES) -> Dataset:
    """In order of time, ties as they stand in the log."""
    log = [sorted(row, key=lambda pair: pair[1]) for row in log]
    sequences = Sequences.from_rows([[item for item, _ in row] for row in log])
    times = np.array([time for row in log for _, time in row], float)
    return Dataset(name, tuple(f"{name}{user}" for user in range(len(log))), ItemTable(ids, {}), sequences, times)


def numbered(rows: list[list[int]], name: str = "d", ids: tuple[str, ...] = NAMES) -> Dataset:
    return dataset_of([list(zip(row, range(len(row)), strict=True)) for row in rows], name, ids)


def rows_of(dataset: Dataset) -> list[list[int]]:
    return [dataset.sequences[user].tolist() for user in range(len(dataset.users))]


def key(user: str, item: int, ids: tuple[str, ...] = NAMES) -> bytes:
    return hashlib.blake2b(f"{user}\0{ids[item]}".encode(), digest_size=8).digest()


@given(LOGS)
def test_every_rule_sorts_what_ties_and_nothing_else(log: Log) -> None:
    dataset = dataset_of([*log, [(0, 7)]])  # a second beginning: these are no positions
    for user, row in enumerate(log):
        by_time = sorted(row, key=lambda pair: pair[1])
        wanted = {
            "auto": by_time,
            "file": by_time,
            "id": sorted(row, key=lambda pair: (pair[1], NAMES[pair[0]])),
            "digest": sorted(row, key=lambda pair: (pair[1], key(f"d{user}", pair[0]))),
        }
        wanted["drop-order"] = wanted["digest"]
        for name, pairs in wanted.items():
            found = arranged(dataset, rule(name))
            assert found.sequences[user].tolist() == [item for item, _ in pairs], name
            assert found.times.tolist() == dataset.times.tolist()


@given(st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=9), min_size=2, max_size=4))
def test_presumed_ties_are_runs_of_ascending_ids(rows: list[list[int]]) -> None:
    rows = [*rows, [0, 1, 2], [5, 4, 3]]
    for user, row in enumerate(rows_of(arranged(numbered(rows), "presumed"))):
        runs = [[rows[user][0]]]
        for before, after in pairwise(rows[user]):
            if NAMES[after] > NAMES[before]:
                runs[-1].append(after)
            else:
                runs.append([after])
        assert row == [item for run in runs for item in sorted(run, key=lambda item: key(f"d{user}", item))]


def test_ids_that_are_numbers_are_compared_as_numbers() -> None:
    assert id_ranks(("10", "9", "007")).tolist() == [2, 1, 0]
    assert id_ranks(("10", "9", "x")).tolist() == [0, 1, 2]
    assert id_ranks(("9" * 5000, "1")).tolist() == [1, 0]  # as text: no number holds it
    assert id_ranks(()).tolist() == []
    ids = ("10", "9", "2", "30", "4", "5")
    assert rows_of(arranged(dataset_of([[(0, 0), (1, 0), (2, 0)], [(3, 1)]], ids=ids), "id")) == [[2, 1, 0], [3]]


def test_conversions_compare_ids_that_are_numbers_as_numbers_too() -> None:
    ids = ("10", "9", "2", "30", "4", "5")
    log = LogBuilder()
    for item in ids:
        log.add("line", "u", item, 7)
    converted = in_order(log.build(), "id")
    assert [converted.item_ids[item] for item in converted.items] == ["2", "4", "5", "9", "10", "30"]


def write(folder: Path, rows: list[tuple[str, str, int]]) -> Path:
    folder.mkdir()
    lines = ["user_id:token\titem_id:token\ttimestamp:float", *("\t".join(map(str, row)) for row in rows)]
    (folder / f"{folder.name}.inter").write_text("\n".join(lines) + "\n")
    return folder


def test_atomic_files_are_read_in_digest_order_and_the_file_s_own_is_not_lost(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = [(f"u{n % 7}", f"i{random.integers(30)}", int(random.integers(3))) for n in range(200)]
    dataset = read_atomic(write(tmp_path / "shop", rows))
    assert arranged(dataset, "digest").fingerprint == dataset.fingerprint
    by_file, by_id = arranged(dataset, "file"), arranged(dataset, "id")
    assert len({dataset.fingerprint, by_file.fingerprint, by_id.fingerprint}) == 3
    for user, name in enumerate(dataset.users):
        wanted = sorted((row for row in rows if row[0] == name), key=lambda row: row[2])
        assert [dataset.items.ids[item] for item in by_file.sequences[user]] == [row[1] for row in wanted]
        days = groupby(zip(by_id.times[by_id.sequences.offsets[user] :], by_id.sequences[user].tolist(), strict=False))
        assert all(before <= after for before, after in pairwise(pair for pair, _ in days))
    again = arranged(arranged(by_id, "digest"), "file")
    assert again.fingerprint == by_file.fingerprint


def test_time_stamps_that_count_on_from_one_value_are_positions() -> None:
    assert positional(numbered([[0, 1, 2], [3, 4]]))
    assert positional(dataset_of([[(0, 1), (1, 2)], [(2, 1), (3, 2), (4, 3)]]))
    assert not positional(dataset_of([[(0, 0), (1, 1)], [(2, 5), (3, 6)]]))  # other beginnings
    assert not positional(dataset_of([[(0, 0), (1, 9)], [(2, 0), (3, 4)]]))  # other steps
    assert not positional(dataset_of([[(0, 0), (1, 0)], [(2, 0), (3, 0)]]))  # all the same
    assert not positional(dataset_of([[(0, 0), (1, 1)]]))  # one user may begin anywhere
    assert not positional(dataset_of([[(0, 0)], [(1, 0)]]))  # no step
    parts = [numbered([[0, 1], [2, 3]], "p"), dataset_of([[(0, 4), (1, 9)], [(2, 2)]], "q", tuple("uvwxyz"))]
    assert positional(join(parts))
    assert not positional(join([parts[1], dataset_of([[(0, 4), (1, 9)]], "r", tuple("UVWXYZ"))]))


def test_a_few_lost_rows_do_not_make_times_of_positions() -> None:
    rows = [[user % 6, (user + 1) % 6, (user + 2) % 6] for user in range(40)]
    log = [list(zip(row, range(3), strict=True)) for row in rows]
    log[7] = log[7][1:]  # lost its row 0
    found = dataset_of(log)
    assert positional(found)
    assert unnumbered(found) == 1
    with pytest.raises(BenchError, match="are positions"):
        arranged(found, "digest")
    many = dataset_of([row[1:] if user % 4 == 0 else row for user, row in enumerate(log)])
    assert not positional(many)
    assert unnumbered(many) == 0


def test_a_user_who_lost_a_row_in_the_middle_is_told(tmp_path: Path) -> None:
    log = [[(user % 6, 0), ((user + 1) % 6, 1), ((user + 2) % 6, 2)] for user in range(80)]
    del log[3][1]
    assert positional(dataset_of(log))
    assert unnumbered(dataset_of(log)) == 1
    assert unnumbered(join([dataset_of(log), dataset_of([[(0, 4), (1, 9)]], "r", tuple("UVWXYZ"))])) == 1


@pytest.mark.parametrize("name", ["digest", "id", "drop-order"])
def test_where_time_stamps_are_positions_ties_cannot_be_ordered(name: str) -> None:
    dataset = numbered([[0, 1, 2], [3, 4]])
    with pytest.raises(
        BenchError, match=r"are positions, not times, so which interactions tied .* can no longer be se"
    ):
        arranged(dataset, rule(name))
    assert arranged(dataset, "file") is dataset
    assert arranged(dataset, "auto") is dataset


def test_what_ties_can_be_seen_is_not_presumed() -> None:
    with pytest.raises(BenchError, match=r"those of 'd' show which interactions tie; use ties=digest"):
        arranged(dataset_of([[(0, 0), (1, 0)], [(2, 3)]]), "presumed")


def test_a_joined_data_set_has_each_part_ordered_as_alone() -> None:
    one = dataset_of([[(2, 0), (1, 0), (0, 0)], [(3, 1)]], "p")
    two = dataset_of([[(5, 4), (4, 4)], [(0, 5)]], "q", tuple("uvwxyz"))
    both = arranged(join([one, two]), "id")
    assert both.parts[0].fingerprint == arranged(one, "id").fingerprint
    assert both.fingerprint == join([arranged(one, "id"), arranged(two, "id")]).fingerprint
    with pytest.raises(BenchError, match="'s' are positions"):
        arranged(join([one, numbered([[0, 1], [2, 3]], "s", tuple("uvwxyz"))]), "digest")


def test_a_note_on_the_order_of_ids_is_that_of_the_new_order(tmp_path: Path) -> None:
    rows = [(f"u{n // 8}", f"i{n * 7 % 40:02d}", n // 8) for n in range(400)]
    dataset = read_atomic(write(tmp_path / "shop", rows))
    assert not any("ascending order of item id" in note for note in dataset.notes)
    by_id = arranged(dataset, "id")
    assert any("sorted by id instead of time" in note for note in by_id.notes)
    assert arranged(by_id, "digest").notes == dataset.notes


def test_tied_is_who_has_a_neighbor_of_its_time() -> None:
    assert tied(dataset_of([[(0, 0), (1, 0), (2, 1)], [(3, 1), (4, 2)]])).tolist() == [True, True, False, False, False]


def test_an_unknown_rule_is_named() -> None:
    with pytest.raises(BenchError, match=r"unknown rule of ties 'digests'; did you mean 'digest'\?"):
        rule("digests")
    assert set(get_args(Rule)) == {"auto", "file", "digest", "id", "drop-order", "presumed"}
