"""Fixtures shared by all tests: real data and a real vocabulary, where this machine has them, and runs of seconds."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import settings

from bench.data.dataset import Dataset, ItemTable, Sequences

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
COLOURS = ("red", "blue", "green", "iron", "wooden", "small", "large", "happy", "loud", "quiet")
THINGS = ("car", "robot", "puzzle")
BUNDLE = 4  # items that are bought on one day
TINY = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_heads": 2, "num_layers": 1, "num_decoder_layers": 1}

settings.register_profile("bench", deadline=None)  # a busy machine is slow, not wrong
settings.load_profile("bench")


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """A shell starts what runs in its background with Ctrl-C ignored; tests send it to themselves."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def forbidden() -> Callable[[Path], contextlib.AbstractContextManager[None]]:
    """``with forbidden(path):`` this process may not read the file, not even where it is root's."""

    @contextlib.contextmanager
    def block(path: Path) -> Iterator[None]:
        mode, user = path.stat().st_mode, os.geteuid()
        path.chmod(0)
        try:
            if user == 0:
                os.seteuid(65534)
            yield
        finally:
            os.seteuid(user)
            path.chmod(mode)

    return block


@pytest.fixture(scope="session")
def real_data() -> Path:
    """A folder with real Amazon data as RecBole atomic files."""
    folder = Path(os.environ.get("BENCH_TEST_DATA", SHARED / "datasets"))
    if not (folder / "toys" / "toys.inter").exists():
        pytest.skip(f"no real Toys data in {folder}; point BENCH_TEST_DATA at it")
    return folder


@pytest.fixture(scope="session")
def t5_tokenizer() -> Path:
    """A folder with the tokenizer of T5."""
    folder = Path(os.environ.get("BENCH_TEST_T5", SHARED / "t5-tokenizer"))
    if not (folder / "tokenizer.json").exists():
        pytest.skip(f"no T5 tokenizer in {folder}; point BENCH_TEST_T5 at it")
    return folder


