"""Finds a data set by name or path. Cheap to import: pandas is loaded only when something is read.

A package offers a data set through an entry point in ``bench.datasets`` (see ``bench.plugins``): a function without
arguments that returns a ``Dataset`` or a folder of atomic files, and downloads it first where need be. Its results
stand under the name of the entry point.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from pathlib import Path

import platformdirs

from bench import plugins
from bench.data import registry
from bench.data.dataset import Dataset, ItemTable
from bench.data.joined import PLUS, join
from bench.errors import BenchError, said, unknown

EMBEDDED = "ml-100k"
ML_100K_TEXT = {"movie_title": "title", "release_year": "year", "class": "genres"}  # RecBole's names


@dataclass(frozen=True)
class Known:
    """A data set that has a name; ``found`` is the folder it is read from, None where it is not on this machine."""

    name: str
    description: str
    found: Path | None


def known(data_dir: Path | None = None) -> list[Known]:
    """All named data sets and whether they are here; reads no data."""
    return [Known(name, source.description, located(name, data_dir)) for name, source in registry.load().items()]


def imported(data_dir: Path | None = None) -> list[Known]:
    """The data sets of one's own in the folders of data: whatever else is there as ``<name>/<name>.inter``."""
    found: dict[str, Known] = {}
    for root in _roots(data_dir):
        for path in sorted(root.glob("*/*.inter")):
            own = path.stem == path.parent.name and path.stem not in registry.load()
            if own and not path.parent.name.startswith("."):
                found.setdefault(path.stem, Known(path.stem, "your own", path.parent))
    return list(found.values())


def located(name: str, data_dir: Path | None = None) -> Path | None:
    """The folder that a named data set is read from; None where it is not on this machine."""
    within = _embedded() if name == EMBEDDED else None
    return within or _located(name, data_dir)


def missing(name_or_path: str, data_dir: Path | None = None) -> list[str]:
    """Which of the named data sets `bench data get` knows and this machine lacks; several are joined by ``+``."""
    parts = [part.strip() for part in name_or_path.split(PLUS)]
    offered = plugins.names(plugins.DATASETS)
    return [part for part in parts if part in registry.load() and part not in offered and not located(part, data_dir)]


def home(data_dir: Path | None = None) -> Path:
    """The folder that data sets are put into: ``data_dir``, else ``$BENCH_DATA_DIR``, else the user's data folder."""
    for folder in _roots(data_dir):
        return folder
    raise BenchError("there is no folder for data sets: this user has no home; name one with --data-dir")


def find(name_or_path: str, data_dir: Path | None = None) -> Dataset:
    """A data set by name, or any folder with atomic files by its path or that of ``<folder>/<folder>.inter``; with
    ``+`` between them, several joined into one.

    Names are those above, those that packages offer, and whatever is in ``data_dir``, ``$BENCH_DATA_DIR`` or the user's
    data folder, looked for in this order as ``<name>/<name>.inter`` or ``<name>.inter``. Raises BenchError where
    nothing is found, saying how to get it, and where a package offers a name of our own.
    """
    if not name_or_path.strip():
        raise BenchError(f"a data set has a name or is a folder; got '{name_or_path}' (`bench ls` shows those known)")
    parts = [part.strip() for part in name_or_path.split(PLUS)]
    if len(parts) > 1 and not Path(name_or_path).expanduser().is_dir():
        return join([find(part, data_dir) for part in parts])
    offered = plugins.offers(plugins.DATASETS)
    if name_or_path in offered:
        return _offered(name_or_path, offered[name_or_path])
    if name_or_path in registry.load():
        return _renamed(_read(located(name_or_path, data_dir) or _not_found(name_or_path, data_dir), name_or_path))
    path = Path(name_or_path).expanduser()
    folder = None if os.sep in name_or_path or "/" in name_or_path else _located(name_or_path, data_dir)
    if folder is not None and path.is_dir() and path.resolve() != folder.resolve():
        raise BenchError(
            f"'{name_or_path}' is both a folder here and a data set in '{folder.parent}'; use ./{name_or_path} for the "
            f"one, {folder} for the other"
        )
    if (path.is_dir() and folder is None) or os.sep in name_or_path or "/" in name_or_path:
        return _read_file(path) if path.is_file() else _read(path)
    if folder is not None:
        return _read(folder, name_or_path)
    if path.is_file():
        return _read_file(path)
    own = (known.name for known in imported(data_dir))
    raise unknown("data set", name_or_path, {*registry.load(), *offered, *own})


