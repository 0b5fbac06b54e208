"""What needs more than there is is refused before it starts, in one line, unless somebody insists."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
from recbole_baselines import HGN, BERT4Rec, ItemKNN, SASRec, SASRecBPR
from trivial_baselines import Graph, Markov
from unisrec_baseline import UniSRec

from bench import control_groups
from bench.data.dataset import TrainView
from bench.errors import BenchError, PartlyFailedError
from bench.evaluation.baseline import AnyBaseline
from bench.ids.identifiers import TokenIds
from bench.ids.limits import CatalogueSize, Needs
from bench.ids.scheme import IdScheme
from bench.results.unfinished import unfinished
from bench.runs import limits, slurm
from bench.runs.matrix import Plan, prepare
from bench.runs.progress import Display
from bench.vocabulary import Vocabulary

Bench = Callable[..., SimpleNamespace]
QUIET = Display(loud=False)
RunFolders = Callable[[Path], list[Path]]

LARGE = """
from bench.ids.identifiers import TokenIds
from bench.ids.limits import Needs
from bench.ids.scheme import IdScheme
from bench.vocabulary import Vocabulary

class Large(IdScheme):
    name = "mine/large"

    def needs(self, size):
        return Needs({memory} * size.items, {seconds}, "use --set mine.smaller=true")

    def fit(self, train):
        codes = [f"{{number:04d}}" for number in range(len(train.items))]
        vocabulary = Vocabulary.private("0123456789")
        return TokenIds.from_lists([vocabulary.ids(code) for code in codes], vocabulary)
"""


class Plain(IdScheme):
    """Declares nothing, as every plugin did before it could."""

    name = "mine/plain"

    def fit(self, train: TrainView) -> TokenIds:
        codes = np.arange(3, 3 + len(train.items))[:, None].tolist()
        return TokenIds.from_lists(codes, Vocabulary.private(map(str, range(len(train.items)))))


@pytest.fixture
def scheme(tmp_path: Path) -> Callable[..., str]:
    """A scheme in a file that declares so much, by what to call it with."""

    def written(memory: float = 0.0, seconds: float = 0.0) -> str:
        (tmp_path / "mine.py").write_text(LARGE.format(memory=memory, seconds=seconds))
        return f"{tmp_path / 'mine.py'}:Large"

    return written


def test_a_scheme_that_declares_nothing_is_not_asked_more() -> None:
    assert Plain().needs(CatalogueSize(10**9, 10, 10)) is None


def test_what_this_machine_has_no_room_for_is_one_line_and_nothing_is_made(
    bench: Bench, quick: list[str], tmp_path: Path, scheme: Callable[..., str]
) -> None:
    said = bench("run", "--id-scheme", scheme(memory=1e12), *quick, "--results", tmp_path / "results")
    assert said.code == 1
    (line,) = said.err.strip().splitlines()[-1:]
    room = limits.gigabytes(limits.memory_of_machine())
    assert line.startswith("bench: mine/large needs about ")
    assert f"this machine has {room}; use --set mine.smaller=true; --ignore-limits runs it anyway" in line
    assert not list((tmp_path / "results").rglob("ids.parquet"))


def test_who_insists_gets_the_run(
    bench: Bench, quick: list[str], tmp_path: Path, scheme: Callable[..., str], run_folders: RunFolders
) -> None:
    asked = ["run", "--id-scheme", scheme(memory=1e12), *quick, "--results", tmp_path / "results"]
    assert bench(*asked, "--ignore-limits").code == 0
    assert len(run_folders(tmp_path / "results")) == 1
    assert bench(*asked).code == 0  # what is finished needs nothing more


def test_more_than_a_day_is_refused_as_well(
    bench: Bench, quick: list[str], tmp_path: Path, scheme: Callable[..., str]
) -> None:
    said = bench("run", "--id-scheme", scheme(seconds=9 * 86400), *quick, "--results", tmp_path / "results")
    assert said.code == 1
    assert "mine/large needs about 9.0 days to make identifiers at" in said.err


BASELINE = """
import numpy as np
from bench.evaluation.baseline import Baseline
from bench.ids.limits import Needs

