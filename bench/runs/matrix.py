"""Many runs: every data set x subject x seed. Finished ones are skipped; a failure ends no other, unless that is asked
for; and what nobody asked for by name is skipped where it can't run at all.
"""

from __future__ import annotations

import functools
import os
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs

from bench import recipes, threads
from bench.backbone import content_digest
from bench.contract import PRESETS, Contract, contract_for, default_preset, setting_names
from bench.data import sources, splitting
from bench.data.audit.order import time_notes
from bench.data.dataset import Dataset
from bench.errors import BenchError, unknown
from bench.evaluation.baseline import AnyBaseline, Baseline, TrainedBaseline
from bench.ids.scheme import IdScheme
from bench.results import store
from bench.runs.attribution import attribute_errors
from bench.runs.many import Work, bring_to_end, in_step
from bench.runs.progress import Display
from bench.runs.recipe_of import followed
from bench.runs.request import Request
from bench.runs.run import run
from bench.runs.subjects import BASELINES, SCHEMES, load_baseline, load_scheme, names, refuse_taken_name
from bench.runs.subjects import settings as settings_of
from bench.runs.transfer_run import refuse, transfer_requests
from bench.training.signals import interrupted_by_sigterm


@dataclass(frozen=True)
class Plan:
    """What the command line asked for. ``overrides`` are ``key=value`` texts; lists may be empty."""

    schemes: Sequence[str]
    baselines: Sequence[str]
    datasets: Sequence[str]
    seeds: Sequence[int] = (0,)
    preset: str | None = None
    overrides: Sequence[str] = ()
    results: Path = Path("results")
    data_dir: Path | None = None
    force: bool = False
    tune: int = 0  # trials of baselines that can search for their settings
    zero_shot: Sequence[str] = ()  # data sets that every model is tested on without having seen them
    recipe: str = ""  # the published way of training each subject, by its name
    keep_going: bool | None = None  # whether a run that fails ends no other; None: where there is more than one
    jobs: int = 1  # runs at once on this machine
    threads: int | None = None  # of each run; None: OMP_NUM_THREADS, else 1
    save_every: float | None = None  # seconds between two checkpoints
    began: float = field(default_factory=time.time, compare=False)  # when the command did, in seconds since 1970
    worker: bool = False  # whether this is one of several processes of a command, which speaks for all


T = TypeVar("T")
Subject = IdScheme | Baseline | TrainedBaseline

EVERYTHING = "all"


def execute(plan: Plan) -> list[Path]:
    """Bring every run to its end and return the folders. What is wrong with the request is found before the first."""
    display = _main_display(ticking=not plan.worker)
    with interrupted_by_sigterm(), threads.using(threads.asked(plan.threads)):
        prepared = prepare(plan, Display(loud=False) if plan.worker else display)
        if plan.jobs > 1:
            from bench.runs.jobs import side_by_side

            return side_by_side(plan, prepared, display)
        return carry_out(prepared, display)


@dataclass(frozen=True)
class Prepared:
    """Requests that can be done, with the tests that follow each, and the contract that says how they are computed."""

    plan: Plan
    groups: Sequence[Sequence[Request]]
    contract: Contract

    @property
    def keep_going(self) -> bool:
        return len(self.groups) > 1 if self.plan.keep_going is None else self.plan.keep_going


def carry_out(prepared: Prepared, display: Display) -> list[Path]:
    """Bring every run to its end in this process."""
    warnings.filterwarnings("ignore", message=".*pin_memory.*")
    # Without `cpu`, Accelerate leaves processes that have no GPU apart: each would train a model of its own.
    accelerator = Accelerator(
        cpu=not _has_cuda(),
        gradient_accumulation_steps=1,
        mixed_precision="bf16" if prepared.contract.precision == "bf16" else "no",
        kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(days=7))],  # a baseline trains while others wait
    )
    if accelerator.is_main_process:
        store.tidy(prepared.plan.results)
    work = [
        Work(group[0].run.title, partial(_all_of, group, display, accelerator), partial(given_up, group))
        for group in prepared.groups
    ]
    if accelerator.num_processes > 1:
        return in_step(work)
    return bring_to_end(work, display.say, prepared.keep_going)


def given_up(group: Sequence[Request]) -> str:
    """Why one of the runs has failed since its command began; empty where none has."""
    for request in group:
        failure = store.failure(request.run.folder(request.results))
        if failure and failure.time > request.began:
            return failure.reason
    return ""


