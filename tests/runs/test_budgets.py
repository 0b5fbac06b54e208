"""What a row was given and what it took: budgets that are converted once, and costs that leave nothing out."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from set_ids.schemes import SetRec

from bench.contract import Amount, Contract
from bench.data.dataset import Dataset
from bench.data.splits import leave_one_out
from bench.errors import BenchError
from bench.results import budgets, store
from bench.results.store import Begun
from bench.runs import converting, scheme_run
from bench.runs.scheme_run import SchemeRun
from bench.runs.search import Ranges
from bench.training.budget import OF_TRIALS

Bench = Callable[..., SimpleNamespace]
Cells = Callable[[Path], list[Path]]

SLOW = '''
import time



class Slow(__import__("numeric_ids").Random):
    """Its recommender takes a second to make."""

    name = "mine/slow"

    def stages(self, train, ids):
        from dataclasses import replace
        from bench.ids.scheme import Stage

        def wrapped(recommender):
            time.sleep(1)
            return recommender

        yield Stage(ids, wrap_model=wrapped)
'''


@pytest.fixture
def words(quick: list[str]) -> list[str]:
    """A run whose budget is still to be said."""
    return ["run", "--id-scheme", "numeric/random", *(word for word in quick if "epochs" not in word)]


def stored(cell: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((cell / "result.json").read_text())
    return found


def test_a_budget_is_converted_once_for_a_row_and_kept(
    bench: Bench, words: list[str], run_folders: Cells, tmp_path: Path
) -> None:
    said = bench(*words, "--budget", "5e7", "--results", tmp_path)
    assert said.code == 0, said.err
    (first,) = run_folders(tmp_path)
    budget, costs = stored(first)["training"]["budget"], stored(first)["costs"]
    assert (budget["asked"], budget["steps"]) == ("5e7", costs["steps"])
    assert stored(first)["contract"]["budget"] == "5e7"
    assert costs["steps"] * budget["per_step"] <= 5e7 < (costs["steps"] + 1) * budget["per_step"]
    found = stored(first)
    found["training"]["budget"]["steps"] = 3  # as a slower machine would have measured
    (first / "result.json").write_text(json.dumps(found))
    assert bench(*words, "--budget", "5e7", "--seed", "1", "--results", tmp_path).code == 0
    assert bench(*words, "--budget", "5e7", "--force", "--results", tmp_path).code == 0
    assert [stored(cell)["costs"]["steps"] for cell in run_folders(tmp_path)] == [3, 3]
    assert bench(*words, "--budget", "30m@2", "--results", tmp_path / "told").code == 0
    (told,) = run_folders(tmp_path / "told")
    assert (stored(told)["costs"]["steps"], stored(told)["contract"]["budget"]) == (2, "30m")


def test_processor_time_is_steps_less_what_the_identifiers_have_spent(
    bench: Bench, words: list[str], run_folders: Cells, tmp_path: Path
) -> None:
    said = bench(*words, "--set=max_steps=4", "--budget", "60s", "--results", tmp_path)
    assert said.code == 0, said.err
    (folder,) = run_folders(tmp_path)
    budget, costs = stored(folder)["training"]["budget"], stored(folder)["costs"]
    between = 0.02  # seconds at most that the scheme takes between stages, which is a cost and no budget's
    assert budget["spent"] == pytest.approx(costs["id_construction_processor_seconds"], abs=between)
    assert budget["steps"] == int((60 - budget["spent"]) / budget["per_step"]) > 4
    assert costs["steps"] == 4  # the limit of steps holds beside the budget


def test_an_interrupted_run_finds_the_steps_that_it_was_begun_with(tmp_path: Path) -> None:
    begun = Begun({"scheme": "one"})

    def interrupted(budget: dict[str, Any]) -> None:
        with contextlib.suppress(KeyboardInterrupt), store.building(tmp_path / "0", begun) as partial:
            if budget:
                budgets.note(partial, budget)
            raise KeyboardInterrupt

    interrupted({"asked": "30m", "steps": 7})
    assert budgets.known(tmp_path / "0")["steps"] == 7
    interrupted({})
    assert budgets.known(tmp_path / "0")["steps"] == 7
    assert budgets.known(tmp_path / "1")["steps"] == 7  # another seed of the row
    assert budgets.known(tmp_path / "other" / "0") == {}


def test_a_budget_says_what_it_may_be(bench: Bench, words: list[str], tmp_path: Path) -> None:
    for asked, said in {"fast": "a budget is processor time such as 90s", "30m@x": "30m@4210; got '30m@x'"}.items():
        refused = bench(*words, "--budget", asked, "--results", tmp_path)
        assert refused.code == 1
        assert said in refused.err.splitlines()[-1]


def test_training_seconds_count_what_a_recommender_takes_to_be_made(
    bench: Bench, words: list[str], run_folders: Cells, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(SLOW)
    words = [f"{tmp_path / 'mine.py'}:Slow" if word == "numeric/random" else word for word in words]
    said = bench(*words, "--set=epochs=1", "--results", tmp_path / "results")
    assert said.code == 0, said.err
    (cell,) = run_folders(tmp_path / "results")
    assert stored(cell)["costs"]["training_seconds"] > 1


@pytest.fixture(scope="module")
def costs(
    bench: Bench, quick: list[str], run_folders: Cells, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Any]:
    """Of ``set/setrec`` whose SASRec trains for two epochs, and of a scheme that trains nothing of its own."""
    results = tmp_path_factory.mktemp("own")
    words = ["--id-scheme", "set/setrec,numeric/random", "--set=set/setrec.epochs=2", "--set=examples=all"]
    assert bench("run", *words, *quick, "--set=validate_every=1", "--results", results).code == 0
    return {stored(cell)["scheme"]["name"]: stored(cell) for cell in run_folders(results)}


def test_steps_examples_and_looks_stand_beside_every_score(costs: Mapping[str, Any], toy: Dataset) -> None:
    windows = sum(max(0, len(toy.sequences[user]) - 3) for user in range(len(toy.users)))
    for found in costs.values():
        looked = [point for point in found["training"]["curve"] if "ndcg@10" in point]
        assert found["costs"]["looks"] == len(looked) > 0
        assert found["costs"]["steps"] == found["training"]["steps"]
        assert found["costs"]["target_examples"] == found["training"]["epochs"] * windows


def test_what_a_scheme_trains_of_its_own_is_counted(costs: Mapping[str, Any], toy: Dataset) -> None:
    own = {name: (found["costs"]["own_steps"], found["costs"]["own_examples"]) for name, found in costs.items()}
    windows = sum(max(0, len(toy.sequences[user]) - 3) for user in range(len(toy.users)))
    assert own == {"set/setrec": (2, 2 * windows), "numeric/random": (None, None)}


@pytest.mark.parametrize("shown", [3, 20])
def test_what_a_scheme_trains_of_its_own_reads_no_more_than_the_contract_shows(toy: Dataset, shown: int) -> None:
    train = leave_one_out(toy, max_history=shown).train
    assert SetRec().training(train).history == train.max_history == shown
    assert SetRec(SetRec.Settings(history=7)).training(train).history == 7


def test_what_has_other_steps_is_neither_resumed_nor_given_without_a_word(tmp_path: Path) -> None:
    """Nor that of a baseline, which keeps its steps in its own folder; of another seed it is said."""
    own = SimpleNamespace(
        contract=Contract(epochs=0, budget="30m"), results=tmp_path, force=False,
        run=SimpleNamespace(folder=lambda results: tmp_path / "0"),
    )  # fmt: skip
    told: list[str] = []

    def refused(steps: int, reason: str = "") -> None:
        own.converted = steps
        with pytest.raises(BenchError, match=reason) if reason else contextlib.nullcontext():
            converting.require_same_steps(own, told.append)  # type: ignore[arg-type]

    steps = {"asked": "30m", "steps": 4210}
    unfinished = "was begun with 4,210 steps for its budget of 30m, and 100 are asked for; --budget 30m resumes it, --f"
    begun = Begun({"scheme": "one"}, budget={**steps, OF_TRIALS: 4210})
    with contextlib.suppress(KeyboardInterrupt), store.building(tmp_path / "0", begun) as partial:
        raise KeyboardInterrupt
    refused(100, unfinished)
    refused(4210)
    refused(0)
    with contextlib.suppress(KeyboardInterrupt), store.building(tmp_path / "0", Begun({}, forced=True)) as partial:
        (partial / store.TRAINING_FOLDER).mkdir()
        (partial / store.TRAINING_FOLDER / "budget.json").write_text(json.dumps(steps))
        raise KeyboardInterrupt
    assert budgets.known(tmp_path / "0") == steps
    refused(100, unfinished)
    store.remove(tmp_path / "0", finished_too=True)
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "result.json").write_text(json.dumps({"training": {"budget": steps}}))
    refused(100, "the finished run has 4,210 steps for its budget of 30m, and 100 are asked for; --budget 30m takes it")
    refused(4210)
    own.contract = Contract(epochs=0, budget="30m", max_steps=50)  # which is what both come to
    refused(100)
    own.contract, own.force = Contract(epochs=0, budget="30m"), True
    refused(100)
    own.force, own.run = False, SimpleNamespace(folder=lambda results: tmp_path / "1")
    assert not told
    refused(100)
    assert told == ["seed 0 of this row has 4,210 steps for its budget of 30m, and this one 100"]


def test_a_finished_run_is_not_given_for_one_of_other_steps(bench: Bench, words: list[str], tmp_path: Path) -> None:
    assert bench(*words, "--budget", "30m@2", "--results", tmp_path).code == 0
    refused = bench(*words, "--budget", "30m@3", "--results", tmp_path)
    assert (refused.code, refused.err.count("finished run has 2 steps")) == (1, 1)
    assert bench(*words, "--budget", "30m", "--results", tmp_path).code == 0


def test_seeds_that_are_measured_at_once_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers have a seed each, and neither has noted anything when the other looks."""
    monkeypatch.setattr(budgets, "known", lambda folder, fits=bool: {})
    costs = iter([1.0, 4.0, 2.0])
    monkeypatch.setattr(converting, "step_cost", lambda job, allowed: next(costs))
    steps = []
    for seed in (1, 0, 2):
        folder = tmp_path / str(seed)
        partial = folder.with_name(f".{seed}.partial-7")
        partial.mkdir()
        (partial / store.BEGUN).write_text('{"identity": {}}')
        own = SimpleNamespace(
            contract=Contract(epochs=0, budget="100s"), search=None, converted=0, results=tmp_path,
            run=SimpleNamespace(folder=lambda results, folder=folder: folder),
        )  # fmt: skip
        job = SimpleNamespace(contract=own.contract, accelerator=SimpleNamespace(is_main_process=True))
        spent = {"seconds": 0.0, "FLOPs": 0.0}
        found = converting.converted(own, job, partial, spent)  # type: ignore[arg-type]
        noted = store.begun_as(folder)
        assert noted
        assert noted.budget == found
        steps.append(found["steps"])
    assert steps == [100, 100, 100]


