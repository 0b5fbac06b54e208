"""Stored results as a run would leave them, with figures that hang together."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.contract import digest
from bench.evaluation.metrics import Ranks, summaries
from bench.protocol import PROTOCOL
from bench.results import digests
from bench.results.schema import SCHEMA

CONTRACT: dict[str, Any] = {
    "protocol": PROTOCOL,
    "split": "leave-one-out",
    "max_history": 20,
    "validation_in_test_history": True,
    "candidates": "all",
    "exclude_history": False,
    "backbone": "mini",
    "epochs": 10,
    "batch_size": 256,
    "learning_rate": 0.001,
    "selection": "ndcg@10",
    "decoder": "beam",
    "beam": 20,
    "length_normalization": "none",
}
SHARED = ("protocol", "split", "max_history", "validation_in_test_history", "candidates", "exclude_history")
ENVIRONMENT: dict[str, Any] = {
    "python": "3.11.9",
    "torch": "2.13.0",
    "transformers": "5.23.0",
    "platform": "Linux-x86_64",
    "device": "cpu",
    "cpu_threads": 2,
    "processes": 1,
    "git": "0f3a9c1",
}
FINGERPRINTS = {"toys": "9d1c3f6a7b2e4d58", "beauty": "51c0e77ab3d2f946", "ml-100k": "c2b1a09f8e7d6c5b"}

Store = Callable[..., Path]


def draw_ranks(users: int, quality: float, seed: int, shared: int) -> Ranks:
    """Of the users a share ``quality`` is hit among the first 20; every ``shared``-th target shares its identifier."""
    random = np.random.default_rng(seed)
    found = random.random(users) < quality
    code_rank = np.where(found, np.minimum(random.geometric(0.15, users), 20), np.inf)
    group = np.where(shared and np.arange(users) % max(shared, 1) == 0, 2, 1).astype(np.int64)
    return Ranks(code_rank, np.where(found, code_rank - 1, 0).astype(np.int64), group)


def user_table(ranks: Ranks) -> pd.DataFrame:
    """Targets and all that is told of users are those of the data, whatever the seed."""
    users, random = len(ranks), np.random.default_rng(0)

    def nullable(values: np.ndarray) -> pd.arrays.IntegerArray:
        missing = ~np.isfinite(values)
        return pd.arrays.IntegerArray(np.where(missing, 0, values).astype(np.int32), missing)

    return pd.DataFrame(
        {
            "user": [f"user{number}" for number in range(users)],
            "target": [f"item{number}" for number in random.integers(0, 500, users)],
            "rank": nullable(ranks.strict),
            "code_rank": nullable(ranks.code_rank),
            "group_size": ranks.group_size.astype(np.int32),
            "popularity": random.integers(0, 90, users).astype(np.int32),
            "history_length": random.integers(1, 21, users).astype(np.int32),
            "cold": np.zeros(users, bool),
            "interactions_before": random.integers(1, 60, users).astype(np.int32),
            "ascends": random.random(users) < 0.6,
            "tied": random.random(users) < 0.1,
            "transition_seen": random.random(users) < 0.3,
        }
    )


def result_json(ranks: Ranks, **said: Any) -> dict[str, Any]:
    """The content of result.json; ``said`` replaces whole entries."""
    baseline = said["scheme"]["kind"] == "baseline"
    contract = {key: value for key, value in CONTRACT.items() if key in SHARED} if baseline else dict(CONTRACT)
    contract.update(said.pop("contract", {}))
    users, shared = len(ranks), float((ranks.group_size > 1).mean())
    ids = {
        "tokens_mean": 7.25,
        "tokens_max": 14,
        "vocabulary": 8192,
        "collision_rate": shared,
        "collision_rate_test": shared,
        "largest_group": int(ranks.group_size.max()),
    }
    return {
        "schema": SCHEMA,
        "bench": "0.1.0",
        "dataset": {
            "name": said["dataset"],
            "fingerprint": said.pop("fingerprint", FINGERPRINTS.get(said["dataset"], "")),
            "users": users,
            "items": 11924,
            "interactions": 167597,
            "parts": said.pop("parts", []),
        },
        "contract": contract,
        "contract_id": digest(contract),
        "preset": None if baseline else "cpu",
        "seed": 0,
        "split": {"train_users": users, "validation_users": users, "test_users": users},
        "metrics": summaries(ranks, complete=baseline),
        "item_groups": {},
        "identifiers": None if baseline else ids,
        "costs": {
            "parameters": 0 if baseline else 4_812_544,
            "id_construction_seconds": None if baseline else 6.31,
            "training_seconds": 0.04 if baseline else 1312.5,
            **(
                {}
                if baseline
                else {"training_flops": 2.5e15, "tokens_read": 30_000_000, "tokens_written": 600_000, "steps": 4300}
            ),
            "validation_seconds": None if baseline else 95.5,
            "processor_seconds": None if baseline else 2790.0,
            "inference_seconds_per_1000_users": 0.021 if baseline else 7.94,
            "peak_memory_mb": 1312.0,
        },
        "training": None if baseline else {"steps": 4300, "epochs": 10, "best_step": 3870, "curve": []},
        "environment": ENVIRONMENT,
        "audit": {},
        "created": "2026-11-21T09:00:00+00:00",
        **{key: value for key, value in said.items() if key != "dataset"},
    }


def write_run(
    root: Path,
    scheme: str = "textual/title",
    dataset: str = "toys",
    kind: str = "scheme",
    quality: float = 0.1,
    users: int = 400,
    seed: int = 0,
    shared: int = 0,
    version: int = 1,
    settings: dict[str, Any] | None = None,
    leaks: bool = False,
    inputs: str = "",
    **said: Any,
) -> Path:
    """One run below ``root``; ``said`` replaces whole entries of its result."""
    ranks = draw_ranks(users, quality, seed + len(scheme), shared)
    seen: dict[str, Any] = settings or {}
    facts: dict[str, Any] = {"name": scheme, "version": version, "settings": seen, "kind": kind}
    facts |= {"inputs": inputs, "leaks": leaks, "source": "0badc0de", "recipe": "", "probe": False}
    result = result_json(ranks, dataset=dataset, scheme=facts, seed=seed, **said)
    made = "+".join([f"{scheme}@{version}{inputs}", *(f"{key}={value}" for key, value in facts["settings"].items())])
    data = f"{dataset}-{result['dataset']['fingerprint']}"
    folder = root / "runs" / data / made / str(result["contract_id"]) / str(seed)
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps({**result, "files": {}}), encoding="utf-8")
    user_table(ranks).to_parquet(folder / "per_user.parquet")
    seal(folder)
    return folder


def seal(folder: Path) -> None:
    """Let result.json name the other files as they are now, as if the run had written them."""
    stored = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    stored["files"] = digests.of_folder(folder, frozenset())
    (folder / "result.json").write_text(json.dumps(stored), encoding="utf-8")


@pytest.fixture(scope="session")
def sealed() -> Callable[[Path], None]:
    """``sealed(folder)``: its result.json names the other files as they are now."""
    return seal


@pytest.fixture(scope="session")
def stores() -> Callable[[Path], Store]:
    """``stores(root)`` is a ``store`` for results that several tests share."""
    return lambda root: partial(write_run, root)


@pytest.fixture
def store(stores: Callable[[Path], Store], tmp_path: Path) -> Store:
    """``store("textual/title", quality=0.1, …)`` writes one run below ``tmp_path`` and returns its folder."""
    return stores(tmp_path)


@pytest.fixture(scope="session")
def name_items() -> Callable[..., None]:
    """``name_items(folder, codes, titles)`` writes the identifiers of a run beside its result."""

    def write(folder: Path, codes: Sequence[Sequence[int]], titles: Sequence[str] | None = None) -> None:
        frame = pd.DataFrame(
            {
                "item": [f"item{number}" for number in range(len(codes))],
                "identifier": [" ".join(map(str, code)) for code in codes],
                "tokens": list(codes),
            }
        )
        if titles is not None:
            frame.insert(1, "title", titles)
        frame.to_parquet(folder / "ids.parquet", index=False)
        seal(folder)

    return write


HOSTILE = (
    "**bold** *soft*",
    "__bold__ _soft_ snake_case",
    "[bold]red[/] [link](x) ![a](b)",
    "a|b || c",
    "$5 & 10% #1 of {x}^2 ~y~ \\z",
    "<script>alert('1')</script> <u>",
    "`code` ~~gone~~ &lt; &#42; &copy",
    "*first",
    "# heading #",
    "cut\nin\ttwo \x1b[31mred \x02loud\x03 --set",
)


@pytest.fixture(scope="session")
def hostile(name_items: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Results full of what markup is made of: names, settings, commands, titles of items.

    And how each name should read wherever it is printed: as it is, but on one line and without control characters.
    """
    root = tmp_path_factory.mktemp("hostile")
    names = [f"{text} /{number}" for number, text in enumerate(HOSTILE)]
    for number, (name, text) in enumerate(zip(names, HOSTILE, strict=True)):
        machine = {**ENVIRONMENT, "command": f"bench run --set x={text}"}
        quality = 0.02 * 1.5**number
        folder = write_run(root, name, quality=quality, users=300, settings={"sep": text}, environment=machine)
        name_items(folder, [[item] for item in range(len(HOSTILE))], HOSTILE)
    steering = str.maketrans({"\n": " ", "\t": " ", "\x1b": " ", "\x02": " ", "\x03": " "})
    return root, {name: name.translate(steering) for name in names}
