"""``bench check``: the requirements of a scheme or baseline on the terminal or as JSON."""

from __future__ import annotations

import contextlib
import time
from dataclasses import asdict

from rich.table import Table
from rich.text import Text

from bench import machine
from bench.conformance.fixtures import AnyFixtures
from bench.conformance.request import CheckRequest
from bench.conformance.requirements import check_requirement, fixtures_of
from bench.conformance.result import CheckResult
from bench.console import Console, visible
from bench.training.signals import interrupted_by_sigterm

STYLES = {"passed": "green", "failed": "bold red", "skipped": "dim"}


def check(asked: CheckRequest, as_json: bool) -> bool:
    """Print every requirement with its result. Whether none is broken."""
    begin, fixtures = time.monotonic(), fixtures_of(asked)
    results: dict[str, CheckResult] = {}
    console = Console(stderr=True)
    with (
        interrupted_by_sigterm(),  # so that its processes end with it, and their folder goes
        console.status("") if console.lively else contextlib.nullcontext() as status,
    ):
        fixtures.begin()
        for name in asked.names:
            if status is not None:
                status.update(Text(visible(f"{fixtures.subject.name}: {name}")))
            results[name] = check_requirement(name, fixtures)
    if as_json:
        print_json(fixtures, results)
    else:
        print_table(fixtures, results, time.monotonic() - begin)
    return _sound(results)


def _sound(results: dict[str, CheckResult]) -> bool:
    return all(result.state != "failed" for result in results.values())


def print_json(fixtures: AnyFixtures, results: dict[str, CheckResult]) -> None:
    kind = "baseline" if fixtures.asked.baseline else "scheme"
    subject = {kind: fixtures.subject.name, "version": fixtures.subject.version, "dataset": fixtures.asked.dataset}
    requirements = [{"requirement": name, **asdict(result)} for name, result in results.items()]
    machine.show({**subject, "passed": _sound(results), "requirements": requirements})


def print_table(fixtures: AnyFixtures, results: dict[str, CheckResult], seconds: float) -> None:
    console, data = Console(), fixtures.data
    console.print(Text(f"{fixtures.subject.name}@{fixtures.subject.version}", "bold"), end=" ")
    size = f"{len(data.users):,} users and {len(data.items):,} items of {fixtures.asked.dataset}"
    console.print(f"on {size}, {seconds:.0f} s")
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, result in results.items():
        table.add_row(name, Text(result.state, STYLES[result.state]), Text(result.found))
        for what, text in (("item", result.item), ("to do", result.remedy)):
            if text:
                table.add_row("", what, Text(text))
    console.print(table)
    counts = {state: sum(result.state == state for result in results.values()) for state in STYLES}
    console.print(", ".join(f"{count} {state}" for state, count in counts.items() if count))