@pytest.mark.parametrize("baseline", ["unisrec", "sasrec/ce"])
def test_seeds_of_a_baseline_that_are_measured_at_once_agree(
    bench: Bench, words: list[str], run_folders: Cells, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, baseline: str
) -> None:
    """The other seed is under way and was measured first; and who is told its steps notes them before it trains."""
    if baseline.startswith("sasrec"):
        pytest.importorskip("recbole")
    words = [*("run", "--baseline", baseline), *(word for word in words[3:] if "backbone" not in word)]
    assert bench(*words, "--budget", "1m@3", "--results", tmp_path).code == 0
    (folder,) = run_folders(tmp_path)
    began = folder.with_name(".7.partial-1") / store.TRAINING_FOLDER
    began.mkdir(parents=True)
    (began / "budget.json").write_text('{"asked": "1m", "steps": 5}')
    (folder / "result.json").unlink()  # nobody has finished it
    monkeypatch.setattr(budgets, "known", lambda folder, fits=bool: {})  # nor noted anything when this one looked
    assert bench(*words, "--budget", "1m", "--seed", "1", "--results", tmp_path).code == 0
    assert stored(folder.with_name("1"))["training"]["budget"]["steps"] == 5


def test_the_row_of_a_baseline_whose_size_was_searched_has_the_budget_of_that_size(
    bench: Bench, toy_folder: Path, run_folders: Cells, tmp_path: Path
) -> None:
    """Three layers take half as much again as the two that are there without a search; trials have equal steps."""
    pytest.importorskip("recbole")
    words = ["--baseline", "sasrec/ce", "--dataset", toy_folder, "--preset", "smoke", "--set", "batch_size=16"]
    said = bench("run", *words, "--budget", "1e9", "--tune", "2", "--tune-size", "--results", tmp_path)
    assert said.code == 0, said.err
    (folder,) = run_folders(tmp_path)
    training, costs = stored(folder)["training"], stored(folder)["costs"]
    trials = training["search"]["trials"]
    assert (training["search"]["chosen"], trials[1]["settings"]["n_layers"]) == (1, 3)
    assert [trial["rungs"][0]["steps"] for trial in trials] == [training["budget"]["trials"] / 2] * 2
    each = trials[1]["rungs"][0]["training_flops"] / trials[1]["rungs"][0]["steps"]
    assert training["budget"]["steps"] == training["steps"] == 1e9 // each < training["budget"]["trials"]
    spent = sum(trial["rungs"][0]["training_flops"] for trial in trials)
    assert 1e9 - each < costs["training_flops"] - spent <= 1e9