def load(name: str) -> tuple[Callable[[], object], str]:
    """A package's function that gives the data set of this name, not called yet, and what to call it in errors."""
    make, what = plugins.load(name, plugins.DATASETS, "data set")
    if not callable(make):
        raise BenchError(f"{what} must be a function that returns a Dataset or a folder; got {make!r}")
    return make, what


def clash(entry: EntryPoint) -> str:
    """That a package offers the name of one of the data sets above; empty where it does not."""
    if entry.name not in registry.load():
        return ""
    return f"{plugins.where(entry)} has the name of a data set that bench knows itself; uninstall it, or name a folder"


def _offered(name: str, rivals: list[EntryPoint]) -> Dataset:
    """What a package's function returns. Whatever goes wrong in it is a BenchError that names the package."""
    if conflict := clash(rivals[0]):
        raise BenchError(conflict)
    make, what = load(name)
    try:
        found = make()
    except (Exception, SystemExit) as error:
        cause = said(error)
        raise BenchError(f"{what} is not available: {cause}") from error
    if isinstance(found, str | os.PathLike):
        found = _read(Path(found))
    if not isinstance(found, Dataset):
        raise BenchError(f"{what} must return a Dataset or a folder of atomic files; it returned {found!r}")
    return replace(found, name=name)


def _read(folder: Path, name: str | None = None) -> Dataset:
    """Atomic files where they are there, else what can be made of the files that are."""
    from bench.data.formats import is_atomic  # here, for it imports pandas
    from bench.data.stored import read_stored

    if folder.is_dir() and not is_atomic(folder, name) and any(folder.iterdir()):
        return _imported(folder)
    return read_stored(folder, name)


def _read_file(path: Path) -> Dataset:
    """An ``.inter`` file by itself, which is called like its folder, or any other file of interactions."""
    from bench.data.formats import is_atomic

    atomic = path.suffix == ".inter" and is_atomic(path.parent, path.stem)
    return _read(path.parent, path.stem) if atomic else _imported(path)


def _imported(path: Path) -> Dataset:
    """Read as ``bench data import`` does, with what it guesses; nothing is written."""
    from bench.data.importing import read

    return read([path]).dataset


def _renamed(dataset: Dataset) -> Dataset:
    """RecBole's copy of MovieLens-100k under the column names of ours: both are one data set."""
    if dataset.name != EMBEDDED:
        return dataset
    text = {ML_100K_TEXT.get(column, column): values for column, values in dataset.items.text.items()}
    return replace(dataset, items=ItemTable(dataset.items.ids, text))


def _embedded() -> Path | None:
    """MovieLens-100k inside RecBole's package, which is located and not imported (it needs an older world)."""
    package = importlib.util.find_spec("recbole")
    roots = (package and package.submodule_search_locations) or []
    folders = (Path(root) / "dataset_example" / EMBEDDED for root in roots)
    return next((folder for folder in folders if (folder / f"{EMBEDDED}.inter").is_file()), None)


def _located(name: str, data_dir: Path | None) -> Path | None:
    folders = (folder for root in _roots(data_dir) for folder in (root / name, root))
    return next((folder for folder in folders if (folder / f"{name}.inter").is_file()), None)


def _roots(data_dir: Path | None) -> Iterator[Path]:
    if data_dir is not None:
        yield data_dir.expanduser()
    if os.environ.get("BENCH_DATA_DIR"):
        yield Path(os.environ["BENCH_DATA_DIR"]).expanduser()
    with contextlib.suppress(RuntimeError):  # a user without a home, as in some containers
        yield platformdirs.user_data_path("bench")


def _not_found(name: str, data_dir: Path | None) -> Path:
    source = registry.find(name)
    roots = ", ".join(map(str, dict.fromkeys(_roots(data_dir)))) or "any folder"
    raise BenchError(
        f"data set '{name}' ({source.description}) is not in {roots}; get it: {how_to_get(source, data_dir)}; if it "
        f"is here already, name the folder above {name}/{name}.inter with --data-dir or $BENCH_DATA_DIR"
    )


def how_to_get(source: registry.Source, data_dir: Path | None = None) -> str:
    """The one command that fetches a data set."""
    accept = " --accept-licence" if source.must_accept else ""
    return f"bench data get {source.name}{' --from FILE' if source.by_hand else ''}{accept}{option(data_dir)}"


def option(data_dir: Path | None) -> str:
    """What a command that is suggested needs to find data sets in this folder: nothing where it looks there anyway."""
    if data_dir is None or data_dir.expanduser() == next(_roots(None), None):
        return ""
    return f" --data-dir {shlex.quote(str(data_dir))}"
