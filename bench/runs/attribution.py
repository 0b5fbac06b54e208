"""Whose code an exception comes from: what a plugin's own raises is one line that names the plugin and the line."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import BenchError, said
from bench.evaluation.baseline import AnyBaseline
from bench.ids.scheme import IdScheme


@contextmanager
def attribute_errors(subject: IdScheme | AnyBaseline) -> Iterator[None]:
    """An exception on whose way is code of the subject becomes a BenchError: which, in what, and on which line.

    A BenchError, what the operating system says, and whatever comes from elsewhere stay as they are.
    """
    try:
        yield
    except (BenchError, OSError):
        raise
    except (Exception, SystemExit) as error:  # whatever a stranger's code raises, or a command-line library below it
        passed = _passed(error, type(subject))
        if not passed:
            raise
        raise BenchError(
            f"{subject.name} failed in {passed[0][0].name}: {said(error)} ({_line(*passed[-1])}); "
            "--debug shows the traceback"
        ) from error


def location(error: BaseException, cls: type) -> str:
    """The last line in a plugin's own code on the way to an error; empty where there is none."""
    passed = _passed(error, cls)
    return _line(*passed[-1]) if passed else ""


def _line(frame: traceback.FrameSummary, above: Path) -> str:
    return f"{Path(frame.filename).relative_to(above).as_posix()}, line {frame.lineno}"


def _passed(error: BaseException, cls: type) -> list[tuple[traceback.FrameSummary, Path]]:
    """The frames in code of a plugin, outermost first, and the folder that each is named from."""
    code = [_code(base) for base in cls.__mro__ if _is_plugin(base)]
    return [
        (frame, top.parent)
        for frame in traceback.extract_tb(error.__traceback__)
        for top in dict.fromkeys(code)
        if Path(frame.filename) == top or top in Path(frame.filename).parents
    ]


def _is_plugin(cls: type) -> bool:
    return issubclass(cls, IdScheme | AnyBaseline) and cls.__module__.partition(".")[0] != "bench"


def _code(cls: type) -> Path:
    """The folder of the package that defines a class, or the file where there is none around it."""
    path, module = Path(inspect.getfile(cls)), sys.modules[cls.__module__]
    return path.parent if module.__package__ and path.parent.name == module.__package__.rpartition(".")[2] else path
