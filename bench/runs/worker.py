"""One of several processes that do the runs of one command:
``python -m bench.runs.worker <its parent's number> <plan as JSON> <words>``.

It has the whole plan, passes over runs that others are at, and ends when nothing is left.
"""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bench.children import end_with_parent
from bench.console import say, write_anyhow
from bench.errors import BenchError, PartlyFailedError, in_one_line
from bench.runs.matrix import Plan, execute

PATHS = ("results", "data_dir")


def as_json(plan: Plan) -> str:
    """A plan for another process."""
    return json.dumps({name: str(value) if isinstance(value, Path) else value for name, value in asdict(plan).items()})


def from_json(text: str) -> Plan:
    found: dict[str, Any] = json.loads(text)
    paths: dict[str, Any] = {name: Path(found[name]) for name in PATHS if found[name]}
    return Plan(**{**found, **paths, "adapt": tuple(found["adapt"])})


def main() -> None:
    """As the command itself ends: a BenchError is one line and exit code 1, an interruption 130."""
    end_with_parent(signal.SIGTERM, int(sys.argv[1]))  # the imports above take seconds
    write_anyhow()
    plan = replace(from_json(sys.argv[2]), jobs=1, worker=True)
    sys.argv[1:] = sys.argv[3:]  # what the results say that repeats them
    try:
        execute(plan)
    except PartlyFailedError:  # said where it failed, and the command that started this one says all of them
        sys.exit(1)
    except (BenchError, OSError) as error:
        say(f"bench: {in_one_line(error)}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
