"""A ``.zip`` of packed runs: unpacked as far as it can be, what is wrong in it by its name there, and written."""

from __future__ import annotations

import contextlib
import errno
import re
import zipfile
import zlib
from collections.abc import Mapping
from lzma import LZMAError
from pathlib import Path

from bench import files
from bench.errors import BenchError, CorruptError

SUFFIX = ".zip"
MEMBER = re.compile(
    r"(?:.*/)?runs/(?:[^/.][^/]*/){4}(?:result\.json|result\.sha256|per_user\.parquet)|"
    r"(?:.*/)?runs/[^/.][^/]*/users-[0-9a-f]{16}\.parquet"
)
UNZIPPABLE = (
    OSError,
    zipfile.BadZipFile,
    zlib.error,
    LZMAError,
    NotImplementedError,
    RuntimeError,
    EOFError,
    ValueError,
)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # of this disk, not of the archive
LARGEST = 2 << 30  # bytes of what is unpacked
ROOM = "the variable TMPDIR names another folder"
ADVICE = "ask for the archive again, or run and pack it again"


def is_archive(path: Path) -> bool:
    """By its name, whatever is there."""
    return path.suffix.lower() == SUFFIX


def unpack(source: Path, folder: Path) -> Mapping[Path, str]:
    """Only files of packed runs, under their own names; of each that can't be unpacked where it would be, and why not.

    BenchError where it is no such archive, too large, or nothing of it can be unpacked.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            members = [each for each in archive.infolist() if MEMBER.fullmatch(each.filename.replace("\\", "/"))]
            if sum(each.file_size for each in members) > LARGEST:
                raise BenchError(f"'{source}' holds more than {LARGEST >> 30} GB")
            lost = {_place(each, folder): _unpack(archive, each, folder) for each in members}
    except UNZIPPABLE as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise BenchError(f"cannot unpack '{source}' in '{folder.parent}': {error.strerror}", ROOM) from error
        raise CorruptError(f"cannot read '{source}': {error}", ADVICE) from error
    lines = {
        path: f"'{path.relative_to(folder).as_posix()}' in '{source}' cannot be unpacked ({reason}); {ADVICE}"
        for path, reason in lost.items()
        if reason
    }
    if lines and len(lines) == len(lost):
        raise CorruptError(next(iter(lines.values())))
    return lines


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> str:
    """Why it could not be, and then nothing of it is there; ``""`` where it is."""
    if "\\" in member.filename:
        return "its name has a backslash, as no file of a packed run has"
    try:
        archive.extract(member, folder)
    except UNZIPPABLE as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        with contextlib.suppress(OSError):  # where its name is impossible, so is removing it
            _place(member, folder).unlink()
        said = getattr(error, "strerror", "") or str(error)  # not the place, which is gone when somebody reads this
        return " ".join(said.split()) or type(error).__name__
    return ""


def _place(member: zipfile.ZipInfo, folder: Path) -> Path:
    """Where ``extract`` puts a member: below the folder, whatever its name says."""
    return folder.joinpath(*(part for part in member.filename.split("/") if part not in ("", ".", "..")))


def told(error: BenchError, source: Path, folder: Path) -> str:
    """What is wrong with a run that was unpacked into ``folder``, which nobody finds later: by archive and member."""
    what = re.sub(rf"'{re.escape(str(folder))}/([^']+)'", lambda found: f"'{found[1]}' in '{source}'", error.what)
    hint = ADVICE if "--force" in error.hint or "copy" in error.hint else error.hint
    return str(BenchError(what.replace(str(folder), str(source)), hint))


def _new(path: Path) -> zipfile.ZipFile:
    """Where a clock says 1970, as that of a board without a battery, a file is of 1980, the first year of archives."""
    return zipfile.ZipFile(path, "w", strict_timestamps=False)


def write(folder: Path, path: Path) -> None:
    """All files below a folder, as the archive ``path``."""
    with files.output(path, "the packed results") as partial, _new(partial) as archive:
        for file in sorted(file for file in folder.rglob("*") if file.is_file()):
            archive.write(file, file.relative_to(folder).as_posix())
