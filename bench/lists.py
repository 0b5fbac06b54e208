"""Lists on the command line: names, schemes, seeds, separated by commas."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence

from bench.errors import BenchError

MOST_SEEDS = 1000  # of one range: more is a slip of the finger
SEED_DIGITS, LARGEST_SEED = 10, 2**32 - 1  # NumPy's older generator, which RecBole seeds, takes none above
COUNT_DIGITS = 18  # of any other number: Python reads none of thousands


def parts(text: str) -> list[str]:
    """What stands between the commas, without blanks; empty parts are none."""
    return [part.strip() for part in text.split(",") if part.strip()]


def named(option: str, text: str | None) -> list[str]:
    """As ``parts``: nothing where the option was not given, BenchError where it was and names nothing."""
    found = parts(text or "")
    if text is not None and not found:
        raise BenchError(f"{option} takes one name or more, separated by commas; got '{text}'")
    return found


def schemes(option: str, text: str | None) -> list[str]:
    """As ``named``, but a comma may be part of the path in file:PATH, as in the names of published ``.sem_ids``."""
    left, found = named(option, text), []
    while left:
        ends = range(len(left), 1, -1) if left[0].startswith("file:") else ()
        paths = ((end, ",".join(left[:end])) for end in ends)
        there = (end for end, name in paths if os.path.exists(os.path.expanduser(name.removeprefix("file:"))))
        end = next(there, 1)
        found.append(",".join(left[:end]))
        del left[:end]
    return found


def ids(text: str, known: Collection[str]) -> list[str]:
    """Original ids of items, between commas; an id that holds commas itself, or begins with a blank, is found as the
    longest text that is ``known``. What is not known is given back as it stands, for whoever looks it up.
    """
    pieces, found, start = text.split(","), list[str](), 0
    longest = 1 + max((name.count(",") for name in known), default=0)  # in pieces: no more of them are put together
    while start < len(pieces):
        ends = range(min(start + longest, len(pieces)), start, -1)
        texts = ((end, ",".join(pieces[start:end])) for end in ends)
        both = ((end, name) for end, text in texts for name in (text, text.strip()))
        start, name = next(((end, name) for end, name in both if name in known), (start + 1, pieces[start].strip()))
        found += [name] if name else []
    return found


def seeds(text: str) -> list[int]:
    """Whole numbers from 0 on and ranges of them, ``0-4,7``, each once; anything else is a BenchError."""
    found: list[int] = []
    for part in parts(text):
        first, _, last = (part if "-" in part else f"{part}-{part}").partition("-")
        both = _is_whole(first, SEED_DIGITS) and _is_whole(last, SEED_DIGITS)
        if not (both and int(first) <= int(last) < int(first) + MOST_SEEDS and int(last) <= LARGEST_SEED):
            found = []
            break
        found += range(int(first), int(last) + 1)
    if not found:
        raise BenchError(
            f"--seed takes whole numbers from 0 to {LARGEST_SEED:,}, and ranges of them, such as 0-4,7; got '{text}'"
        )
    return list(dict.fromkeys(found))


def as_ranges(seeds: Iterable[int]) -> str:
    """Seeds as ``--seed`` takes them, in order: ``0-4,7``."""
    runs: list[list[int]] = []
    for seed in sorted(set(seeds)):
        if runs and runs[-1][-1] == seed - 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def counts(option: str, text: str) -> tuple[int, ...]:
    """Whole numbers from 0 on, each once and in order; anything else is a BenchError."""
    found = parts(text)
    if not found or not all(_is_whole(part, COUNT_DIGITS) for part in found):
        raise BenchError(f"{option} takes whole numbers separated by commas; got '{text}'")
    return tuple(sorted({int(part) for part in found}))


def budget(text: str | None) -> tuple[str | None, int]:
    """What may be spent, and behind an @ the steps that it was converted to before, else 0. BenchError where these are
    no steps, or nothing stands before them.
    """
    if text is None:
        return None, 0
    allowed, at, steps = text.partition("@")
    if not allowed.strip() or (at and not (_is_whole(steps, COUNT_DIGITS) and int(steps))):
        raise BenchError(f"--budget takes an amount such as 30m, or with its steps 30m@4210; got '{text}'")
    return allowed, int(steps or 0)


def _is_whole(text: str, digits: int) -> bool:
    return text.isdecimal() and len(text) <= digits


def refuse_twice(overrides: Sequence[str]) -> None:
    """BenchError where one line is given two values, by ``--set`` or by an option that is short for it."""
    given: dict[str, str] = {}
    for override in overrides:
        name, _, value = override.partition("=")
        if given.setdefault(name, value) != value:
            raise BenchError(f"'{name}' is given twice, as {given[name]} and as {value}; give it once")
