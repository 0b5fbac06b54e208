"""``bench check``: the promises of a scheme on the terminal or as JSON."""

from __future__ import annotations

import json
import time
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.conformance.evidence import Evidence
from bench.conformance.promises import judge
from bench.conformance.request import NAMES, CheckRequest
from bench.conformance.verdict import Verdict

STYLES = {"kept": "green", "broken": "bold red", "skipped": "dim"}


def check(asked: CheckRequest, as_json: bool) -> bool:
    """Print every promise with its verdict. Whether none is broken."""
    begin, evidence = time.monotonic(), Evidence(asked)
    verdicts: dict[str, Verdict] = {}
    evidence.begin()
    with Console(stderr=True).status("fitting") as status:
        for name in NAMES:
            status.update(f"{evidence.scheme.name}: {name}")
            verdicts[name] = judge(name, evidence)
    if as_json:
        print_json(evidence, verdicts)
    else:
        print_table(evidence, verdicts, time.monotonic() - begin)
    return _sound(verdicts)


def _sound(verdicts: dict[str, Verdict]) -> bool:
    return all(verdict.state != "broken" for verdict in verdicts.values())


def print_json(evidence: Evidence, verdicts: dict[str, Verdict]) -> None:
    scheme = {"scheme": evidence.scheme.name, "version": evidence.scheme.version, "dataset": evidence.asked.dataset}
    promises = [{"promise": name, **asdict(verdict)} for name, verdict in verdicts.items()]
    print(json.dumps({**scheme, "kept": _sound(verdicts), "promises": promises}, indent=1, ensure_ascii=False))


def print_table(evidence: Evidence, verdicts: dict[str, Verdict], seconds: float) -> None:
    console, data = Console(highlight=False), evidence.data
    console.print(Text(f"{evidence.scheme.name}@{evidence.scheme.version}", "bold"), end=" ")
    size = f"{len(data.users):,} users and {len(data.items):,} items of {evidence.asked.dataset}"
    console.print(f"on {size}, {seconds:.0f} s", markup=False)
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, verdict in verdicts.items():
        table.add_row(name, Text(verdict.state, STYLES[verdict.state]), Text(verdict.found))
        for what, text in (("item", verdict.item), ("to do", verdict.remedy)):
            if text:
                table.add_row("", what, Text(text))
    console.print(table)
    counts = {state: sum(verdict.state == state for verdict in verdicts.values()) for state in STYLES}
    console.print(", ".join(f"{count} {state}" for state, count in counts.items() if count))
