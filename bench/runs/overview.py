"""How far the runs of a command are, whoever does them: as the results folder tells."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.results import leases
from bench.runs.prepared import given_up
from bench.runs.progress import minutes
from bench.runs.request import Request

FINISHED, FAILED, RUNNING, WAITING = "finished", "failed", "running", "waiting"


@dataclass(frozen=True)
class Standing:
    """Of a run with the tests of its model: ``who`` is at it, and ``note`` how far that one is, or why it failed."""

    title: str
    state: str
    who: str = ""
    note: str = ""


class Overview:
    """All runs of a command. What is finished or has failed is not looked at again."""

    def __init__(self, groups: Sequence[Sequence[Request]]) -> None:
        self.groups, self.begin = groups, time.monotonic()
        self.ended: dict[int, Standing] = {}
        self.seen_running, self.made, self.last = set[int](), 0, 0.0
        self.standings = list(self._look())

    def look(self) -> list[Standing]:
        self.standings = list(self._look())
        return self.standings

    def _look(self) -> Iterator[Standing]:
        for number, group in enumerate(self.groups):
            found = self.ended.get(number) or standing(group)
            if found.state in (FINISHED, FAILED) and number not in self.ended:
                self.ended[number] = found
                if found.state == FINISHED and number in self.seen_running:
                    self.made, self.last = self.made + 1, time.monotonic() - self.begin
            if found.state == RUNNING:
                self.seen_running.add(number)
            yield found

    def count(self) -> Counter[str]:
        return Counter(found.state for found in self.standings)

    def line(self) -> str:
        """``run 7 of 26: 6 finished, 4 running; elapsed 12:03, about 30:10 left``."""
        count, total = self.count(), len(self.groups)
        done = count[FINISHED] + count[FAILED]
        states = ", ".join(f"{count[state]} {state}" for state in (FINISHED, RUNNING, FAILED) if count[state])
        elapsed = time.monotonic() - self.begin
        # A run that was over between two looks took no time that tells of the others; nor does one that failed.
        left = self.last / self.made * (total - done) - (elapsed - self.last) if self.made else 0.0
        remains = f", about {minutes(left)} left" if left > 0 else ""
        at = f"run {min(done + 1, total)} of {total}"
        return f"{at}: {states or 'starting'}; elapsed {minutes(elapsed)}{remains}"

    def workers(self) -> list[str]:
        """Where each worker is, of this command and of any other at the same runs."""
        return [f"{found.who}: {found.note or found.title}" for found in self.standings if found.state == RUNNING]


def standing(group: Sequence[Request]) -> Standing:
    """How far a run with the tests of its model is."""
    title = group[0].run.title
    if reason := given_up(group):
        return Standing(title, FAILED, note=reason)
    if all(request.is_done for request in group):
        return Standing(title, FINISHED)
    for folder in (request.run.folder(request.results) for request in group):
        if holder := leases.holder_of(folder):
            return Standing(title, RUNNING, str(holder), holder.note)
    return Standing(title, WAITING)
