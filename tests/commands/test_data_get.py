"""`bench data get`, `bench data ls`, and what `bench run` does where a data set is missing: on the command line."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import platformdirs
import pytest

from bench.data import sources

Bench = Callable[..., SimpleNamespace]


@pytest.fixture(autouse=True)
def _no_data_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("BENCH_DATA_DIR", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(platformdirs, "user_data_path", lambda name: tmp_path / "home" / name)
    monkeypatch.setattr(sources, "_embedded", lambda: None)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def films(web: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """MovieLens of 30 users and films from a server of ours, under its own name and as ``tiny``."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        rows = [f"{u}\t{(u + step * step) % 30 + 1}\t5\t{881250949 + step}" for u in range(30) for step in range(8)]
        archive.writestr("ml-100k/u.data", "\n".join(rows))
        flags = "|".join("0" * 18) + "|1"
        lines = [f"{item + 1}|Film {item} (1995)|01-Jan-1995||http://x|{flags}" for item in range(30)]
        archive.writestr("ml-100k/u.item", "\n".join(lines))
    web.files["ml-100k.zip"] = data.getvalue()
    log = {tuple(row.split("\t")[:2]) for row in rows}
    entry = f"""
[NAME]
description = "Films"
page = "https://example.org/films"
licence = "research only"
must_accept = true
conversion = "movielens-100k"
version = 1
text = ["title", "year", "genres"]
expected = {{ users = 30, items = {len({item for _, item in log})}, interactions = {len(rows)} }}
files = [{{ role = "archive", name = "ml-100k.zip", urls = ["{web.url("ml-100k.zip")}"], megabytes = 1 }}]
"""
    listed = tmp_path / "sources.toml"
    listed.write_text(entry.replace("NAME", "ml-100k") + entry.replace("NAME", "tiny"))
    monkeypatch.setenv("BENCH_SOURCES", str(listed))
    return tmp_path / "home" / "bench"


def test_get_and_list(bench: Bench, films: Path, tmp_path: Path) -> None:
    listed = {row["name"]: row for row in json.loads(bench("data", "ls", "--json").out)}
    assert listed["tiny"]["folder"] is None
    assert listed["tiny"]["get"] == "bench data get tiny --accept-licence"
    assert (listed["tiny"]["megabytes"], listed["toys"]["megabytes"]) == (1, None)
    assert (listed["yelp"]["by_hand"], listed["toys"]["by_hand"]) == (True, False)
    assert listed["toys"]["expected"] == {"users": 19412, "items": 11924, "interactions": 167597}

    said = bench("data", "get", "tiny")
    assert (said.code, said.out) == (1, "")
    assert said.err.splitlines()[-1].endswith("if you accept it, add --accept-licence")

    said = bench("data", "get", "tiny", "--accept-licence")
    assert said.code == 0, said.err
    assert said.out.startswith("tiny: 30 users, ")
    assert said.out.strip().endswith(f"made: {films / 'tiny'}")
    assert "downloading ml-100k.zip" in said.err
    assert said.err.splitlines()[-1] == "Now: bench run --id-scheme textual --dataset tiny"
    assert "here already" in bench("data", "get", "tiny").out

    rows = {line.split()[0]: line.split()[1:] for line in bench("data", "ls").out.splitlines() if line.strip()}
    assert (rows["tiny"][0], rows["ml-100k"][0], rows["yelp"][:3]) == ("yes", "no", ["no", "by", "hand"])


def test_several_names_a_folder_and_columns(bench: Bench, films: Path, tmp_path: Path) -> None:
    words = ["--data-dir", tmp_path / "my data", "--accept-licence", "--fields", "title", "--ties", "id"]
    said = bench("data", "get", "tiny", "ml-100k", *words)
    assert said.code == 0, said.err
    for name in ("tiny", "ml-100k"):
        assert list(sources.find(name, tmp_path / "my data").items.text) == ["title"]
        record = json.loads((tmp_path / "my data" / name / "dataset.json").read_text())
        assert (record["ties"], record["text"]) == ("id", ["title"])
    assert f"--dataset ml-100k --data-dir '{tmp_path / 'my data'}'" in said.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("toyss", "unknown data set to get 'toyss'; did you mean 'toys'? known: beauty, "),
        ("toys beauty --from x", "--from is about one data set; got toys, beauty"),
        ("toys --from x", "--from 'x' does not exist; expected reviews_Toys_and_Games_5.json.gz and meta_Toys"),
        ("toys --ties ids", "unknown rule for ties 'ids'; did you mean 'id'? known: digest, file, id"),
        ("toys --fields ,", "--fields takes one name or more"),
        ("yelp --accept-licence", "'yelp' must be downloaded by hand: sign Yelp's agreement on its page"),
    ],
)
def test_one_line_for_what_is_wrong(bench: Bench, words: str, said: str, tmp_path: Path) -> None:
    found = bench("data", "get", *words.split(), "--data-dir", tmp_path)
    assert found.code == 1
    assert found.err.splitlines()[-1].startswith("bench: ")
    assert said in found.err.splitlines()[-1]
    assert "Traceback" not in found.err


