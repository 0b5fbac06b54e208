"""Lists make a matrix; whatever is wrong with the request is said before anything runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import plugins
from bench.contract import PRESETS
from bench.data.dataset import Dataset
from bench.errors import BenchError
from bench.runs import matrix
from bench.runs.matrix import Plan, resolve
from bench.runs.request import Request, changed_settings

Bench = Callable[..., SimpleNamespace]


def plan(
    *overrides: str, schemes: str = "textual/title,numeric/random", baselines: str = "pop", preset: str = "cpu"
) -> Plan:
    return Plan(schemes.split(","), baselines.split(","), ["toys"], preset=preset, overrides=overrides)


def test_settings_find_their_owner() -> None:
    subjects, contract, preset = resolve(plan("textual.words=6", "numeric.first=7", "epochs=3", "backbone=a.b/c=d"))
    assert [(subject.name, vars(subject.settings)) for subject in subjects[1:]] == [
        ("numeric/random", {"first": 7}),
        ("pop", {"same": "title"}),
    ]
    assert subjects[0].settings.words == 6
    assert (contract.epochs, contract.backbone, preset) == (3, "a.b/c=d", "cpu")


def test_all_is_everything_that_is_installed_once() -> None:
    found, *_ = resolve(plan(schemes="all", baselines="all"))
    installed = {
        entry.value for group in (plugins.SCHEMES, plugins.BASELINES) for entry in plugins.names(group).values()
    }
    assert len(found) == len({subject.name for subject in found}) == len(installed)
    assert {"textual/title", "numeric/random", "pop", "sasrec/ce", "sasrec/bpr"} <= {subject.name for subject in found}


def test_all_leaves_out_what_does_not_load(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "half_done-1.0.dist-info").mkdir()
    (tmp_path / "half_done-1.0.dist-info" / "METADATA").write_text("Name: half_done\nVersion: 1.0\n")
    entry = "[bench.id_schemes]\nhalf = half_done:Half\n"
    (tmp_path / "half_done-1.0.dist-info" / "entry_points.txt").write_text(entry)
    before = {type(subject) for subject in resolve(plan(schemes="all"))[0]}
    monkeypatch.syspath_prepend(tmp_path)
    assert {type(subject) for subject in resolve(plan(schemes="all"))[0]} == before
    said = "skipped in 'all': identifier scheme 'half' of package half_done (half_done:Half) can't be loaded: "
    assert capsys.readouterr().err.startswith(said)
    with pytest.raises(BenchError, match="'half' of package half_done"):
        resolve(plan(schemes="all,half"))


def tuned(*overrides: str, trials: int = 0) -> tuple[int, tuple[str, ...]]:
    (found,), *_ = resolve(Plan([], ["gru4rec"], ["toys"], preset="smoke", overrides=overrides, tune=trials))
    return found.settings.tune, found.settings.fixed


def test_what_is_given_is_no_part_of_a_search() -> None:
    layers, dropout = "gru4rec.num_layers=1", "gru4rec.dropout_prob=0"
    assert tuned(trials=3) == (3, ("num_layers",))  # a size, which is searched where that is asked for
    assert tuned("gru4rec.embedding_size=5", "gru4rec.learning_rate=0.001", trials=3) == (
        3,
        ("learning_rate", "num_layers"),
    )
    assert tuned(layers, dropout, "gru4rec.tune=2") == (2, ("dropout_prob", "num_layers"))
    assert tuned(layers, "gru4rec.fixed=dropout_prob", trials=3)[1] == ("dropout_prob", "num_layers")
    assert tuned(layers) == (0, ())


def test_searches_over_different_settings_are_different_runs_and_no_search_is_stored_as_ever(toy: Dataset) -> None:
    def folder(*overrides: str, trials: int) -> Path:
        plan = Plan([], ["gru4rec"], ["toys"], preset="smoke", overrides=overrides, tune=trials)
        (subject,), contract, preset = resolve(plan)
        assert ("fixed" in changed_settings(subject.settings)) == bool(trials)
        return Request(subject, toy, contract, 0, preset, Path()).run.folder(Path())

    given = "gru4rec.learning_rate=0.001"  # which is the default
    assert folder(given, trials=3) != folder(trials=3)
    assert folder(given, trials=0) == folder(trials=0)


def test_a_setting_of_a_family_holds_for_all_its_variants() -> None:
    subjects, *_ = resolve(plan("numeric.first=7", schemes="numeric/random,numeric/sequential"))
    assert [subject.settings.first for subject in subjects if "numeric" in subject.name] == [7, 7]


def test_a_setting_goes_to_the_variants_that_have_it_or_to_the_one_named() -> None:
    given = ("semantic.levels=4", "semantic.epochs=7", "semantic/rqvae.levels=2", "semantic/rqkmeans.codes=16")
    subjects, *_ = resolve(plan(*given, schemes="semantic/rqvae,semantic/rqkmeans,semantic/pq"))
    rqvae, rqkmeans, pq = (subject.settings for subject in subjects[:3])
    assert (rqvae.levels, rqvae.epochs, rqvae.codes) == (2, 7, 256)
    assert (rqkmeans.levels, rqkmeans.codes) == (4, 16)
    assert (pq.levels, pq.codes) == (4, 256)


def test_a_scheme_named_twice_runs_once() -> None:
    subjects, *_ = resolve(plan(schemes="textual,textual/idgenrec,numeric", baselines="pop,random,pop"))
    assert [subject.name for subject in subjects] == ["textual/idgenrec", "numeric/sequential", "pop", "random"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (plan("epochs"), "--set takes key=value; got 'epochs'; keys: "),
        (plan("epoch=3"), "unknown setting 'epoch'; did you mean 'epochs'? known: accumulate, adapter, backbone,"),
        (plan("textual.word=3"), "unknown setting of textual/title 'word'; did you mean 'words'? known: min_shared,"),
        (plan("textul.words=3"), "'textul'; did you mean 'textual'? known: numeric, numeric/random, pop, textual, "),
        (
            plan("semantic.codes=3"),
            "--set semantic.codes=3: 'semantic' is not in this run, which is of textual/title, numeric/random, pop; ",
        ),
        (plan("semantic/rqvae.codes=3"), "'semantic/rqvae' is not in this run, which is of textual/title, "),
        (plan("pop.size=3"), "unknown setting of pop 'size'; known: same"),
        (plan("textual.words=three"), "setting of textual/title 'words' must be a whole number; got 'three'"),
        (plan("textual.words=0"), "setting of textual/title 'words' must be 1 or more; got 0"),
        (plan(preset="cpuu"), "unknown preset 'cpuu'; did you mean 'cpu'? known: cpu, overnight, smoke, standard"),
        (plan(schemes="textul"), "unknown identifier scheme 'textul'; did you mean 'textual'? known: numeric, "),
        (plan(baselines="popp"), "unknown baseline 'popp'; did you mean 'pop'? known: bert4rec, caser, "),
        (Plan([], [], ["toys"]), "nothing to run: name an identifier scheme, e.g. --id-scheme textual"),
    ],
)
def test_a_request_that_cannot_be_met_is_one_line(given: Plan, said: str) -> None:
    with pytest.raises(BenchError) as caught:
        resolve(given)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("cuda", "preset"), [(True, "standard"), (False, "cpu")])
def test_without_a_preset_the_machine_decides_and_it_is_said(
    bench: Bench, toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cuda: bool, preset: str
) -> None:
    monkeypatch.setattr(matrix, "_has_cuda", lambda: cuda)
    words = ["run", "--baseline", "pop", "--dataset", toy_folder, "--results", tmp_path]
    assert f"no --preset given: '{preset}', {PRESETS[preset].purpose}" in bench(*words).err
    assert "no --preset given" not in bench(*words, "--preset", "smoke").err


def test_every_data_set_subject_and_seed_is_a_run(
    bench: Bench, toy_folder: Path, quick: list[str], run_folders: Callable[[Path], list[Path]], tmp_path: Path
) -> None:
    other = tmp_path / "data" / "other"
    other.mkdir(parents=True)
    for suffix in (".inter", ".item"):
        (other / f"other{suffix}").write_bytes((toy_folder / f"toy{suffix}").read_bytes())
    words = ["--dataset", f"{toy_folder},{other}", "--seed", "0,5", "--set", "max_steps=1", "--results", tmp_path / "r"]
    assert bench("run", "--id-scheme", "numeric", "--baseline", "random", *quick, *words).code == 0
    found: list[dict[str, Any]] = [
        json.loads((run_folder / "result.json").read_text()) for run_folder in run_folders(tmp_path / "r")
    ]
    assert sorted((result["dataset"]["name"], result["scheme"]["name"], result["seed"]) for result in found) == [
        (dataset, scheme, seed)
        for dataset in ("other", "toy")
        for scheme in ("numeric/sequential", "random")
        for seed in (0, 5)
    ]
    assert len({result["contract_id"] for result in found if result["scheme"]["kind"] == "scheme"}) == 1


def test_what_is_odd_about_the_data_is_said(bench: Bench, toy_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "short"
    folder.mkdir()
    log = (toy_folder / "toy.inter").read_text()
    (folder / "short.inter").write_text(log + "brief\ti00\t1\nbrief\ti01\t2\n")
    said = bench("run", "--baseline", "pop", "--preset", "smoke", "--dataset", folder, "--results", tmp_path / "r")
    assert said.code == 0
    assert "short: there is no short.item: items have no text" in said.err
    assert "short: 1 of 41 users have fewer than 3 interactions: they train only" in said.err
