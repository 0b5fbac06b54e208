"""What ``--set`` says: lines of the contract for all, and settings of one family or one subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from bench.contract import setting_names
from bench.errors import BenchError, unknown
from bench.evaluation.baseline import AnyBaseline
from bench.runs.subjects import BASELINES, SCHEMES, names


def sorted_overrides(
    overrides: Sequence[str], subjects: Sequence[type[Any]]
) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """``key=value`` for the contract; ``family.key=value`` or ``family/variant.key=value`` for a scheme's settings."""
    families = dict.fromkeys(name for cls in subjects for name in (_family(cls), cls.name))
    shared: dict[str, str] = {}
    own: dict[str, dict[str, str]] = {}
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise BenchError(f"--set takes key=value; got '{override}'; keys: {', '.join(setting_names())}")
        family, dot, name = key.partition(".")
        if not dot:
            shared[key] = value
        elif family in families:
            own.setdefault(family, {})[name] = value
        else:
            offered = (name for group in (SCHEMES, BASELINES) for name in names(group))
            if family in {part for name in offered for part in (name, name.partition("/")[0])}:
                run = ", ".join(cls.name for cls in subjects)
                raise BenchError(
                    f"--set {override}: '{family}' is not in this run, which is of {run}; drop it or run it"
                )
            raise unknown(f"scheme or baseline in --set {override}:", family, families)
    return shared, own


def said_of(cls: type[Any], subjects: Sequence[type[Any]], own: dict[str, dict[str, str]]) -> dict[str, str]:
    """What is set for one subject. A family's setting goes to those of its variants that have it, if any does."""
    family = [other for other in subjects if _family(other) == _family(cls)]
    known = {field.name for other in family for field in fields(other.Settings)}
    mine = {field.name for field in fields(cls.Settings)}
    shared = own.get(_family(cls), {})
    named = {} if cls.name == _family(cls) else own.get(cls.name, {})
    return {name: value for name, value in shared.items() if name in mine or name not in known} | named


def handed_on(cls: type[Any], shared: Mapping[str, str]) -> dict[str, str]:
    """Lines of the contract that ``--set`` gave, as the settings that they become."""
    follows = cls.follows if issubclass(cls, AnyBaseline) else {}
    return {name: shared[line] for line, names in follows.items() if line in shared for name in names}


def unheard(overrides: Sequence[str], subjects: Sequence[Any]) -> list[str]:
    """Lines that ``--set`` gave, and the baselines that they do not reach."""
    shared, _ = sorted_overrides(overrides, [type(subject) for subject in subjects])
    baselines = [subject for subject in subjects if isinstance(subject, AnyBaseline)]
    deaf: dict[str, list[str]] = {}
    for line in shared:
        names = [subject.name for subject in baselines if line not in subject.binds and line not in subject.follows]
        deaf.setdefault(", ".join(names), []).append(f"{line}={shared[line]}")
    return [f"without effect on {names}: {', '.join(lines)}" for names, lines in deaf.items() if names]


def _family(cls: type[Any]) -> str:
    return str(cls.name).partition("/")[0]