@pytest.fixture(scope="session")
def toy() -> Dataset:
    """40 users walk round a circle of 30 items, mostly one step at a time: a next item that can be learnt."""
    random = np.random.default_rng(3)
    rows = []
    for user in range(40):
        steps = np.where(random.random(random.integers(4, 9)) < 0.9, 1, random.integers(2, 30))
        rows.append((user * 3 // 4 + np.cumsum([0, *steps])) % 30)
    titles = tuple(f"{COLOURS[item % 10]} {THINGS[item // 10]}" for item in range(30))
    items = ItemTable(tuple(f"i{item:02d}" for item in range(30)), {"title": titles, "category": ("Toys",) * 30})
    sequences = Sequences.from_rows(rows)
    times = np.concatenate([np.arange(length, dtype=float) for length in sequences.lengths])
    return Dataset("toy", tuple(f"u{user:02d}" for user in range(40)), items, sequences, times)


@pytest.fixture(scope="session")
def dated() -> Dataset:
    """60 users take what is new while they are there: of 150 items, those of the end are never seen before it."""
    random = np.random.default_rng(5)
    times = np.sort(random.random((60, 1)) * 0.7 + np.cumsum(random.exponential(0.04, (60, 10)), axis=1), axis=1)
    times = np.floor(times / times.max() * 300)  # days, so that many tie
    items = (times / 300 * 110).astype(int) + random.integers(0, 40, times.shape)
    titles = tuple(f"{COLOURS[item % 10]} {THINGS[item // 10 % 3]} {COLOURS[item // 30]}" for item in range(150))
    catalogue = ItemTable(tuple(f"i{item:03d}" for item in range(150)), {"title": titles})
    users = tuple(f"u{user:02d}" for user in range(60))
    return Dataset("dated", users, catalogue, Sequences.from_rows(items), times.ravel())


@pytest.fixture(scope="session")
def bundles() -> Dataset:
    """500 users buy on three days, each day one of 60 bundles of four items, in the order of a file sorted by item.

    Nothing leads from one day to the next, so all that can be learnt about the next item is its bundle; and inside a
    bundle the order is that of ids, as in reviews that a source keeps item by item and dates by the day.
    """
    random = np.random.default_rng(7)
    members = random.permutation(60 * BUNDLE).reshape(60, BUNDLE)
    rows = [np.sort(members[random.choice(60, 3, replace=False)], axis=1).ravel() for _ in range(500)]
    ids = tuple(f"B{number:05d}" for number in np.sort(random.choice(100_000, 60 * BUNDLE, replace=False)))
    times = np.tile(np.repeat([16000.0, 16003.0, 16010.0], BUNDLE), 500)
    users = tuple(f"u{user:03d}" for user in range(500))
    titles = {"title": tuple(f"thing {number} for the house" for number in range(60 * BUNDLE))}
    times = times + np.repeat(np.arange(500.0), 3 * BUNDLE)  # everybody begins on a day of their own
    return Dataset("bundles", users, ItemTable(ids, titles), Sequences.from_rows(rows), times)


@pytest.fixture(scope="session")
def toy_folder(toy: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy data as atomic files."""
    from bench.data.formats import write_atomic

    folder = tmp_path_factory.mktemp("data") / "toy"
    write_atomic(toy, folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config.json of a T5 that trains in no time."""
    path = tmp_path_factory.mktemp("backbone") / "config.json"
    path.write_text(json.dumps({"model_type": "t5", **TINY}))
    return path


@pytest.fixture(scope="session")
def quick(toy_folder: Path, tiny: Path) -> list[str]:
    """Options of `bench run` that make a cell of a second: 12 steps, two validations, on the toy data."""
    changed = [f"backbone={tiny}", "batch_size=16", "epochs=4", "validate_every=2"]
    return ["--dataset", str(toy_folder), "--preset", "smoke", *(f"--set={line}" for line in changed)]


@pytest.fixture(scope="session")
def bench() -> Callable[..., SimpleNamespace]:
    """``bench("run", "--dataset", folder)`` in this process, on one thread: its exit ``code``, ``out`` and ``err``."""
    import torch

    from bench import cli

    torch.set_num_threads(1)  # so that the bits of two runs can be compared

    def call(*words: object) -> SimpleNamespace:
        code: Any = 0
        argv = mock.patch.object(sys, "argv", ["bench", *map(str, words)])
        with argv, contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
            try:
                cli.main()
            except SystemExit as stop:
                code = stop.code or 0
        return SimpleNamespace(code=code, out=out.getvalue(), err=err.getvalue())

    return call


@pytest.fixture(scope="session")
def started() -> dict[str, str]:
    """The environment of a `bench` in a process of its own, as like as can be to one in this process."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}


@pytest.fixture(scope="session")
def cells() -> Callable[[Path], list[Path]]:
    """The folders of the finished cells in a results folder."""

    def found(results: Path) -> list[Path]:
        return sorted(path.parent for path in results.glob("runs/*/*/*/[!.]*/result.json"))

    return found


@pytest.fixture(scope="session")
def substance() -> Callable[[Path], dict[str, Any]]:
    """All of a finished cell that must repeat: everything but when, where and how fast it ran."""
    import pandas as pd

    def of(cell: Path) -> dict[str, Any]:
        stored = json.loads((cell / "result.json").read_text())
        kept = {name: stored[name] for name in ("metrics", "training", "identifiers", "split", "contract", "dataset")}
        files = {
            path.name: path.read_bytes() for path in cell.iterdir() if path.suffix not in (".parquet", ".jsonl", ".log")
        }
        del files["result.json"]
        tables = {path.name: pd.read_parquet(path).to_json() for path in cell.glob("*.parquet")}
        return {**kept, **files, **tables, "files": sorted(path.name for path in cell.iterdir())}

    return of
