"""Whatever is wrong with what a user gives is one clear line: what was asked, what was got, what is possible."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.runs import matrix, prepared

Bench = Callable[..., SimpleNamespace]
Refused = Callable[..., str]
HEADER = "user_id:token\titem_id:token\ttimestamp:float"


@pytest.fixture
def refused(bench: Bench) -> Refused:
    """``refused("run", …)`` is the one error line of a command that ends with exit code 1."""

    def call(*words: object) -> str:
        said = bench(*words)
        assert said.code == 1, said
        lines = said.err.splitlines()
        assert [line for line in lines if line.startswith("bench: ")] == lines[-1:]
        assert "Traceback" not in said.err
        return lines[-1].removeprefix("bench: ")

    return call


@pytest.fixture
def data(toy_folder: Path, tmp_path: Path) -> Path:
    """A copy of the toy data to corrupt."""
    return Path(shutil.copytree(toy_folder, tmp_path / "data" / "toy"))


@pytest.fixture
def run(refused: Refused, quick: list[str], data: Path, tmp_path: Path) -> Refused:
    """``run("--id-scheme", "numeric")`` on the copy is refused with this line."""
    return lambda *words: refused("run", *quick, "--dataset", data, "--results", tmp_path / "results", *words)


# -- what is asked for ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--id-scheme textul", "unknown identifier scheme 'textul'; did you mean 'textual'? known: numeric, "),
        ("--baseline popp", "unknown baseline 'popp'; did you mean 'pop'? known: bert4rec, caser, "),
        (
            "--baseline pop --dataset toy",
            "unknown data set 'toy'; did you mean 'toys'? known: beauty, industrial-scientific, ",
        ),
        (
            "--baseline pop --preset smok",
            "unknown preset 'smok'; did you mean 'smoke'? known: cpu, overnight, smoke, standard",
        ),
        (
            "--baseline pop --set epoch=3",
            "unknown setting 'epoch'; did you mean 'epochs'? known: accumulate, adapter, backbone, ",
        ),
        (
            "--id-scheme textual --set textual.word=3",
            "unknown setting of textual/idgenrec 'word'; did you mean 'words'?",
        ),
        ("--id-scheme textual --set textul.words=3", "'textul'; did you mean 'textual'? known: textual"),
        ("--baseline pop --set epochs=three", "setting 'epochs' must be a whole number; got 'three'"),
        ("--baseline pop --set dropout=2", "setting 'dropout' must be at least 0 and below 1; got 2.0"),
        ("--baseline pop --decoder greedy", "setting 'decoder' must be one of beam, certified, exact; got 'greedy'"),
        ("--baseline pop --set epochs", "--set takes key=value; got 'epochs'; keys: "),
        (
            "--baseline pop --seed two",
            "--seed takes whole numbers from 0 to 4,294,967,295, and ranges of them, such as 0-4,7; got 'two'",
        ),
        ("--preset smoke", "nothing to run: name an identifier scheme, e.g. --id-scheme textual"),
        ("--id-scheme ./mine.py", "identifier scheme './mine.py' is a file; name the class in it too: ./mine.py:Class"),
        ("--id-scheme ./missing.py:Mine", "identifier scheme './missing.py:Mine': there is no file './missing.py'"),
    ],
)
def test_unknown_names_and_bad_values(run: Refused, words: str, said: str) -> None:
    assert said in run(*words.split())


@pytest.mark.parametrize("words", ["data info toyss", "run --baseline pop --preset smoke --dataset toyss"])
def test_an_unknown_data_set(refused: Refused, words: str) -> None:
    assert refused(*words.split()).startswith(
        "unknown data set 'toyss'; did you mean 'toys'? known: beauty, industrial-scientific,"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--baseline", "pop", "--preset", ""], "unknown preset ''; known: cpu, overnight, smoke, standard"),
        (["run", "--baseline", "pop", "--budget", ""], "--budget takes an amount such as 30m, or with its steps"),
        (["run", "--baseline", "pop", "--budget", "0"], "a budget is processor time such as 90s, 30m or 2h, or FLOPs"),
        (
            ["run", "--baseline", "pop", "--split", ""],
            "setting 'split' must be one of leave-one-out, global-temporal; ",
        ),
        (["run", "--baseline", "pop", "--decoder", ""], "setting 'decoder' must be one of beam, certified, exact; "),
        (["run", "--id-scheme", "textual/title", "--dataset", ""], "--dataset takes one name or more, separated by "),
        (["run", "--id-scheme", "textual/title", "--dataset", ","], "--dataset takes one name or more, separated by "),
        (["run", "--baseline", "pop", "--zero-shot", " , "], "--zero-shot takes one name or more, separated by "),
        (["run", "--baseline", "pop", "--zero-shot", ""], "--zero-shot takes one name or more, separated by commas; "),
        (["run", "--baseline", "pop", "--id-scheme", ","], "--id-scheme takes one name or more, separated by commas; "),
        (["run", "--baseline", ","], "--baseline takes one name or more, separated by commas; got ','"),
        (["run", "--baseline", "pop", "--dataset", "+"], "a data set has a name or is a folder; got ''"),
        (["ids", "show", "textual", "--dataset", ","], "--dataset takes one name or more, separated by commas; got"),
        (["ids", "export", "textual", "--dataset", " ", "--out", "i.json"], "a data set has a name or is a folder; "),
        (["report", "--dataset", ","], "--dataset takes one name or more, separated by commas; got ','"),
        (["data", "info", ""], "a data set has a name or is a folder; got '' (`bench ls` shows those known)"),
    ],
)
def test_nothing_where_a_name_should_be(
    refused: Refused,
    words: list[str],
    said: str,
    tmp_path: Path,
    toy_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for suffix in ("inter", "item"):
        shutil.copy(toy_folder / f"toy.{suffix}", tmp_path / f"{tmp_path.name}.{suffix}")  # what "" must not find
    monkeypatch.setenv("BENCH_DATA_DIR", str(toy_folder))
    monkeypatch.setattr(matrix, "_has_cuda", lambda: False)
    assert refused(*words).startswith(said)
    assert not (tmp_path / "results").exists()


def test_a_known_data_set_that_is_not_here(refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    line = refused("data", "info", "beauty", "--data-dir", tmp_path)
    assert f"data set 'beauty' (Amazon 2014 reviews, 5-core, Beauty) is not in {tmp_path}, " in line
    assert "--data-dir" in line


# -- backbones --------------------------------------------------------------------------------------------------------


def test_a_hub_model_that_cannot_be_had(run: Refused, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    line = run("--id-scheme", "numeric", "--set", "backbone=no-such/model")
    assert line.startswith("backbone 'no-such/model' is no folder here, and not available from the Hugging Face hub")
    assert "start from scratch with one of: mini, tiger" in line
    assert not list((tmp_path / "results").rglob("result.json"))  # and nothing else was used in its place


def test_backbones_that_are_no_t5(run: Refused, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert", "hidden_size": 8}')
    (tmp_path / "broken.json").write_text("{")
    for backbone, said in {
        "/no/such/folder": "no folder '/no/such/folder' (asked for as backbone)",
        "missing.json": "cannot read the model configuration 'missing.json'",
        str(tmp_path / "broken.json"): "broken.json",
        str(tmp_path / "config.json"): "describes a 'bert' model; bench reads t5, mt5",
        str(tmp_path): "describes a 'bert' model; bench reads t5, mt5",
    }.items():
        assert said in run("--id-scheme", "numeric", "--set", f"backbone={backbone}")


# -- data -------------------------------------------------------------------------------------------------------------


def edit(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text()))


def test_a_catalogue_smaller_than_the_longest_list(run: Refused, data: Path) -> None:
    rows = "".join(f"u{user}\ti{(user + step) % 15:02d}\t{step}\n" for user in range(15) for step in range(5))
    (data / "toy.inter").write_text(f"{HEADER}\n{rows}")
    for subject in (("--id-scheme", "numeric"), ("--baseline", "pop")):
        assert run(*subject) == (
            "at least 20 items are needed for the metrics of the report, which go up to hit@20; the catalogue has only "
            "15"
        )


def test_an_item_without_text(run: Refused, bench: Bench, quick: list[str], data: Path, tmp_path: Path) -> None:
    edit(data / "toy.item", lambda text: text.replace("i07\thappy car\tToys", "i07\t \t"))
    line = run("--id-scheme", "textual", "--set", "missing_text=refuse")
    assert line.startswith("textual identifiers need text for every item: 1 of 30 items have none, the first is 'i07'")
    few = ["--set", "max_steps=1", "--dataset", data, "--results", tmp_path / "results"]
    assert bench("run", "--id-scheme", "numeric", *quick, *few).code == 0  # numbers need no text


def test_no_text_at_all(run: Refused, data: Path) -> None:
    (data / "toy.item").unlink()
    assert "30 of 30 items have none, the first is 'i00'" in run(
        "--id-scheme", "textual", "--set", "missing_text=refuse"
    )


@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        ("semantic/rqkmeans", "text embeddings need text for every item: 30 of 30 items have none"),
        ("semantic/mtgrec", "text embeddings need text for every item: 30 of 30 items have none"),
        ("set/setrec", "text embeddings need text for every item: 30 of 30 items have none"),
        ("set/semantic-only", "text embeddings need text for every item: 30 of 30 items have none"),
        ("semantic/pq --set semantic.fields=title", "unknown text field 'title'; known: none"),
        ("numeric/category", "category identifiers need a column of categories"),
        ("numeric/category+independent", "category identifiers need a column of categories"),
    ],
)
def test_what_a_scheme_needs_is_asked_before_anything_runs(
    run: Refused, data: Path, tmp_path: Path, scheme: str, said: str
) -> None:
    (data / "toy.item").unlink()
    words = f"--id-scheme numeric/random,{scheme} --baseline pop --set missing_text=refuse".split()
    assert run(*words).startswith(said)
    assert not (tmp_path / "results").exists()


def test_all_leaves_out_by_name_what_needs_text_or_categories(
    bench: Bench, quick: list[str], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data / "toy.item").unlink()
    begun: list[str] = []

    def noted(request: Any, *_: Any) -> Path:
        begun.append(request.subject.name)
        return tmp_path / "results" / "runs" / "toy" / "another" / "0" / "0"

    monkeypatch.setattr(prepared, "run", noted)  # which takes its time
    words = ["--id-scheme", "all", *quick, "--dataset", data, "--results", tmp_path / "results"]
    said = bench("run", *words, "--set", "missing_text=refuse")
    assert said.code == 0, said.err
    left = [line for line in said.err.splitlines() if line.startswith("skipped in 'all' on toy: ")]
    named = [line.removeprefix("skipped in 'all' on toy: ").partition(": ")[0].split(", ") for line in left]
    assert sorted(map(len, named)) == [2, 5, 16], left  # for want of categories, of words, of text to embed
    assert ["numeric/category", "numeric/category+independent"] in named
    assert {*begun} == {
        *("numeric/sequential", "numeric/random", "numeric/p5-leak", "numeric/collaborative", "numeric/independent"),
        *("numeric/collaborative+independent", "set/cf-only"),
    }


@pytest.mark.parametrize("suffix", ["inter", "item"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty; expected a header with "),
        (f"{HEADER}\nu1\tcaf\xe9\t1\n".encode("latin-1"), "is not UTF-8 at byte 50 (0xe9); save it as UTF-8"),
        (f"{HEADER}\nu1\ti1\t1\n".encode("utf-16"), "is not UTF-8 at byte 0"),
        (f"{HEADER}\nu1\ti1\n".encode(), "line 2: 2 cells where the header has 3"),
        (HEADER.encode(), "line 1: a header and no rows"),
    ],
)
def test_a_file_that_cannot_be_read(run: Refused, data: Path, suffix: str, content: bytes, said: str) -> None:
    path = data / f"toy.{suffix}"
    path.write_bytes(content)
    line = run("--baseline", "pop")
    assert line.startswith(str(path))
    assert said in line


def test_an_item_with_two_rows(run: Refused, data: Path) -> None:
    edit(data / "toy.item", lambda text: text + "i03\tanother\tToys\n")
    line = run("--baseline", "pop")
    assert line == f"{data / 'toy.item'}: item_id 'i03' stands on lines 5, 32; every item needs exactly one"


def test_a_missing_and_a_misnamed_column(run: Refused, data: Path) -> None:
    edit(data / "toy.inter", lambda text: text.replace("timestamp", "timestmp", 1))
    line = run("--baseline", "pop")
    assert line.startswith(
        "'toy.inter' has no column that is clearly the time stamp; is 'timestmp:float' meant? Name it "
    )
    edit(data / "toy.inter", lambda text: text.replace("item_id", "thing", 1))
    assert "no column of items among user_id:token, thing:token, timestmp:float; name" in run("--baseline", "pop")
    edit(data / "toy.item", lambda text: text.replace("item_id", "thing", 1))
    edit(data / "toy.inter", lambda text: text.replace("thing", "item_id", 1).replace("timestmp", "timestamp", 1))
    assert "line 1: no column 'item_id'; got thing:token" in run("--baseline", "pop")


def test_a_user_with_two_interactions_trains_and_is_not_tested(
    bench: Bench, quick: list[str], refused: Refused, data: Path, tmp_path: Path
) -> None:
    edit(data / "toy.inter", lambda text: text + "brief\ti00\t1\nbrief\ti01\t2\n")
    said = bench("run", "--baseline", "pop", *quick, "--dataset", data, "--results", tmp_path / "results")
    assert said.code == 0
    assert "1 of 41 users have fewer than 3 interactions: they train only" in said.err
    rows = "".join(f"u{item}\ti{item + step:02d}\t{step}\n" for item in range(24) for step in range(2))
    (data / "toy.inter").write_text(f"{HEADER}\n{rows}")
    line = refused("run", "--baseline", "pop", *quick, "--dataset", data, "--results", tmp_path / "results")
    assert line == "leave-one-out on 'toy' needs a user with 3 or more interactions; the longest of 24 users has 2"


def test_a_folder_without_data(run: Refused, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "got nothing; exactly one is needed" in run("--baseline", "pop", "--dataset", tmp_path / "empty")
    assert "which is not a folder" in run("--baseline", "pop", "--dataset", tmp_path / "missing")


def test_a_training_that_diverges(run: Refused) -> None:
    line = run("--id-scheme", "numeric", "--set", "learning_rate=1e20", "--set", "clip_norm=0")
    assert " became nan " in line
    assert "with learning_rate=1e+20; lower it, e.g. --set learning_rate=" in line


# -- results ----------------------------------------------------------------------------------------------------------


def test_a_results_folder_that_cannot_be(run: Refused, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for subject in (("--id-scheme", "numeric"), ("--baseline", "pop")):
        line = run(*subject, "--results", tmp_path / "file" / "results")
        assert line.startswith(f"cannot write results to '{tmp_path}/file")
        assert line.endswith("name another folder with --results")


def test_a_results_folder_that_may_not_be_written(
    run: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert "Permission denied; name another folder with --results" in run("--baseline", "pop")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_without_the_right_to_write(run: Refused, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    assert "Permission denied" in run("--baseline", "pop", "--results", tmp_path / "locked")


def test_a_cache_that_cannot_be_written(run: Refused, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "cache").touch()
    assert "cannot write identifiers to '" in run("--id-scheme", "numeric")


def test_corrupt_identifiers_in_the_cache(
    run: Refused, bench: Bench, quick: list[str], data: Path, tmp_path: Path
) -> None:
    results = ["--dataset", data, "--results", tmp_path / "results"]
    assert bench("run", "--id-scheme", "numeric", *quick, *results, "--set", "max_steps=1").code == 0
    (path,) = (tmp_path / "results" / "cache").glob("ids/*.safetensors")
    path.write_bytes(path.read_bytes()[:-7])
    assert f"'{path}'" in run("--id-scheme", "numeric", "--set", "max_steps=2")


def test_reports_without_results(refused: Refused, bench: Bench, toy_folder: Path, tmp_path: Path) -> None:
    assert refused("report", "--results", tmp_path) == (
        f"no finished results in '{tmp_path}'; make some with: bench run --id-scheme textual,numeric --dataset ml-100k"
    )
    words = ["--preset", "smoke", "--dataset", toy_folder, "--results", tmp_path]
    assert bench("run", "--baseline", "pop", *words).code == 0
    assert refused("report", "--results", tmp_path, "--dataset", "toys") == (
        "unknown data set with results 'toys'; did you mean 'toy'? known: toy"
    )
    (tmp_path / "file").touch()
    said = refused("report", "--results", tmp_path, "--out", tmp_path / "file" / "report.md")
    assert "cannot write the report to '" in said
