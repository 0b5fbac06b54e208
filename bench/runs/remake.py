"""The request that makes stored runs again, as a file for ``bench run --config``.

What a result holds is enough: its contract against that of its preset, its settings against the defaults of its scheme.
Folders of data sets and models are not stored, so whoever has some of their own adds them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from bench import lists, recipes, toml
from bench.console import visible
from bench.contract import BUDGETS, LATER, PRESETS, Contract, changed
from bench.errors import BenchError
from bench.protocol import PROTOCOL
from bench.results.schema import Record
from bench.runs.recipe_of import left
from bench.runs.subjects import installed_baseline, installed_scheme
from bench.runs.subjects import settings as settings_of
from bench.training.budget import OF_TRIALS
from bench.training.search import SHARED

HEADER = (
    "# bench run --config FILE.toml makes these runs again.\n"
    "# Data sets, files and models of your own are named without their folders; add these.\n"
)
MISSING = "# {}: of a file, or of a package that is not installed here; a file is named ./FILE.py:CLASS or file:PATH.\n"
FOUND = "# {}: settings of an earlier search; add --tuned with the folder of that run.\n"
OLDER = "# Some are of protocol {}, and this bench has {}: the same request makes other runs.\n"

Plain = dict[str, Any]


@dataclass(frozen=True)
class _Asked:
    """What one run was asked for: ``options`` and ``lines`` of the contract that several may share, then its own."""

    options: Plain
    lines: Plain
    name: str
    settings: Plain
    dataset: str
    seed: int
    zero_shot: tuple[str, int] | None
    part: bool  # whether it is a test of a joined model on one of its data sets

    @property
    def shared(self) -> str:
        return repr((sorted(self.options.items()), sorted(self.lines.items())))


def remake(runs: Sequence[Record]) -> str:
    """TOML with as few requests as the runs allow: one table ``[[request]]`` for each, where there are several.

    A request makes every data set x scheme x seed that it names; no run is made that is not among these but tests of
    models on unseen data sets, which are made for all models of a request.
    """
    asked = [_asked(run, runs) for run in runs]
    requests = [request for part in _shared(asked) for request in _rectangles(part)]
    search = sorted({run.scheme.name for run in runs if run.scheme.search and "tune" not in run.scheme.search})
    missing = sorted({run.scheme.name for run in runs if _class(run) is None})
    older = sorted({run.protocol for run in runs} - {PROTOCOL})
    notes = HEADER + "".join(FOUND.format(visible(name)) for name in search)
    notes += "".join(MISSING.format(visible(name)) for name in missing)
    notes += "".join(OLDER.format(number, PROTOCOL) for number in older)
    return f"{notes}\n{toml.written(requests[0] if len(requests) == 1 else {'request': requests})}"


def _asked(run: Record, runs: Sequence[Record]) -> _Asked:
    baseline, preset = run.scheme.kind == "baseline", _preset(run)
    recipe, _, but = run.scheme.recipe.partition(", but ")
    options: Plain = {"baseline" if baseline else "id-scheme": "", "preset": preset}
    options |= {"recipe": recipe} if recipe else {}
    options |= _search(run)
    origin = _origin(run, runs)
    kept = set(but.split(", ")) if but else set[str]()
    lines = _lines(origin, _base(preset, run, recipe, kept), kept)
    if "budget" in lines and (steps := _converted(origin)):
        options["budget"] = f"{lines.pop('budget')}@{steps}"
    if run.zero_shot or run.adapted_on:
        lines = lines if origin is not run else {key: value for key, value in lines.items() if key != "ties"}
    unseen = (run.dataset.name, run.adapted_on) if run.zero_shot or run.adapted_on else None
    settings = _settings(run, preset, recipe, kept)
    home = run.trained_on or run.dataset.name
    part = bool(run.trained_on) and unseen is None
    return _Asked(options, lines, run.scheme.name, settings, home, run.seed, unseen, part)


def _preset(run: Record) -> str:
    """Its own; under a recipe, which replaces most of it, the one that leaves least to be said."""
    if run.preset in PRESETS:
        return str(run.preset)
    return min(PRESETS, key=lambda name: len(_lines(run, PRESETS[name].contract)))


def _search(run: Record) -> Plain:
    """Of schemes; a baseline has its search among its settings."""
    if "tune" not in run.scheme.search:
        return {}
    sizes = {"tune-size": True} if "backbone" in str(run.scheme.search.get("searched")).split(", ") else {}
    return {"tune": run.scheme.search["tune"], **sizes}


def _converted(run: Record) -> int:
    """The steps of a budget of time or FLOPs, which another machine would measure anew; 0 where there is none, or a
    search of sizes has one for each.
    """
    budget = (run.training or {}).get("budget") or {}
    return int(budget.get("steps", 0)) if run.contract.get("budget") and OF_TRIALS not in budget else 0


def _origin(run: Record, runs: Sequence[Record]) -> Record:
    """The run whose model was tested, where it is among them; the order of ties is that of its data."""
    same = (run.scheme.name, run.seed, run.trained_on)
    found = (each for each in runs if (each.scheme.name, each.seed, each.dataset.name) == same and not each.trained_on)
    # settings that only name the unseen are those of the test alone
    return next((each for each in found if {**run.scheme.stated, **each.scheme.stated} == run.scheme.stated), run)


def _base(preset: str, run: Record, recipe: str, but: set[str]) -> Contract:
    """The contract that is left where nothing is set but what takes the place of a recipe's lines (``but``)."""
    contract = PRESETS[preset].contract
    if not recipe:
        return contract
    given = {line: str(value) for line, value in _stated(run).items() if line in but}
    return changed(contract, left(recipes.installed(run.scheme.name, recipe), given))


