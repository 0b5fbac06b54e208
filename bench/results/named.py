"""Which stored runs a word stands for: folders of runs, schemes, baselines and families. All commands ask here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from bench import plugins
from bench.results.digests import RESULT
from bench.results.identity import folder_name
from bench.results.store import readable

T = TypeVar("T")


def in_folder(results: Path, asked: str) -> list[Path]:
    """``result.json`` of the runs in a folder, as such or below ``results`` or ``results/runs``; none where there is no
    such folder with a run.
    """
    places = (Path(asked), results / asked, results / "runs" / asked) if asked else ()  # a path of nothing is any
    for folder in places:
        if folder.is_dir() and (below := [folder / RESULT] if (folder / RESULT).exists() else readable(folder)):
            return below
    return []


def of_name(asked: str, known: Iterable[T], versioned: Callable[[T], str]) -> list[T]:
    """Those of a scheme or baseline, with or without ``@version``; else of the variant that ``bench run`` takes the
    name for; else, where that has no run, of the whole family.

    ``versioned`` gives a run's ``<scheme>@<version>`` as folders have it, which is known of corrupt runs too.
    """
    runs = [(run, versioned(run)) for run in known]
    scheme, _, version = asked.rpartition("@")
    if exact := [
        run for run, name in runs if name == f"{folder_name(scheme)}@{version}" or scheme_of(name) == folder_name(asked)
    ]:
        return exact
    names = {folder_name(name) for name in meant(asked)}
    if variant := [run for run, name in runs if scheme_of(name) in names]:
        return variant
    return [run for run, name in runs if name.startswith(f"{folder_name(asked)}.")]


def of_file(file: Path) -> str:
    """What folders say of a run: ``…/<scheme>@<version>[+settings]/<contract>/<seed>/result.json``."""
    scheme, at, version = (file.parents[2].name if len(file.parents) > 2 else "").partition("@")
    return scheme + at + version.partition("+")[0]


def meant(asked: str) -> set[str]:
    """All names under which is offered what ``asked`` stands for; asked without importing it."""
    for group in (plugins.SCHEMES, plugins.BASELINES):
        offered = plugins.offers(group)
        if asked in offered:
            return set(plugins.synonyms(asked, offered))
    return set()


def scheme_of(versioned: str) -> str:
    """The scheme's part: a name that has ``@`` itself is written without in folders."""
    return versioned.partition("@")[0]
