"""One file over HTTP: resumed where it was cut, tried again where that can help, and there whole or not at all.

What has arrived lies in ``<name>.part``, with ``<name>.part.json`` beside it: the address and the validator (ETag or
date) of the file that it is the beginning of. Only a server that confirms this validator may continue it, so the ends
of two versions of a file never meet.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Protocol

from bench import __version__
from bench.errors import BenchError, said
from bench.files import read_json, rename

CHUNK = 1 << 18  # bytes
PASSING = (408, 425, 429, 500, 502, 503, 504)  # what a server answers that may be well again in a moment
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Progress(Protocol):
    """Who is told how far a download or a conversion is; sizes are bytes."""

    def start(self, what: str) -> None: ...

    def update(self, done: int, total: int | None) -> None: ...

    def note(self, text: str) -> None: ...


class NoProgress:
    """Nobody."""

    def start(self, what: str) -> None:
        pass

    def update(self, done: int, total: int | None) -> None:
        pass

    def note(self, text: str) -> None:
        pass


@dataclass(frozen=True)
class RetryPolicy:
    """How often a failure is tried again, in a row and without a new byte in between, and how long is waited, in
    seconds: ``first_wait``, then twice that, and so on. ``timeout`` is the longest silence of a connection.
    """

    attempts: int = 5
    first_wait: float = 1.0
    longest_wait: float = 60.0
    timeout: float = 30.0

    def wait(self, failures: int, asked: float) -> float:
        return float(min(max(self.first_wait * 2.0 ** (failures - 1), asked), self.longest_wait))


class _RetryableError(Exception):
    """What another attempt may overcome; ``after`` are the seconds that a server asks to wait."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