def prepare(plan: Plan, display: Display) -> Prepared:
    """All runs that a plan is about, after everything that is wrong with it has been found."""
    subjects, contract, preset, asked = _resolved(plan)
    contracts, labels = _followed(plan, subjects, contract)
    if plan.preset is None:
        display.say(f"no --preset given: '{preset}', {PRESETS[preset].purpose}")
    datasets = [sources.find(name, plan.data_dir) for name in plan.datasets]
    ordered = functools.cache(splitting.ordered)
    unseen = [ordered(sources.find(name, plan.data_dir), contract)[0] for name in dict.fromkeys(plan.zero_shot)]
    for dataset in (*(ordered(dataset, contract)[0] for dataset in datasets), *unseen):
        for note in (*dataset.notes, *time_notes(dataset)):
            display.say(f"{dataset.name}: {note}")
    digests = {found.backbone: content_digest(found.backbone) if plan.schemes else "" for found in contracts.values()}
    requests = [
        Request(
            subject,
            arranged,
            own,
            seed,
            None if plan.recipe else preset,
            plan.results,
            plan.force,
            digests[own.backbone],
            recipe=labels[subject.name],
            began=plan.began,
            save_every=plan.save_every,
        )
        for dataset, subject, seed in product(datasets, subjects, plan.seeds)
        for arranged, own in [ordered(dataset, contracts[subject.name])]
    ]
    possible = _possible(requests, unseen, asked, display)
    groups = [[request, *transfer_requests(request, unseen)] for request in possible]
    return Prepared(plan, groups, contract)


def _all_of(group: Sequence[Request], display: Display, accelerator: Accelerator) -> list[Path]:
    """A run and the tests of its model that follow it."""
    return [run(request, display, accelerator) for request in group]


def _followed(
    plan: Plan, subjects: Sequence[Subject], contract: Contract
) -> tuple[dict[str, Contract], dict[str, str]]:
    """By the name of each subject: the contract that it runs under, and the label of the recipe that it follows."""
    shared, own = _sorted_overrides(plan.overrides, [type(subject) for subject in subjects])
    found = {
        subject.name: followed(subject.name, plan.recipe, shared, _said_of(type(subject), [type(subject)], own))
        for subject in subjects
    }
    contracts = {name: each.contract(contract, shared) for name, each in found.items()}
    return contracts, {name: each.label for name, each in found.items()}


def _possible(
    requests: Sequence[Request], unseen: Sequence[Dataset], asked: set[str], display: Display
) -> list[Request]:
    """The requests without those that can't be done and come from ``all``. BenchError for one that was asked for by
    name, or where nothing is left.
    """
    refused: dict[tuple[str, str], tuple[Request, BenchError]] = {}
    pairs = {_pair(request): request for request in requests}
    for pair, request in pairs.items():
        try:
            with attribute_errors(request.subject):
                refuse(request, unseen)
        except BenchError as error:
            if request.subject.name in asked:
                raise
            refused[pair] = request, error
    if len(refused) == len(pairs):
        raise next(reason for _, reason in refused.values())
    _say_refused(refused.values(), display)
    return [request for request in requests if _pair(request) not in refused]


def _say_refused(refused: Iterable[tuple[Request, BenchError]], display: Display) -> None:
    """A line for each data set and reason. A reason that begins with who is refused is the same for others."""
    named: dict[tuple[str, str], list[str]] = {}
    for request, error in refused:
        name = request.subject.name
        named.setdefault((request.dataset.name, str(error).removeprefix(f"{name} ")), []).append(name)
    for (dataset, reason), skipped in named.items():
        display.say(f"skipped in '{EVERYTHING}' on {dataset}: {', '.join(skipped)}: {reason}")


def _pair(request: Request) -> tuple[str, str]:
    return request.subject.name, request.dataset.fingerprint


def resolve(plan: Plan) -> tuple[list[Subject], Contract, str]:
    """Subjects with their settings, the contract, and the preset it comes from."""
    return _resolved(plan)[:3]


def _resolved(plan: Plan) -> tuple[list[Subject], Contract, str, set[str]]:
    """The same, and the names of all subjects that are not owed to ``all`` alone."""
    if not plan.schemes and not plan.baselines:
        raise BenchError(
            "nothing to run: name an identifier scheme, e.g. --id-scheme textual, or a baseline, e.g. --baseline pop "
            "(`bench ls` shows both)"
        )
    preset = plan.preset or default_preset(_has_cuda())
    classes = _loaded(plan.schemes, SCHEMES, load_scheme)
    controls = _loaded(plan.baselines, BASELINES, load_baseline)
    loaded: list[tuple[str, type[Subject]]] = _with_recipe([*classes, *controls], plan.recipe)
    everyone = [cls for _, cls in loaded]
    asked = {cls.name for word, cls in loaded if word != EVERYTHING}
    for cls in everyone:
        refuse_taken_name(cls)
    shared, own = _sorted_overrides(plan.overrides, everyone)
    _require_ranges(everyone, plan.tune)
    subjects = []
    for cls in everyone:
        said = _said_of(cls, everyone, own)
        given = {**_of_preset(cls, preset), **_recipe(cls, plan), **said, **_searched(cls, plan.tune, said)}
        subjects.append(cls(settings_of(cls, given)))
    return _distinct(subjects), contract_for(preset, shared), preset, asked


