"""A little of what `make reliability` does at length: ends of `bench` at steps of its writing, and broken files."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchError

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def importable() -> Iterator[None]:
    sys.path.insert(0, str(HERE))
    yield
    sys.path.remove(str(HERE))


@pytest.fixture(scope="module")
def readers(importable: None, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from readers import made

    return made(tmp_path_factory.mktemp("readers"))


def figures(script: str, *words: str) -> Any:
    """What a script counts, in a process of its own: a process of many threads cannot be forked."""
    done = subprocess.run([sys.executable, HERE / script, *words], capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_whatever_ends_a_run_it_is_not_lost_and_goes_on_as_if_nothing_had_happened() -> None:
    found = figures("kills.py", "--forked", "7", "--pairs", "0", "--processes", "0", "--scenarios", "baselines,scheme")
    assert found["faults"] == []
    assert found["kills"] == 7
    assert found["resumed_equal"] == found["resumed"] > 1
    assert (found["lost"], found["corrupt"], found["tracebacks"]) == (0, 0, 0)


def test_whatever_is_wrong_with_a_file_is_one_line_or_nothing(readers: Any) -> None:
    from inputs import fuzz

    found = fuzz(readers, 330, seed=0)
    assert found.faults == []
    assert found.inputs > 300
    assert found.right + found.refused == found.inputs
    assert (found.tracebacks, found.hangs, found.wrong) == (0, 0, 0)
    for reader in readers:
        right, refused = found.by_reader[reader.name]
        assert right + refused > 5


def test_one_bit_that_flips_anywhere_is_noticed_by_who_reads_the_file(readers: Any, tmp_path: Path) -> None:
    """Of every file of a finished run that anything reads, of a baseline, a checkpoint and a cache."""
    stored, draw = [reader for reader in readers if reader.name.startswith("stored ")], random.Random(0)
    assert {reader.name for reader in stored} >= {"stored checkpoint", "stored cache", "stored run, config.json"}
    for number, reader in enumerate(stored):
        folder = tmp_path / str(number)
        reader.place(folder)
        assert reader.read(folder) == reader.truth(folder)
        for name in reader.mutable:
            content = (folder / name).read_bytes()
            for at in (0, len(content) - 1, *(draw.randrange(len(content)) for _ in range(6))):
                changed = bytes([content[at] ^ 1 << draw.randrange(8)])
                (folder / name).write_bytes(content[:at] + changed + content[at + 1 :])
                with pytest.raises(BenchError, match=r"corrupt|cannot be read|not belong|half a"):
                    reader.read(folder)
            (folder / name).write_bytes(content)


def test_a_reader_that_takes_anything_would_be_told(importable: None) -> None:
    from inputs import fuzz
    from reader import Reader

    def careless(folder: Path) -> Any:
        return (folder / "n.txt").read_text(errors="replace").count("x")

    def fragile(folder: Path) -> Any:
        return int((folder / "n.txt").read_text().replace(", ", ""))

    for read in (careless, fragile):
        reader = Reader("control", {"n.txt": b"1234, 5"}, ["n.txt"], read, lambda folder: 12345)
        found = fuzz([reader], 40, seed=0)
        assert found.tracebacks + found.wrong > 10
