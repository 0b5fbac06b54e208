"""The command line: quick to help, one line for a mistake, and exit codes that a script can read."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import cli
from bench.errors import BenchError
from bench.runs import matrix
from bench.runs.matrix import Plan

Bench = Callable[..., SimpleNamespace]


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """What `bench run` would have done."""
    plans: list[Plan] = []
    monkeypatch.setattr(matrix, "execute", lambda plan, noted: plans.append(plan))
    return plans


def test_imports_of_a_command_are_not_held_up_by_looks_for_garbage(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[int] = []
    monkeypatch.setattr(cli, "app", lambda: found.append(gc.get_threshold()[0]))
    before = gc.get_threshold()
    try:
        for own in (700, 50_000):  # who asks for fewer looks has them
            gc.set_threshold(own)
            assert bench("ls").code == 0
    finally:
        gc.set_threshold(*before)
    assert found == [cli.OBJECTS, 50_000]
    assert cli.OBJECTS > 5_000


def test_every_option_reaches_the_plan(bench: Bench, planned: list[Plan]) -> None:
    words = "run --id-scheme textual,numeric/random --baseline pop --dataset toys,./mine --seed 0,7 --preset smoke"
    more = "--set epochs=3 --set textual.words=5 --decoder exact --force --keep-going --results there --data-dir here"
    said = bench(*words.split(), *more.split(), "--zero-shot", "sports,yelp", "--adapt", "100,0")
    assert said.code == 0
    assert said.err == "Now: bench report --results there\n"
    assert planned == [
        Plan(
            schemes=["textual", "numeric/random"],
            baselines=["pop"],
            datasets=["toys", "./mine"],
            seeds=[0, 7],
            preset="smoke",
            overrides=["epochs=3", "textual.words=5", "decoder=exact"],
            results=Path("there"),
            data_dir=Path("here"),
            force=True,
            keep_going=True,
            tuned=[],
            zero_shot=["sports", "yelp"],
            adapt=(0, 100),
        )
    ]


def test_the_version(bench: Bench) -> None:
    from bench import __version__

    said = bench("--version")
    assert (said.code, said.out) == (0, f"bench {__version__}\n")


def test_what_is_not_said_has_a_default(bench: Bench, planned: list[Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    assert bench("run", "--id-scheme", "textual").err == "Now: bench report\n"
    assert planned == [Plan(["textual"], [], ["ml-100k"], [0], overrides=[], tuned=[], zero_shot=[])]
    monkeypatch.setenv("BENCH_RESULTS", "from/environment")
    monkeypatch.setenv("BENCH_DATA_DIR", "data/of/mine")
    bench("run", "--id-scheme", " textual , ,numeric")
    assert (planned[1].results, planned[1].data_dir) == (Path("from/environment"), Path("data/of/mine"))
    assert planned[1].schemes == ["textual", "numeric"]


def test_a_path_may_have_commas(bench: Bench, planned: list[Plan], tmp_path: Path) -> None:
    path = tmp_path / "sentence-t5-base_OPQ4,IVF1,PQ4x8.sem_ids"  # as published
    path.touch()
    assert bench("run", "--id-scheme", f"numeric,file:{path},file:absent.json,pop").code == 0
    assert planned[0].schemes == ["numeric", f"file:{path}", "file:absent.json", "pop"]


def test_only_the_main_process_says_what_is_next(
    bench: Bench, planned: list[Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    assert bench("run", "--id-scheme", "textual").err == ""


@pytest.mark.parametrize("seeds", ["one", "1.5", "", ",", "-1", "0,-1", "3-1"])
def test_seeds_are_whole_numbers(bench: Bench, planned: list[Plan], seeds: str) -> None:
    said = bench("run", "--id-scheme", "textual", f"--seed={seeds}")
    assert said.code == 1
    assert said.err.startswith("bench: --seed takes ")
    assert said.err.endswith(f"; got '{seeds}'\n")
    assert not planned


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["runn"], "No such command 'runn'"),
        (["run", "--epochs", "3"], "No such option: --epochs"),
        (["run", "--seed"], "requires an argument"),
        (["data", "info"], "Missing argument"),
    ],
)
def test_a_misused_command_is_exit_code_2(bench: Bench, words: list[str], said: str) -> None:
    found = bench(*words)
    assert found.code == 2
    assert said in found.err
    assert "Traceback" not in found.err


def test_an_error_is_one_line_and_with_debug_a_traceback(bench: Bench) -> None:
    words = ["run", "--id-scheme", "textul"]
    said = bench(*words)
    assert said.code == 1
    assert said.err.startswith("bench: unknown identifier scheme 'textul'; did you mean 'textual'? known: ")
    assert said.err.count("\n") == 1
    with pytest.raises(BenchError):
        bench("--debug", *words)
    with pytest.raises(BenchError):
        bench(*words, "--debug")
    done = subprocess.run([sys.executable, "-m", "bench", *words, "--debug"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr


@pytest.mark.parametrize("words", [["run", "--id-scheme", "textual"], ["run", "--id-scheme", "textual", "--debug"]])
def test_ctrl_c_anywhere_is_130_and_says_how_to_go_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(matrix, "execute", interrupted)
    said = bench(*words)
    assert (said.code, said.err) == (130, "\nbench: interrupted; rerun to resume\n")


def test_help_is_there_for_every_command(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    top = bench("--help")
    assert top.code == 0
    assert all(command in top.out for command in ("run", "report", "compare", "ls", "data", "ids"))
    examples = {
        ("run",): "bench run --id-scheme textual",
        ("report",): "bench report --dataset toys",
        ("compare",): "bench compare textual numeric/random",
        ("ls",): "bench ls --data-dir",
        ("data", "info"): "bench data info ml-100k",
        ("ids", "show"): "bench ids show semantic/rqvae",
        ("ids", "export"): "bench ids export semantic/rqkmeans --dataset toys --out toys.index.json",
        ("recommend",): "bench recommend textual --dataset ml-100k --history 50,181,172",
    }
    for command, example in examples.items():
        said = bench(*command, "--help")
        assert said.code == 0
        assert example in said.out


def test_help_says_what_is_done_with_the_history_by_default(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert "Exclude the history; by default as in the test" in bench("recommend", "--help").out


def test_help_waits_for_nothing_heavy() -> None:
    code = (
        "import sys; from bench.cli import main\n"
        "sys.argv = ['bench', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'pandas', 'numpy', 'accelerate', 'sklearn', 'matplotlib', 'tokenizers'}\n"
        "heavy |= {'faiss', 'sentence_transformers'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_data_info_prints_the_statistics_papers_print(bench: Bench, toy_folder: Path) -> None:
    said = bench("data", "info", toy_folder)
    assert said.code == 0
    rows = dict(line.strip().rsplit(maxsplit=1) for line in said.out.splitlines() if line.strip() != "toy")
    assert {rows["users"], rows["items"]} == {"40", "30"}


def test_data_info_of_real_toys(bench: Bench, real_data: Path) -> None:
    said = bench("data", "info", "toys", "--data-dir", real_data)
    assert said.code == 0
    for count in ("19,412", "11,924", "167,597"):
        assert count in said.out


def test_a_report_is_printed_and_written(bench: Bench, toy_folder: Path, tmp_path: Path) -> None:
    run = ["run", "--baseline", "pop,random", "--preset", "smoke", "--dataset", toy_folder, "--results", tmp_path]
    assert bench(*run).code == 0
    said = bench("report", "--results", tmp_path, "--csv", tmp_path / "cells.csv")
    assert said.code == 0
    assert "pop" in said.out
    report = (tmp_path / "report.md").read_text()
    assert "| pop" in report or "pop |" in report
    assert len((tmp_path / "cells.csv").read_text().splitlines()) == 3
    more = ["--out", tmp_path / "other.md", "--request", tmp_path / "again.toml"]
    assert bench("report", "--results", tmp_path, *more).code == 0
    assert 'baseline = ["pop", "random"]' in (tmp_path / "again.toml").read_text()
    assert (tmp_path / "other.md").read_text() == report


def test_a_page_and_pictures_are_written_where_asked(bench: Bench, toy_folder: Path, tmp_path: Path) -> None:
    run = ["run", "--baseline", "pop", "--preset", "smoke", "--dataset", toy_folder, "--results", tmp_path]
    assert bench(*run).code == 0
    page, pictures, one = tmp_path / "site" / "page.html", tmp_path / "pictures", tmp_path / "cost.svg"
    asked = ["--html", page, "--figures", pictures, "--cost-figure", one]
    said = bench("report", "--results", tmp_path, *asked)
    assert said.code == 0
    assert "pop" in page.read_text()
    assert {path.name for path in pictures.iterdir()} >= {"quality.svg", "quality.png", "slices.svg"}
    assert one.read_text().startswith("<?xml")
    assert all(path.name in " ".join(said.err.split()) for path in (page, one))
    said = bench("report", "--results", tmp_path, "--html", page / "below.html")
    assert said.code == 1
    assert "cannot write" in said.err


def test_what_is_wrong_with_a_request_is_said_by_one_rank(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bench("run", "--id-scheme", "textuall").err.startswith("bench: unknown identifier scheme 'textuall'")
    monkeypatch.setenv("RANK", "1")
    said = bench("run", "--id-scheme", "textuall")
    assert (said.code, said.err) == (1, "")
