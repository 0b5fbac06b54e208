"""What is packed comes back as it was, is small, and is refused where it was changed."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import files
from bench.errors import CorruptError
from bench.results import packed, storage
from bench.results.storage import Piece
from bench.results.table import check_outline, read_table


def table(users: int, seed: int, found: float = 0.5, per_user: int = 1, groups: bool = True) -> pd.DataFrame:
    """Ranks as a run may have them: missing ones, shared identifiers, warm ranks where the strict one is missing."""
    random = np.random.default_rng(seed)
    rows = users * per_user

    def nullable(values: np.ndarray, share: float) -> pd.arrays.IntegerArray:
        return pd.arrays.IntegerArray(values.astype(np.int32), random.random(rows) >= share)

    rank = random.integers(1, 11_000, rows)
    frame = pd.DataFrame(
        {
            "user": np.repeat([f"A{number:07X}" for number in np.random.default_rng(0).permutation(users)], per_user),
            "target": [f"B{number:05d}" for number in np.random.default_rng(1).integers(0, 9000, rows)],
            "rank": nullable(rank, found),
            "code_rank": nullable(np.maximum(rank - 1, 1), found),
            "group_size": random.integers(1, 4, rows).astype(np.int32),
            "popularity": np.arange(rows, dtype=np.int32) % 90,
            "history_length": np.arange(rows, dtype=np.int32) % 20,
            "cold": np.arange(rows) % 9 == 0,
            "interactions_before": np.arange(rows, dtype=np.int32) % 60,
            "ascends": np.arange(rows) % 2 == 0,
        }
    )
    extra = {"warm_rank": nullable(rank, 0.9), "cold_rank": nullable(rank // 7 + 1, 0.1)}
    return frame.assign(**extra) if groups else frame


def run(folder: Path, frame: pd.DataFrame) -> Path:
    """A folder with as much of a run as is packed."""
    folder.mkdir(parents=True)
    frame.to_parquet(folder / "per_user.parquet", index=False)
    (folder / "result.json").write_text(json.dumps({"schema": 4, "files": {"model.safetensors": "f" * 64}}))
    return folder


def pack(source: Path, home: Path, name: str) -> Path:
    folder = home / "runs" / "toys" / f"{name}@1" / "contract" / "0"
    folder.mkdir(parents=True)
    packed.pack(source, folder)
    return folder / "per_user.parquet"


@settings(max_examples=30)
@given(
    users=st.integers(1, 40),
    seed=st.integers(0, 9),
    found=st.sampled_from([0.0, 0.3, 1.0]),
    per_user=st.integers(1, 3),
    groups=st.booleans(),
)
def test_nothing_is_lost(
    tmp_path_factory: pytest.TempPathFactory, users: int, seed: int, found: float, per_user: int, groups: bool
) -> None:
    home, frame = tmp_path_factory.mktemp("home"), table(users, seed, found, per_user, groups)
    path = pack(run(home / "run", frame), home, "one")
    back = packed.read(path)[list(frame.columns)]
    pd.testing.assert_frame_equal(back, frame.astype({"group_size": "Int32"}))
    rows, names = packed.outline(path)
    assert (rows, sorted(names)) == (len(frame), sorted(frame.columns))
    kinds = ("warm", "cold") if groups else ()
    check_outline(path, len(frame), kinds)
    ours, theirs = read_table(path, kinds), read_table(home / "run" / "per_user.parquet", kinds)
    assert np.array_equal(ours.ranks.strict, theirs.ranks.strict)
    assert np.array_equal(ours.users, theirs.users)


def test_runs_of_one_split_share_their_users_and_take_little(tmp_path: Path) -> None:
    """Of 19,412 users: the ranks of a beam that finds one in ten take a tenth of those of a whole catalogue."""
    whole, beam = table(19_412, 1, found=1.0, groups=False), table(19_412, 2, found=0.1, groups=False)
    beam["rank"] = beam["code_rank"] = pd.array(np.random.default_rng(3).geometric(0.2, len(beam)), "Int32").copy()
    hidden = np.random.default_rng(4).random(len(beam)) < 0.9
    beam.loc[hidden, ["rank", "code_rank"]] = pd.NA
    whole["code_rank"], whole["group_size"], beam["group_size"] = whole["rank"], np.int32(1), np.int32(1)
    sizes = {
        name: pack(run(tmp_path / name, frame), tmp_path, name).stat().st_size
        for name, frame in (("whole", whole), ("beam", beam))
    }
    assert len(list((tmp_path / "runs" / "toys").glob("users-*.parquet"))) == 1
    assert sizes["whole"] < 42_000
    assert sizes["beam"] < 9_000


def test_what_was_packed_packs_again_to_the_same_bytes(tmp_path: Path) -> None:
    first = pack(run(tmp_path / "run", table(30, 0)), tmp_path / "one", "a")
    second = pack(first.parent, tmp_path / "two", "a")
    assert first.read_bytes() == second.read_bytes()
    assert (first.parent / "result.json").read_bytes() == (second.parent / "result.json").read_bytes()
    assert json.loads(second.with_name("result.json").read_text())["packed"] == {"model.safetensors": "f" * 64}


def test_missing_or_changed_users_are_named(tmp_path: Path) -> None:
    path = pack(run(tmp_path / "run", table(30, 0)), tmp_path, "a")
    (users,) = (tmp_path / "runs" / "toys").glob("users-*.parquet")
    content = users.read_bytes()
    users.write_bytes(content[:-1] + b"x")
    with pytest.raises(CorruptError, match="its SHA-256 is not that in"):
        read_table(path, ())
    users.unlink()
    with pytest.raises(CorruptError, match=f"is packed, and {users.name} is not in its data set's folder"):
        check_outline(path, 30, ())
    ranks = pq.read_table(path).replace_schema_metadata({packed.KEY: b"../../../etc/passwd"})
    pq.write_table(ranks, path)
    with pytest.raises(CorruptError, match="names no file of users"):
        read_table(path, ())


def test_users_are_on_the_disk_before_they_have_their_name_and_what_the_dead_left_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = tmp_path / "home" / "runs" / "toys" / f".users.{files.place()}-999999999-1-0123abcd.tmp"
    dead.parent.mkdir(parents=True)
    dead.touch()
    steps: list[tuple[str, str]] = []
    monkeypatch.setattr(
        files, "hook", lambda step, path: steps.append((step, path.name.split(".")[1 if path.name[0] == "." else 0]))
    )
    pack(run(tmp_path / "one", table(20, 1)), tmp_path / "home", "one")
    (renamed,) = (place for place, (step, name) in enumerate(steps) if step == "rename" and name.startswith("users-"))
    assert ("sync", "users") in steps[:renamed]
    assert not dead.exists()


def test_users_of_runs_that_are_gone_go_a_day_later(tmp_path: Path) -> None:
    """They hold ids, and stay where a run may still name them, or come to."""
    source, results = run(tmp_path / "run", table(30, 0)), tmp_path / "results"
    one, other = pack(source, results, "a"), pack(source, results, "b")
    (users,) = results.glob("runs/*/users-*.parquet")

    def surplus(age: float = 2 * storage.DAY) -> list[Piece]:
        os.utime(users, (time.time() - age,) * 2)
        return [piece for piece in storage.pieces(results) if piece.what == storage.USERS]

    assert surplus() == []
    shutil.rmtree(one.parents[2])
    assert surplus() == []
    other.write_bytes(b"cut off")
    assert surplus() == []
    shutil.rmtree(other.parents[2])
    assert surplus(age=60) == []
    found = surplus()
    assert [piece.path for piece in found] == [users]
    pack(source, results, "c")
    shutil.rmtree(results / "runs" / "toys" / "c@1")  # somebody else has packed, and is about to say so
    storage.remove(results, found)
    assert users.exists()
    storage.remove(results, surplus())
    assert not (results / "runs" / "toys").exists()
