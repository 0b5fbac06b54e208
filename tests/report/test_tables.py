"""Whole reports: Markdown, terminal, frames."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from bench.data.audit.findings import VERSION
from bench.errors import BenchError
from bench.report import frames, terminal
from bench.report.markdown import markdown
from bench.report.rows import sections
from bench.report.tables import chapters
from bench.results.read import load

Store = Callable[..., Path]


@pytest.fixture
def mixed(store: Store, tmp_path: Path) -> Path:
    """Two data sets; on toys two contracts, several seeds, collisions and baselines."""
    for seed in (0, 1):
        store("textual/title", seed=seed, quality=0.4)
    store("semantic/residual-quantized-codes", quality=0.3, shared=4, contract={"beam": 50}, preset=None)
    store("pop", kind="baseline", quality=0.1)
    store("numeric/random", dataset="beauty", quality=0.2)
    return tmp_path


def shown(root: Path, width: int, full: bool = True) -> str:
    out = Console(record=True, width=width, file=StringIO())
    terminal.show(chapters(load(root)), out, full)
    return out.export_text()


def written(root: Path) -> str:
    return markdown(chapters(load(root)))


def markdown_table(text: str, data: str, title: str) -> list[dict[str, str]]:
    """The rows of a table of a data set, by column."""
    section = text.split(f"## {data}\n")[1].split("\n## ")[0].split(f"### {title}\n")[1]
    lines = [line for line in section.split("\n### ")[0].splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def test_markdown_shows_all_rows_with_their_numbers(mixed: Path) -> None:
    text = written(mixed)
    first, second, third = markdown_table(text, "toys", "Quality, strict")
    assert [row["scheme"] for row in (first, second, third)] == [
        "textual/title",
        "semantic/residual-quantized-codes",
        "pop",
    ]
    assert [row["contract"] for row in (first, second, third)] == ["A", "B", "A, B"]
    values = [found.metrics["strict"]["ndcg@10"] for found in load(mixed) if found.scheme.name == "textual/title"]
    pattern = rf"\*\*{sum(values) / 2:.4f}†\*\* ± 0\.\d{{4}} \[0\.\d{{4}}\N{{EN DASH}}0\.\d{{4}}\]"
    assert re.fullmatch(pattern.replace(r"\N{EN DASH}", "\N{EN DASH}"), first["NDCG@10"])
    costs = markdown_table(text, "toys", "Costs")
    assert [row["seeds"] for row in costs] == ["2", "1", "1"]
    assert costs[2]["tokens per item"] == costs[2]["training FLOPs"] == "\N{EN DASH}"
    assert costs[0]["training FLOPs"] == "2.5 P"
    assert (costs[0]["ID construction (s)"], costs[2]["ID construction (s)"]) == ("6.31", "\N{EN DASH}")
    assert (costs[0]["training (s)"], costs[0]["validation (s)"], costs[0]["processor (s)"]) == (
        "1,312",
        "95.5",
        "2,790",
    )
    assert len(markdown_table(text, "beauty", "Quality, strict")) == 1


def test_markdown_prints_what_the_table_rests_on(mixed: Path) -> None:
    text = written(mixed)
    assert "**the rows were not made under one contract**: A is " in text
    assert "*differing*: **beam**=20 (A), 50 (B)\n" in text
    assert "fingerprint 9d1c3f6a7b2e4d58" in text
    assert "textual/title: 0, 1; semantic/residual-quantized-codes: 0; pop: 0" in text
    assert "train_users=400, validation_users=400, test_users=400" in text
    assert "device=cpu" in text
    beauty = text.split("## beauty")[1].split("## toys")[0]
    assert "not made under one contract" not in beauty
    assert "(preset cpu): protocol=4, split=leave-one-out, max_history=20" in beauty
    assert "decoder=beam" in beauty


def test_unequal_machines_are_said(store: Store, tmp_path: Path) -> None:
    store("textual/title")
    store("numeric/random", environment={"device": "cuda:0", "git": None})
    text = written(tmp_path)
    assert "**device**=cpu (" in text or "**device**=cuda:0 (" in text
    assert "measured on different machines" in text


def test_seconds_beside_other_load_are_said(store: Store, tmp_path: Path) -> None:
    """Two threads alone on the machine are no other load, whatever the minute's mean says; four more are."""
    machine = {"device": "cpu", "cpu_threads": 2, "processes": 1, "cores_used": 1.4}
    store("one", environment={**machine, "load_average_start": 0.2, "load_average_end": 2.3})
    store("two", environment={"device": "cpu"})
    assert "measured beside other load" not in written(tmp_path)
    store("six", environment={**machine, "load_average_start": 6.04, "load_average_end": 1.9})
    text = written(tmp_path)
    costs = text.split("### Costs\n")[1].split("\n### ")[0]
    (line,) = (line for line in costs.splitlines() if "measured beside other load" in line)
    assert line.endswith("six (6.0, used 1.4)")
    assert "load_average" not in text


