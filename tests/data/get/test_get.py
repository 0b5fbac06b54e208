"""`bench data get` from end to end: what arrives, what it says about itself, and the order of ties."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from bench.contract import Contract
from bench.data import sources, splitting
from bench.data.audit.findings import audit
from bench.data.audit.strength import AS_FOUND
from bench.data.conversions.write import read_record
from bench.data.download import RetryPolicy
from bench.data.formats import read_atomic
from bench.data.get import GetRequest, Got, get
from bench.data.joined import join
from bench.data.registry import Counts, Source
from bench.errors import BenchError

QUICK = RetryPolicy(attempts=3, first_wait=0.0, timeout=5.0)
FILES = ["dataset.json", "interactions.parquet", "items.parquet", "toys.inter", "toys.item"]


def test_a_data_set_arrives_and_is_found_by_its_name(
    toys: Source, web: Any, tmp_path: Path, counts: Counts, remains: Callable[[Path], list[str]]
) -> None:
    got = get(toys, tmp_path, retry=QUICK)
    assert got == Got(tmp_path / "toys", counts, new=True)
    assert remains(tmp_path) == ["first_downloads.json", *(f"toys/{name}" for name in FILES)]
    found = sources.find("toys", tmp_path)
    assert Counts(len(found.users), len(found.items), len(found.sequences.values)) == counts
    assert found.items.text["title"][:2] == ("Item & 0", "Item & 1")
    assert set(found.items.text["categories"]) == {"Toys, Games"}
    again = get(toys, tmp_path, retry=QUICK)
    assert again == replace(got, new=False)
    assert len(web.asked) == 2


def test_what_is_written_says_where_it_comes_from(toys: Source, web: Any, tmp_path: Path, counts: Counts) -> None:
    folder = get(toys, tmp_path, retry=QUICK).folder
    record = read_record(folder)
    assert record is not None
    assert (record["name"], record["ties"], record["text"]) == ("toys", "digest", ["title", "categories"])
    assert record["conversion"] == {"name": "amazon-2014", "version": 2, "k_core": 0, "repeats": "keep"}
    assert record["counts"] == vars(counts)
    assert record["licence"] == "none stated: do not redistribute"
    assert record["data_digest"] == read_atomic(folder).fingerprint
    assert record["raw_files"] == [
        {"name": file.name, "url": file.urls[0], "sha256": hashlib.sha256(web.files[file.name]).hexdigest()}
        for file in toys.files
    ]
    for name in FILES[1:]:
        assert record["files"][name] == hashlib.sha256((folder / name).read_bytes()).hexdigest()


def test_parquet_and_atomic_files_hold_the_same_and_all_columns(
    toys: Source, tmp_path: Path, rows: list[tuple[str, str, int]]
) -> None:
    folder = get(toys, tmp_path, retry=QUICK).folder
    table = pq.read_table(folder / "interactions.parquet").to_pandas()
    assert str(table["time"].dtype) == "int64"
    lines = [line.split("\t") for line in (folder / "toys.inter").read_text().splitlines()]
    assert lines[0] == ["user_id:token", "item_id:token", "rating:float", "timestamp:float"]
    assert [[row[0], row[1], row[3]] for row in lines[1:]] == table[["user", "item", "time"]].astype(
        str
    ).to_numpy().tolist()
    items = pq.read_table(folder / "items.parquet").to_pandas()
    assert list(items) == ["item", "title", "brand", "categories", "price", "features", "description"]
    assert Counter(zip(table["user"], table["item"], table["time"] // 86400, strict=True)) == Counter(rows)


def test_the_same_raw_files_give_the_same_bytes(toys: Source, tmp_path: Path) -> None:
    one, two = (get(toys, tmp_path / name, retry=QUICK).folder for name in ("one", "two"))
    for name in FILES:
        assert (one / name).read_bytes() == (two / name).read_bytes()


# -- ties ----------------------------------------------------------------------------------------------------


def sequences(folder: Path) -> list[list[tuple[str, int]]]:
    """Items and time stamps of each user in the order of the file."""
    users: dict[str, list[tuple[str, int]]] = {}
    for line in (folder / "toys.inter").read_text().splitlines()[1:]:
        user, item, _, time = line.split("\t")
        users.setdefault(user, []).append((item, int(time)))
    return list(users.values())


def ascending_within_days(rows: list[list[tuple[str, int]]]) -> float:
    pairs = [a[0] < b[0] for row in rows for a, b in pairwise(row) if a[1] == b[1] and a[0] != b[0]]
    return sum(pairs) / len(pairs)


def markov_hits(rows: list[list[tuple[str, int]]]) -> float:
    """Share of last items that are the most frequent follower of the item before, as counted in all but last items."""
    followers: dict[str, Counter[str]] = {}
    for row in rows:
        for (before, _), (after, _) in pairwise(row[:-1]):
            followers.setdefault(before, Counter())[after] += 1
    hits = [followers.get(row[-2][0], Counter({"": 1})).most_common(1)[0][0] == row[-1][0] for row in rows]
    return sum(hits) / len(hits)


def test_ties_by_id_are_what_a_chain_lives_on_and_the_default_has_none(toys: Source, tmp_path: Path) -> None:
    rows = {
        ties: sequences(get(toys, tmp_path / ties, GetRequest(ties=ties), retry=QUICK).folder)
        for ties in ("digest", "id", "file")
    }
    for found in rows.values():
        assert all(row == sorted(row, key=lambda each: each[1]) for row in found)
    assert rows["file"] == rows["id"]  # for the source groups reviews by item
    assert ascending_within_days(rows["id"]) == 1.0
    assert 0.4 < ascending_within_days(rows["digest"]) < 0.6
    assert markov_hits(rows["id"]) > 0.6
    assert markov_hits(rows["digest"]) < 0.25
    assert [read_record(tmp_path / ties / "toys")["ties"] for ties in rows] == list(rows)  # type: ignore[index]


def test_ties_that_were_asked_for_are_those_of_runs(toys: Source, tmp_path: Path) -> None:
    """As ``--set ties=id`` has them on the data set in its usual order: one result, however it was said."""
    usual = sources.find("toys", get(toys, tmp_path / "digest", retry=QUICK).folder.parent)
    by_id = splitting.ordered(usual, Contract(ties="id"))[0]  # the file of the source is in this order as well
    for ties in ("id", "file"):
        got = get(toys, tmp_path / ties, GetRequest(ties=ties), retry=QUICK)
        found, contract = splitting.ordered(sources.find("toys", got.folder.parent), Contract())
        assert contract == Contract(ties=ties)  # type: ignore[arg-type]
        assert found.fingerprint == by_id.fingerprint == read_record(got.folder)["data_digest"]  # type: ignore[index]
        back, plain = splitting.ordered(sources.find(str(got.folder)), Contract(ties="digest"))
        assert (back.fingerprint, plain) == (usual.fingerprint, Contract())
        assert usual.fingerprint != by_id.fingerprint


def test_data_sets_in_several_orders_are_joined_by_a_rule_that_is_said(toys: Source, tmp_path: Path) -> None:
    sets = []
    for ties, name in (("id", "toys"), ("digest", "toys")):
        get(toys, tmp_path / ties, GetRequest(ties=ties), retry=QUICK)
        sets.append(replace(sources.find(name, tmp_path / ties), name=ties))
    both = join(sets)
    with pytest.raises(BenchError, match=r"of 'id\+digest' order what ties .* \(id: id, digest: auto\); name one"):
        splitting.ordered(both, Contract())
    assert splitting.ordered(both, Contract(ties="digest"))[1] == Contract()
    assert splitting.ordered(both, Contract(ties="id"))[1] == Contract(ties="id")
    assert splitting.ordered(join([sets[0], replace(sets[0], name="other")]), Contract())[1] == Contract(ties="id")


def test_raw_reviews_are_converted_and_audited_in_one_piece(toys: Source, web: Any, tmp_path: Path) -> None:
    """From the files of the source, sorted by product and dated by the day, to what the audit says of them."""
    hand = tmp_path / "hand"
    hand.mkdir()
    for file in toys.files:
        (hand / file.name).write_bytes(web.files[file.name])
    found = {}
    for ties in ("id", "digest"):
        root = tmp_path / ties
        get(toys, root, GetRequest(given=(hand,), ties=ties), retry=QUICK)
        found[ties] = audit(sources.find("toys", root), draws=1)
    by_id, by_digest = found["id"], found["digest"]
    assert by_id.order.ascending_in_ties == 1.0
    assert abs(by_digest.order.ascending_in_ties - 0.5) < 0.1
    assert by_id.strength is not None
    assert by_digest.strength is not None
    assert by_id.strength.hits > by_digest.strength.hits
    assert by_id.strength.ascending_hits > 0.9
    assert by_digest.strength.ascending_hits < 0.65
    chains = [each.strength.scores[AS_FOUND]["markov"].mean for each in (by_id, by_digest)]  # type: ignore[union-attr]
    assert chains[0] > 1.5 * chains[1]
    assert "100 % of neighbors ascend in item id: ties follow the ids" in by_id.conclusion
    assert "an id tells of the next item" in by_id.conclusion
    assert "as the data set has them" not in by_digest.conclusion
    assert "rests on ties" in by_id.summary


def test_rows_stand_in_the_order_in_which_they_are_read(toys: Source, tmp_path: Path) -> None:
    folder = get(toys, tmp_path, retry=QUICK).folder
    found = read_atomic(folder)
    read = [
        [found.items.ids[item] for item in row] for row in (found.sequences[user] for user in range(len(found.users)))
    ]
    assert read == [[item for item, _ in row] for row in sequences(folder)]
