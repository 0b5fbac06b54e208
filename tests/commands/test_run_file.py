"""A request as a file: the same plan as by options, overridden by them, and one line for what is wrong with it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import toml
from bench.commands import data_get
from bench.data.dataset import Dataset
from bench.data.formats import write_atomic
from bench.runs import matrix
from bench.runs.matrix import Plan

Bench = Callable[..., SimpleNamespace]

NOTES = ("without effect on pop: ", "no --preset given: ", "toy: ")
REQUEST = """
id-scheme = ["textual", "numeric/random"]
baseline = "pop"
dataset = "./toys"
seed = "0-2"
preset = "smoke"
jobs = 3
force = true
results = "there"
zero-shot = ["./sports", "./yelp"]
adapt = [0, 100]

[set]
epochs = 3
split = "global-temporal"
textual.words = 6
"semantic/rqvae".rank_by_fields = ["title", "brand"]
"""


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    plans: list[Plan] = []
    monkeypatch.setattr(matrix, "execute", lambda plan, noted: plans.append(plan))
    return plans


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "request.toml"
    path.write_text(REQUEST)
    return path


def plan(bench: Bench, planned: list[Plan], *words: object) -> Plan:
    said = bench("run", *words)
    assert said.code == 0, said.err
    found = planned.pop()
    return replace(found, overrides=sorted(found.overrides))


def test_a_file_asks_for_what_options_ask_for(bench: Bench, planned: list[Plan], file: Path) -> None:
    by_options = (
        "--id-scheme textual,numeric/random --baseline pop --dataset ./toys --seed 0,1,2 --preset smoke --jobs 3"
    )
    more = (
        "--force --results there --zero-shot ./sports,./yelp --adapt 0,100 --set epochs=3 --set split=global-temporal"
    )
    last = ["--set", "textual.words=6", "--set", "semantic/rqvae.rank_by_fields=title,brand"]
    asked = plan(bench, planned, *by_options.split(), *more.split(), *last)
    assert plan(bench, planned, "--config", file) == asked


def test_the_command_line_takes_the_place_of_the_file(bench: Bench, planned: list[Plan], file: Path) -> None:
    words = ["--seed", "7", "--results", "here", "--split", "leave-one-out", "--set", "textual.words=2", "--jobs", "1"]
    of_file, found = plan(bench, planned, "--config", file), plan(bench, planned, "--config", file, *words)
    assert (found.seeds, found.results, found.jobs) == ([7], Path("here"), 1)
    assert sorted(found.overrides) == sorted(
        ["epochs=3", "semantic/rqvae.rank_by_fields=title,brand", "textual.words=2", "split=leave-one-out"]
    )
    assert (found.schemes, found.zero_shot, found.force) == (of_file.schemes, of_file.zero_shot, True)
    budgeted = plan(bench, planned, "--config", file, "--budget", "30m").overrides
    assert set(budgeted) ^ set(of_file.overrides) == {"epochs=3", "budget=30m"}


def test_what_is_default_in_the_environment_is_no_more_than_a_default(
    bench: Bench, planned: list[Plan], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_RESULTS", "elsewhere")
    assert plan(bench, planned, "--config", file).results == Path("there")


def test_one_file_may_hold_several_requests(bench: Bench, planned: list[Plan], toy: Dataset, tmp_path: Path) -> None:
    for name in ("toys", "beauty"):
        write_atomic(replace(toy, name=name), tmp_path / "data" / name)
    path = tmp_path / "both.toml"
    path.write_text(
        'dataset = "toys"\nset = { epochs = 3 }\n[[request]]\nbaseline = "pop"\nset = { max_history = 5 }\n'
        '[[request]]\nid-scheme = "textual"\ndataset = "beauty"\nset.epochs = 4\n'
    )
    assert bench("run", "--config", path, "--seed", "3", "--data-dir", tmp_path / "data").code == 0
    one, other = planned
    assert (one.baselines, one.schemes, one.datasets, one.seeds) == (["pop"], [], ["toys"], [3])
    assert (other.baselines, other.schemes, other.datasets, other.seeds) == ([], ["textual"], ["beauty"], [3])
    assert (one.overrides, other.overrides) == (["epochs=3", "max_history=5"], ["epochs=4"])


WORDS = [
    ["--id-scheme", "textual,numeric", "--set", "epochs=3", "--set", "textual.words=6", "--set", "learning_rate=1e-3"],
    ["--baseline", "pop", "--seed", "0-4,9", "--force", "--stop-at-failure", "--save-every", "2.5", "--tune-size"],
    ["--id-scheme", 'file:odd "name".json', "--data-dir", "a b/c", "--budget", "30m@4210", "--keep-going"],
]


@pytest.mark.parametrize("words", WORDS)
def test_a_request_that_is_written_asks_for_the_same(
    bench: Bench, planned: list[Plan], tmp_path: Path, words: list[str]
) -> None:
    path = tmp_path / "mine.toml"
    said = bench("run", *words, "--write-config", path)
    assert (said.code, said.err, planned) == (0, f"Now: bench run --config {path}\n", [])
    assert plan(bench, planned, "--config", path) == plan(bench, planned, *words)
    bench("run", "--config", path, "--write-config", tmp_path / "again.toml")
    assert (tmp_path / "again.toml").read_text() == path.read_text()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("sed = 3", "unknown key in '{}' 'sed'; did you mean 'seed'? known: "),
        ("jobs = 0", "'{}': jobs must be 1 or more; got 0"),
        ('jobs = "many"', "'{}': jobs must be a whole number; got 'many'"),
        ("force = 1", "'{}': force must be true or false; got '1'"),
        ("dataset = [[1]]", "'{}': dataset must be a text, a number, true, false, or a list of texts or numbers; got"),
        ("request = 3", "'{}': request stands for tables, each below a line [[request]]"),
        ("[[request]]\nrequest = 3", "unknown key in '{}' 'request'; did you mean 'preset'? known: "),
        ("config = 'other.toml'", "unknown key in '{}' 'config'; "),
        ("seed = ", "'{}' cannot be read: Invalid value"),
        ("set = 5", "set is a table of settings, or a list of texts such as 'epochs=30'; got 5"),
        ("set = 2020-01-01", "set is a table of settings, or a list of texts such as 'epochs=30'; got 2020-01-01"),
        ("[[request]]\nset = true", "set is a table of settings, or a list of texts such as 'epochs=30'; got True"),
        ('results = ["a", "b"]', "'{}': results must be the name of a file or folder; got ['a', 'b']"),
        ("data-dir = true", "'{}': data-dir must be the name of a file or folder; got True"),
        (r'results = "a\u0000b"', "'{}': results must be the name of a file or folder; got 'a\\x00b'"),
        pytest.param("seed = " + "[" * 100_000, "'{}' cannot be read: ", id="nested without end"),
        pytest.param("seed = " + "9" * 6_000, "'{}' cannot be read: ", id="a number without end"),
        pytest.param("seed = 0x" + "f" * 6_000, "a number is too large; got one of 24,000 bits", id="the same in hex"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(
    bench: Bench, planned: list[Plan], tmp_path: Path, content: str, said: str
) -> None:
    path = tmp_path / "request.toml"
    path.write_text(content)
    found = bench("run", "--config", path)
    assert found.code == 1
    assert found.err.startswith(f"bench: {said.format(path)}")
    assert found.err.count("\n") == 1
    assert not planned
    assert bench("run", "--config", tmp_path / "absent.toml").err.startswith("bench: '")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--id-scheme", "file:a\udcff"], "'file:a\\udcff' is no text in UTF-8"),
        (["--set", "textual=5", "--set", "textual.words=6"], "--set gives 'textual' a value, and settings of its own"),
        (["--set", "textual.words=6", "--set", "textual=5"], "--set gives 'textual' a value, and settings of its own"),
    ],
)
def test_what_no_file_can_say_is_not_written(bench: Bench, tmp_path: Path, words: list[str], said: str) -> None:
    found = bench("run", *words, "--write-config", tmp_path / "mine.toml")
    assert found.code == 1
    assert found.err.startswith(f"bench: {said}")
    assert not list(tmp_path.iterdir())


def test_more_threads_than_can_be_are_refused(bench: Bench, toy_folder: Path, tmp_path: Path) -> None:
    words = ["--baseline", "pop", "--dataset", toy_folder, "--preset", "cpu", "--results", tmp_path]
    found = bench("run", *words, "--threads", "1" + "0" * 20)
    assert (found.code, found.err.count("\n")) == (1, 1)
    assert "the number of threads is a whole number from 1 to 65,536" in found.err


def test_any_text_comes_back_from_toml(tmp_path: Path) -> None:
    path = tmp_path / "any.toml"
    table = {
        "a b": 'quote " and \\ and\n new\tline \x7f \x01 żółw',
        "n": [1, 2.5, True, "x"],
        "t": {"u.v/w": {"deep": -0.001}, "plain": False},
        "many": [{"a": 1, "set": {"x/y": {"z": 2}}}, {"b": []}],
    }
    path.write_text(toml.written(table), encoding="utf-8")
    assert toml.read(path) == table


def test_notes_of_several_requests_are_said_once(
    bench: Callable[..., SimpleNamespace], toy_folder: Path, tiny: Path, tmp_path: Path
) -> None:
    """What is true of the data, the preset or the machine is true of all of them; what a run says of itself is not."""
    lines = f"set = {{ backbone = '{tiny}', epochs = 1, ties = 'presumed' }}"
    path = tmp_path / "request.toml"
    shared = f"dataset = '{toy_folder}'\n{lines}\n"
    path.write_text(f"{shared}[[request]]\nbaseline = 'pop'\n[[request]]\nbaseline = 'pop'\nseed = '1-2'\n")
    said = bench("run", "--config", path, "--results", tmp_path / "results")
    assert said.code == 0, said.err
    notes = [line for line in said.err.splitlines() if line.startswith(NOTES)]
    assert {start for start in NOTES for line in notes if line.startswith(start)} == {*NOTES}
    assert len(notes) == len(set(notes))
    assert said.err.count("finished, stored in") == 3
    again = bench("run", "--config", path, "--results", tmp_path / "results", "--dry-run")
    notes = [line for line in again.err.splitlines() if line.startswith(NOTES)]
    assert notes
    assert len(notes) == len(set(notes))


FAILING = """
from numeric_ids import Sequential