@dataclass(frozen=True)
class _Part:
    """The beginning of a file, and what it is the beginning of."""

    path: Path

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def note(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    def validator(self, url: str) -> str:
        """What identifies the file that this is a part of; empty where it can't be continued from this address."""
        try:
            kept = read_json(self.note)
            return str(kept["validator"]) if self.size and kept["url"] == url else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def begin(self, url: str, validator: str) -> None:
        self.remove()
        self.note.write_text(json.dumps({"url": url, "validator": validator}), encoding="utf-8")

    def remove(self) -> None:
        for path in (self.path, self.note):
            path.unlink(missing_ok=True)


def fetch(url: str, target: Path, progress: Progress | None = None, retry: RetryPolicy | None = None) -> None:
    """Download ``url`` to ``target``, which then is on disk whole. Raises BenchError that names the address where
    retrying does not help; what has arrived is kept for the next call.
    """
    progress, retry = progress or NoProgress(), retry or RetryPolicy()
    if not url.startswith(("http://", "https://")):
        raise BenchError(f"cannot download '{url}': its address must begin with https:// or http://")
    part = _Part(target.with_name(f"{target.name}.part"))
    with _disk(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    _transfer_with_retries(url, part, progress, retry)
    with _disk(target):
        rename(part.path, target)
        part.remove()


def _transfer_with_retries(url: str, part: _Part, progress: Progress, retry: RetryPolicy) -> None:
    failures = 0
    while True:
        before = part.size
        try:
            return _transfer(url, part, progress, retry.timeout)
        except _RetryableError as cut:
            failures = 1 if part.size > before else failures + 1
            if failures >= retry.attempts:
                kept = f"; {part.size:,} bytes are kept: rerun to resume" if part.size else ""
                raise BenchError(f"cannot download {url}: {cut} ({failures} attempts){kept}") from cut
            wait = retry.wait(failures, cut.after)
            progress.note(f"{cut}; trying again in {wait:.0f} s")
            time.sleep(wait)


def _transfer(url: str, part: _Part, progress: Progress, timeout: float) -> None:
    """One attempt, from where the last one ended."""
    have = part.size if part.validator(url) else 0
    with _answer(url, part, have, timeout) as response:
        if response is None:  # the server has no more than we have
            return _finished(part, have, have)
        continues, total = _resumes(response, have)
        if continues is None:
            part.remove()
            raise _RetryableError(
                f"the server answers with another part than was asked for ({response.headers['Content-Range']})"
            )
        if not continues:
            with _disk(part.path):
                part.begin(url, _validator(response))
        _require_space(part, total)
        _copy(response, part, total, progress)
    return _finished(part, part.size, total)


@contextlib.contextmanager
def _answer(url: str, part: _Part, have: int, timeout: float) -> Iterator[HTTPResponse | None]:
    """The open answer to a request for all but the first ``have`` bytes; None where there are no others."""
    headers = {"User-Agent": f"bench/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": part.validator(url)}
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and error.headers.get("Content-Range", "").rpartition("/")[2] == str(have):
            yield None
            return
        if error.code == 416:
            part.remove()
        raise _refusal(url, error) from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise BenchError(f"cannot download {url}: {said(error.reason)}") from error
        raise _RetryableError(
            said(error.reason) if isinstance(error.reason, BaseException) else str(error.reason)
        ) from error
    except (OSError, HTTPException) as error:
        raise _RetryableError(said(error)) from error
    with response:
        yield response


def _refusal(url: str, error: urllib.error.HTTPError) -> Exception:
    """What to raise for an answer that is an error: only some pass."""
    reason = f"the server answers {error.code} {error.reason}"
    if error.code not in (*PASSING, 416):
        return BenchError(f"cannot download {url}: {reason}")
    after = error.headers.get("Retry-After", "")
    return _RetryableError(reason, float(after) if after.isdigit() else 0.0)


def _resumes(response: HTTPResponse, have: int) -> tuple[bool | None, int | None]:
    """Whether an answer continues what is here, or begins anew (None: neither), and the size of the whole in bytes."""
    if response.status != 206:
        length = response.headers.get("Content-Length", "")
        return False, int(length) if length.isdigit() else None
    sent, _, total = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    if sent.partition("-")[0] != str(have):
        return None, None
    return True, int(total) if total.isdigit() else None


def _validator(response: HTTPResponse) -> str:
    """What If-Range may ask for: a strong ETag, else the date."""
    tag = str(response.headers.get("ETag", ""))
    return tag if tag.startswith('"') else str(response.headers.get("Last-Modified", ""))


def _copy(response: HTTPResponse, part: _Part, total: int | None, progress: Progress) -> None:
    with _disk(part.path), part.path.open("ab") as file:
        done = file.tell()
        for chunk in _chunks(response.read):
            file.write(chunk)
            done += len(chunk)
            progress.update(done, total)
        file.flush()
        os.fsync(file.fileno())


def _chunks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    while True:
        try:
            chunk = read(CHUNK)
        except (OSError, HTTPException) as error:
            raise _RetryableError(said(error)) from error
        if not chunk:
            return
        yield chunk


def _finished(part: _Part, size: int, total: int | None) -> None:
    """A connection that ends early looks like one that ends well; only the size tells them apart."""
    if total is not None and size != total:
        if size > total:
            part.remove()
        raise _RetryableError(f"the connection ended after {size:,} of {total:,} bytes")


def _require_space(part: _Part, total: int | None) -> None:
    needed, free = (total or 0) - part.size, shutil.disk_usage(part.path.parent).free
    if needed > free:
        raise BenchError(
            f"no space for {part.path.name.removesuffix('.part')} in '{part.path.parent}': {needed:,} bytes are needed "
            f"and {free:,} are free; make room, or name another folder with --data-dir"
        )


@contextlib.contextmanager
def _disk(path: Path) -> Iterator[None]:
    """What the disk refuses, in one line; what is there already stays, for the next call."""
    try:
        yield
    except OSError as error:
        hint = "make room and rerun to resume, or " if error.errno in FULL else ""
        raise BenchError(
            f"cannot write '{path}': {error.strerror}; {hint}name another folder with --data-dir"
        ) from error
