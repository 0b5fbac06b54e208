"""From a shop's files to the first table: one command imports, one runs."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

Bench = Callable[..., SimpleNamespace]
COLORS, THINGS = ("red", "blue", "green", "iron"), ("car", "doll", "robot", "kite", "boat")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """80 customers walk through 60 products, whose numbers begin with zeros; seven have no text at all."""
    random.seed(1)
    products = [
        {"sku": f"{n:03d}", "name": "" if n < 7 else f"<b>{COLORS[n % 4]}</b> {THINGS[n % 5]} no {n}", "price": 9.99}
        for n in range(60)
    ]
    (tmp_path / "products.json").write_text(json.dumps(products))
    starts = [random.randrange(60) for _ in range(80)]
    rows = [
        (f"{user:04d}", f"{(start + at) % 60:03d}", f"2024-01-{1 + at:02d} 10:00:{user % 60:02d}")
        for user, start in enumerate(starts)
        for at in range(6)
    ]
    random.shuffle(rows)
    pd.DataFrame(rows, columns=["customer", "sku", "date"]).to_csv(tmp_path / "clicks.csv", index=False)
    return tmp_path


def test_one_command_imports_and_one_makes_the_table(bench: Bench, shop: Path, tiny: Path) -> None:
    said = bench(
        "data", "import", shop / "clicks.csv", shop / "products.json", "--name", "shop", "--data-dir", shop / "data"
    )
    assert said.code == 0, said.err
    assert said.out.splitlines()[:2] == [
        "note: time stamps: dates, kept as seconds",
        "note: columns: customer as user, sku as item, date as time",
    ]
    assert said.out.splitlines()[-2] == f"{shop / 'data' / 'shop'}: 80 users, 60 items, 480 interactions"
    quick = [
        "--preset",
        "smoke",
        *(f"--set={line}" for line in (f"backbone={tiny}", "max_steps=3", "semantic.codes=8")),
    ]
    where = ["--dataset", "shop", "--data-dir", shop / "data", "--results", shop / "results"]
    said = bench("run", "--id-scheme", "textual/title,semantic/rqkmeans", "--baseline", "pop,graph", *quick, *where)
    assert said.code == 0, said.err
    assert said.err.count("7 of 60 items have no text: their ids stand in for it (missing_text=id)") == 3
    said = bench("report", "--results", shop / "results")
    assert said.code == 0, said.err
    report = (shop / "results" / "report.md").read_text()
    assert all(f"| {name}" in report for name in ("textual/title", "semantic/rqkmeans", "pop"))
    assert "7 of 60 items have no text: their ids stand in for it" in report


def test_json_says_what_was_made(bench: Bench, shop: Path) -> None:
    words = [
        "data",
        "import",
        shop / "clicks.csv",
        "--data-dir",
        shop / "data",
        "--json",
        "--k-core",
        3,
        "--fields",
        "name",
    ]
    found = json.loads(bench(*words).out)
    assert (found["name"], found["folder"], found["k_core"]) == ("clicks", str(shop / "data" / "clicks"), 3)
    assert found["text"] == ["name"]
    said = bench(*words)
    assert (said.code, "holds a data set 'clicks' already" in said.err) == (1, True)
    assert bench(*words, "--force").code == 0
    info = json.loads(bench("data", "info", "clicks", "--data-dir", shop / "data", "--json").out)
    assert info["items"] == found["items"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--name", "a/b"], "--name takes letters, digits, - and _; got 'a/b'"),
        (["--name", "ml-100k"], "'ml-100k' is the name of a published or an installed data set"),
        (["--user", "client"], "unknown column --user 'client'"),
        (["--duplicates", "none"], "unknown rule for --duplicates 'none'"),
        (["--id-map", "absent.json"], "cannot read 'absent.json'"),
    ],
)
def test_what_cannot_be_done_is_one_line(bench: Bench, shop: Path, words: list[str], said: str) -> None:
    found = bench("data", "import", shop / "clicks.csv", "--data-dir", shop / "data", *words)
    assert (found.code, len(found.err.splitlines())) == (1, 1)
    assert said in found.err
    assert not (shop / "data").exists()


def test_text_can_be_required(bench: Bench, shop: Path) -> None:
    said = bench(
        "run", "--id-scheme", "textual/title", "--dataset", shop / "clicks.csv", "--set", "missing_text=refuse"
    )
    assert said.code == 1
    assert "7 of 60 items have none, the first is '000'" in said.err


def test_vectors_from_a_file_run_and_are_named_under_the_table(
    bench: Bench, quick: list[str], toy_folder: Path, tmp_path: Path
) -> None:
    vectors = np.random.default_rng(0).normal(size=(30, 12)).astype(np.float32)
    np.save(tmp_path / "v.npy", vectors)
    words = ["--id-scheme", "semantic/rqkmeans", *quick, f"--set=semantic.encoder={tmp_path / 'v.npy'}"]
    said = bench("run", *words, "--set=semantic.codes=8", "--results", tmp_path / "r")
    assert (said.code, "does not name the items of its 30 rows" in said.err) == (1, True)
    (tmp_path / "v.ids.txt").write_text("".join(f"i{item:02d}\n" for item in range(30)))
    said = bench("run", *words, "--set=semantic.codes=8", "--results", tmp_path / "r")
    assert said.code == 0, said.err
    bench("report", "--results", tmp_path / "r")
    report = (tmp_path / "r" / "report.md").read_text()
    assert "item vectors come from the file 'v.npy'" in report
    assert "may have seen test interactions is unknown" in report


def test_ids_with_commas_can_be_named(bench: Bench, quick: list[str], tmp_path: Path) -> None:
    names = ["Crosby, Stills & Nash", "10,000 Maniacs", " Leading Space", *(f"Band {number}" for number in range(30))]
    (tmp_path / "bands").mkdir()
    rows = [f"u{user}\t{names[(user + at) % 33]}\t{at}\n" for user in range(40) for at in range(5)]
    (tmp_path / "bands" / "bands.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\n" + "".join(rows))
    where = ["--dataset", tmp_path / "bands", "--results", tmp_path / "r"]
    said = bench("run", "--id-scheme", "numeric/random", *quick[2:], *where)
    assert said.code == 0, said.err
    for name in names[:3]:
        said = bench(
            "recommend", "numeric/random", "--results", tmp_path / "r", "--history", f"{name},Band 3", "--json"
        )
        assert json.loads(said.out)["recommended"][0]["history"] == [name, "Band 3"]
        assert bench("ids", "show", "numeric/random", *where, "--item", name).code == 0
