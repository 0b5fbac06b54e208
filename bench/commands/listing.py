"""``bench ls``: what can be run, what is finished and what is under way, without importing a plugin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path

from rich.table import Table
from rich.text import Text

from bench import files, machine, plugins
from bench.console import Console, bold
from bench.contract import PRESETS
from bench.data import registry, sources
from bench.errors import BenchError
from bench.recipes import RECIPES
from bench.results import storage
from bench.results.read import sound
from bench.results.unfinished import unfinished
from bench.runs.subjects import load_baseline, load_scheme
from bench.summaries import summary

FILES = ("file:PATH", "identifiers that exist already: index.json, .sem_ids, text index, .npy, Parquet")

Load = Callable[[str], object]


def show(results: Path, data_dir: Path | None, check: bool = False, as_json: bool = False) -> None:
    """Print schemes, baselines, data sets, presets and finished runs. With ``check`` every plugin is imported, so that
    those are found broken as well whose source looks well.
    """
    if as_json:
        machine.show(plain(results, data_dir, check))
        return
    console = Console()
    schemes = _offered(plugins.SCHEMES, load_scheme, check)
    _show(console, "identifier schemes (--id-scheme)", [*schemes, FILES])
    _show(console, "baselines (--baseline)", _offered(plugins.BASELINES, load_baseline, check))
    known = [(k.name, str(k.found) if k.found else _absent(k.name, data_dir)) for k in sources.known(data_dir)]
    known += [(own.name, str(own.found)) for own in sources.imported(data_dir)]
    offered = _offered(plugins.DATASETS, sources.load, check)
    _show(console, "data sets (--dataset)", [*known, *offered, ("./folder", "any folder of RecBole atomic files")])
    _show(console, "recipes (--recipe)", _recipes() or [("none", "")])
    _show(console, "presets (--preset)", [(name, preset.purpose) for name, preset in PRESETS.items()])
    states = ((folder, _state(results / "runs" / folder)) for folder in finished(results))
    done = [(str(folder), state["problem"] or state["model"] or "") for folder, state in states]
    _show(console, f"finished runs in {results}", done or [("none yet", "")])
    if left := unfinished(results):
        _show(console, f"other runs in {results}", [(run.folder, f"{run.state}: {run.note}") for run in left])


def plain(results: Path, data_dir: Path | None, check: bool = False) -> dict[str, list[dict[str, str | None]]]:
    """The same as plain values. ``folder`` of a data set is None where it is not on this machine, ``problem`` of a
    plugin or a run where none is known, ``lacks`` of a plugin where what it needs is installed, ``model`` of a run
    where it has trained its own; ``state`` of an unfinished run is running, interrupted or failed.
    """
    return {
        "id_schemes": _plain(plugins.SCHEMES, load_scheme, check),
        "baselines": _plain(plugins.BASELINES, load_baseline, check),
        "datasets": [
            {"name": known.name, "folder": str(known.found) if known.found else None, "description": known.description}
            for known in (*sources.known(data_dir), *sources.imported(data_dir))
        ],
        "offered_datasets": _plain(plugins.DATASETS, sources.load, check),
        "recipes": [{"name": name, "of": subjects_of} for name, subjects_of in _recipes()],
        "presets": [{"name": name, "purpose": preset.purpose} for name, preset in PRESETS.items()],
        "finished": [
            {"folder": str(results / "runs" / folder), **_state(results / "runs" / folder)}
            for folder in finished(results)
        ],
        "unfinished": [
            {"folder": str(results / "runs" / run.folder), "state": run.state, "note": run.note}
            for run in unfinished(results)
        ],
    }


def show_sizes(results: Path, as_json: bool = False) -> None:
    """Print what lies in a results folder, the largest first, with its bytes and the days since it was used."""
    found = sorted(storage.pieces(results), key=lambda each: (-each.size, each.path))
    if as_json:
        machine.show([{"path": str(p.path), "what": p.what, "bytes": p.size, "days": p.days} for p in found])
        return
    console = Console()
    for each in found:
        size = storage.readable_size(each.size)
        console.print(f"{size:>9}  {each.days:>5.0f} days  {each.what}  {each.path}", soft_wrap=True)
    total = storage.readable_size(sum(each.size for each in found))
    console.print(f"{total:>9}  in {len(found):,} files and folders of '{results}'", soft_wrap=True)


def _plain(group: str, load: Load, check: bool) -> list[dict[str, str | None]]:
    offers = plugins.offers(group)
    return [
        {
            "name": name,
            "is": offered[0].value,
            "description": summary(offered[0]),
            "problem": _trouble(name, offered, load, check) or None,
            "lacks": plugins.lacks(offered[0]) or None,
        }
        for name, offered in offers.items()
    ]


def _recipes() -> list[tuple[str, str]]:
    """Names of recipes, and the schemes and baselines that have one of that name."""
    subjects_of: dict[str, list[str]] = {}
    for name in plugins.offers(RECIPES):
        subject, _, recipe = name.partition(":")
        subjects_of.setdefault(recipe, []).append(subject)
    return [(recipe, ", ".join(found)) for recipe, found in subjects_of.items()]


def finished(results: Path) -> list[Path]:
    """Folders of finished runs, relative to ``results/runs``."""
    runs = results / "runs"
    found = (path.parent.relative_to(runs) for path in files.matching(runs, "*/*/*/*/result.json"))
    return sorted(folder for folder in found if not folder.name.startswith("."))


def _state(folder: Path) -> dict[str, str | None]:
    """Which ``model`` a finished run has tested, where another run has trained it, and what ``problem`` it has."""
    try:
        run = sound(folder / "result.json", str(folder))
    except BenchError as error:
        return {"model": None, "problem": f"broken: {error}"}
    return {"model": run.origin or None, "problem": None}


def _offered(group: str, load: Load, check: bool) -> list[tuple[str, str | Text]]:
    """A group's names, and what is behind each: what it says of itself, another name, a conflict, or what is wrong."""
    offers = plugins.offers(group)
    return [
        (name, _trouble(name, offers[name], load, check) or _lacks(offers[name][0]) or _target(name, offers))
        for name in offers
    ]


