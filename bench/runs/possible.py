"""Which of many requests can be done at all, found before the first of them is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from bench.errors import BenchError
from bench.runs.attribution import attribute_errors
from bench.runs.progress import Display
from bench.runs.request import Request

EVERYTHING = "all"  # the word for whatever is installed


def possible(
    requests: Sequence[Request], checks: Sequence[Callable[[Request], None]], asked: set[str], display: Display
) -> list[Request]:
    """The requests without those that a check refuses and that come from ``all``. BenchError for one that was asked for
    by name, or where nothing is left. Seeds of a subject on a data set differ in nothing but in whether they are done.
    """
    pairs: dict[tuple[str, str], Request] = {}
    for request in requests:
        if _pair(request) not in pairs or pairs[_pair(request)].is_done:
            pairs[_pair(request)] = request
    refused: dict[tuple[str, str], tuple[Request, BenchError]] = {}
    for pair, request in pairs.items():
        try:
            with attribute_errors(request.subject):
                for check in checks:
                    check(request)
        except BenchError as error:
            if request.subject.name in asked:
                raise
            refused[pair] = request, error
    if len(refused) == len(pairs):
        raise next(reason for _, reason in refused.values())
    _say_refused(refused.values(), display)
    return [request for request in requests if _pair(request) not in refused]


def _say_refused(refused: Iterable[tuple[Request, BenchError]], display: Display) -> None:
    """A line for each data set and reason. A reason that begins with who is refused is the same for others."""
    named: dict[tuple[str, str], list[str]] = {}
    for request, error in refused:
        name = request.subject.name
        named.setdefault((request.dataset.name, str(error).removeprefix(f"{name} ")), []).append(name)
    for (dataset, reason), skipped in named.items():
        display.note(f"skipped in '{EVERYTHING}' on {dataset}: {', '.join(skipped)}: {reason}")


def _pair(request: Request) -> tuple[str, str]:
    return request.subject.name, request.dataset.fingerprint