RUN = ["run", "--baseline", "pop", "--preset", "smoke"]


def test_a_run_without_data_says_the_one_command(bench: Bench, web: Any, films: Path, tmp_path: Path) -> None:
    said = bench(*RUN, "--results", tmp_path / "results")
    assert said.code == 1
    assert "'ml-100k' (Films) is not in" in said.err
    assert "get it: bench data get ml-100k --accept-licence;" in said.err.splitlines()[-1]
    assert web.asked == []


def test_a_run_with_yes_gets_it_first(bench: Bench, web: Any, films: Path, tmp_path: Path) -> None:
    said = bench(*RUN, "--yes", "--results", tmp_path / "results")
    assert said.code == 0, said.err
    assert list((tmp_path / "results" / "runs" / "ml-100k").glob("pop@*/*/0/result.json"))
    assert bench(*RUN, "--results", tmp_path / "results").code == 0
    assert len(web.asked) == 1


def test_a_request_that_is_wrong_gets_nothing(bench: Bench, web: Any, films: Path, tmp_path: Path) -> None:
    assert "unknown baseline 'popp'" in bench("run", "--baseline", "popp", "--yes").err
    assert "unknown data set 'toyz'" in bench(*RUN, "--yes", "--dataset", "toyz", "--results", tmp_path).err
    assert "bench data get yelp --from FILE" in bench(*RUN, "--yes", "--dataset", "yelp", "--results", tmp_path).err
    assert web.asked == []


def test_processes_of_one_run_do_not_all_download(
    bench: Bench, web: Any, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.commands import data_get

    ranks = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "n1", "MASTER_PORT": "29500"}
    tasks = {"SLURM_PROCID": "1"} | {
        f"SLURM_{name}": "2" for name in ("STEP_NUM_TASKS", "LOCALID", "JOB_ID", "STEP_ID")
    }
    for given in (ranks, {"MASTER_ADDR": "n1", **tasks}):  # as torchrun and as srun say it
        with monkeypatch.context() as patch:
            patch.setattr(os, "environ", {**os.environ, **given})
            assert data_get.lacking(["ml-100k"], None) == []
    assert data_get.lacking(["ml-100k", "tiny+ml-100k"], None) == ["ml-100k", "tiny"]


def on_a_terminal(words: list[str], typed: str, folder: Path) -> tuple[int, str]:
    """A command with a person in front of it, who types this."""
    main, other = pty.openpty()
    command = [sys.executable, "-m", "bench", *words]
    process = subprocess.Popen(command, cwd=folder, stdin=other, stdout=other, stderr=other)
    os.close(other)
    os.write(main, typed.encode())
    said = b""
    try:
        while chunk := os.read(main, 1 << 16):
            said += chunk
    except OSError:  # the other side is closed
        pass
    os.close(main)
    return process.wait(), said.decode(errors="replace")


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("\n", 1)])
def test_a_person_is_asked(films: Path, web: Any, tmp_path: Path, answer: str, code: int) -> None:
    words = ["run", "--baseline", "pop", "--preset", "smoke", "--dataset", "tiny"]
    found, said = on_a_terminal(words, answer, tmp_path)
    flat = " ".join(said.split())
    assert (
        "tiny (Films, about 1 MB) is not on this machine. Licence: research only (https://example.org/films)." in flat
    )
    assert "and accept its licence? [y/N]" in flat
    assert found == code, said
    assert (films / "tiny" / "tiny.inter").exists() == (code == 0)
    assert ("bench data get tiny --accept-licence" in flat) == (code == 1)


def test_a_terminal_sees_a_bar(films: Path, web: Any, tmp_path: Path) -> None:
    found, said = on_a_terminal(["data", "get", "tiny", "--accept-licence"], "", tmp_path)
    assert found == 0
    assert "downloading" in said
    assert "\x1b[" in said


def test_a_log_has_a_line_for_each_attempt(
    bench: Bench, films: Path, web: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.data import download

    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    web.faults["ml-100k.zip"] = [("cut", 500), ("status", 503, {})]
    said = bench("data", "get", "tiny", "--accept-licence")
    assert said.code == 0
    notes = [line for line in said.err.splitlines() if "trying again in" in line]
    assert len(notes) == 2
    assert notes[0].startswith("downloading ml-100k.zip: the connection ended after 500 of ")


def test_interrupted_by_hand_it_resumes(films: Path, web: Any, tmp_path: Path) -> None:
    """Ctrl-C during a download is one line and exit code 130, and what has arrived is kept."""
    import signal
    import time

    web.faults["ml-100k.zip"] = [("cut", 700)] + [("status", 503, {"Retry-After": "30"})] * 3
    command = [sys.executable, "-m", "bench", "data", "get", "tiny", "--accept-licence"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    part = films / ".downloads" / "tiny" / "ml-100k.zip.part"
    while len(web.asked) < 2 and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert part.stat().st_size == 700
    web.faults["ml-100k.zip"] = []
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert web.asked[-1][1] == "bytes=700-"


def test_help_has_examples(bench: Bench) -> None:
    said = bench("data", "get", "--help")
    assert "bench data get ml-100k --accept-licence" in said.out