def _recipe(cls: type[Subject], plan: Plan) -> Mapping[str, str]:
    """The settings of the recipe that is asked for."""
    return recipes.find(cls.name, plan.recipe).settings if plan.recipe else {}


def _with_recipe(loaded: list[tuple[str, type[Subject]]], recipe: str) -> list[tuple[str, type[Subject]]]:
    """Without those of ``all`` that have no such recipe."""
    if not recipe or ":" in recipe:
        return loaded
    kept = [(word, cls) for word, cls in loaded if word != EVERYTHING or recipe in recipes.offered(cls.name)]
    skipped = [cls.name for word, cls in loaded if (word, cls) not in kept]
    if skipped:
        _main_display().say(f"skipped in '{EVERYTHING}', without a recipe '{recipe}': {', '.join(skipped)}")
    return kept


def _main_display(ticking: bool = True) -> Display:
    return Display(os.environ.get("RANK", "0") == "0", ticking)


def _loaded(named: Sequence[str], group: str, load: Callable[[str], T]) -> list[tuple[str, T]]:
    """What each word asks for, behind the word. ``all`` is everything that is installed and loads; what does not is
    named, and hurts nobody else.
    """
    found = []
    for word in named:
        for name in names(group) if word == EVERYTHING else [word]:
            try:
                found.append((word, load(name)))
            except BenchError as error:
                if word != EVERYTHING:
                    raise
                _main_display().say(f"skipped in '{EVERYTHING}': {error}")
    return found


def _of_preset(cls: type[Subject], preset: str) -> Mapping[str, str]:
    return cls.presets.get(preset, {}) if issubclass(cls, AnyBaseline) else {}


def _ranges(cls: type[Subject]) -> Mapping[str, tuple[Any, ...]]:
    return cls.ranges if issubclass(cls, AnyBaseline) else {}


def _require_ranges(everyone: Sequence[type[Subject]], trials: int) -> None:
    if trials and not any(map(_ranges, everyone)):
        names = ", ".join(cls.name for cls in everyone)
        raise BenchError(f"--tune {trials} was asked for, but {names} can't be tuned; name a baseline that trains")


def _searched(cls: type[Subject], trials: int, said: Mapping[str, str]) -> dict[str, str]:
    """``--tune`` is the setting ``tune`` of whatever has ranges. What is ``said`` of them is ``fixed``."""
    tune = said.get("tune", str(trials))
    if not _ranges(cls) or tune == "0":
        return {}
    asked = {name.strip() for name in said.get("fixed", "").split(",") if name.strip()}
    fixed = ",".join(sorted(asked | (said.keys() & _ranges(cls).keys())))
    return {"tune": tune, **({"fixed": fixed} if fixed else {})}


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _family(cls: type[Any]) -> str:
    return str(cls.name).partition("/")[0]


def _sorted_overrides(
    overrides: Sequence[str], subjects: Sequence[type[Any]]
) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """``key=value`` for the contract; ``family.key=value`` or ``family/variant.key=value`` for a scheme's settings."""
    families = dict.fromkeys(name for cls in subjects for name in (_family(cls), cls.name))
    shared: dict[str, str] = {}
    own: dict[str, dict[str, str]] = {}
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise BenchError(f"--set takes key=value; got '{override}'; keys: {', '.join(setting_names())}")
        family, dot, name = key.partition(".")
        if not dot:
            shared[key] = value
        elif family in families:
            own.setdefault(family, {})[name] = value
        else:
            offered = (name for group in (SCHEMES, BASELINES) for name in names(group))
            if family in {part for name in offered for part in (name, name.partition("/")[0])}:
                run = ", ".join(cls.name for cls in subjects)
                raise BenchError(
                    f"--set {override}: '{family}' is not in this run, which is of {run}; drop it or run it"
                )
            raise unknown(f"scheme or baseline in --set {override}:", family, families)
    return shared, own


def _said_of(cls: type[Any], subjects: Sequence[type[Any]], own: dict[str, dict[str, str]]) -> dict[str, str]:
    """What is set for one subject. A family's setting goes to those of its variants that have it, if any does."""
    family = [other for other in subjects if _family(other) == _family(cls)]
    known = {field.name for other in family for field in fields(other.Settings)}
    mine = {field.name for field in fields(cls.Settings)}
    shared = own.get(_family(cls), {})
    named = {} if cls.name == _family(cls) else own.get(cls.name, {})
    return {name: value for name, value in shared.items() if name in mine or name not in known} | named


def _distinct(subjects: Sequence[Subject]) -> list[Subject]:
    """Subjects without repetition: ``textual,textual/title`` names one scheme twice."""
    return list({(type(subject), subject.name): subject for subject in subjects}.values())