class Sizes:
    """A search over two sizes, a step of which takes 1 s and 4 s, and a budget of 100 s."""

    def __init__(self, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.results, self.measured, self.told = results, list[str](), 0
        self.ranges = Ranges(2, (("backbone", ("mini", "tiger")),))
        monkeypatch.setattr(converting, "step_cost", self.cost)

    def cost(self, job: Any, allowed: Amount) -> float:
        self.measured.append(job.contract.backbone)
        return {"mini": 1.0, "tiger": 4.0}[job.contract.backbone]

    def budget(self, size: str, trial: bool, seed: int = 0) -> dict[str, Any]:
        folder = self.results / str(seed)
        partial = store.partial_folder(folder)
        if not partial.exists():
            partial.mkdir(parents=True)
            (partial / store.BEGUN).write_text('{"identity": {}}')
        own = SimpleNamespace(
            contract=Contract(epochs=0, budget="100s"), search=self.ranges, converted=self.told, results=self.results,
            run=SimpleNamespace(folder=lambda results: folder),
        )  # fmt: skip
        job = SimpleNamespace(contract=Contract(backbone=size), accelerator=SimpleNamespace(is_main_process=True))
        spent = {"seconds": 0.0, "FLOPs": 0.0}
        return dict(converting.converted(own, job, partial, spent, trial))  # type: ignore[arg-type]


def test_trials_of_two_sizes_have_equal_steps_and_the_chosen_one_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = Sizes(tmp_path, monkeypatch)
    assert [sizes.budget(size, trial=True)["steps"] for size in ("mini", "tiger", "tiger")] == [100] * 3
    assert [sizes.budget("tiger", trial=False)["steps"] for _ in range(2)] == [25, 25]
    assert sizes.measured == ["mini", "tiger"]
    finished = tmp_path / "0" / "result.json"
    finished.parent.mkdir()
    finished.write_text(json.dumps({"training": {"budget": sizes.budget("tiger", trial=False)}}))
    assert [sizes.budget(size, trial=True, seed=1)["steps"] for size in ("mini", "tiger")] == [100, 100]
    assert sizes.budget("tiger", trial=False, seed=1)["steps"] == 25  # as the other seed of the same size
    assert sizes.measured == ["mini", "tiger"]
    assert sizes.budget("mini", trial=True, seed=2)["steps"] == 100
    assert sizes.budget("mini", trial=False, seed=2)["steps"] == 100
    assert sizes.measured == ["mini", "tiger", "mini"]
    sizes.told = 7
    assert sizes.budget("tiger", trial=False, seed=3) == {"asked": "100s", "steps": 7}


def test_a_search_over_sizes_forgets_the_steps_of_its_trials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    chosen = Contract(backbone="tiger")
    found = SimpleNamespace(contract=chosen)
    monkeypatch.setattr(scheme_run, "Searching", lambda *given: SimpleNamespace(found=lambda: found))
    for line, left in (("backbone", {}), ("dropout", {"steps": 100})):
        run = SchemeRun.__new__(SchemeRun)
        request = SimpleNamespace(search=Ranges(2, ((line, ()),)), seed=0, run=SimpleNamespace(title=""))
        vars(run).update(request=request, contract=Contract(), partial=tmp_path, display=None, accelerator=None)
        run.budget = {"steps": 100}
        run.searched(None)  # type: ignore[arg-type]
        assert (run.contract, run.budget) == (chosen, left)


def test_what_steps_took_stands_beside_a_budget_that_was_measured_here() -> None:
    measured = {"asked": "1m", "steps": 20, "per_step": 3.0}
    assert converting.with_used(measured, 66.0) == {**measured, "used": 66.0}
    for other in ({"asked": "30m", "steps": 4210}, {"asked": "2e15", "steps": 9, "per_step": 2e14}):
        assert converting.with_used(other, 66.0) == other