def _lacks(entry: EntryPoint) -> str:
    missing = plugins.lacks(entry)
    return f"lacks {missing}, which is not installed" if missing else ""


def _absent(name: str, data_dir: Path | None) -> str:
    """Of a data set that is not on this machine."""
    source = registry.find(name)
    return f"not here: {sources.how_to_get(source, data_dir)} ({source.description})"


def fault_of(name: str, offered: list[EntryPoint], load: Load) -> str:
    """What is wrong with a plugin, which is imported for that; empty where it runs."""
    return _trouble(name, offered, load, check=True)


def _trouble(name: str, offered: list[EntryPoint], load: Load, check: bool) -> str:
    if len(offered) > 1:
        return f"conflict: {plugins.conflict(offered)}"
    if conflict := offered[0].group == plugins.DATASETS and sources.clash(offered[0]):
        return f"conflict: {conflict}"
    found = plugins.fault(offered[0])
    if not found and check:
        try:
            load(name)
        except BenchError as error:
            return f"broken: {error}"
    return f"broken: {plugins.where(offered[0])}: {found}" if found else ""


def _target(name: str, offers: dict[str, list[EntryPoint]]) -> str | Text:
    """What it says of itself, or else where it is; a family's bare name says which variant it stands for. Words of a
    plugin's own are a Text, which is never taken for what is wrong with it.
    """
    same = [other for other in plugins.synonyms(name, offers) if "/" in other]
    if same and "/" not in name:
        return f"the same as {same[0]}"
    said = summary(offers[name][0])
    return Text(said) if said else offers[name][0].value


def _show(console: Console, title: str, rows: Sequence[tuple[str, str | Text]]) -> None:
    console.print(bold(title), soft_wrap=True)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(style="dim")
    for name, note in rows:
        table.add_row(Text(name), note if isinstance(note, Text) else _colored(note))
    console.print(table)


def _colored(note: str) -> Text:
    bad = note.startswith(("broken: ", "conflict: ", "failed: "))
    lacks = note.startswith(("lacks ", "not here: ", "interrupted: "))
    return Text(note, "red" if bad else "yellow" if lacks else "")
