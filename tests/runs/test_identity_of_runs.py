"""Nothing that decides a score is missing from what makes a run finished: files, names, code, the stored result."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from bench.data.dataset import Dataset
from bench.results.read import load
from bench.runs import run as one_run
from bench.runs.subjects import load_scheme

Bench = Callable[..., SimpleNamespace]
Run = Callable[..., SimpleNamespace]
RunFolders = Callable[[Path], list[Path]]

MINE = """
import numpy as np
from dataclasses import dataclass
from pathlib import Path
from bench.evaluation.baseline import Baseline
from bench.ids.identifiers import TokenIds
from bench.ids.scheme import IdScheme
from bench.vocabulary import Vocabulary

class One(IdScheme):
    name = "mine/one"

    def fit(self, train):
        digits = Vocabulary.private("0123456789")
        return TokenIds.from_lists([digits.ids(f"{item + SHIFT:03d}") for item in range(len(train.items))], digits)

class Other(One):
    name = "mine-one"

class Case(One):
    name = "Mine/one"

@dataclass(frozen=True)
class Settings:
    scores: str = ""

class Given(Baseline):
    name = "given"
    Settings = Settings

    def cache_key(self):
        return Path(self.settings.scores).read_text()

    def fit(self, train):
        self.scores = np.arange(len(train.items), dtype=np.float32) * float(Path(self.settings.scores).read_text())
        CHANGE

    def score(self, histories):
        return np.tile(self.scores, (len(histories), 1))
