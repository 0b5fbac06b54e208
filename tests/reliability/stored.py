"""What reads the files that `bench` has stored: what was stored comes back, or it is said that it is not that."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from reader import Reader

from bench import cli
from bench.errors import BenchError
from bench.ids import storage
from bench.results import leases, store
from bench.results.holders import Holder
from bench.results.read import read
from bench.results.saved import catalogue, restore, stored_ids
from bench.results.verify import verify
from bench.runs.saved_baseline import SavedBaseline
from bench.training import checkpoint


def bench(*words: object) -> None:
    before, sys.argv = sys.argv, ["bench", *map(str, words)]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            cli.main()
        except SystemExit as end:
            if end.code:
                raise RuntimeError(said.getvalue()) from end
        finally:
            sys.argv = before


def stored_by_bench(home: Path, data: Reader, backbone: Mapping[str, Any], item: str) -> list[Reader]:
    """A finished run of identifiers, one of a baseline, a checkpoint and a cache: all with digests. ``item`` is one of
    the data.
    """
    data.place(home / "d")
    (home / "config.json").write_text(json.dumps(backbone))
    small = ["--dataset", home / "d", "--preset", "smoke", "--results", home / "r"]
    trained = [f"--set={line}" for line in (f"backbone={home / 'config.json'}", "batch_size=16", "epochs=1")]
    bench("run", "--id-scheme", "numeric/random", "--baseline", "markov", *small, *trained)
    run, baseline = (next(home.glob(f"r/runs/*/{name}@*/*/0")) for name in ("numeric.random", "markov"))
    cache = next(home.glob("r/cache/ids/*.safetensors"))
    return [
        _stored("run", run, lambda folder: verify(folder / "result.json", "a run").problems, problems=True),
        *(_stored(f"run, {name}", run, _readers()[name], only=name) for name in _readers() if (run / name).exists()),
        _stored("baseline", baseline, lambda folder: verify(folder / "result.json", "a run").problems, problems=True),
        _stored("baseline, at work", baseline, functools.partial(_recommends, item), only="*.safetensors"),
        _stored("cache", cache.parent, lambda folder: _ids(next(folder.iterdir()))),
        _checkpoint(home),
        *_notes(home, run),
    ]


def _stored(name: str, folder: Path, read: Callable[[Path], Any], only: str = "*", problems: bool = False) -> Reader:
    """What was stored comes back, or it is said that it is not what was stored."""
    names = sorted(path.name for path in folder.glob(only) if path.is_file())

    def checked(place: Path) -> Any:
        found = read(place)
        if problems and found:
            raise BenchError("; ".join(found))
        return found

    expected = read(folder)
    return Reader(f"stored {name}", {}, names, checked, lambda place: expected, before=folder)


def _readers() -> dict[str, Callable[[Path], Any]]:
    """For each file of a run of identifiers the reader that uses it."""

    def weights(folder: Path) -> Any:
        return {name: tensor.numpy().tobytes() for name, tensor in restore(folder).state_dict().items()}

    def table(folder: Path) -> Any:
        found = read(folder / "result.json", "a run").table
        return found.ranks.strict.tobytes(), found.users.tolist(), found.targets.tolist()

    def described(folder: Path) -> Any:
        found = read(folder / "result.json", "a run")
        return found.metrics, found.seed, found.scheme, found.contract

    return {
        "result.json": described,
        "result.sha256": described,
        "per_user.parquet": table,
        "ids.parquet": catalogue,
        "ids.safetensors": lambda folder: storage.describe(stored_ids(folder)),
        "model.safetensors": weights,
        "config.json": weights,
        "tokenizer.json": weights,
        "head.safetensors": weights,
    }


def _recommends(item: str, folder: Path) -> Any:
    return SavedBaseline(read(folder / "result.json", "a run")).recommend([item], 5)


def _ids(path: Path) -> Any:
    ids, notes = storage.load(path)
    return storage.describe(ids), notes


def _checkpoint(home: Path) -> Reader:
    folder = home / "checkpoint"
    folder.mkdir()
    state = checkpoint.TrainingState(epoch=2, step=7, curve=[{"step": 7.0}])
    checkpoint.save(folder / "stage-0.safetensors", state, {"model.a": torch.arange(300.0), "best.a": torch.ones(3, 4)})

    def of(place: Path) -> Any:
        found, arrays = checkpoint.load(place / "stage-0.safetensors")
        return found, {name: array.numpy().tobytes() for name, array in arrays.items()}

    return _stored("checkpoint", folder, of)


def _notes(home: Path, run: Path) -> list[Reader]:
    """Files without a digest, which are of no use where something is wrong in them."""
    folder = home / "notes" / "c"
    (folder / ".0.partial-1").mkdir(parents=True)
    begun = store.Begun({"scheme": "a"}, {"bench": "b"})
    (folder / ".0.partial-1" / "begun.json").write_text(json.dumps(asdict(begun)))
    (folder / ".0.lease-1").write_text(json.dumps(asdict(Holder("t", pid=1, released=True, failure="no"))))

    def of(place: Path) -> Any:
        home = place / "0"
        for path in place.glob(".0.partial-1/*"):
            assert path.is_file()
        found = store.begun_as(home), leases.holder_of(home), leases.failure(home)
        if found[0]:
            found[0].differences(begun)
            found[0].resumed_by(begun)
        if found[2]:
            _ = found[2].reason.splitlines(), found[2].time > 0
        return True

    names = [".0.partial-1/begun.json", ".0.lease-1"]
    return [Reader("notes of an unfinished run", {}, names, of, lambda place: True, before=folder)]
