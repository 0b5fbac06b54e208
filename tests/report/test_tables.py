"""Whole reports: Markdown, terminal, frame."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from bench.report import tables
from bench.report.results import load

Store = Callable[..., Path]


@pytest.fixture
def mixed(store: Store, tmp_path: Path) -> Path:
    """Two data sets; on toys two contracts, several seeds, collisions and baselines."""
    for seed in (0, 1):
        store("textual/title", seed=seed, quality=0.4)
    store("semantic/residual-quantised-codes", quality=0.3, shared=4, contract={"beam": 50}, preset=None)
    store("pop", kind="baseline", quality=0.1)
    store("numeric/random", dataset="beauty", quality=0.2)
    return tmp_path


def terminal(root: Path, width: int) -> str:
    out = Console(record=True, width=width, file=StringIO())
    tables.console(load(root), out)
    return out.export_text()


def markdown_table(text: str, title: str) -> list[dict[str, str]]:
    """The rows of the table under a heading, by column."""
    section = text.split(f"## {title}\n")[1]
    lines = [line for line in section.split("\n## ")[0].splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def test_markdown_shows_all_rows_with_their_numbers(mixed: Path) -> None:
    text = tables.markdown(load(mixed))
    first, second, third = markdown_table(text, "toys")
    assert [row["scheme"] for row in (first, second, third)] == [
        "textual/title",
        "semantic/residual-quantised-codes",
        "pop",
    ]
    assert [row["contract"] for row in (first, second, third)] == ["A", "B", "A, B"]
    values = [found.metrics["strict"]["ndcg@10"] for found in load(mixed) if found.scheme.name == "textual/title"]
    pattern = rf"\*\*{sum(values) / 2:.4f}\*\* ± 0\.\d{{4}} \[0\.\d{{4}}\N{{EN DASH}}0\.\d{{4}}\]"
    assert re.fullmatch(pattern.replace(r"\N{EN DASH}", "\N{EN DASH}"), first["NDCG@10"])
    assert (first["seeds"], second["seeds"]) == ("2", "1")
    assert third["tokens per item"] == "\N{EN DASH}"
    assert len(markdown_table(text, "beauty")) == 1


def test_markdown_prints_what_the_table_rests_on(mixed: Path) -> None:
    text = tables.markdown(load(mixed))
    assert "**the rows were not made under one contract**: A is " in text
    assert "*differing*: **beam**=20 (A), 50 (B)\n" in text
    assert "fingerprint 9d1c3f6a7b2e4d58" in text
    assert "textual/title: 0, 1; semantic/residual-quantised-codes: 0; pop: 0" in text
    assert "train_users=400, validation_users=400, test_users=400" in text
    assert "device=cpu" in text
    beauty = text.split("## beauty")[1].split("## toys")[0]
    assert "not made under one contract" not in beauty
    assert "(preset cpu): split=leave-one-out, max_history=20" in beauty
    assert "decoder=beam" in beauty


def test_unequal_machines_are_said(store: Store, tmp_path: Path) -> None:
    store("textual/title")
    store("numeric/random", environment={"device": "cuda:0", "git": None})
    text = tables.markdown(load(tmp_path))
    assert "**device**=cpu (" in text or "**device**=cuda:0 (" in text
    assert "measured on different machines" in text


def test_each_command_is_printed_once_and_makes_no_machines_differ(store: Store, tmp_path: Path) -> None:
    for scheme, command in (("one", "bench run a"), ("two", "bench run b"), ("three", "bench run a")):
        store(scheme, environment={"device": "cpu", "command": command})
    text = tables.markdown(load(tmp_path))
    assert text.count("*made by*: bench run a\n") == text.count("*made by*: bench run b\n") == 1
    assert "different machines" not in text


def test_a_leak_is_told_under_its_table(store: Store, tmp_path: Path) -> None:
    store("numeric/sequential")
    assert "*leaks*" not in tables.markdown(load(tmp_path))
    store("numeric/p5-leak", leaks=True)
    store("max+1-leak", kind="baseline", leaks=True)
    (line,) = (line for line in tables.markdown(load(tmp_path)).splitlines() if "*leaks*" in line)
    assert "**numeric/p5-leak, max+1-leak saw the validation and test items**" in line


def test_markdown_survives_pipes_in_names(store: Store, tmp_path: Path) -> None:
    store("odd|name")
    assert "| odd\\|name | 0." in tables.markdown(load(tmp_path))


def test_baselines_alone_make_a_report(store: Store, tmp_path: Path) -> None:
    store("pop", kind="baseline", quality=0.3)
    (row,) = markdown_table(tables.markdown(load(tmp_path)), "toys")
    assert row["scheme"] == "pop"
    assert "pop" in terminal(tmp_path, 80)


@pytest.mark.parametrize("width", [40, 80, 140])
def test_terminal_cuts_no_number(mixed: Path, width: int) -> None:
    text = terminal(mixed, width)
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    assert max(len(line) for line in text.splitlines()) <= width
    for table in tables.tables(load(mixed)):
        for column in (*table.quality, *table.cost):
            for cell in column.cells:
                for line in filter(None, (cell.value, cell.spread, cell.interval)):
                    assert line in text


def test_terminal_uses_the_width_it_has(store: Store, tmp_path: Path) -> None:
    store("textual/title", quality=0.3)
    store("numeric/random", quality=0.2)
    headers = [sum("scheme" in line[:6] for line in terminal(tmp_path, width).splitlines()) for width in (60, 80, 140)]
    assert headers[0] > headers[1] >= headers[2] == 3  # quality, cost, and the line that names the schemes


def test_frame_has_a_line_for_each_cell(mixed: Path) -> None:
    frame = tables.frame(load(mixed))
    assert len(frame) == 5
    title = frame[frame["scheme"] == "textual/title"].sort_values("seed")
    assert title["seed"].tolist() == [0, 1]
    assert (title["strict.ndcg@10.low"] < title["strict.ndcg@10"]).all()
    assert (title["strict.ndcg@10"] < title["strict.ndcg@10.high"]).all()
    assert set(frame["contract.beam"].dropna()) == {20, 50}
    assert frame.loc[frame["kind"] == "baseline", "identifiers.tokens_mean"].isna().all()
    assert frame.equals(tables.frame(load(mixed)))


def test_a_large_report_is_quick(store: Store, tmp_path: Path) -> None:
    for seed in range(3):
        for scheme in range(4):
            store(f"family/{scheme}", seed=seed, users=20_000)
    start = time.perf_counter()
    tables.markdown(load(tmp_path))
    assert time.perf_counter() - start < 10 * 12 / 50 * 2  # fifty such cells in ten seconds, and as much again to spare
