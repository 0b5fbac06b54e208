"""Many cells: every data set x subject x seed, one after the other. Finished ones are skipped; one failure ends the
run, but what nobody asked for by name is left out where it can't run at all.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs

from bench.data import sources
from bench.data.audit.order import time_notes
from bench.data.dataset import Dataset
from bench.errors import BenchError, unknown
from bench.evaluation.baseline import AnyBaseline, Baseline, TrainedBaseline
from bench.ids import plugins
from bench.ids.scheme import IdScheme
from bench.model.huggingface import content_digest
from bench.runs import config, splitting
from bench.runs.blame import blamed
from bench.runs.progress import Display
from bench.runs.request import Request
from bench.runs.run import run
from bench.runs.transfer_run import elsewhere, refuse


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


T = TypeVar("T")
Subject = IdScheme | Baseline | TrainedBaseline

EVERYTHING = "all"


def execute(plan: Plan) -> list[Path]:
    """Run every cell and return their folders. What can be wrong with the request is found before the first."""
    subjects, contract, preset, asked = _resolved(plan)
    warnings.filterwarnings("ignore", message=".*pin_memory.*")
    # Without `cpu`, Accelerate leaves processes that have no GPU apart: each would train a model of its own.
    accelerator = Accelerator(
        cpu=not _has_cuda(),
        gradient_accumulation_steps=1,
        mixed_precision="bf16" if contract.precision == "bf16" else "no",
        kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(days=7))],  # a baseline trains while others wait
    )
    display = Display(accelerator.is_main_process)
    if plan.preset is None:
        display.say(f"no --preset given: '{preset}', {config.PRESETS[preset].purpose}")
    datasets = [splitting.ordered(sources.find(name, plan.data_dir), contract) for name in plan.datasets]
    zero_shot = dict.fromkeys(plan.zero_shot)
    unseen = [splitting.ordered(sources.find(name, plan.data_dir), contract)[0] for name in zero_shot]
    for dataset in (*(dataset for dataset, _ in datasets), *unseen):
        for note in (*dataset.notes, *time_notes(dataset)):
            display.say(f"{dataset.name}: {note}")
    backbone = content_digest(contract.backbone) if plan.schemes else ""
    requests = [
        Request(subject, dataset, held, seed, preset, plan.results, plan.force, backbone)
        for (dataset, held), subject, seed in product(datasets, subjects, plan.seeds)
    ]
    possible = _possible(requests, unseen, asked, display)
    return [run(each, display, accelerator) for request in possible for each in (request, *elsewhere(request, unseen))]


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
            with blamed(request.subject):
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
    for (dataset, reason), names in named.items():
        display.say(f"left out of '{EVERYTHING}' on {dataset}: {', '.join(names)}: {reason}")


def _pair(request: Request) -> tuple[str, str]:
    return request.subject.name, request.dataset.fingerprint


def resolve(plan: Plan) -> tuple[list[Subject], config.Contract, str]:
    """Subjects with their settings, the contract, and the preset it comes from."""
    return _resolved(plan)[:3]


def _resolved(plan: Plan) -> tuple[list[Subject], config.Contract, str, set[str]]:
    """The same, and the names of all subjects that are not owed to ``all`` alone."""
    if not plan.schemes and not plan.baselines:
        raise BenchError(
            "nothing to run: name an identifier scheme, e.g. --id-scheme textual, or a baseline, e.g. --baseline pop "
            "(`bench ls` shows both)"
        )
    preset = plan.preset or config.default_preset(_has_cuda())
    classes = _loaded(plan.schemes, plugins.SCHEMES, plugins.load_scheme)
    controls = _loaded(plan.baselines, plugins.BASELINES, plugins.load_baseline)
    loaded: list[tuple[str, type[Subject]]] = [*classes, *controls]
    everyone = [cls for _, cls in loaded]
    asked = {cls.name for word, cls in loaded if word != EVERYTHING}
    for cls in everyone:
        plugins.refuse_taken_name(cls)
    shared, own = _sorted_overrides(plan.overrides, everyone)
    _require_ranges(everyone, plan.tune)
    subjects = [
        cls(plugins.settings(cls, {**_of_preset(cls, preset), **said, **_searched(cls, plan.tune, said)}))
        for cls, said in ((cls, _said_of(cls, everyone, own)) for cls in everyone)
    ]
    return _distinct(subjects), config.contract(preset, shared), preset, asked


def _loaded(named: Sequence[str], group: str, load: Callable[[str], T]) -> list[tuple[str, T]]:
    """What each word asks for, behind the word. ``all`` is everything that is installed and loads; what does not is
    named, and hurts nobody else.
    """
    found = []
    for word in named:
        for name in plugins.names(group) if word == EVERYTHING else [word]:
            try:
                found.append((word, load(name)))
            except BenchError as error:
                if word != EVERYTHING:
                    raise
                Display(os.environ.get("RANK", "0") == "0").say(f"left out of '{EVERYTHING}': {error}")
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
    """``--tune`` is the setting ``tune`` of whatever has ranges. What is ``said`` of them is ``held``."""
    tune = said.get("tune", str(trials))
    if not _ranges(cls) or tune == "0":
        return {}
    asked = {name.strip() for name in said.get("held", "").split(",") if name.strip()}
    held = ",".join(sorted(asked | (said.keys() & _ranges(cls).keys())))
    return {"tune": tune, **({"held": held} if held else {})}


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
            raise BenchError(f"--set takes key=value; found '{override}'; keys: {', '.join(config.setting_names())}")
        family, dot, name = key.partition(".")
        if not dot:
            shared[key] = value
        elif family in families:
            own.setdefault(family, {})[name] = value
        else:
            offered = (name for group in (plugins.SCHEMES, plugins.BASELINES) for name in plugins.names(group))
            if family in {part for name in offered for part in (name, name.partition("/")[0])}:
                run = ", ".join(cls.name for cls in subjects)
                raise BenchError(
                    f"--set {override}: '{family}' is not in this run, which is of {run}; leave it out or run it"
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