"""


@pytest.fixture
def run(bench: Bench, quick: list[str], tmp_path: Path) -> Run:
    return lambda *words: bench("run", *words, *quick, "--set=max_steps=2", "--results", tmp_path / "results")


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(MINE.replace("SHIFT", "0").replace("CHANGE", ""))
    return path


def test_another_file_under_the_same_name_is_another_run(
    run: Run, run_folders: RunFolders, toy: Dataset, tmp_path: Path
) -> None:
    file, random = tmp_path / "v.npy", np.random.default_rng(0)
    words = ("--id-scheme", "set/cf-only", "--set", f"set.vectors={file}")
    (tmp_path / "v.ids.txt").write_text("".join(f"{item}\n" for item in toy.items.ids))
    for _ in range(2):
        np.save(file, random.standard_normal((30, 8)).astype(np.float32))
        said = run(*words)
        assert said.code == 0, said.err
        assert "finished already" not in said.err
    assert "finished already" in run(*words).err
    first, second = run_folders(tmp_path / "results")
    assert (first / "ids.safetensors").read_bytes() != (second / "ids.safetensors").read_bytes()
    one, other = (found.scheme for found in load(tmp_path / "results"))
    assert one.settings == other.settings
    assert one.inputs != other.inputs
    file.unlink()
    said = run(*words)
    assert (said.code, said.err.count("cannot read item vectors from")) == (1, 1)


def test_a_file_that_a_baseline_reads_counts_as_well(
    run: Run, mine: Path, run_folders: RunFolders, tmp_path: Path
) -> None:
    file, words = tmp_path / "scores", ("--baseline", f"{mine}:Given", "--set", f"given.scores={tmp_path / 'scores'}")
    for scores in ("1", "-1", "1"):
        file.write_text(scores)
        assert run(*words).code == 0
    assert len(run_folders(tmp_path / "results")) == 2


def test_a_file_that_changes_during_the_run_makes_no_result(
    run: Run, mine: Path, run_folders: RunFolders, tmp_path: Path
) -> None:
    mine.write_text(MINE.replace("CHANGE", 'Path(self.settings.scores).write_text("2")'))
    (tmp_path / "scores").write_text("1")
    said = run("--baseline", f"{mine}:Given", "--set", f"given.scores={tmp_path / 'scores'}")
    assert said.code == 1
    assert "bench: a file that given reads has changed while given on toy, seed 0 ran; run it again" in said.err
    assert not run_folders(tmp_path / "results")


def test_names_that_look_alike_keep_their_own_results(
    run: Run, mine: Path, run_folders: RunFolders, tmp_path: Path
) -> None:
    for name in ("One", "Other", "Case"):
        said = run("--id-scheme", f"{mine}:{name}")
        assert said.code == 0, said.err
        assert "run again" not in said.err
    stored = {
        folder.parents[1].name: json.loads((folder / "result.json").read_text())
        for folder in run_folders(tmp_path / "results")
    }
    assert {folder: found["scheme"]["name"] for folder, found in stored.items()} == {
        "mine.one@1": "mine/one",
        "mine-one@1": "mine-one",
        "Mine.one@1": "Mine/one",
    }
    assert all("finished already" in run("--id-scheme", f"{mine}:{name}").err for name in ("One", "Other", "Case"))


def test_the_result_of_another_run_never_passes_for_this_one(
    run: Run, mine: Path, run_folders: RunFolders, tmp_path: Path
) -> None:
    assert run("--id-scheme", f"{mine}:One").code == 0
    assert run("--id-scheme", f"{mine}:Other", "--seed", "1").code == 0
    one, other = sorted(run_folders(tmp_path / "results"), key=lambda folder: folder.name)
    shutil.rmtree(one)
    shutil.copytree(other, one)  # as a file system would that takes both names for one
    said = run("--id-scheme", f"{mine}:One")
    assert said.code == 1
    assert said.err.splitlines()[-1] == (
        f"bench: '{one}' holds the result of mine-one on toy, seed 1, "
        "not of the mine/one on toy, seed 0 that was asked for: "
        "scheme mine-one and mine/one; seed 1 and 0; --force replaces it, another --results keeps both"
    )
    assert run("--id-scheme", f"{mine}:One", "--force").code == 0
    assert json.loads((one / "result.json").read_text())["scheme"]["name"] == "mine/one"


def test_what_other_code_has_begun_is_not_resumed_without_a_word(
    run: Run, run_folders: RunFolders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--id-scheme", "numeric")
    with monkeypatch.context() as patch:
        patch.setattr(one_run, "_store", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert run(*words).code == 130
    (checkpoint,) = tmp_path.rglob("stage-0-*.safetensors")
    now = one_run.code_of
    monkeypatch.setattr(one_run, "code_of", lambda subject: {**now(subject), "bench": "changed"})
    said = run(*words)
    assert said.code == 1
    assert "was begun with other settings or code: code of bench " in said.err
    assert said.err.splitlines()[-1].endswith(" and changed; --force starts it afresh")
    assert checkpoint.exists()
    assert run(*words, "--force").code == 0
    assert len(run_folders(tmp_path / "results")) == 1


def test_the_code_of_a_run_has_the_libraries_of_adapters_and_identifiers_do_not_depend_on_them() -> None:
    from importlib.metadata import version

    from bench.runs.code import LIBRARIES

    cls = load_scheme("numeric")
    assert one_run.code_of(cls(cls.Settings()))["peft"] == version("peft")
    assert "peft" not in LIBRARIES  # else every catalogue would be fitted anew


def test_the_code_of_a_run_has_the_digest_of_the_harness() -> None:
    cls = load_scheme("numeric/random")
    assert re.fullmatch("[0-9a-f]{8}", one_run.code_of(cls(cls.Settings()))["bench"])


def test_a_file_of_a_finished_run_that_has_changed_is_not_read(
    run: Run, bench: Bench, run_folders: RunFolders, tmp_path: Path
) -> None:
    assert run("--id-scheme", "numeric").code == 0
    (folder,) = run_folders(tmp_path / "results")
    frame = pd.read_parquet(folder / "ids.parquet")
    frame.assign(title=frame["title"][::-1].tolist()).to_parquet(folder / "ids.parquet")
    said = bench("recommend", folder, "--history", "i03")
    assert (said.code, said.err.count("its SHA-256 differs from the one in result.json")) == (1, 1)
