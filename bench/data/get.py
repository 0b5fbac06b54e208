"""``bench data get``: from a name to a data set on disk, or to nothing at all.

Raw files are downloaded (or taken from where the user has put them), compared with their digests, converted, counted,
written beside the place where the data set is to be, read back, and moved there. What a publisher gives no digest or
count for is recorded by the first download into a data folder, and compared from then on.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bench import __version__, files
from bench.data import raw_files
from bench.data.conversions import convert, require_fields
from bench.data.conversions.ties import RULES
from bench.data.conversions.write import changed, read_record, write, write_record
from bench.data.dataset import Dataset
from bench.data.download import NoProgress, Progress, RetryPolicy
from bench.data.raw_files import DOWNLOADS, Raw
from bench.data.records import Records
from bench.data.registry import Counts, Source
from bench.errors import BenchError, unknown


@dataclass(frozen=True)
class GetRequest:
    """What the user says beside the name. ``given`` are raw files, archives or folders that are here already; ``text``
    are columns of the ``.item`` file, by default those of the source.
    """

    accept_licence: bool = False
    given: tuple[Path, ...] = ()
    ties: str = "digest"
    text: tuple[str, ...] = ()
    force: bool = False


@dataclass(frozen=True)
class Got:
    """A data set that is here; ``new`` where it wasn't before. ``notes`` are what is odd about it."""

    folder: Path
    counts: Counts
    new: bool
    notes: tuple[str, ...] = ()


def get(
    source: Source,
    root: Path,
    request: GetRequest | None = None,
    progress: Progress | None = None,
    retry: RetryPolicy | None = None,
) -> Got:
    """The data set as ``<root>/<name>/``. One that is here and as asked for is left alone. Raises BenchError for
    whatever is not available, does not match its digest or counts, or stands in the way; nothing new is kept then but
    the beginnings of downloads.
    """
    request, progress = request or GetRequest(), progress or NoProgress()
    if request.ties not in RULES:
        raise unknown("rule for ties", request.ties, RULES)
    require_fields(source, request.text or source.text)  # not after hours of downloading
    with _writable(root), _alone(root, source.name):
        if here := _here(source, root, request):
            return here
        if source.must_accept and not request.accept_licence:
            raise BenchError(
                f"'{source.name}' has a licence: {source.licence} ({source.page}); "
                f"if you accept it, add --accept-licence"
            )
        raw = raw_files.collect(source, root, request.given, progress, retry or RetryPolicy())
        records = Records(root)
        raw_files.check(source, raw, records)
        try:
            got = _make(source, root, request, raw, records, progress)
        except BenchError:  # what cannot be converted would not be converted the next time either
            shutil.rmtree(root / DOWNLOADS / source.name, ignore_errors=True)
            raise
        shutil.rmtree(root / DOWNLOADS / source.name, ignore_errors=True)
    return got


def _make(
    source: Source, root: Path, request: GetRequest, raw: Mapping[str, Raw], records: Records, progress: Progress
) -> Got:
    """Convert, count, write, read back, and only then put in place and record."""
    log, items = convert(source, {role: file.path for role, file in raw.items()}, request.ties, progress)
    _require_counts(source, log.counts, records)
    with _staged(root, source.name) as folder:
        progress.start(f"writing {source.name}")
        write(folder, source.name, log, items, request.text or source.text)
        record = {**_asked(source, request), "counts": asdict(log.counts), **_origin(source, raw)}
        found = _read_back(folder, source.name, log.counts, request.ties)
        write_record(folder, {**record, "data_digest": found.fingerprint})
    if all(file.url for file in raw.values()):  # of what the user has given nobody knows that it is the right one
        records.keep(source, {file.name: file.sha256 for file in raw.values()}, log.counts)
    return Got(root / source.name, log.counts, new=True, notes=found.notes)


def _asked(source: Source, request: GetRequest) -> dict[str, Any]:
    """What decides what the data are; another one of these is another data set."""
    return {
        "name": source.name,
        "conversion": {
            "name": source.conversion,
            "version": source.version,
            "k_core": source.k_core,
            "repeats": source.repeats,
        },
        "text": list(request.text or source.text),
        "ties": request.ties,
    }


def _origin(source: Source, raw: Mapping[str, Raw]) -> dict[str, Any]:
    return {
        "description": source.description,
        "page": source.page,
        "licence": source.licence,
        "revision": source.revision,
        "raw_files": [{"name": file.name, "url": file.url, "sha256": file.sha256} for file in raw.values()],
        "bench": __version__,
    }


def _here(source: Source, root: Path, request: GetRequest) -> Got | None:
    """The data set where it is here as asked for; None where its place is free. BenchError for anything else there."""
    folder = root / source.name
    record = read_record(folder)
    if record is None or record.get("name") != source.name:
        if (root / f"{source.name}.inter").exists() or (folder.exists() and any(folder.iterdir())):
            raise BenchError(
                f"'{folder}' was not created by `bench data get`; move it away, or name another folder with --data-dir"
            )
        return None
    if request.force:
        return None
    asked = _asked(source, request)
    other = [key for key in asked if record.get(key) != asked[key]]
    corrupt = [] if other else changed(folder, record)
    if other or corrupt:
        what = f"differs in {', '.join(other)}" if other else f"has changed files ({', '.join(corrupt)})"
        raise BenchError(f"'{folder}' exists and {what}; --force rebuilds it")
    return Got(folder, Counts(**record["counts"]), new=False)


def _require_counts(source: Source, found: Counts, records: Records) -> None:
    recorded = records.counts(source)
    expected, by = (source.expected, "published") if source.expected else (recorded, "from the first download")
    if expected is not None and found != expected:
        raise BenchError(f"'{source.name}': {found} after the conversion, expected {expected} ({by}); nothing is kept")


def _read_back(folder: Path, name: str, counts: Counts, ties: str) -> Dataset:
    """The data set as runs will read it."""
    from bench.data.formats import read_atomic
    from bench.data.stored import with_ties

    found = with_ties(read_atomic(folder, name), ties)
    read = Counts(len(found.users), len(found.items), len(found.sequences.values))
    if read != counts:
        raise BenchError(f"'{name}' was written with {counts} but reads back with {read}")
    return found


@contextlib.contextmanager
def _staged(root: Path, name: str) -> Iterator[Path]:
    """A folder to write to. It takes the place of ``<root>/<name>`` when the block ends well, and is gone otherwise.
    Where that is a link to a folder on another disk, the folder is replaced and the link stays.
    """
    target = (root / name).resolve()
    aside = target.with_name(f".{target.name}.old")
    if aside.exists() and not target.exists():  # a run was killed in the moment between
        files.rename(aside, target)
    with files.new_folder(target, aside) as folder:
        yield folder


@contextlib.contextmanager
def _alone(root: Path, name: str) -> Iterator[None]:
    lock = root / DOWNLOADS / f"{name}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=0.5):
            yield
    except Timeout as error:
        raise BenchError(f"another `bench data get {name}` is running in '{root}'") from error


@contextlib.contextmanager
def _writable(root: Path) -> Iterator[None]:
    """What the disk refuses, in one line."""
    try:
        yield
    except OSError as error:
        raise BenchError(
            f"cannot write to '{root}': {error.strerror or error}; make room, or name another folder with --data-dir"
        ) from error