class Failing(Sequential):
    name = "failing"

    def fit(self, train):
        raise ArithmeticError("it divides by zero")
"""


def test_a_request_of_which_a_run_fails_does_not_end_the_others(
    bench: Callable[..., SimpleNamespace], toy_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "failing.py").write_text(FAILING)
    path = tmp_path / "request.toml"
    broken = f"id-scheme = '{tmp_path / 'failing.py'}:Failing'\n"
    shared = f"dataset = '{toy_folder}'\n"
    path.write_text(f"{shared}[[request]]\n{broken}[[request]]\nbaseline = 'pop'\n[[request]]\n{broken}seed = '1'\n")
    given = ["run", "--config", path, "--results", tmp_path / "results"]
    assert bench(*given, "--stop-at-failure").err.count("finished, stored in") == 0
    said = bench(*given)
    assert said.code == 1
    assert said.err.count("finished, stored in") == 1
    last = said.err.splitlines()[-1]
    assert last.startswith("bench: 1 of 1 failed, none is stored: failing on toy, seed 0 (")
    assert "; 1 of 1 failed, none is stored: failing on toy, seed 1 (" in last


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("baseline = 'pop'\nset = ['beam_width=10']", "setting 'beam_width' must be 20 or more"),
        ("baseline = 'popp'", "unknown baseline 'popp'"),
        ("id-scheme = 'numeric/random'\nset = ['numeric.digits=x']", "digits"),
        ("baseline = 'pop'\ndataset = 'nowhere'", "unknown data set 'nowhere'"),
        ("baseline = 'pop'\nzero-shot = 'nowhere'", "unknown data set 'nowhere'"),
    ],
)
@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_a_later_request_that_is_wrong_is_refused_before_the_first_begins(
    bench: Callable[..., SimpleNamespace], toy_folder: Path, tmp_path: Path, wrong: str, said: str, options: list[str]
) -> None:
    path, results = tmp_path / "request.toml", tmp_path / "results"
    first = f"[[request]]\nbaseline = 'pop'\ndataset = '{toy_folder}'\n"
    data = "" if "dataset" in wrong else f"dataset = '{toy_folder}'\n"
    path.write_text(f"{first}[[request]]\n{data}{wrong}\n")
    found = bench("run", "--config", path, "--results", results, *options)
    assert found.code == 1
    assert found.err.splitlines()[-1].startswith("bench: request 2 of 2: ")
    assert said in found.err.splitlines()[-1]
    assert "finished" not in found.err
    assert not list(results.rglob("result.json"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("baseline = 'pop'\nslurm = 'gpus=x'", "gpus"),
        ("baseline = 'gru4rec'\nzero-shot = '{toy}'", "zero-shot"),
        ("id-scheme = 'numeric/random'\nset = ['backbone=/nowhere']", "/nowhere"),
    ],
)
def test_what_a_later_request_cannot_do_is_found_before_the_first_begins(
    bench: Callable[..., SimpleNamespace], toy_folder: Path, tmp_path: Path, wrong: str, said: str
) -> None:
    path, results = tmp_path / "request.toml", tmp_path / "results"
    shared = f"dataset = '{toy_folder}'\n"
    path.write_text(f"{shared}[[request]]\nbaseline = 'pop'\n[[request]]\n{wrong.format(toy=toy_folder)}\n")
    found = bench("run", "--config", path, "--results", results)
    assert found.code == 1
    assert found.err.splitlines()[-1].startswith("bench: request 2 of 2: ")
    assert said in found.err.splitlines()[-1]
    assert not list(results.rglob("result.json"))


def test_a_request_may_read_what_an_earlier_one_stores(
    bench: Callable[..., SimpleNamespace], toy_folder: Path, tmp_path: Path
) -> None:
    """The folder of a search is known before the search has run; the second request is looked at when it begins."""
    path, results = tmp_path / "request.toml", tmp_path / "results"
    search = f"dataset = '{toy_folder}'\nresults = '{results}'\n[[request]]\nbaseline = 'itemknn'\ntune = 2\n"
    path.write_text(search)
    assert bench("run", "--config", path).code == 0
    (folder,) = (each.parent for each in results.rglob("result.json"))
    shutil.rmtree(results)
    path.write_text(f"{search}[[request]]\nbaseline = 'itemknn'\ntuned = '{folder}'\nseed = '1'\n")
    said = bench("run", "--config", path)
    assert said.code == 0, said.err
    assert len(list(results.rglob("result.json"))) == 2


def test_a_request_that_is_refused_when_it_begins_ends_no_other(
    bench: Callable[..., SimpleNamespace], toy_folder: Path, tmp_path: Path
) -> None:
    path, results = tmp_path / "request.toml", tmp_path / "results"
    shared = f"dataset = '{toy_folder}'\nresults = '{results}'\n[[request]]\nbaseline = 'pop'\n"
    path.write_text(
        f"{shared}[[request]]\nbaseline = 'itemknn'\ntuned = '{results}/nowhere'\n[[request]]\nbaseline = 'random'\n"
    )
    said = bench("run", "--config", path)
    assert said.code == 1
    assert said.err.splitlines()[-1].startswith("bench: request 2 of 3: ")
    assert said.err.count("finished, stored in") == 2
    shutil.rmtree(results)
    stopped = bench("run", "--config", path, "--stop-at-failure")
    assert (stopped.code, stopped.err.count("finished, stored in")) == (1, 1)


def test_nothing_is_downloaded_for_a_file_that_is_wrong(
    bench: Callable[..., SimpleNamespace], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(data_get, "offer", lambda *words: asked.append(words))
    path = tmp_path / "request.toml"
    path.write_text("yes = true\ndataset = 'toys'\n[[request]]\nbaseline = 'pop'\n[[request]]\nbaseline = 'popp'\n")
    said = bench("run", "--config", path, "--data-dir", tmp_path)
    assert said.err.splitlines()[-1].startswith("bench: request 2 of 2: unknown baseline 'popp'")
    assert not asked
