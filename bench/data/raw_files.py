"""The raw files of a data set: given by the user or downloaded, and compared with their digests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.data.conversions.write import digest
from bench.data.download import Progress, RetryPolicy, fetch
from bench.data.records import Records
from bench.data.registry import RawFile, Source
from bench.errors import BenchError

DOWNLOADS = ".downloads"  # in the data folder; raw files on their way
ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz")


@dataclass(frozen=True)
class Raw:
    """A raw file that is here, under the name that it has. ``url`` is empty where the user has given it, and then it
    stays, whatever it holds.
    """

    name: str
    path: Path
    url: str
    sha256: str


def collect(
    source: Source, root: Path, given: Sequence[Path], progress: Progress, retry: RetryPolicy
) -> dict[str, Raw]:
    """Every file of a source by its role."""
    if source.by_hand and not given:
        raise BenchError(_by_hand(source))
    found: dict[str, Raw] = {}
    for file in source.files:
        path, url = (_given(source, file, given), "") if given else _downloaded(source, file, root, progress, retry)
        progress.start(f"checking {path.name}")
        try:
            found[file.role] = Raw(path.name, path, url, digest(path, "sha256"))
        except OSError as error:
            raise BenchError(f"'{path}' cannot be read: {error.strerror}") from error
    return found


def check(source: Source, raw: Mapping[str, Raw], records: Records) -> None:
    """BenchError where a file has another digest than is published, or than the first download had; a download is
    removed then.
    """
    for file in source.files:
        found = raw[file.role]
        recorded = records.digest(source, found.name)
        if file.sha256 and found.name == file.name:
            _require(found, "SHA-256", found.sha256, file.sha256, "published")
        elif recorded:
            _require(found, "SHA-256", found.sha256, recorded, f"recorded at the first download in {records.path}")
        if file.md5 and found.name == file.name:
            _require(found, "MD5", digest(found.path, "md5"), file.md5, "published")


def _require(raw: Raw, kind: str, found: str, expected: str, by: str) -> None:
    if found == expected:
        return
    if raw.url:
        raw.path.unlink(missing_ok=True)
    where = raw.url or f"'{raw.path}'"
    kept = "the file is not kept" if raw.url else "nothing is made of it"
    raise BenchError(f"{where} has {kind} {found}, expected {expected} ({by}); {kept}")


def _downloaded(source: Source, file: RawFile, root: Path, progress: Progress, retry: RetryPolicy) -> tuple[Path, str]:
    """The file from the first of its addresses that gives it."""
    target = root / DOWNLOADS / source.name / file.name
    if not file.urls:
        raise BenchError(_by_hand(source))
    failures = []
    for url in file.urls:
        if target.exists():  # whole, from a call that ended later
            return target, url
        progress.start(f"downloading {file.name}")
        try:
            fetch(url, target, progress, retry)
            return target, url
        except BenchError as error:
            failures.append(str(error))
    by_hand = f"without a network: bench data get {source.name} --from FOLDER, with {_names(source)} in it"
    raise BenchError(f"{'; '.join(failures)}; {by_hand}")


def _given(source: Source, file: RawFile, given: Sequence[Path]) -> Path:
    """The user's file of this name, packed or not; else an archive, where the only one is to hold everything."""
    paths = [inner for path in given for inner in (sorted(path.iterdir()) if path.is_dir() else [path])]
    for path in given:
        if not path.exists():
            raise BenchError(f"--from '{path}' does not exist; expected {_names(source)}")
    plain = file.name.removesuffix(".gz")
    named = [path for path in paths if path.name in (file.name, plain, f"{plain}.gz")]
    archives = [path for path in paths if path.name.endswith(ARCHIVES)]
    if not named and not file.urls:
        named = archives
    if len(named) != 1:
        there = ", ".join(path.name for path in paths[:10]) or "nothing"
        raise BenchError(f"--from: expected one {file.name}; got {there}; '{source.name}' is made of {_names(source)}")
    return named[0]


def _by_hand(source: Source) -> str:
    return (
        f"'{source.name}' must be downloaded by hand: {source.by_hand} ({source.page}); then "
        f"bench data get {source.name} --from FILE, for each of {_names(source)}, or for their archive or folder"
    )


def _names(source: Source) -> str:
    return " and ".join(file.name for file in source.files)
