"""Whether a finished run is still what was stored: every file of it against its digest, and the table's means."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench import files, tensors
from bench.errors import BenchError, CorruptError
from bench.results import digests
from bench.results.identity import run_of
from bench.results.read import Result, sound


@dataclass(frozen=True)
class Verdict:
    """What was found of one run. ``problems`` are whole lines; ``notes`` say what is odd and changes nothing."""

    path: str
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def verify(file: Path, path: str, results: Path | None = None) -> Verdict:
    """The run whose ``result.json`` this is, called ``path``; with ``results`` also whether its folder is its own."""
    try:
        found = sound(file, path)
    except BenchError as error:
        return Verdict(path, (str(error),))
    return Verdict(path, tuple(map(str, _problems(found))), tuple(_notes(found, results)))


def whole(file: Path, path: str) -> Result:
    """The run, read. CorruptError where it is not what was stored; other BenchErrors where it can't be read at all."""
    found = sound(file, path)
    for problem in _problems(found):
        raise CorruptError(problem.what, problem.hint)
    return found


def verify_caches(cache: Path) -> list[Verdict]:
    """Every file of identifiers and of text embeddings that is kept, against the checksum in it."""
    return [Verdict(path.as_posix(), _of_tensors(path)) for path in sorted(files.below(cache, "[!.]*.safetensors"))]


def _of_tensors(path: Path) -> tuple[str, ...]:
    try:
        tensors.read(path, "np", "the file", "delete it, and run again")
    except BenchError as error:
        return (str(error),)
    return ()


def _problems(found: Result) -> list[BenchError]:
    """Of every file; the table is read where no file has one."""
    problems = [error for name in found.files if (error := _problem(found, name))]
    return problems or _of_table(found)


def _problem(found: Result, name: str) -> BenchError | None:
    try:
        digests.check(found.folder, name, found.files)
    except BenchError as error:
        return error
    return None


def _of_table(found: Result) -> list[BenchError]:
    try:
        _ = found.table
    except BenchError as error:
        return [error]
    return []


def _notes(found: Result, results: Path | None) -> list[str]:
    strangers = sorted(digests.of_folder(found.folder, frozenset()).keys() - found.files.keys())
    notes = [f"not of the run: {', '.join(strangers)}"] if strangers else []
    if not (found.folder / digests.SEAL).exists():
        notes.append(f"no {digests.SEAL}: stored by an older bench, so a change of {digests.RESULT} is not noticed")
    changed = results and run_of(found).folder(results).parents[2] != found.folder.parents[2]
    return [*notes, "this folder is of another data set or scheme than the run in it"] if changed else notes
