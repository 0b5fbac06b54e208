"""Many runs: every data set x subject x seed. Finished ones are skipped; a failure ends no other, unless that is asked
for; and what nobody asked for by name is skipped where it can't run at all.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

from bench import files, ranks, recipes, threads, watch
from bench.backbone import SIZES, content_digest, sizes_like
from bench.contract import PRESETS, Contract, default_preset
from bench.data import sources, splitting
from bench.data.audit.order import time_notes
from bench.errors import BenchError
from bench.evaluation.baseline import AnyBaseline, Baseline, Found, TrainedBaseline
from bench.ids.scheme import IdScheme
from bench.results import leases
from bench.results.holders import Asked
from bench.runs import slurm_settings, tracking
from bench.runs.limits import refuse_too_large
from bench.runs.overrides import handed_on, said_of, sorted_overrides, unheard
from bench.runs.possible import EVERYTHING, possible
from bench.runs.prepared import Prepared, carry_out
from bench.runs.progress import Display
from bench.runs.recipe_of import followed
from bench.runs.request import Request
from bench.runs.search import Ranges
from bench.runs.subjects import BASELINES, SCHEMES, load_baseline, load_scheme, names, refuse_taken_name
from bench.runs.subjects import settings as settings_of
from bench.runs.transfer_run import refuse, transfer_requests
from bench.runs.tuned import tuned
from bench.training.search import SHARED
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
    tune: int = 0  # trials of a search for settings, of whatever trains
    tuned: Sequence[str] = ()  # folders of runs whose searches say the settings
    tune_size: bool = False  # whether sizes are searched as well
    zero_shot: Sequence[str] = ()  # data sets that every model is tested on without having seen them
    recipe: str = ""  # the published way of training each subject, by its name
    keep_going: bool | None = None  # whether a run that fails ends no other; None: where there is more than one
    jobs: int = 1  # runs at once on this machine
    threads: int | None = None  # of each run; None: OMP_NUM_THREADS, else 1
    save_every: float | None = None  # seconds between two checkpoints
    longest_wait: float = watch.WAIT  # seconds that the ranks of one run wait for one that gets on with nothing
    began: float = field(default=math.inf, compare=False)  # when the command did, by the clock of the results' disk
    slurm: str = ""  # what each run gets as a task of Slurm; empty: it is run here
    only: str = ""  # the folder, below the results folder, of the only run to do
    worker: bool = False  # whether this is one of several processes of a command, which speaks for all
    parts: bool = True  # whether a model of several data sets is tested on each of them as well
    adapt: Sequence[int] = (0,)  # users of each unseen data set that models learn from first, one test for each number
    converted: int = 0  # steps of a budget of time or FLOPs that was converted before
    track: str = ""  # what else follows each run: tensorboard, wandb or mlflow
    ignore_limits: bool = False  # whether to run what needs more than this machine has
    log_times: bool = False  # whether every line of the log begins with its time

    @property
    def asked(self) -> Asked:
        """What workers of one command have in common, wherever they are and however they do it."""
        how = {"results", "data_dir", "jobs", "threads", "save_every", "longest_wait", "slurm", "only", "worker"}
        how |= {"keep_going", "began", "track", "ignore_limits", "log_times"}
        said = {name: value for name, value in asdict(self).items() if name not in how}
        command = hashlib.sha256(json.dumps(said, default=list).encode()).hexdigest()[:16]
        return Asked(command, self.began, submitted=bool(self.only))


T = TypeVar("T")
Subject = IdScheme | Baseline | TrainedBaseline


def execute(plan: Plan, noted: set[str] | None = None) -> list[Path]:
    """Bring every run to its end and return the folders. What is wrong with the request is found before the first.

    ``noted`` is what the command has noted of earlier plans, which is not said again; notes of this one join it.
    """
    files.refuse_long(plan.results)
    display = _main_display(not plan.worker, plan.log_times and not plan.worker, noted)
    if ranks.several() and (plan.jobs > 1 or plan.slurm):
        raise BenchError("--jobs and --slurm start processes of their own; leave them out under a launcher of ranks")
    with interrupted_by_sigterm(), ranks.connected(plan.longest_wait), threads.using(threads.asked(plan.threads)):
        plan = replace(plan, began=ranks.shared(lambda: _began(plan)))
        prepared = prepare(plan, Display(loud=False) if plan.worker else display)
        if plan.slurm:
            from bench.runs.slurm import submit

            return submit(plan, prepared, display)
        if plan.jobs > 1:
            from bench.runs.jobs import side_by_side

            return side_by_side(plan, prepared, display)
        return carry_out(prepared, display)


def _began(plan: Plan) -> float:
    """When the command did. One by force joins the same one that is under way: what it has made is not made again."""
    if math.isfinite(plan.began):
        return plan.began
    now = files.now(plan.results)
    return leases.begun(plan.results / "runs", plan.asked.command, now) if plan.force else now


def prepare(plan: Plan, display: Display) -> Prepared:
    """All runs that a plan is about, after everything that is wrong with it has been found."""
    tracking.require(plan.track)
    slurm_settings.settings(plan.slurm)
    resolved = _resolved(plan, display.note)
    subjects, contract, preset, asked = resolved.subjects, resolved.contract, resolved.preset, resolved.asked
    contracts, labels = resolved.contracts, resolved.labels
    for line in unheard(plan.overrides, subjects):
        display.note(line)
    if plan.preset is None:
        display.note(f"no --preset given: '{preset}', {PRESETS[preset].purpose}")
    datasets = [sources.find(name, plan.data_dir) for name in plan.datasets]
    ordered = functools.cache(splitting.ordered)
    foreign = [sources.find(name, plan.data_dir) for name in dict.fromkeys(plan.zero_shot)]
    unseen = {name: [ordered(dataset, own) for dataset in foreign] for name, own in contracts.items()}
    for dataset in (ordered(dataset, contract)[0] for dataset in (*datasets, *foreign)):
        for note in (*dataset.notes, *time_notes(dataset)):
            display.note(f"{dataset.name}: {note}")
    digests = {found.backbone: content_digest(found.backbone) if plan.schemes else "" for found in contracts.values()}
    requests = [
        Request(
            fitting,
            arranged,
            own,
            seed,
            None if plan.recipe else preset,
            plan.results,
            plan.force,
            digests[own.backbone],
            recipe=labels[subject.name],
            asked=plan.asked,
            save_every=plan.save_every,
            found=found,
            converted=plan.converted,
            search=resolved.search.get(subject.name),
            tuned=resolved.lines(fitting),
            adapt=tuple(plan.adapt),
            track=plan.track,
            limited=not plan.ignore_limits,
        )
        for dataset, subject, seed in product(datasets, subjects, plan.seeds)
        for arranged, own in [ordered(dataset, contracts[subject.name])]
        for fitting, found in [resolved.on(subject, dataset.name)]
    ]
    if plan.only:
        requests = [request for request in requests if _is(request, plan.only)]
        if not requests:
            raise BenchError(f"no run of this command is '{plan.only}'; its data or files have changed since")
    keep_going = len(requests) > 1 if plan.keep_going is None else plan.keep_going
    alone = asked if keep_going or plan.only else set[str]()  # one of these that is too large fails by itself
    checks: list[Callable[[Request], None]] = [
        lambda request: refuse(request, unseen[request.subject.name], plan.parts)
    ]
    checks += [functools.partial(_refuse_too_large, alone, plan.slurm)]
    found = possible(requests, checks, asked, display)
    groups = [[request, *transfer_requests(request, unseen[request.subject.name], plan.parts)] for request in found]
    return Prepared(groups, contract, plan.results, keep_going)


def _refuse_too_large(alone: set[str], slurm: str, request: Request) -> None:
    if request.subject.name not in alone:
        refuse_too_large(request, slurm)


def _is(request: Request, folder: str) -> bool:
    """Whether the result of a request belongs there. Files that another one reads may be gone by now."""
    with contextlib.suppress(BenchError):
        return request.run.folder(Path()).as_posix() == folder
    return False


def resolve(plan: Plan, note: Callable[[str], None] | None = None) -> tuple[list[Subject], Contract, str]:
    """Subjects with their settings, the contract, and the preset it comes from. ``note`` is told what a user should
    know of it; by default the user is.
    """
    found = _resolved(plan, note or _main_display().say)
    return found.subjects, found.contract, found.preset


@dataclass(frozen=True, eq=False)
class _Resolved:
    """``asked`` are the names of all subjects that are not owed to ``all`` alone. All else is by name of the subject:
    ``contracts`` and ``labels`` follow its recipe, ``given`` are its settings, and ``searched`` what an earlier search
    adds to them on its own data set. ``search`` is what a scheme is searched over, ``tuned`` what stored searches have
    found, whatever the data set. ``shared`` are lines of the contract that ``--set`` gave.
    """

    subjects: list[Subject]
    preset: str
    asked: set[str]
    contracts: Mapping[str, Contract]
    labels: Mapping[str, str]
    given: Mapping[str, Mapping[str, str]]
    searched: Mapping[str, Found]
    search: Mapping[str, Ranges]
    tuned: Mapping[str, Found]
    shared: Mapping[str, str]

    @property
    def contract(self) -> Contract:
        """That of all, and under a recipe that of the first subject: what all have in common is in each."""
        return self.contracts[self.subjects[0].name]

    def lines(self, subject: Subject) -> tuple[tuple[str, str], ...]:
        """Of the contract, what a stored search chose for a scheme; ``--set`` goes before, but names no size."""
        found = self.tuned.get(subject.name) if isinstance(subject, IdScheme) else None
        settings = found.settings if found else {}
        return tuple((name, text) for name, text in settings.items() if name == "backbone" or name not in self.shared)

    def on(self, subject: Subject, dataset: str) -> tuple[Subject, str]:
        """The subject as it is run on a data set, and where its settings come from."""
        found, mine = self.tuned.get(subject.name), self.searched.get(subject.name)
        found = found or (mine if mine and mine.dataset == dataset else None)
        if found is None or isinstance(subject, IdScheme):
            return subject, found.source if found else ""
        cls = type(subject)
        return cls(settings_of(cls, {**found.settings, **self.given[subject.name]})), found.source


def _resolved(plan: Plan, tell: Callable[[str], None]) -> _Resolved:
    """``tell`` takes a line for what is skipped of ``all``."""
    if not plan.schemes and not plan.baselines:
        raise BenchError(
            "nothing to run: name an identifier scheme, e.g. --id-scheme textual, or a baseline, e.g. --baseline pop "
            "(`bench ls` shows both)"
        )
    if tuple(plan.adapt) != (0,) and not plan.zero_shot:
        raise BenchError("--adapt takes users of unseen data sets, and none is named; add --zero-shot NAME")
    preset = default_preset(_has_cuda()) if plan.preset is None else plan.preset
    classes = _loaded(plan.schemes, SCHEMES, load_scheme, tell)
    controls = _loaded(plan.baselines, BASELINES, load_baseline, tell)
    loaded: list[tuple[str, type[Subject]]] = _with_recipe([*classes, *controls], plan.recipe, tell)
    if not loaded:
        raise BenchError(
            f"nothing to run: all that '{EVERYTHING}' stands for is skipped; name what you mean (bench ls)"
        )
    everyone = [cls for _, cls in loaded]
    asked = {cls.name for word, cls in loaded if word != EVERYTHING}
    for cls in everyone:
        refuse_taken_name(cls)
    shared, own = sorted_overrides(plan.overrides, everyone)
    _require_ranges(everyone, plan.tune)
    subjects, settings, searched, follow = [], {}, {}, {}
    for cls in everyone:
        said = {**handed_on(cls, shared), **said_of(cls, everyone, own)}
        given = {**_of_preset(cls, preset), **_recipe(cls, plan), **said, **_searched(cls, plan, said)}
        subjects.append(cls(settings_of(cls, given)))
        settings[cls.name] = given
        follow[cls.name] = followed(cls.name, plan.recipe, shared, said_of(cls, [cls], own))
        if (found := _earlier(cls, preset)) and not plan.recipe and given.get("tune", "0") == "0":
            searched[cls.name] = found
    contracts = {name: each.contract(preset, shared) for name, each in follow.items()}
    labels = {name: each.label for name, each in follow.items()}
    search = _search(plan, {cls.name: contracts[cls.name] for cls in everyone if issubclass(cls, IdScheme)}, shared)
    stored = _tuned(plan, list(contracts))
    distinct = _distinct(subjects)
    return _Resolved(distinct, preset, asked, contracts, labels, settings, searched, search, stored, shared)


def _tuned(plan: Plan, names: Sequence[str]) -> dict[str, Found]:
    """What ``--tuned`` names. BenchError where nobody in the run is meant, or a search is asked for as well."""
    found = ranks.shared(lambda: tuned(plan.tuned))
    if found and plan.tune:
        raise BenchError("--tune searches on the data set itself and --tuned takes what was found before; give one")
    if strange := sorted(found.keys() - set(names)):
        raise BenchError(f"--tuned names a search of {strange[0]}, which is not in this run, of {', '.join(names)}")
    return found


def _search(plan: Plan, contracts: Mapping[str, Contract], shared: Mapping[str, str]) -> dict[str, Ranges]:
    """What ``--tune`` searches of the contract's lines, for each scheme by its contract: what ``--set`` leaves open.
    BenchError if that is nothing.

    Of a backbone ``--set`` or a recipe says the architecture, and ``--tune-size`` that its size is open.
    """
    if not plan.tune:
        if plan.tune_size:
            raise BenchError("--tune-size says what --tune searches, and that was not asked for; add --tune TRIALS")
        return {}
    return {name: _ranges_of(plan, contract.backbone, shared) for name, contract in contracts.items()}


def _ranges_of(plan: Plan, backbone: str, shared: Mapping[str, str]) -> Ranges:
    sizes = sizes_like(backbone) if plan.tune_size else ()
    if plan.tune_size and not sizes:
        raise BenchError(
            f"--tune-size was asked for, but backbone '{backbone}' has no other sizes to search; name one "
            f"that has ({', '.join(SIZES)}), or leave --tune-size out"
        )
    ranges = {**SHARED, **({"backbone": sizes} if sizes else {})}
    lines = tuple((name, choices) for name, choices in ranges.items() if name not in shared or name == "backbone")
    if not lines:
        raise BenchError(f"--tune {plan.tune} was asked for, but all that it searches is given: {', '.join(ranges)}")
    return Ranges(plan.tune, lines)


def _earlier(cls: type[Subject], preset: str) -> Found | None:
    return cls.searched.get(preset) if issubclass(cls, AnyBaseline) else None


def _recipe(cls: type[Subject], plan: Plan) -> Mapping[str, str]:
    """The settings of the recipe that is asked for."""
    return recipes.find(cls.name, plan.recipe).settings if plan.recipe else {}


def _with_recipe(
    loaded: list[tuple[str, type[Subject]]], recipe: str, tell: Callable[[str], None]
) -> list[tuple[str, type[Subject]]]:
    """Without those of ``all`` that have no such recipe."""
    if not recipe or ":" in recipe:
        return loaded
    kept = [(word, cls) for word, cls in loaded if word != EVERYTHING or recipe in recipes.offered(cls.name)]
    skipped = [cls.name for word, cls in loaded if (word, cls) not in kept]
    if skipped:
        tell(f"skipped in '{EVERYTHING}', without a recipe '{recipe}': {', '.join(skipped)}")
    return kept


def _main_display(ticking: bool = True, times: bool = False, noted: set[str] | None = None) -> Display:
    return Display(ranks.is_main(), ticking, times, noted)


def _loaded(
    named: Sequence[str], group: str, load: Callable[[str], T], tell: Callable[[str], None]
) -> list[tuple[str, T]]:
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
                tell(f"skipped in '{EVERYTHING}': {error}")
    return found


def _of_preset(cls: type[Subject], preset: str) -> Mapping[str, str]:
    return cls.presets.get(preset, {}) if issubclass(cls, AnyBaseline) else {}


def _ranges(cls: type[Subject]) -> Mapping[str, tuple[Any, ...]]:
    return cls.ranges if issubclass(cls, AnyBaseline) else {}


def _require_ranges(everyone: Sequence[type[Subject]], trials: int) -> None:
    if trials and not any(issubclass(cls, IdScheme) or _ranges(cls) for cls in everyone):
        names = ", ".join(cls.name for cls in everyone)
        raise BenchError(f"--tune {trials} was asked for, but {names} can't be tuned; name what trains")


def _searched(cls: type[Subject], plan: Plan, said: Mapping[str, str]) -> dict[str, str]:
    """``--tune`` is the setting ``tune`` of a baseline that has ranges. What is ``said`` of them is ``fixed``, and so
    are sizes that are not to be searched.
    """
    tune = said.get("tune", str(plan.tune))
    if not _ranges(cls) or tune == "0":
        return {}
    asked = {name.strip() for name in said.get("fixed", "").split(",") if name.strip()}
    sizes = set(cls.sizes) if issubclass(cls, AnyBaseline) and not plan.tune_size else set()
    fixed = ",".join(sorted(asked | ((said.keys() | sizes) & _ranges(cls).keys())))
    return {"tune": tune, **({"fixed": fixed} if fixed else {})}


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _distinct(subjects: Sequence[Subject]) -> list[Subject]:
    """Subjects without repetition: ``textual,textual/title`` names one scheme twice."""
    return list({(type(subject), subject.name): subject for subject in subjects}.values())
