"""The request that remakes stored runs: the command finds every run finished by it, and no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import toml
from bench.data.dataset import Dataset
from bench.data.formats import write_atomic
from bench.protocol import PROTOCOL
from bench.results import read
from bench.runs.remake import remake

Bench = Callable[..., SimpleNamespace]
RunFolders = Callable[[Path], list[Path]]


def again(bench: Bench, run_folders: RunFolders, tmp_path: Path, words: Sequence[object]) -> dict[str, object]:
    """Give the file to the command, with the folders of this test; what the file holds."""
    results, path = tmp_path / "results", tmp_path / "again.toml"
    text = remake(read.load(results))
    path.write_text(text)
    before = run_folders(results)
    said = bench("run", "--config", path, "--results", results, "--stop-at-failure", *words)
    assert said.code == 0, f"{said.err}\n{text}"
    assert run_folders(results) == before, text
    assert said.err.count("finished already in") == len(before), said.err
    return toml.read(path)


def test_schemes_and_baselines_with_settings_and_seeds(
    bench: Bench, quick: list[str], toy_folder: Path, tiny: Path, tmp_path: Path, run_folders: RunFolders
) -> None:
    results = ["--results", tmp_path / "results"]
    words = ["--set", "learning_rate=0.01", "--set", "textual/title.words=3", "--seed", "0-1"]
    assert bench("run", "--id-scheme", "numeric,textual/title", *quick, *words, *results).code == 0
    assert bench("run", "--baseline", "pop,unisrec", "--set", "unisrec.width=16", *quick, *results).code == 0
    found = again(bench, run_folders, tmp_path, ["--dataset", toy_folder, "--set", f"backbone={tiny}"])
    requests = found["request"]
    assert isinstance(requests, list)
    (schemes,) = [each for each in requests if "id-scheme" in each]
    assert (schemes["id-scheme"], schemes["seed"], schemes["preset"]) == (
        ["numeric/sequential", "textual/title"],
        "0-1",
        "smoke",
    )
    assert schemes["set"]["textual/title"] == {"words": 3}
    assert (schemes["set"]["epochs"], schemes["set"]["learning_rate"]) == (4, 0.01)


def test_one_scheme_with_several_settings_and_seeds_that_differ(
    bench: Bench, toy_folder: Path, tmp_path: Path, run_folders: RunFolders
) -> None:
    words = ["run", "--baseline", "random,pop", "--dataset", toy_folder, "--results", tmp_path / "results"]
    for more in (["--seed", "0-1"], ["--set", "max_history=3"], ["--seed", "7", "--set", "exclude_history=true"]):
        assert bench(*words, "--preset", "cpu", *more).code == 0
    assert bench(*words[:1], "--baseline", "pop", *words[3:], "--preset", "cpu", "--seed", "5").code == 0
    again(bench, run_folders, tmp_path, ["--dataset", toy_folder])


SEARCH = ["--tune", "2", "--set", "dropout=0", "--set", "weight_decay=0"]


@pytest.mark.parametrize("settings", [SEARCH, ["--split", "global-temporal"]])
def test_searches_and_splits(
    bench: Bench,
    quick: list[str],
    dated: Dataset,
    tiny: Path,
    tmp_path: Path,
    run_folders: RunFolders,
    settings: list[str],
) -> None:
    dated_folder = tmp_path / "dated"
    write_atomic(dated, dated_folder)
    words = ["run", "--id-scheme", "numeric", *quick, "--dataset", dated_folder, *settings]
    assert bench(*words, "--results", tmp_path / "results").code == 0
    again(bench, run_folders, tmp_path, ["--dataset", dated_folder, "--set", f"backbone={tiny}"])


def test_a_budget_is_remade_with_the_steps_that_each_row_was_given(
    bench: Bench, quick: list[str], toy_folder: Path, tiny: Path, tmp_path: Path, run_folders: RunFolders
) -> None:
    """In an empty results folder a slower machine would else measure it anew, and make other rows."""
    words = [word for word in quick if "epochs" not in word]
    for scheme, steps in (("numeric/random", 5), ("numeric/sequential", 7)):
        said = bench(
            "run", "--id-scheme", scheme, *words, "--budget", f"30m@{steps}", "--results", tmp_path / "results"
        )
        assert said.code == 0, said.err
    words = [*words, "--baseline", "unisrec", "--set=unisrec.width=16", "--seed=0,1"]
    assert bench("run", *words, "--budget", "1e9", "--results", tmp_path / "results").code == 0
    found = again(bench, run_folders, tmp_path, ["--dataset", toy_folder, "--set", f"backbone={tiny}"])
    assert isinstance(found["request"], list)
    budgets = {str(each.get("id-scheme") or each["baseline"]): each["budget"] for each in found["request"]}
    trained = [run for run in read.load(tmp_path / "results") if run.scheme.kind == "baseline"]
    (steps,) = {(run.training or {})["budget"]["steps"] for run in trained}
    assert budgets == {
        "['numeric/random']": "30m@5",
        "['numeric/sequential']": "30m@7",
        "['unisrec/inductive']": f"1e9@{steps}",
    }
    assert not any("budget" in each["set"] for each in found["request"])


def test_a_recipe_and_what_was_changed_of_it(
    bench: Bench, toy_folder: Path, tiny: Path, tmp_path: Path, run_folders: RunFolders
) -> None:
    changed = [f"--set={line}" for line in (f"backbone={tiny}", "epochs=1", "batch_size=64", "max_history=9")]
    changed += ["--set=numeric/collaborative.clusters=3", "--set=numeric/collaborative.leaf=9"]
    words = ["run", "--id-scheme", "numeric/collaborative", "--recipe", "published", "--dataset", toy_folder, *changed]
    assert bench(*words, "--preset", "smoke", "--results", tmp_path / "results").code == 0
    found = again(bench, run_folders, tmp_path, ["--dataset", toy_folder, "--set", f"backbone={tiny}"])
    assert found["recipe"] == "published"


def test_lines_that_came_after_stored_results_are_said_where_they_differ(
    bench: Bench, quick: list[str], toy_folder: Path, qwen: Path, tmp_path: Path, run_folders: RunFolders
) -> None:
    where = ["--dataset", toy_folder, "--set", f"backbone={qwen}"]
    given = {"vocabulary": "extended", "adapter": "lora", "lora_rank": 2, "decoding_precision": "bf16"}
    words = [f"--set={name}={value}" for name, value in {**given, "epochs": 1}.items()]
    results = ["--results", tmp_path / "results"]
    assert bench("run", "--id-scheme", "numeric/random", *quick, *where, *words, *results).code == 0
    found = again(bench, run_folders, tmp_path, where)
    assert isinstance(found["set"], dict)
    assert {name: found["set"].get(name) for name in given} == given


def test_a_recipe_whose_budget_and_adapter_were_changed(
    bench: Bench, quick: list[str], toy_folder: Path, qwen: Path, tmp_path: Path, run_folders: RunFolders
) -> None:
    words = [word for word in quick if "epochs" not in word and "validate" not in word]
    words += [f"--set={line}" for line in (f"backbone={qwen}", "adapter=none", "target_examples=64")]
    said = bench("run", "--id-scheme=numeric/random", "--recipe=llama", *words, "--results", tmp_path / "results")
    assert said.code == 0, said.err
    found = again(bench, run_folders, tmp_path, ["--dataset", toy_folder, "--set", f"backbone={qwen}"])
    assert isinstance(found["set"], dict)
    assert (found["recipe"], found["set"]["adapter"], found["set"]["target_examples"]) == ("llama", "none", 64)


def test_tests_of_a_model_on_parts_and_on_unseen_data(
    bench: Bench, words: list[str], folders: dict[str, str], tiny: Path, tmp_path: Path, run_folders: RunFolders
) -> None:
    assert bench(*words, "--adapt", "0,5", "--results", tmp_path / "results").code == 0
    where = ["--dataset", f"{folders['toy']}+{folders['park']}", "--zero-shot", folders["moor"]]
    found = again(bench, run_folders, tmp_path, [*where, "--set", f"backbone={tiny}"])
    assert (found["dataset"], found["zero-shot"], found["adapt"]) == (["toy+park"], ["moor"], [0, 5])


def test_what_is_not_installed_keeps_all_of_its_settings(bench: Bench, toy_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\n"
        "import numpy as np\n"
        "from bench.evaluation.baseline import Baseline\n\n\n"
        "@dataclass(frozen=True)\nclass Settings:\n    power: float = 0.5\n    names: tuple[str, ...] = ('a', 'b')\n"
        "class Mine(Baseline):\n    name = 'mine'\n    Settings = Settings\n\n"
        "    def fit(self, train):\n        self.items = len(train.items)\n\n"
        "    def score(self, histories):\n        return np.zeros((len(histories), self.items), np.float32)\n"
    )
    words = ["--baseline", f"{tmp_path / 'mine.py'}:Mine", "--dataset", toy_folder, "--preset", "smoke"]
    assert bench("run", *words, "--results", tmp_path / "results").code == 0
    (tmp_path / "again.toml").write_text(remake(read.load(tmp_path / "results")))
    assert toml.read(tmp_path / "again.toml")["set"] == {"mine": {"power": 0.5, "names": "a,b"}}


def test_what_a_stranger_calls_a_scheme_stays_in_its_comment_and_other_protocols_are_said(
    bench: Bench, quick: list[str], tmp_path: Path
) -> None:
    assert bench("run", "--id-scheme", "numeric/random", *quick, "--results", tmp_path).code == 0
    (run,) = read.load(tmp_path)
    odd = replace(run.scheme, name="odd\nforce = true #", search={"searched": "epochs"})
    text = remake([replace(run, scheme=odd)])
    assert "force" not in keys(text)
    assert "\n# odd force = true #: settings of an earlier search" in text
    assert "protocol" not in text
    older = replace(run, contract={**run.contract, "protocol": 1})
    assert f"\n# Some are of protocol 1, and this bench has {PROTOCOL}: the same request makes other runs.\n" in remake(
        [older]
    )


def keys(text: str) -> set[str]:
    return {line.partition(" = ")[0] for line in text.splitlines() if " = " in line and not line.startswith("#")}