def test_each_command_is_printed_once_and_makes_no_machines_differ(store: Store, tmp_path: Path) -> None:
    for scheme, command in (("one", "bench run a"), ("two", "bench run b"), ("three", "bench run a")):
        store(scheme, environment={"device": "cpu", "command": command})
    text = written(tmp_path)
    assert text.count("*made by*: bench run a\n") == text.count("*made by*: bench run b\n") == 1
    assert "different machines" not in text


def test_a_leak_is_told_under_its_table(store: Store, tmp_path: Path) -> None:
    store("numeric/sequential")
    assert "*leaks*" not in written(tmp_path)
    store("numeric/p5-leak", leaks=True)
    store("max+1-leak", kind="baseline", leaks=True)
    (line,) = (line for line in written(tmp_path).splitlines() if "*leaks*" in line)
    assert "**numeric/p5-leak, max+1-leak saw the validation and test items**" in line


def test_markdown_survives_pipes_in_names(store: Store, tmp_path: Path) -> None:
    store("odd|name")
    assert "| odd\\|name | 0." in written(tmp_path)


def test_baselines_alone_make_a_report(store: Store, tmp_path: Path) -> None:
    store("pop", kind="baseline", quality=0.3)
    (row,) = markdown_table(written(tmp_path), "toys", "Quality, strict")
    assert row["scheme"] == "pop"
    assert "pop" in shown(tmp_path, 80)


@pytest.mark.parametrize("width", [40, 80, 140])
def test_terminal_cuts_no_number(mixed: Path, width: int) -> None:
    text = shown(mixed, width)
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    assert max(len(line) for line in text.splitlines()) <= width
    for chapter in chapters(load(mixed)):
        for cell in (cell for table in chapter.tables for column in table.columns for cell in column.cells):
            for line in filter(None, (cell.text, cell.spread, cell.interval)):
                assert all(word in text for word in line.split())


def test_a_short_report_has_the_answer_the_main_table_and_the_pairs(store: Store, tmp_path: Path) -> None:
    """Four rows on a screen: what they show, a line for each, pairs, conditions by name, and where the rest is."""
    for name, quality in (("textual/title", 0.4), ("semantic/rqkmeans", 0.3), ("set/setrec", 0.6)):
        store(name, quality=quality)
    store("pop", kind="baseline", quality=0.1)
    text, full = shown(tmp_path, 80, full=False), shown(tmp_path, 80)
    assert len(text.splitlines()) < 50 < len(full.splitlines())
    assert "set/setrec leads the schemes" in text
    main = text.split("Quality, strict")[1].split("Schemes in pairs")[0]
    for row in sections(load(tmp_path))[0].rows:
        (line,) = [line for line in main.splitlines() if line.startswith(row.label)]
        assert f"{row.metric('ndcg@10')[0]:.4f}" in line
        assert f"{row.metric('hit@10')[0]:.4f}" in line
    assert f"contract     {load(tmp_path)[1].contract_id} (preset cpu)" in text
    assert "More tables in the files, and here with --full: comparisons, further, costs" in " ".join(text.split())


def test_a_terminal_says_once_what_stands_under_every_table(mixed: Path) -> None:
    """So does Markdown: the contract, what differs, the machine, and how to read the tables."""
    text, file = " ".join(shown(mixed, 100).split()), written(mixed)
    (*_, toys) = chapters(load(mixed))
    for title in ("contracts", "differing", "environment"):
        (note,) = (note for note in toys.notes if note.title == title)
        assert text.count(" ".join("".join(piece for piece, _ in note.pieces).split())) == 1
    assert file.count("**the rows were not made under one contract**") == 1
    reading = [note for table in toys.tables for note in table.notes if note.legend]
    assert len(reading) > 8
    for note in reading:
        assert file.replace("\\", "").count(note.text) == 1
        assert file.index("## How to read the tables") < file.replace("\\", "").index(note.text)


@pytest.mark.parametrize("width", [60, 80])
def test_a_terminal_breaks_no_name(store: Store, tmp_path: Path, width: int) -> None:
    name = "semantic/mtgrec-without-any-mixture"  # longer than names are where there is no room
    store(name, quality=0.3)
    store("pop", kind="baseline", quality=0.1)
    table = shown(tmp_path, width).split("Quality, strict")[1].split("metrics")[0]
    assert name in table


def test_no_name_steers_the_terminal(hostile: tuple[Path, dict[str, str]]) -> None:
    root, names = hostile
    text = shown(root, 200)
    assert all(character == "\n" or character.isprintable() for character in text)
    for name in names.values():
        assert all(word in text for word in name.split()), name


