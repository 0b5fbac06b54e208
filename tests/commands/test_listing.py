"""`bench ls`: what can be run and what is finished, without waiting for torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.text import Text

from bench.commands.listing import _colored, _offered, finished
from bench.errors import BenchError
from bench.results import leases, store
from bench.runs.subjects import load_scheme

Bench = Callable[..., SimpleNamespace]


def test_all_that_can_be_named_is_listed(
    bench: Bench, toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "toys").mkdir()
    (tmp_path / "toys" / "toys.inter").touch()
    said = bench("ls", "--results", tmp_path, "--data-dir", tmp_path)
    assert said.code == 0
    rows = {line.split()[0]: line for line in said.out.splitlines() if line.strip()}
    assert {"numeric", "numeric/random", "textual/title", "pop", "random", "smoke", "cpu", "standard"} <= rows.keys()
    assert "the same as numeric/sequential" in rows["numeric"]
    assert "the same as textual/idgenrec" in rows["textual"]
    assert "Salient words of the item's text" in rows["textual/title"]
    assert "the same as sasrec/ce" in rows["sasrec"]
    assert str(tmp_path / "toys") in rows["toys"]
    assert f"not here: bench data get beauty --data-dir {tmp_path} (Amazon 2014 reviews" in rows["beauty"]
    assert "none yet" in said.out
    assert "identifiers that exist already" in rows["file:PATH"]

    run = ["run", "--baseline", "pop", "--preset", "smoke", "--dataset", toy_folder, "--results", tmp_path]
    assert bench(*run).code == 0
    assert "toy/pop@1/" in bench("ls", "--results", tmp_path, "--data-dir", tmp_path).out


def test_data_sets_of_one_s_own_are_listed(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "clicks.csv").write_text("user,item,time\n" + "".join(f"u,i{at},{at}\n" for at in range(9)))
    data = tmp_path / "data"
    assert bench("data", "import", tmp_path / "clicks.csv", "--name", "shop", "--data-dir", data).code == 0
    rows = {line.split()[0]: line for line in bench("ls", "--data-dir", data).out.splitlines() if line.strip()}
    assert str(data / "shop") in rows["shop"]
    listed = json.loads(bench("ls", "--data-dir", data, "--json").out)["datasets"]
    assert {"name": "shop", "folder": str(data / "shop"), "description": "your own"} in listed


def test_the_same_as_json(bench: Bench, toy_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "toys.inter").touch()
    run = ["run", "--baseline", "pop", "--preset", "smoke", "--dataset", toy_folder, "--results", tmp_path]
    assert bench(*run).code == 0
    found = json.loads(bench("ls", "--results", tmp_path, "--data-dir", tmp_path, "--json").out)
    names = ["id_schemes", "baselines", "datasets", "offered_datasets", "recipes", "presets", "finished", "unfinished"]
    assert list(found) == names
    assert {"name": "published", "of": found["recipes"][0]["of"]} in found["recipes"]
    assert "textual/idgenrec" in found["recipes"][0]["of"]
    plain = {"problem": None, "lacks": None}
    title, pop = (
        next(each for each in found[kind] if each["name"] == name)
        for kind, name in (("id_schemes", "textual/title"), ("baselines", "pop"))
    )
    assert title.pop("description").startswith("Salient words of the item's text")
    assert pop.pop("description") == "Every user gets the items with the most training interactions"
    assert title == {"name": "textual/title", "is": "textual_ids:Title", **plain}
    assert pop == {"name": "pop", "is": "trivial_baselines:Popularity", **plain}
    folders = {line["name"]: line["folder"] for line in found["datasets"]}
    assert (folders["toys"], folders["beauty"]) == (str(tmp_path), None)
    assert [line["name"] for line in found["presets"]] == ["smoke", "cpu", "overnight", "standard"]
    (run,) = found["finished"]
    assert (Path(run["folder"]) / "result.json").is_file()
    assert (run["model"], run["problem"]) == (None, None)


@pytest.mark.parametrize(("name", "said"), [("result.json", "is corrupt"), ("per_user.parquet", "is missing beside")])
def test_a_broken_run_is_marked(
    bench: Bench,
    toy_folder: Path,
    run_folders: Callable[[Path], list[Path]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    said: str,
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    words = ["--preset", "smoke", "--dataset", toy_folder, "--results", tmp_path]
    assert bench("run", "--baseline", "pop,random", *words).code == 0
    healthy, lost = run_folders(tmp_path)
    (lost / name).write_text("{") if name == "result.json" else (lost / name).unlink()
    problem = f"broken: '{lost / name}' {said}"
    listed = bench("ls", "--results", tmp_path)
    assert listed.code == 0
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in listed.out.splitlines() if line.strip()}
    assert rows[str(lost.relative_to(tmp_path / "runs"))].startswith(problem)
    assert rows[str(healthy.relative_to(tmp_path / "runs"))] == ""
    found = {
        line["folder"]: line["problem"]
        for line in json.loads(bench("ls", "--results", tmp_path, "--json").out)["finished"]
    }
    assert found[str(healthy)] is None
    assert (found[str(lost)] or "").startswith(problem)


def put(site: Path, package: str, source: str, entry_points: str) -> None:
    """What pip leaves behind, as far as entry points go."""
    (site / f"{package}.py").write_text(source)
    metadata = site / f"{package}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(entry_points)


def test_what_is_broken_is_shown_and_hurts_nobody_else(
    bench: Bench,
    quick: list[str],
    run_folders: Callable[[Path], list[Path]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("COLUMNS", "250")
    put(site, "ls_one", "import ls_absent\nMine = 1", "[bench.id_schemes]\none = ls_one:Mine\nboth = ls_one:Mine\n")
    put(site, "ls_two", "1 / 0\nfolder = None", "[bench.id_schemes]\nboth = ls_two:folder\n[bench.datasets]\n")
    put(site, "ls_three", "Mine = 1 / 0", "[bench.baselines]\nthree = ls_three:Mine\n")
    put(site, "ls_five", "", "[bench.baselines]\ngone = ls_absent:Mine\n")
    put(site, "ls_four", "def folder(): ...", "[bench.datasets]\ntoys = ls_four:folder\nshop = ls_four:folder\n")

    def rows(*options: str) -> dict[str, str]:
        said = bench("ls", "--results", tmp_path, *options)
        assert said.code == 0
        return {line.split()[0]: " ".join(line.split()[1:]) for line in said.out.splitlines() if line.strip()}

    seen = rows()
    assert seen["textual/title"].startswith("Salient words of the item's text")
    assert seen["one"] == "ls_one:Mine"  # it looks well: what only its import shows, --check finds
    assert seen["both"].startswith("conflict: ls_one:Mine of package ls_one and ls_two:folder of package ls_two both")
    assert seen["three"] == "ls_three:Mine"  # it looks well
    assert seen["shop"] == "ls_four:folder"
    assert seen["toys"].startswith("conflict: 'toys' of package ls_four (ls_four:folder) has the name of a data set")
    assert not {"ls_one", "ls_two", "ls_three", "ls_four"} & sys.modules.keys()
    checked = rows("--check")
    assert "three' of package ls_three (ls_three:Mine) can't be loaded: ZeroDivisionError" in checked["three"]
    assert "No module named 'ls_absent'" in checked["one"]
    gone = "broken: 'gone' of package ls_five (ls_absent:Mine): there is no module 'ls_absent'"
    assert checked["gone"] == seen["gone"] == gone

    said = bench("run", "--baseline", "three", *quick, "--results", tmp_path)
    assert (said.code, said.err.count("ZeroDivisionError")) == (1, 1)
    assert bench("run", "--baseline", "pop", *quick, "--results", tmp_path).code == 0
    assert len(run_folders(tmp_path)) == 1


def test_unfinished_runs_are_listed_as_what_they_are(bench: Bench, tmp_path: Path) -> None:
    home = tmp_path / "runs" / "toys" / "pop@1" / "abc"
    (home / ".1.partial-3").mkdir(parents=True)
    (home / ".2.partial").mkdir()
    store.note_failure(home / "3", BenchError("it divides by [zero]"))
    with leases.held(home / "2", lambda: "train: 3 of 9"):
        listed = json.loads(bench("ls", "--results", tmp_path, "--json").out)["unfinished"]
        said = bench("ls", "--results", tmp_path).out
    assert [(Path(run["folder"]).name, run["state"]) for run in listed] == [
        ("1", "interrupted"),
        ("2", "running"),
        ("3", "failed"),
    ]
    assert listed[0]["note"] == "rerun to resume"
    assert listed[1]["note"].startswith(f"process {os.getpid()} on ")
    assert listed[2]["note"] == "it divides by [zero]"
    assert f"other runs in {tmp_path}" in said
    assert "failed: it divides by [zero]" in " ".join(said.split())
    assert [run["state"] for run in json.loads(bench("ls", "--results", tmp_path, "--json").out)["unfinished"]] == [
        "interrupted",
        "interrupted",
        "failed",
    ]


def test_unfinished_runs_are_not_listed_as_finished(tmp_path: Path) -> None:
    for name in ("1", ".2.partial", ".3.old"):
        folder = tmp_path / "runs" / "toys" / "pop@1" / "abc" / name
        folder.mkdir(parents=True)
        (folder / "result.json").touch()
    (tmp_path / "runs" / "toys" / "pop@1" / "abc" / "4").mkdir()
    assert finished(tmp_path) == [Path("toys/pop@1/abc/1")]
    assert finished(tmp_path / "missing") == []


def test_listing_imports_neither_torch_nor_a_plugin(tmp_path: Path) -> None:
    code = (
        "import sys; from bench.cli import main\n"
        f"sys.argv = ['bench', 'ls', '--results', {str(tmp_path)!r}]\n"
        "try: main()\n"
        "except SystemExit as stop: assert not stop.code\n"
        "heavy = {'torch', 'transformers', 'pandas', 'sklearn', 'textual_ids', 'numeric_ids', 'trivial_baselines'}\n"
        "heavy |= {'recbole', 'recbole_baselines'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "textual/title" in done.stdout


def test_words_of_a_plugin_are_not_painted_as_a_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    source = 'class Mine:\n    """broken: [red]nothing[/red] is."""\n'
    put(site, "ls_six", source, "[bench.id_schemes]\nsix = ls_six:Mine\nseven = ls_absent:Mine\n")
    found = dict(_offered("bench.id_schemes", load_scheme, check=False))
    assert isinstance(found["six"], Text)
    assert (found["six"].plain, found["six"].style) == ("broken: [red]nothing[/red] is", "")
    assert _colored(str(found["seven"])).style == "red"