def _stated(run: Record) -> Plain:
    """The contract of a run, with the lines of a scheme's that are not stored where they say what was always done."""
    usual = {field.name: field.default for field in fields(Contract) if field.name in LATER}
    return {**(usual if run.scheme.kind == "scheme" else {}), **run.contract}


def _lines(run: Record, base: Contract, kept: Collection[str] = ()) -> Plain:
    """Of the contract, what differs or was given in the place of a recipe's. One budget takes the place of another, so
    what is empty is not said.
    """
    before, after = asdict(base), _stated(run)
    if "@" in str(after.get("backbone")):  # the name and a digest of the content
        after["backbone"] = str(after["backbone"]).rpartition("@")[0]
    unlike = {name: after[name] for name in before if name in after and (after[name] != before[name] or name in kept)}
    if "tune" in run.scheme.search:  # what is given is not searched, also where it is what it would be anyway
        searched = str(run.scheme.search.get("searched")).split(", ")
        unlike |= {name: after[name] for name in SHARED if name not in searched}
    return {name: value for name, value in unlike.items() if value or name not in BUDGETS}


def _settings(run: Record, preset: str, recipe: str, kept: Collection[str]) -> Plain:
    """Those that differ from what the scheme has under this preset or recipe; all where it is not installed."""
    stored = {name: _plain(value) for name, value in run.scheme.settings.items()}
    cls = _class(run)
    if cls is None:
        return stored
    try:
        given = dict(cls.presets.get(preset, {})) if run.scheme.kind == "baseline" else {}
        given |= recipes.installed(run.scheme.name, recipe).settings if recipe else {}
        usual = {name: _plain(value) for name, value in vars(settings_of(cls, given)).items()}
    except BenchError:
        return stored
    return {name: value for name, value in stored.items() if value != usual.get(name) or name in kept}


def _class(run: Record) -> Any:
    """What a run was of, where it is installed here. A file or module that a result names is not run for being read."""
    try:
        return (installed_baseline if run.scheme.kind == "baseline" else installed_scheme)(run.scheme.name)
    except BenchError:
        return None


def _plain(value: object) -> Any:
    """As a file for ``--config`` has it."""
    if isinstance(value, list | tuple):
        return ",".join(str(_plain(each)) for each in value)
    return "none" if value is None else value


def _shared(asked: Sequence[_Asked]) -> Iterable[list[_Asked]]:
    """Those that may stand in one request: the same options and lines, and one way to set each scheme."""
    found: dict[tuple[str, int], list[_Asked]] = {}
    variants: dict[tuple[str, str], list[Plain]] = {}
    for each in asked:
        known = variants.setdefault((each.shared, each.name), [])
        if each.settings not in known:
            known.append(each.settings)
        found.setdefault((each.shared, known.index(each.settings)), []).append(each)
    return found.values()


def _rectangles(part: Sequence[_Asked]) -> Iterable[Plain]:
    """Requests of which each is every data set x scheme x seed that it names."""
    seeds: dict[tuple[str, str], set[int]] = {}
    for each in part:
        seeds.setdefault((each.dataset, each.name), set()).add(each.seed)
    rows: dict[tuple[str, frozenset[int]], list[str]] = {}
    for (dataset, name), found in seeds.items():
        rows.setdefault((dataset, frozenset(found)), []).append(name)
    merged: dict[tuple[tuple[str, ...], frozenset[int]], list[str]] = {}
    for (dataset, which), names in rows.items():
        merged.setdefault((tuple(names), which), []).append(dataset)
    for (together, which), datasets in merged.items():
        yield _request(part, datasets, together, which)


def _request(part: Sequence[_Asked], datasets: Sequence[str], names: Sequence[str], seeds: frozenset[int]) -> Plain:
    mine = [each for each in part if each.dataset in datasets and each.name in names]
    kind = next(iter(mine[0].options))
    unseen = [each.zero_shot for each in mine if each.zero_shot]
    zero_shot = {"zero-shot": sorted({name for name, _ in unseen}), "adapt": sorted({users for _, users in unseen})}
    joined = any("+" in each.dataset for each in mine)
    own = {each.name: each.settings for each in mine if each.settings}
    settings = {**mine[0].lines, **own}
    return {
        **mine[0].options,
        kind: list(names),
        "dataset": list(datasets),
        "seed": lists.as_ranges(seeds),
        **({"parts": False} if joined and not any(each.part for each in mine) else {}),
        **(zero_shot if unseen else {}),
        **({"set": settings} if settings else {}),
    }
