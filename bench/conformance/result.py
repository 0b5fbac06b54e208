"""What is found of one requirement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class CheckResult:
    """``found`` says what was seen, ``item`` on which item, ``remedy`` what to do where the requirement failed."""

    state: Literal["passed", "failed", "skipped"]
    found: str
    item: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        at = f" ({self.item})" if self.item else ""
        return f"{self.found}{at}{'. To do: ' + self.remedy if self.remedy else ''}"


def passed(found: str) -> CheckResult:
    return CheckResult("passed", found)


def skipped(reason: str) -> CheckResult:
    return CheckResult("skipped", reason)


def failed(found: str, remedy: str, item: str = "") -> CheckResult:
    return CheckResult("failed", found, item, remedy)
