"""Who holds a run, or held it last, and for which command: what a lease (``leases``) says."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from bench import files, processes
from bench.results.deaths import KILLED, Death
from bench.results.notes import fitted

SILENCE = 60.0  # seconds without a sign of life after which a holder is taken to be dead


@dataclass(frozen=True)
class Asked:
    """The command that a run is held for: a digest of what it says, and when it ``began`` by the clock of the disk.
    ``submitted``: it was handed to a scheduler, which starts what it ends by itself.

    Several processes may be one command, on several machines.
    """

    command: str = ""
    began: float = math.inf
    submitted: bool = False

    def counts(self, death: Death) -> bool:
        """Whether a try that died stands for those of this command too. One of the command itself does. One that was
        killed under an earlier command does as well, since whoever starts what was killed again may be no person; but
        not under an earlier submission: who submits anew may give more memory, and more hours.
        """
        return death.began == self.began or (death.how == KILLED and not self.submitted)


NOBODY = Asked()


@dataclass(frozen=True)
class Holder:
    """What a lease says of who holds it. ``beat`` changes with every sign of life; ``released``: nobody holds it any
    more. ``started`` is when the process began, so that another one of the same number is told apart. ``mark`` is what
    it has found saved, and ``kept`` how much it has put into caches. ``ended``: why a scheduler has ended this one,
    which is a death as well, though it could still let go. ``ends`` are those of the holders before it that have died,
    one right after the other, without anything new saved.
    ``command`` and ``began`` are what it was ``Asked`` by; ``failure`` is why it could not end well.
    """

    token: str = ""
    host: str = "?"
    place: str = ""
    pid: int = 0
    started: float = 0.0
    beat: int = 0
    silence: float = SILENCE
    note: str = ""
    released: bool = False
    mark: str = ""
    command: str = ""
    began: float = 0.0
    failure: str = ""
    kept: int = 0
    ended: str = ""
    ends: list[Death] = field(default_factory=list)

    @property
    def gone(self) -> bool:
        """Whether it is a process of this machine, and has ended."""
        return self.place == files.place() and not processes.is_alive(self.pid, self.started)

    def __str__(self) -> str:
        return f"{self.pid} on {self.host}"

    def ends_for(self, mark: str, asked: Asked) -> list[Death]:
        """How this holder and those before it have died, as who comes next and finds this ``mark`` counts them."""
        saved = set(mark.split()) - set(self.mark.split())  # what is gone since says nothing
        if (self.released and not self.ended) or saved or self.kept:
            return []
        return [*filter(asked.counts, (*self.ends, Death(self.ended or KILLED, self.note, self.began)))]


UNKNOWN = Holder()


def read(path: Path) -> Holder:
    """An unknown holder where the file is empty (its holder has only just begun), unreadable, or gone. What another
    version of bench says beside what is known here is passed over.
    """
    try:
        found = files.read_json(path)
        known = {name: found[name] for name in (each.name for each in fields(Holder)) if name in found}
        ends = [fitted(each, Death) for each in known.get("ends", [])]
    except (OSError, ValueError, TypeError):
        return UNKNOWN
    return fitted({**known, "ends": [each for each in ends if each]}, Holder) or UNKNOWN


def text(holder: Holder) -> str:
    return json.dumps(asdict(holder))
