"""Files that are there whole or not at all, also after a power cut, and what a killed process leaves of them.

Every change to a disk that must not be lost goes through here: written beside its place, forced to the disk, renamed,
and the renaming forced to the disk too. ``hook`` is told of each such step before it is done, so that a test can stop
the process there.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import functools
import glob
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
from safetensors import SafetensorError

from bench import outside, processes
from bench.errors import BenchError, in_one_line

LEFT_BEHIND = re.compile(  # names of ``beside``
    r"\..+\.(?P<place>[0-9a-f]{8})-(?P<pid>\d+)-(?P<start>\d+)-[0-9a-f]{8}\.tmp"
)
NAMELESS = re.compile(r"\.tmp[0-9A-Za-z]{6}")  # what safetensors writes and then renames: nobody knows whose it is
FOREIGN_AGE = 86400.0  # seconds after which what a process of another machine was writing counts as left behind
READER_SECONDS = 10.0  # how long is waited for who reads a pipe
ARCHIVE = re.compile(r".+\.(zip|tar(\.\w+)?|tgz|tbz2?|txz|7z|rar|gz|bz2|xz|zst)", re.IGNORECASE)
LONGEST_NAME = 180  # bytes of a file's own name in that of the file beside it; file systems allow 255 in all
DESCRIPTOR = re.compile(r"/dev/(?:fd/(?P<fd>\d+)|(?P<name>stdout|stderr))|/proc/self/fd/(?P<proc>\d+)")

hook: Callable[[str, Path], None] = lambda step, path: None  # noqa: E731 - replaced as a whole


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A file beside ``path`` to write to, which becomes ``path`` when the block ends well and is removed otherwise.

    So a reader finds the old file or the new one, and never half of it, and may read it as any file made here. Raises
    what the operating system raises.
    """
    partial = beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = _mode_of_new(partial)
        hook("write", path)
        with outside.waiting():
            yield partial
        partial.chmod(mode)  # safetensors writes a temporary file, which nobody else may read, and renames it
        sync(partial)
        rename(partial, path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


@contextlib.contextmanager
def new_folder(folder: Path, aside: Path | None = None) -> Iterator[Path]:
    """An empty folder beside ``folder``, which takes its place when the block ends well and is removed otherwise. One
    that is there is replaced where a name is given that it has ``aside`` for that moment, and after a kill in it. What
    dead processes left there goes first. Raises what the operating system raises.
    """
    remove_left_behind(folder.parent)
    partial = beside(folder)
    try:
        partial.mkdir(parents=True)
        mode = _mode_of_new(partial / "file")
        yield partial
        for path in partial.rglob("*"):
            if path.is_file():
                path.chmod(mode)  # as in atomic_write
        sync_tree(partial)
        if aside is None:
            rename(partial, folder)
        else:
            _exchange(partial, folder, aside)
    finally:
        with contextlib.suppress(OSError):
            remove(partial)


def _exchange(partial: Path, folder: Path, aside: Path) -> None:
    """Put a folder in the place of another, of which there is never none."""
    if folder.exists() or folder.is_symlink():
        remove(aside)
        rename(folder, aside)
    try:
        rename(partial, folder)
    except OSError:
        if aside.exists() and not folder.exists():
            rename(aside, folder)
        raise
    remove(aside)


def beside(path: Path) -> Path:
    """A name beside ``path`` that no other process uses, here or on another machine, and that says whose it is."""
    name = path.name.encode()[:LONGEST_NAME].decode(errors="ignore")
    pid = os.getpid()
    return path.with_name(f".{name}.{place()}-{pid}-{processes.start_of(pid):.0f}-{secrets.token_hex(4)}.tmp")


def now(folder: Path) -> float:
    """Seconds since 1970 by the clock that gives files in a folder their times, which on a network is the server's:
    nothing else may be compared with them. This machine's clock where nothing can be written there.
    """
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    path = beside(folder / "clock")
    try:
        path.write_bytes(b".")
        return path.stat().st_mtime
    except OSError:
        return time.time()
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


@functools.cache
def place() -> str:
    """8 hex digits for where a process number means something: this machine, since its start, in this container."""
    try:
        space = os.readlink("/proc/self/ns/pid")
        start = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:
        space, start = "", f"{psutil.boot_time():.0f}"
    return hashlib.sha256(f"{host()} {start} {space}".encode()).hexdigest()[:8]


def refuse_archive(folder: Path, what: str) -> None:
    """BenchError where a new folder would have the name of an archive; ``what`` says what is written instead."""
    if ARCHIVE.fullmatch(folder.name) and not folder.is_dir():
        raise BenchError(f"'{folder}' is named like an archive, and {what}; give it another name")


def refuse_long(path: Path) -> None:
    """BenchError where a path is, or has in it, a name that is too long for this disk."""
    there = path  # a folder to ask in: below one that is not there, the system says only that
    while not os.path.isdir(there) and there != there.parent:
        there = there.parent
    for each in (path, *(there / name for name in path.parts[len(there.parts) :])):
        try:
            each.lstat()
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise BenchError(in_one_line(error)) from error


def host() -> str:
    """The name of this machine."""
    return platform.node()


def is_temporary(path: Path) -> bool:
    """Whether a file or folder has a name of what is being written, or was."""
    return bool(LEFT_BEHIND.fullmatch(path.name) or NAMELESS.fullmatch(path.name))


def left_behind(path: Path) -> bool:
    """Whether a file or folder is one that was being written here when its process died."""
    if not is_temporary(path):
        return False
    found = LEFT_BEHIND.fullmatch(path.name)
    if found and found["place"] == place():
        return not processes.is_alive(int(found["pid"]), float(found["start"]))
    with contextlib.suppress(OSError):
        return now(path.parent) - path.lstat().st_mtime > FOREIGN_AGE
    return False


def remove_left_behind(folder: Path, alone: bool = False) -> list[Path]:
    """Remove what dead processes were writing directly in a folder; those removed. What can't be is left.

    Where nobody else may write in the folder, this process is ``alone``, and whatever was being written there goes.
    """
    found = []
    with contextlib.suppress(OSError):
        mine = [path for path in folder.iterdir() if (alone and is_temporary(path)) or left_behind(path)]
        for path in mine:
            with contextlib.suppress(OSError):
                remove(path)
                found.append(path)
    return found


def _mode_of_new(path: Path) -> int:
    """The rights that the umask leaves a new file; asking for the umask itself would change it for a moment."""
    path.touch()
    mode = path.stat().st_mode
    path.unlink()
    return mode


def sync(path: Path) -> None:
    """Wait until the content of a file, or the names in a folder, are on the disk."""
    hook("sync", path)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with outside.waiting():
            os.fsync(descriptor)
    except OSError:
        if not path.is_dir():  # some network file systems know no fsync of a folder
            raise
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """The same of all files below a folder and of every folder on the way."""
    for parent, _, names in os.walk(folder):
        for name in names:
            sync(Path(parent, name))
        sync(Path(parent))


def below(folder: Path, pattern: str = "*") -> Iterator[Path]:
    """As ``folder.rglob(pattern)``, for a folder in which others may be at work: that raises an error where one of its
    folders is renamed or removed before it is looked into, which is passed over here.
    """
    for parent, folders, names in os.walk(folder, onerror=_unless_gone):
        for name in fnmatch.filter((*folders, *names), pattern):
            yield Path(parent, name)


def _unless_gone(error: OSError) -> None:
    """A disk that fails is not an empty folder."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError):
        raise error


def matching(folder: Path, pattern: str) -> Iterator[Path]:
    """As ``folder.glob(pattern)``; what cannot be listed is passed over. A ``*`` stands for nothing hidden."""
    return (folder / name for name in glob.iglob(pattern, root_dir=folder))


def rename(source: Path, target: Path) -> None:
    """As ``os.replace``, for good: the new name is on the disk when this returns."""
    hook("rename", target)
    with outside.waiting():
        os.replace(source, target)
    sync(target.parent)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; nothing where there is none. A link is removed, not followed.

    Raises what the operating system raises.
    """
    hook("remove", path)
    with outside.waiting():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def require_readable(path: Path) -> None:
    """BenchError where a file is there and this user may not read it: libraries call it corrupt, or no file at all;
    and where it is a pipe or a device, which would be waited for, or read, without end.
    """
    try:
        kind = path.stat().st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            raise BenchError(f"'{path}' is no file, but a pipe or a device")
        path.open("rb").close()
    except PermissionError as error:
        raise BenchError(
            f"'{path}' may not be read by this user ({error.strerror}); ask its owner to allow it, e.g. with chmod a+r"
        ) from error
    except (OSError, ValueError):
        return  # whoever reads it will say what is wrong


def read_json(path: Path) -> Any:
    """The value of a JSON file. ValueError for whatever is wrong in it, also where it is nested without end."""
    return parse_json(path.read_text(encoding="utf-8"))


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. ValueError for whatever is wrong in it."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """As ``atomic_write``; keys keep their order, numbers their full precision."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """As ``atomic_write``."""
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def replacing(path: Path, what: str, hint: str = "") -> Iterator[Path]:
    """As ``atomic_write``; a refusal to write is a BenchError that names ``what`` was to be written, and may end in a
    hint.
    """
    with _refused(path, what, hint), atomic_write(path) as partial:
        yield partial


@contextlib.contextmanager
def output(path: Path, what: str) -> Iterator[Path]:
    """As ``replacing``, for a path that a user names: a link leads to the file that is replaced; what is no file, such
    as ``/dev/stdout`` or a pipe, is written to when the block ends well, and stays what it is.
    """
    with _refused(path, what, ""):
        descriptor = _descriptor(path)
        if not is_stream(path):
            real = Path(os.path.realpath(path))
            if real.is_symlink():
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
            remove_left_behind(real.parent)
            with atomic_write(real) as partial:
                yield partial
            return
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder, path.name)
            content = Path(folder, path.name).read_bytes()
        sys.stdout.flush()  # what was printed comes first, where it goes to the same place
        with os.fdopen(os.dup(descriptor) if descriptor is not None else _opened(path), "wb") as file:
            file.write(content)


def _opened(path: Path) -> int:
    """A device or a pipe, open for writing. OSError where nobody comes to read a pipe, not a wait without end."""
    end = time.monotonic() + READER_SECONDS
    while True:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() > end:
                raise OSError(f"nobody has opened the pipe for reading in {READER_SECONDS:.0f} s") from error
            time.sleep(0.1)
        else:
            os.set_blocking(descriptor, True)
            return descriptor


def _descriptor(path: Path) -> int | None:
    """The open file of this process that a path stands for, such as 1 for ``/dev/stdout``; None for any other path."""
    for _ in range(40):  # links that lead there
        found = DESCRIPTOR.fullmatch(os.path.abspath(path))
        if found:
            return {"stdout": 1, "stderr": 2}.get(found["name"] or "") or int(found["fd"] or found["proc"])
        if not path.is_symlink():
            return None
        path = path.parent / os.readlink(path)
    return None


def is_stream(path: Path) -> bool:
    """Whether a path is of something that is neither file nor folder: a device, a pipe, what this process has open."""
    if _descriptor(path) is not None:
        return True
    try:
        kind = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(kind) or stat.S_ISDIR(kind))


@contextlib.contextmanager
def _refused(path: Path, what: str, hint: str) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:  # safetensors wraps what the system says in an error of its own
        reason: Exception = error
        if isinstance(error, OSError) and (error.filename2 or is_temporary(Path(str(error.filename)))):
            # of a name beside it, which is not the user's
            reason = OSError(error.errno, error.strerror)
        refused = f"cannot write {what} to '{path}': {reason}"
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            # the name beside it that was too long, or its own: the user knows the latter
            refused = f"cannot write {what}: {in_one_line(OSError(error.errno, error.strerror, str(path)))}"
        raise BenchError(f"{refused}; {hint}" if hint else refused) from error
