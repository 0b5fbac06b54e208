"""Runs of several people in one results folder: packed, each once, and only those that may be compared.

A source is a results folder, a folder or a ``result.json`` of runs, a ``.zip`` of packed ones, or ``published``: what
comes with ``bench``.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import files
from bench.errors import BenchError, CorruptError
from bench.results import archive, digests, packed, places
from bench.results.identity import differences, folder_name, run_of
from bench.results.read import Result, read, same_ranks
from bench.results.store import home_of, old_folder, readable
from bench.results.verify import whole

PUBLISHED = "published"
OTHER_DATA = "other data"
DEPTH = 4  # folders of a run's place: data set, scheme, contract, seed


@dataclass
class Found:
    """Runs by source, in the order asked for; ``skipped`` says of each that can't be read why."""

    sources: Sequence[str] = ()
    runs: list[tuple[str, Result]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Joined:
    """How many runs came of each source, those that can't be compared, and those that are in two sources."""

    counts: dict[str, int]
    left_out: tuple[LeftOut, ...]
    twice: tuple[Twice, ...]


@dataclass(frozen=True)
class LeftOut:
    """A run of a later source that can't be compared with any of the first, and why not."""

    title: str
    source: str
    reason: str

    @property
    def kind(self) -> str:
        return OTHER_DATA if self.reason.startswith(OTHER_DATA) else "another contract or protocol"

    def __str__(self) -> str:
        return f"{self.title} of {self.source}: {self.reason}"


@dataclass(frozen=True)
class Twice:
    """A run of a later source that an earlier one, which is kept, has as well, with the ``same`` ranks or others."""

    title: str
    source: str
    kept: str
    same: bool

    def __str__(self) -> str:
        ranks = "the same ranks" if self.same else "other ranks"
        return f"{self.title} of {self.source} is in {self.kept} as well, with {ranks}; that one is kept"


@contextlib.contextmanager
def opened(sources: Sequence[str]) -> Iterator[Found]:
    """The runs of all sources, whole ones alone, during the block. BenchError where a source is none."""
    found = Found(sources)
    with contextlib.ExitStack() as stack:
        for source in sources:
            if source == PUBLISHED:
                for folder in published():
                    _read(source, folder, found)
            elif archive.is_archive(Path(source)) and Path(source).is_file():
                _read_archive(source, Path(stack.enter_context(TemporaryDirectory())), found)
            else:
                _read(source, _folder(source), found)
        yield found


def _read_archive(source: str, folder: Path, found: Found) -> None:
    """What of an archive can be read; the rest is named as it is called in there."""
    try:
        lost = archive.unpack(Path(source), folder)
    except CorruptError as error:
        found.skipped.append(str(error))
        return
    found.skipped += lost.values()
    whole_runs = [file for file in readable(folder) if not any(path.parent == file.parent for path in lost)]
    _read_runs(source, whole_runs, found, lambda error: archive.told(error, Path(source), folder))
    if not (lost or whole_runs):
        raise BenchError(f"no finished runs in '{source}'")


def _read(source: str, folder: Path, found: Found) -> None:
    below = [folder] if folder.name == digests.RESULT else readable(folder)
    links = places.unfollowed(folder)
    if not below:
        raise BenchError(links[0] if links else f"no finished runs in '{source}'")
    found.skipped += links
    _read_runs(source, below, found, str)


def _read_runs(source: str, below: Sequence[Path], found: Found, told: Callable[[BenchError], str]) -> None:
    for file in below:
        try:
            found.runs.append((source, whole(file, str(file.parent))))
        except BenchError as error:
            found.skipped.append(told(error))


def _folder(asked: str) -> Path:
    """Where the runs of a source are."""
    source = Path(asked)
    if asked and (source.is_dir() or (source.name == digests.RESULT and source.is_file())):
        return source / "runs" if (source / "runs").is_dir() else source
    raise BenchError(
        f"'{asked}' is no results folder, no {digests.RESULT} and no .zip of `bench results pack`; "
        f"'{PUBLISHED}' stands for the results that come with bench"
    )


def homes() -> list[Path]:
    """Where published results are: in the package that a wheel brings, and in a clone."""
    root = Path(__file__).parents[1]
    return [root / "published", root.parent / "results"]


def published() -> list[Path]:
    """The folders of results that come with this wheel or clone. BenchError where there are none."""
    found = [folder / "runs" for home in homes() for folder in sorted(home.glob("[!.]*")) if readable(folder / "runs")]
    if not found:
        raise BenchError("no published results come with this bench")
    return found


def join(found: Found, out: Path, everything: bool = False) -> Joined:
    """Write the runs into the results folder ``out``; those that are there stay, unless they are written again. What
    can't be written by a fault of its own is ``skipped``.

    Unless ``everything`` is asked for, runs of later sources are left out where they can't be compared with any of the
    first: other data, another contract or protocol. BenchError where ``out`` is no place for results.
    """
    places.require(out, [run.folder for _, run in found.runs])
    kept: dict[str, tuple[str, Result]] = {}
    there = _there(out)
    left_out, twice, counts = [], [], dict.fromkeys(found.sources, 0)
    first = [run for source, run in found.runs if source == found.runs[0][0]]
    for source, run in found.runs:
        if not everything and run not in first and (reason := unlike(run, first)):
            left_out.append(LeftOut(run_of(run).title, source, reason))
            continue
        known = kept.setdefault(run_of(run).key, (source, run))
        if known[1] is not run:
            twice.append(Twice(run_of(run).title, source, known[0], same_ranks(known[1], run)))
            continue
        try:
            folder = _place(run, out, there)
            _write(run, folder)
        except CorruptError as error:
            found.skipped.append(str(error))
        else:
            there[folder] = run_of(run).key
            counts[source] += 1
    return Joined(counts, tuple(left_out), tuple(twice))


def told_of_left_out(left_out: Sequence[LeftOut]) -> list[str]:
    """One line, which names a single run and counts more; nothing where there are none."""
    if len(left_out) < 2:
        return [str(each) for each in left_out]
    kinds = Counter(each.kind for each in left_out).most_common()
    sources = ", ".join(dict.fromkeys(each.source for each in left_out))
    counted = ", ".join(f"{count:,} of {kind}" for kind, count in kinds)
    return [f"{len(left_out):,} runs of {sources}, which cannot be compared with any of the first source: {counted}"]


def told(twice: Sequence[Twice]) -> list[str]:
    """All of them in one line; nothing where there are none."""
    if not twice:
        return []
    other = sum(not each.same for each in twice)
    runs = "1 run is" if len(twice) == 1 else f"{len(twice):,} runs are"
    ranks = f", {other:,} of them with other ranks" if other else ", with the same ranks"
    return [f"{runs} in an earlier source as well{ranks}; what comes first is kept"]


def unlike(run: Result, others: Sequence[Result]) -> str:
    """Why a run can't be compared with any of the others; ``""`` where it can. Baselines answer for the lines of the
    contract that they have, and schemes are measured by schemes, where there are any.
    """
    schemes = [other for other in others if other.scheme.kind != "baseline"]
    peers = schemes if schemes and run.scheme.kind != "baseline" else others
    reasons = [_unlike(run, peer) for peer in peers]
    return min(reasons, key=len, default="there is nothing to compare with")


def _unlike(run: Result, other: Result) -> str:
    if run.dataset.fingerprint != other.dataset.fingerprint:
        names = (f"{each.dataset.name} {each.dataset.fingerprint[:6]}" for each in (run, other))
        return f"{OTHER_DATA}, {' and '.join(names)}"
    baseline = "baseline" in (run.scheme.kind, other.scheme.kind)
    shared = [key for key in run.contract if key in other.contract]
    mine, theirs = ({key: each.contract[key] for key in shared} if baseline else each.contract for each in (run, other))
    return "; ".join(differences(mine, theirs))


def _there(out: Path) -> dict[Path, str]:
    """The identities of the runs in a results folder, by the folders where they belong; what is corrupt is none."""
    found = {}
    for file in readable(out / places.RUNS):
        with contextlib.suppress(BenchError):
            found[home_of(file.parent)] = run_of(read(file, str(file.parent))).key
    return found


def _write(run: Result, folder: Path) -> None:
    """Pack a run into its place, whole or not at all. CorruptError where it is no longer what was opened."""
    if folder.resolve() == run.folder.resolve():
        return
    try:
        if folder.exists() and not packed.is_packed(folder):
            raise BenchError(f"'{folder}' is a run with its model, which packing would lose; name another --out")
        with files.new_folder(folder, old_folder(folder)) as unfinished:
            packed.pack(run.folder, unfinished)
            digests.check(run.folder, packed.TABLE, run.files)  # of this run, and not of one that has taken its place
    except (OSError, CorruptError) as error:
        if not _still(run):
            raise CorruptError(f"'{run.folder}' was replaced or removed while it was read", "do it again") from error
        if isinstance(error, CorruptError):
            raise
        raise BenchError(f"cannot write '{folder}': {error.strerror or error}") from error


def _still(run: Result) -> bool:
    """Whether a run is what it was when it was opened."""
    try:
        return read(run.folder / digests.RESULT, run.path).files == run.files
    except BenchError:
        return False


def _place(run: Result, out: Path, there: Mapping[Path, str]) -> Path:
    """Where a run goes in ``out``: where it is already, or else where it belongs. CorruptError where that can't be.

    The place of another run is never taken: where a scheme's defaults have changed, two runs may lie alike.
    """
    key = run_of(run).key
    at = next((folder for folder, known in there.items() if known == key), None)
    for folder in [at] if at else _places(run, out):
        if there.get(folder, key) == key:
            try:
                files.refuse_long(folder)
            except BenchError as error:
                raise CorruptError(f"'{run.folder}' has no place in '{out}': {error}") from error
            return folder
    raise CorruptError(f"'{run.folder}' has no place in '{out}', where another run is", "name another --out")


def _places(run: Result, out: Path) -> Iterator[Path]:
    """Where a run belongs: as it lies, where its folders are named by what is in it; else under all of its settings,
    since which of them were given is not stored.
    """
    of_run = run_of(run)
    home, lies = of_run.folder(out), run.folder.absolute().parts[-DEPTH:]
    dataset, _, contract, seed = home.parts[-DEPTH:]
    scheme = re.escape(f"{folder_name(run.scheme.name)}@{run.scheme.version}")
    named = len(lies) == DEPTH and (lies[0], *lies[2:]) == (dataset, contract, seed)
    if named and re.fullmatch(rf"{scheme}(\+[0-9a-f]+)?", lies[1]):
        yield out.joinpath(places.RUNS, *lies)
    yield replace(of_run, changed=run.scheme.settings).folder(out)


def pack(found: Found, out: Path) -> int:
    """Write all runs into the results folder ``out``, or a ``.zip`` of one; how many. BenchError where ``out`` is where
    they come from, or no place for results.
    """
    if not found.runs:
        raise BenchError(found.skipped[0] if found.skipped else "no finished runs to pack")
    if out.is_dir() or not archive.is_archive(out):
        places.require_other(out, [run.folder for _, run in found.runs])
        return sum(join(found, out, everything=True).counts.values())
    with TemporaryDirectory() as folder:
        count = pack(found, Path(folder))
        archive.write(Path(folder), out)
    return count
