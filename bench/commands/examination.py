"""What ``bench doctor`` finds: facts by chapter, each of them true of this machine now."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import psutil
from packaging.requirements import Requirement

from bench import __version__, faiss_library, plugins
from bench.commands.listing import fault_of
from bench.data import sources
from bench.errors import BenchError, said
from bench.files import atomic_write
from bench.privacy import shortened, without_folders
from bench.protocol import PROTOCOL
from bench.results.read import sound
from bench.results.storage import RUN, UNFINISHED, pieces, readable_size
from bench.results.store import readable
from bench.runs.subjects import load_baseline, load_scheme
from bench.training.cost import revision
from bench.versions import DISTRIBUTION, installed

LOW = 2e9  # bytes of free disk below which a run may not end
VARIABLES = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "HF_HUB_OFFLINE", "HF_HOME", "TMPDIR", "LANG", "RANK")


@dataclass(frozen=True)
class Fact:
    """``broken``: something will not run because of it."""

    name: str
    value: str
    broken: bool = False


def examine(results: Path, data_dir: Path | None) -> dict[str, list[Fact]]:
    """Facts by chapter. Whatever an examination itself raises is a broken fact, and ends no other."""
    chapters: dict[str, Callable[[], list[Fact]]] = {
        "bench": _bench,
        "libraries": _libraries,
        "devices": _devices,
        "disk": lambda: _disk(results, data_dir),
        "environment": _environment,
        "data sets": lambda: _data(data_dir),
        "plugins": _plugins,
        "results": lambda: _results(results),
    }
    return {chapter: _safely(chapter, facts) for chapter, facts in chapters.items()}


def _safely(chapter: str, facts: Callable[[], list[Fact]]) -> list[Fact]:
    try:
        return facts()
    except Exception as error:  # whatever it is, it is what we are looking for
        return [Fact(chapter, without_folders(said(error)), broken=True)]


def _bench() -> list[Fact]:
    return [
        Fact("version", f"{__version__}, protocol {PROTOCOL}, revision {revision() or 'not known'}"),
        Fact("Python", f"{platform.python_version()} ({platform.python_implementation()}, {platform.machine()})"),
        Fact("system", f"{platform.system()} {platform.release()}"),
    ]


def _libraries() -> list[Fact]:
    """Every library that the package's metadata names, against the range that it names."""
    try:
        named = [Requirement(text) for text in requires(DISTRIBUTION) or []]
    except PackageNotFoundError:
        return [Fact("bench", "is not installed: pip install -e .", broken=True)]
    wanted = [each for each in named if each.marker is None or each.marker.evaluate({"extra": ""})]
    optional = [Requirement("recbole"), Requirement("sentence-transformers>=6")]
    wanted = [each for each in wanted if each.name != faiss_library.CPU_BUILD or installed(each.name)]
    needed = [_library(each, needed=True) for each in sorted(wanted, key=lambda each: each.name)]
    return [*needed, *(_library(each, needed=False) for each in optional), _faiss()]


def _faiss() -> Fact:
    """Which build computes: faiss-gpu may be there in the place of the faiss-cpu that the metadata names."""
    try:
        return Fact("faiss", str(faiss_library.build()))
    except BenchError as error:
        return Fact("faiss", str(error), broken=True)


def _library(wanted: Requirement, needed: bool) -> Fact:
    found = installed(wanted.name)
    if found is None:
        return Fact(wanted.name, f"is not installed ({'needed' if needed else 'optional'})", broken=needed)
    fits = wanted.specifier.contains(found, prereleases=True)
    return Fact(wanted.name, found if fits else f"{found}, but {wanted.specifier} is needed", broken=not fits)


def _devices() -> list[Fact]:
    import torch

    memory = psutil.virtual_memory()
    found = [
        Fact("CPU", f"{os.cpu_count()} cores, {len(psutil.Process().cpu_affinity())} of them for us")
        if hasattr(psutil.Process, "cpu_affinity")
        else Fact("CPU", f"{os.cpu_count()} cores"),
        Fact("threads", f"{torch.get_num_threads()} of torch"),
        Fact("memory", f"{readable_size(memory.available)} of {readable_size(memory.total)} available"),
    ]
    for number in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(number)
        found.append(Fact(f"GPU {number}", f"{facts.name}, {readable_size(facts.total_memory)}"))
    if not torch.cuda.is_available():
        built = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is built without CUDA"
        found.append(Fact("GPU", f"none ({built})"))
    return found