class Large(Baseline):
    name = "large-floor"

    def needs(self, size):
        return Needs({memory} * size.items, {seconds}, "use pop")

    def fit(self, train):
        self.items = len(train.items)

    def score(self, histories):
        return np.zeros((len(histories), self.items), np.float32)
"""


@pytest.mark.parametrize(
    ("memory", "seconds", "said"), [(1e12, 0, "large-floor needs about "), (0, 9 * 86400, "about 9.0 days to fit at")]
)
def test_a_baseline_is_refused_alike(
    bench: Bench, quick: list[str], tmp_path: Path, run_folders: RunFolders, memory: float, seconds: float, said: str
) -> None:
    (tmp_path / "mine.py").write_text(BASELINE.format(memory=memory, seconds=seconds))
    asked = ["run", "--baseline", f"{tmp_path / 'mine.py'}:Large", *quick, "--results", tmp_path / "results"]
    refused = bench(*asked)
    assert refused.code == 1
    (line,) = refused.err.strip().splitlines()[-1:]
    assert said in line
    assert "; use pop; --ignore-limits runs it anyway" in line
    assert "too large" in bench(*asked, "--dry-run").out
    assert bench(*asked, "--ignore-limits").code == 0
    assert len(run_folders(tmp_path / "results")) == 1


def test_baselines_of_this_project_say_what_they_need() -> None:
    small, large = (CatalogueSize(items, items // 3, 3 * items, batch=256) for items in (10_000, 1_000_000))
    for cls in (Markov, Graph, SASRec, SASRecBPR, BERT4Rec, HGN, ItemKNN, UniSRec):
        few, many = (cls().needs(size) for size in (small, large))
        assert few is not None, cls.name
        assert many is not None, cls.name
        assert few.memory < 4e9
        assert few.seconds < limits.DAY / 4
        assert many.memory > few.memory
    assert memory_of(BERT4Rec, large) > memory_of(SASRec, large) > memory_of(SASRecBPR, large)  # gaps, one, none


def memory_of(cls: type[AnyBaseline], size: CatalogueSize) -> float:
    found = cls().needs(size)
    assert found
    return found.memory


def test_a_dry_run_shows_the_estimate_and_tries_nothing(
    bench: Bench, quick: list[str], tmp_path: Path, scheme: Callable[..., str]
) -> None:
    asked = ["run", "--id-scheme", scheme(memory=1e12, seconds=7200), *quick, "--results", tmp_path / "results"]
    said = bench(*asked, "--dry-run")
    assert said.code == 0, said.err
    assert "too large" in said.out
    assert "declared" in said.out
    assert "2:00:00" in said.out
    assert said.out.endswith("1 run: 0 finished, 0 to do, 1 too large\n")
    assert "mine/large needs about" in said.err


def test_one_that_is_too_large_ends_no_other_run(
    bench: Bench, quick: list[str], tmp_path: Path, scheme: Callable[..., str], run_folders: RunFolders
) -> None:
    asked = ["run", "--id-scheme", scheme(memory=1e12), "--baseline", "pop", *quick, "--results", tmp_path / "results"]
    said = bench(*asked)
    assert said.code == 1
    last = said.err.splitlines()[-1]
    assert last.startswith("bench: 1 of 2 failed, the others are stored: mine/large on toy, seed 0 (mine/large needs ")
    assert len(run_folders(tmp_path / "results")) == 1
    (failed,) = unfinished(tmp_path / "results")
    assert failed.state == "failed"
    shutil.rmtree(tmp_path / "results")
    assert bench(*asked, "--stop-at-failure").code == 1
    assert not (tmp_path / "results").exists(), "it is found before the first"


def plan_of(quick: list[str], schemes: list[str], results: Path, **more: Any) -> Plan:
    overrides = [word.removeprefix("--set=") for word in quick if word.startswith("--set=")]
    return Plan(schemes, ["pop"], [quick[1]], (0, 1, 2), "smoke", overrides, results, **more)


def test_a_task_is_not_asked_for_what_others_need(quick: list[str], tmp_path: Path, scheme: Callable[..., str]) -> None:
    plan = plan_of(quick, [scheme(memory=1e12)], tmp_path / "results")
    folders = [group[0].run.folder(Path()).as_posix() for group in prepare(plan, QUIET).groups]
    assert len(folders) == 6
    for folder in folders:
        (group,) = prepare(replace(plan, only=folder), QUIET).groups
        assert group[0].run.folder(Path()).as_posix() == folder


@pytest.mark.parametrize("done", [[0], [2], [0, 1, 2]])
def test_all_seeds_must_be_done_for_a_pair_to_need_nothing(
    done: list[int], quick: list[str], tmp_path: Path, scheme: Callable[..., str]
) -> None:
    plan = plan_of(quick, [scheme(memory=1e12)], tmp_path / "results", keep_going=False)
    folders = [group[0].run.folder(plan.results) for group in prepare(replace(plan, slurm="hours=1"), QUIET).groups]
    for folder in (each for seed, each in enumerate(folders[:3]) if seed in done):
        folder.mkdir(parents=True)
        (folder / "result.json").write_text("{}")
    if done == [0, 1, 2]:
        assert len(prepare(plan, QUIET).groups) == 6
        plan = replace(plan, force=True)
    with pytest.raises(BenchError, match="mine/large needs about"):
        prepare(plan, QUIET)


def test_a_container_has_what_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = psutil.virtual_memory().total
    monkeypatch.setattr(control_groups, "memory_limit", lambda: math.inf)
    assert limits.memory_of_machine() == whole
    monkeypatch.setattr(control_groups, "memory_limit", lambda: 123456.0)
    assert limits.memory_of_machine() == 123456


def test_runs_at_once_share_the_memory(
    quick: list[str], tmp_path: Path, scheme: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = prepare(plan_of(quick, [scheme(memory=1e9)], tmp_path / "results"), QUIET)
    requests = [group[0] for group in asked.groups]  # three of the scheme, and three that take nothing
    assert len(requests) == 6
    items = len(requests[0].dataset.items)

    def said(room: float, jobs: int) -> str:
        monkeypatch.setattr(limits, "memory_of_machine", lambda: room)
        return limits.too_many(requests, jobs)

    each = 1e9 * items  # of the scheme, and a little more for the data and the process
    assert said(4.5 * each, 3) == ""
    assert said(2.5 * each, 2) == ""
    assert said(2.5 * each, 6).startswith(f"6 runs at once may need about {3 * items + 6}")
    assert said(2.5 * each, 3).endswith(
        f"; --jobs 2 is sure to fit; above their share are mine/large about {items + 1}"
    )
    assert said(1.5 * each, 2).endswith(
        f"; --jobs 1 is sure to fit; above their share are mine/large about {items + 1}"
    )
    assert said(0.5 * each, 6) == "", "which is refused alone is not counted"
    requests[:] = [replace(each, limited=False) for each in requests]
    assert said(1.5 * each, 2) == "", "nobody asks"


def test_it_is_said_before_the_first_of_them(bench: Bench, quick: list[str], tmp_path: Path) -> None:
    size = len(prepare(plan_of(quick, [], tmp_path), QUIET).groups[0][0].dataset.items)
    memory = (0.7 * limits.memory_of_machine() - 1e9) / size
    (tmp_path / "mine.py").write_text(BASELINE.format(memory=memory, seconds=0))
    words = ["run", "--baseline", f"{tmp_path / 'mine.py'}:Large", "--seed", "0,1", *quick, "--jobs", "2"]
    done = bench(*words, "--results", tmp_path / "results")
    assert done.code == 0, done.err
    lines = done.err.splitlines()
    (at,) = (number for number, line in enumerate(lines) if line.startswith("2 runs at once may need about "))
    assert "--jobs 1 is sure to fit; above their share are large-floor about" in lines[at]
    assert not any(line.startswith("[1]") for line in lines[:at])


def test_a_task_of_slurm_has_its_own_memory_and_time(
    quick: list[str], tmp_path: Path, scheme: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "memory_of_machine", lambda: 1.0)  # of the node where the command is given
    items = len(prepare(plan_of(quick, [], tmp_path, ignore_limits=True), QUIET).groups[0][0].dataset.items)
    plan = plan_of(quick, [scheme(memory=1e9, seconds=7200)], tmp_path / "results", slurm="hours=3")
    assert len(prepare(plan, QUIET).groups) == 6, "nothing is known of the node of a task"
    assert len(prepare(replace(plan, slurm=f"memory={items + 8}G,hours=3"), QUIET).groups) == 6
    with pytest.raises(BenchError, match=rf"about .* GB at .*; a task has .* \(--slurm memory={items - 3}G\); use"):
        prepare(replace(plan, slurm=f"memory={items - 3}G,hours=3", keep_going=False), QUIET)
    with pytest.raises(BenchError, match=r"about 2.0 hours to make identifiers at .*; a task has 1.5 hours of"):
        prepare(replace(plan, slurm="hours=1.5", keep_going=False), QUIET)
    assert len(prepare(replace(plan, slurm="hours=1.5,gpus=1"), QUIET).groups) == 6
    days = plan_of(quick, [scheme(memory=1e9, seconds=30 * 3600)], tmp_path / "days", slurm="hours=48")
    assert len(prepare(days, QUIET).groups) == 6, "a day is the limit where nobody has said hours"
    assert len(prepare(replace(plan, slurm="hours=1.5", ignore_limits=True), QUIET).groups) == 6


def test_what_is_too_large_for_a_task_is_left_out_and_named(
    quick: list[str], tmp_path: Path, scheme: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(quick, [scheme(memory=1e9, seconds=7200)], tmp_path / "results", slurm="hours=1.5")
    prepared, handed = prepare(plan, QUIET), list[str]()
    assert len(prepared.groups) == 6
    monkeypatch.setattr(slurm, "_submitted", lambda task, named, *_: handed.extend(named) or "7")
    said = r"^3 of 6 runs are too large, the others are submitted: mine/large on .*, seed 0 \(.* a task has 1.5 hours"
    with pytest.raises(PartlyFailedError, match=said):
        slurm.submit(plan, prepared, QUIET)
    assert len(handed) == 3
    assert all("/pop@" in name for name in handed)
    handed.clear()
    monkeypatch.setattr(limits, "needs_of", lambda request: Needs(1e30, 0.0))
    with pytest.raises(PartlyFailedError, match=r"^6 of 6 runs are too large, nothing is submitted"):
        slurm.submit(replace(plan, slurm="memory=1G"), prepared, QUIET)
    assert not handed


def test_ranking_whole_catalogues_needs_more(quick: list[str], tmp_path: Path, scheme: Callable[..., str]) -> None:
    def needed(items: int, decoder: str) -> float:
        plan = plan_of(quick, [scheme()], tmp_path)
        plan = replace(plan, overrides=[*plan.overrides, f"decoder={decoder}"], baselines=[], seeds=(0,))
        request = prepare(plan, QUIET).groups[0][0]
        table = type("Items", (), {"text": {}, "__len__": lambda self: items})()
        found = limits.needs_of(replace(request, dataset=replace(request.dataset, items=table)))
        assert found
        return found.memory

    # Measured at a million items of one token, 64 users: 0.77 GB where 3.66 would be taken without parts.
    assert 0.4e9 < needed(1_000_000, "exact") - needed(1_000_000, "beam") < 1.6e9
    assert needed(1_000, "exact") - needed(1_000, "beam") < 50e6
    assert 0.4e9 < needed(10_000_000, "exact") - needed(10_000_000, "beam") < 1.6e9


def test_needs_of_another_kind_are_one_line(bench: Bench, quick: list[str], tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(LARGE.replace('Needs({memory} * size.items, {seconds}, "use --set mine.smaller=true")', "'much'"))
    said = bench("run", "--id-scheme", f"{path}:Large", *quick, "--results", tmp_path / "results")
    assert (said.code, said.err.splitlines()[-1]) == (
        1,
        "bench: needs of mine/large must return bench.ids.limits.Needs or None; got 'much'",
    )
