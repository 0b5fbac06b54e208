"""In Python as on the command line: the same words, the same runs, and objects that a notebook shows."""

from __future__ import annotations

import inspect
import json
import pkgutil
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from html5lib import HTMLParser

import bench as package
from bench.commands import run as command
from bench.commands import run_file
from bench.errors import BenchError

Call = Callable[..., SimpleNamespace]


NOTEBOOK = """
import bench
lines = {{"backbone": {tiny!r}, "epochs": 2}}
runs = bench.run("numeric", dataset={folder!r}, preset="smoke", set=lines, results={results!r})
"""


@pytest.fixture(scope="module")
def runs(toy_folder: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> package.api.Runs:
    return package.run(
        "numeric",
        ["pop", "random"],
        [str(toy_folder)],
        seed=range(2),
        preset="smoke",
        set={"backbone": tiny, "batch_size": 16, "epochs": 2, "numeric": {"first": 7}},
        results=tmp_path_factory.mktemp("api") / "results",
    )


def test_runs_are_those_of_the_command_line(
    runs: package.api.Runs, bench: Call, toy_folder: Path, tiny: Path, tmp_path: Path, substance: Callable[[Path], Any]
) -> None:
    words = f"run --id-scheme numeric --dataset {toy_folder} --seed 1 --preset smoke --set backbone={tiny}"
    more = "--set batch_size=16 --set epochs=2 --set numeric.first=7 --results"
    assert bench(*words.split(), *more.split(), tmp_path).code == 0
    (theirs,) = (path.parent for path in tmp_path.glob("runs/*/*/*/*/result.json"))
    mine = runs.results / theirs.relative_to(tmp_path)
    assert mine in runs.folders
    assert substance(mine) == substance(theirs)


def test_a_result_says_the_command_that_repeats_it(runs: package.api.Runs) -> None:
    said = json.loads((runs.folders[0] / "result.json").read_text())["environment"]["command"]
    words = shlex.split(said)
    assert words[:4] == ["bench", "run", "--id-scheme", "numeric"]
    assert words[words.index("--seed") + 1] == "0,1"
    assert "numeric.first=7" in words


def test_a_table_of_runs_shows_in_text_and_in_a_notebook(runs: package.api.Runs) -> None:
    assert "6 finished runs in" in repr(runs)
    for shown in (repr(runs), runs._repr_html_()):
        assert all(word in shown for word in ("NDCG@10", "mean nothing", "numeric/sequential", "pop (probe)"))
    parser = HTMLParser(strict=True)
    parser.parseFragment(runs._repr_html_())
    assert sorted(runs.frame()["scheme"]) == sorted(["numeric/sequential", "pop", "random"] * 2)


def test_results_are_a_frame_with_a_line_for_each_run(runs: package.api.Runs, bench: Call, tmp_path: Path) -> None:
    found = package.read_results(runs.results)
    bench("report", "--results", runs.results, "--out", tmp_path / "r.md", "--csv", tmp_path / "runs.parquet")
    both = (
        frame.astype(object).where(frame.notna(), None) for frame in (found, pd.read_parquet(tmp_path / "runs.parquet"))
    )
    pd.testing.assert_frame_equal(*both)


def test_two_runs_are_compared_as_on_the_command_line(runs: package.api.Runs, bench: Call) -> None:
    found = package.compare("numeric", "pop", runs.results)
    said = bench("compare", "numeric", "pop", "--json", "--results", runs.results).out
    assert json.loads(json.dumps(found.values)) == json.loads(said)
    assert "relative difference" in repr(found)
    HTMLParser(strict=True).parseFragment(found._repr_html_())


def test_a_report_is_written_and_not_printed(
    runs: package.api.Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = {"out": tmp_path / "r.md", "csv": tmp_path / "r.csv", "request": tmp_path / "again.toml"}
    written = package.write_report(runs.results, dataset="toy", **paths)
    assert written == tmp_path / "r.md"
    assert "pop" in written.read_text()
    assert len((tmp_path / "r.csv").read_text().splitlines()) == 7
    assert "numeric/sequential" in (tmp_path / "again.toml").read_text()
    assert capsys.readouterr().out == ""
    with pytest.raises(BenchError, match="unknown file of a report 'htm'; did you mean 'html'"):
        package.write_report(runs.results, htm="r.html")


def test_load_refuses_a_name_that_could_be_several_as_the_command_line_does(
    runs: package.api.Runs, bench: Call, toy_folder: Path
) -> None:
    package.run(baseline="pop", dataset=str(toy_folder), set=["max_history=3"], results=runs.results)
    said = bench("recommend", "pop", "--history", "", "--results", runs.results)
    with pytest.raises(BenchError, match="'pop' could be any of 2 runs") as refused:
        package.load("pop", runs.results)
    assert said.err == f"bench: {refused.value}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({}, "nothing to run: "),
        ({"baseline": "pop", "seed": -1}, "--seed takes whole numbers"),
        ({"baseline": "pop", "jobs": 0}, "bench.run: jobs must be 1 or more; got 0"),
        ({"baseline": "popp"}, "unknown baseline 'popp'; did you mean 'pop'?"),
        ({"baseline": "pop", "set": {"epoch": 3}}, "unknown setting 'epoch'"),
    ],
)
def test_what_is_wrong_is_the_same_line(words: dict[str, Any], said: str, toy_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BenchError) as refused:
        package.run(dataset=str(toy_folder), results=tmp_path, **words)
    assert str(refused.value).startswith(said)


def test_every_option_of_a_request_has_its_word() -> None:
    own = {name.replace("_", "-") for name in inspect.signature(package.run).parameters}
    assert own == run_file.options_of(command.run).keys() - {"slurm", "log-times"}  # which are of a terminal


def test_no_function_has_the_name_of_a_module() -> None:
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    assert not modules & {*package.__all__}
    for name in package.__all__:
        assert getattr(package, name) is not None


def test_import_bench_imports_nothing_heavy() -> None:
    code = "import sys, bench; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "pandas", "numpy", "typer", "rich", "scipy", "matplotlib"} & {*done.stdout.split()}


def test_a_real_notebook_shows_a_bar_and_a_table(toy_folder: Path, tiny: Path, tmp_path: Path) -> None:
    """Where Jupyter is installed: its kernel, its messages."""
    for needed in ("ipykernel", "ipywidgets", "nbclient"):
        pytest.importorskip(needed, reason=f"no {needed}; a notebook needs it")
    import nbformat
    from nbclient import NotebookClient

    code = NOTEBOOK.format(folder=str(toy_folder), tiny=str(tiny), results=str(tmp_path))
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in (code, "runs")])
    client = NotebookClient(book, timeout=120, kernel_name="python3")
    client.execute()
    widgets = {kind for model in client.widget_state.values() if (kind := model.get("_model_name"))}
    assert "OutputModel" in widgets  # in which the bar is drawn
    (shown,) = (output for output in book.cells[1].outputs if output.output_type == "execute_result")
    assert "<table>" in shown["data"]["text/html"]