def _disk(results: Path, data_dir: Path | None) -> list[Fact]:
    found = [_folder("results", results), _folder("temporary files", Path(tempfile.gettempdir()))]
    try:
        return [*found, _folder("data sets", sources.home(data_dir))]
    except BenchError as error:
        return [*found, Fact("data sets", without_folders(str(error)))]


def _folder(what: str, folder: Path) -> Fact:
    """Whether something can be written there, and how much room is left."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    room = f"{readable_size(free)} free{'' if free > LOW else ', which may be too little'}"
    name = shortened(str(folder.absolute()))
    if there != folder.absolute():
        return Fact(what, f"'{name}' is made when it is needed, {room}", broken=not os.access(there, os.W_OK))
    try:
        with atomic_write(folder / "examined") as partial:
            partial.touch()
        (folder / "examined").unlink()
    except OSError as error:
        return Fact(what, f"'{name}' can't be written: {error.strerror or error}", broken=True)
    return Fact(what, f"'{name}' can be written, {room}", broken=free <= LOW)


def _environment() -> list[Fact]:
    encoding = getattr(sys.stdout, "encoding", None) or "none"
    home = "none" if os.path.expanduser("~") == "~" else "known"
    named = [name for name in (*VARIABLES, *sorted(os.environ)) if name in VARIABLES or name.startswith("BENCH_")]
    kept = [name for name in dict.fromkeys(named) if name in os.environ]
    return [
        Fact("terminal", f"{'yes' if sys.stdout.isatty() else 'no'}, {encoding}"),
        Fact("home", home),
        *(Fact(name, shortened(os.environ[name])) for name in kept),
    ]


def _data(data_dir: Path | None) -> list[Fact]:
    known = sources.known(data_dir)
    here = [each.name for each in known if each.found]
    lacking = [each.name for each in known if not each.found]
    return [
        Fact("here", ", ".join(here) or "none: bench data get ml-100k"),
        Fact("to get", f"{', '.join(lacking)} (bench data get NAME)" if lacking else "none"),
    ]


def _plugins() -> list[Fact]:
    """One line for each plugin that will not run, and why; one for all others of a kind."""
    groups = {
        plugins.SCHEMES: ("identifier schemes", load_scheme),
        plugins.BASELINES: ("baselines", load_baseline),
        plugins.DATASETS: ("offered data sets", sources.load),
    }
    found: list[Fact] = []
    for group, (what, load) in groups.items():
        offers = plugins.offers(group)
        broken = {name: fault for name, each in offers.items() if (fault := fault_of(name, each, load))}
        lacking = {
            name: lack for name, each in offers.items() if name not in broken and (lack := plugins.lacks(each[0]))
        }
        found.append(Fact(what, f"{len(offers) - len(broken) - len(lacking)} of {len(offers)} run"))
        found += [Fact(f"  {name}", without_folders(fault), broken=True) for name, fault in broken.items()]
        found += [Fact(f"  {name}", f"lacks {lack}, which is not installed") for name, lack in lacking.items()]
    return found


def _results(results: Path) -> list[Fact]:
    found = pieces(results)
    kinds = dict.fromkeys((RUN, UNFINISHED, *(each.what for each in found)))
    sizes = {kind: [each.size for each in found if each.what == kind] for kind in kinds}
    facts = [Fact(f"{kind}s", f"{len(size):,}, {readable_size(sum(size))}") for kind, size in sizes.items()]
    return [*facts, *_damage(readable(results / "runs"))]


def _damage(files: list[Path]) -> list[Fact]:
    """How many finished runs can't be read. Their files are not compared with digests: that takes as long as reading
    them all.
    """
    damaged = sum(not _can_be_read(file) for file in files)
    if damaged:
        unread = f"{damaged:,} of {len(files):,} finished can't be read: bench verify says which and why"
        return [Fact("damage", unread, broken=True)]
    return [Fact("damage", "none seen; bench verify compares every file with its digest")] if files else []


def _can_be_read(file: Path) -> bool:
    try:
        sound(file, file.parent.name)
    except BenchError:
        return False
    return True