def test_terminal_uses_the_width_it_has(store: Store, tmp_path: Path) -> None:
    store("textual/title", quality=0.3)
    store("numeric/random", quality=0.2)
    headers = [sum("scheme" in line[:6] for line in shown(tmp_path, width).splitlines()) for width in (60, 90, 220)]
    assert headers[0] > headers[1] > headers[2]
    titles = re.findall(r"^### ", written(tmp_path), re.MULTILINE)
    assert headers[2] == len(titles) - 1  # of all tables but the pairs, and the line that names the schemes


def test_frame_has_a_line_for_each_cell(mixed: Path) -> None:
    frame = frames.frame(load(mixed))
    assert len(frame) == 5
    title = frame[frame["scheme"] == "textual/title"].sort_values("seed")
    assert title["seed"].tolist() == [0, 1]
    assert (title["strict.ndcg@10.low"] < title["strict.ndcg@10"]).all()
    assert (title["strict.ndcg@10"] < title["strict.ndcg@10.high"]).all()
    assert set(frame["contract.beam"].dropna()) == {20, 50}
    assert frame.loc[frame["kind"] == "baseline", "identifiers.tokens_mean"].isna().all()
    assert frame.equals(frames.frame(load(mixed)))


def test_frame_tells_leaks_sources_and_training(store: Store, tmp_path: Path) -> None:
    store(
        "numeric/p5-leak",
        leaks=True,
        training={"steps": 9, "best_step": 7, "selection": "ndcg@10", "curve": [{"step": 1}]},
    )
    store("pop", kind="baseline")
    frame = frames.frame(load(tmp_path)).set_index("scheme")
    assert frame["leaks"].to_dict() == {"numeric/p5-leak": True, "pop": False}
    assert frame.loc["numeric/p5-leak", ["training.steps", "training.best_step"]].tolist() == [9, 7]
    assert frame["training.steps"].isna().to_dict() == {"numeric/p5-leak": False, "pop": True}
    assert set(frame["source"]) == {"0badc0de"}
    assert "training.curve" not in frame


def test_a_large_report_is_quick(store: Store, tmp_path: Path) -> None:
    for seed in range(3):
        for scheme in range(4):
            store(f"family/{scheme}", seed=seed, users=20_000)
    start = time.process_time()  # a busy machine is slow, not wrong
    written(tmp_path)
    assert time.process_time() - start < 10 * 12 / 50 * 2  # fifty such cells in ten seconds, and as much again to spare


def test_every_data_set_names_contract_and_environment(mixed: Path) -> None:
    """Once for all its tables, whose rows have the letter of their contract where there are several."""
    for chapter in chapters(load(mixed))[1:]:
        unequal = chapter.title == "toys"
        for notes in (chapter.notes, chapter.brief):
            said = {note.title: note.text for note in notes}
            assert ("contracts" in said) == unequal
            assert ("contract" in said) != unequal
            assert "device=cpu" in said["environment"]
        for table in chapter.tables:
            if unequal and table.name not in ("comparisons", "pairs"):
                assert table.columns[0].title == "contract"
            if unequal and table.name == "pairs":
                assert all(cell.text.endswith("]") for cell in table.head.cells)


