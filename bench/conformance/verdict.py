"""What is found of one promise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Verdict:
    """``found`` says what was seen, ``item`` on which item, ``remedy`` what to do where the promise is broken."""

    state: Literal["kept", "broken", "skipped"]
    found: str
    item: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        at = f" ({self.item})" if self.item else ""
        return f"{self.found}{at}{'. To do: ' + self.remedy if self.remedy else ''}"


def kept(found: str) -> Verdict:
    return Verdict("kept", found)


def skipped(reason: str) -> Verdict:
    return Verdict("skipped", reason)


def broken(found: str, remedy: str, item: str = "") -> Verdict:
    return Verdict("broken", found, item, remedy)