def test_what_is_missing_is_said(store: Store, tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        store("textual/title", seed=seed)
    store("numeric/random", seed=1)
    store("numeric/random", dataset="beauty")
    text = written(tmp_path)
    assert "- *missing*: numeric/random lacks seed 0, 2\n" in text
    assert "- *missing*: textual/title has no result on this data set\n" in text


def test_markdown_underlines_the_second_and_every_line_is_whole(store: Store, tmp_path: Path) -> None:
    for scheme, quality in (("one", 0.8), ("three", 0.3), ("seventh", 0.1)):
        store(scheme, quality=quality)
    text = written(tmp_path)
    assert "<u>0." in markdown_table(text, "toys", "Quality, strict")[1]["NDCG@10"]
    for table in chapters(load(tmp_path))[0].tables:
        assert len(markdown_table(text, "toys", table.title)) == len(table.head.cells)


def test_values_have_a_line_for_each_cell_of_each_table(mixed: Path, tmp_path: Path) -> None:
    made = chapters(load(mixed))
    frame = frames.values(made)
    assert len(frame) == sum(len(list(table.rows)) * len(table.columns) for found in made for table in found.tables)
    assert (frame["source"].str.len() > 10).all()
    quality = frame[(frame["data"] == "toys") & (frame["table"] == "quality") & (frame["column"] == "NDCG@10")]
    assert (quality["low"] < quality["value"]).all()
    assert quality["highlight"].tolist()[0] == "best"
    for suffix, read in ((".csv", pd.read_csv), (".parquet", pd.read_parquet)):
        frames.writer(tmp_path / f"values{suffix}")(frame, tmp_path / f"values{suffix}")
        assert read(tmp_path / f"values{suffix}")["value"].tolist() == pytest.approx(
            frame["value"].tolist(), nan_ok=True
        )


def test_cells_of_mixed_settings_become_parquet(store: Store, tmp_path: Path) -> None:
    store("one", contract={"beam": "wide"})
    store("two", contract={"beam": 20, "odd": None})
    store("six", contract={"odd": True})
    frames.writer(tmp_path / "cells.parquet")(frames.frame(load(tmp_path)), tmp_path / "cells.parquet")
    assert pd.read_parquet(tmp_path / "cells.parquet")["contract.beam"].tolist() == ["wide", "20", "20"]


def test_a_frame_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(BenchError, match=r"its name must end in \.csv or \.parquet"):
        frames.writer(Path("cells.xlsx"))


def test_rows_of_one_name_are_told_apart_beneath_the_table(store: Store, tmp_path: Path) -> None:
    """One scheme under two contracts, on two machines: neither may hide the other."""
    store("one", environment={"device": "cpu"})
    store("one", contract={"beam": 50}, environment={"device": "cuda"})
    first, second = sorted(found.contract_id for found in load(tmp_path))
    said = written(tmp_path)
    assert f"one {first}" in said
    assert f"one {second}" in said
    assert "measured on different machines" in said


def test_baselines_of_one_name_are_told_apart_by_their_contracts(store: Store, tmp_path: Path) -> None:
    store("textual/title", quality=0.4)
    store("textual/title", quality=0.3, contract={"split": "global-temporal"})
    first, second = (
        store("pop", kind="baseline", quality=quality, seed=seed, contract={"split": split}).parent.name
        for quality, seed, split in ((0.2, 0, "leave-one-out"), (0.1, 1, "global-temporal"))
    )
    (chapter,) = chapters(load(tmp_path))
    seen = {note.title: "".join(text for text, _ in note.pieces) for note in chapter.notes}
    assert seen["baselines"].startswith(f"pop {first}, pop {second}: of the contract they share ")
    assert f"; they differ in split=leave-one-out (pop {first}), global-temporal (pop {second}); " in seen["baselines"]
    assert f"pop {first}: 0; pop {second}: 1" in seen["seeds"]
    assert seen["schemes"] == "textual/title@1; pop@1"


def test_what_only_counts_stands_before_what_is_trained(store: Store, tmp_path: Path) -> None:
    store("textual/title", quality=0.5)
    store("sasrec/ce", kind="baseline", quality=0.6)
    for name, quality in (("pop", 0.1), ("markov", 0.2)):
        folder = store(name, kind="baseline", quality=quality)
        stored = json.loads((folder / "result.json").read_text())
        stored["scheme"]["probe"] = True
        (folder / "result.json").write_text(json.dumps(stored))
    (chapter,) = chapters(load(tmp_path))
    heads = [cell.text for cell in chapter.tables[0].head.cells]
    assert heads == ["markov (probe)", "pop (probe)", "textual/title", "sasrec/ce"]
    (note,) = (note for note in chapter.notes if note.title == "probes")
    assert note.text.startswith("markov, pop: rules that only count or draw")


def test_what_the_data_can_measure_stands_in_the_answer_and_the_conditions(store: Store, tmp_path: Path) -> None:
    """As the newest result that holds it says; another holds none."""
    said = {"version": VERSION, "summary": "76 % tied\nin time", "conclusion": "toys: \x1b[31mties."}
    old = {"summary": "old", "conclusion": "old"}
    store("one", audit=old, created="2026-11-20T09:00:00+00:00")
    store("two", audit=said, created="2026-11-22T09:00:00+00:00")
    store("three", created="2026-11-23T09:00:00+00:00")
    (chapter,) = chapters(load(tmp_path))
    assert chapter.answer[-1] == "What the data can tell: 76 % tied in time."
    assert [note.text for note in chapter.notes if note.title == "audit"] == ["toys:  [31mties."]
    assert "76 % tied in time" in markdown([chapter])


def test_an_audit_by_other_code_is_called_so(store: Store, tmp_path: Path) -> None:
    store("one", audit={"version": VERSION - 1, "summary": "76 % tied", "conclusion": "Toys ties."})
    (chapter,) = chapters(load(tmp_path))
    notes = [note.text for note in chapter.notes if note.title == "audit"]
    notes.append(chapter.answer[-1].removesuffix("."))
    assert all(
        text.endswith(" (an audit by other code than the present, which may count otherwise: see bench data audit)")
        for text in notes
    )
    assert len(notes) == 2
