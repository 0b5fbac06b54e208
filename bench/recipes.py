"""A recipe: the published way of training one scheme or baseline, as lines of the contract and settings under a name.

A preset is a size and a budget for every row of a table. A recipe is for one row: ``bench run --id-scheme NAME --recipe
published`` changes the contract of that row to what its authors used, and the report marks where it leaves the table's.
A package lists its recipes beside its schemes, so that ``bench ls`` names them without importing it:

    [project.entry-points."bench.recipes"]
    "mine/best:published" = "my_package.recipes:PUBLISHED"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench import plugins
from bench.errors import BenchError, unknown

RECIPES = "bench.recipes"


@dataclass(frozen=True)
class Recipe:
    """``contract`` and ``settings`` are what ``--set`` takes, name to text. ``source`` says where the numbers are from,
    ``differs`` what of the published system they leave out, one line each.
    """

    source: str
    contract: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    differs: tuple[str, ...] = ()


def find(subject: str, recipe: str) -> Recipe:
    """The recipe of a scheme or baseline by its name, or ``module:NAME`` or ``file.py:NAME`` for one that is not
    installed. BenchError where it has none of that name.
    """
    if ":" in recipe:
        found, what = plugins.load(recipe, RECIPES, "recipe")
    else:
        known = offered(subject)
        if recipe not in known:
            raise _missing(subject, recipe, known)
        found, what = plugins.load(plugins.find(f"{subject}:{recipe}", RECIPES, "recipe").value, RECIPES, "recipe")
    if not isinstance(found, Recipe):
        raise BenchError(f"{what} must be a bench.recipes.Recipe; got {type(found).__name__}")
    return found


def installed(subject: str, recipe: str) -> Recipe:
    """The same of a name that a stored file holds: one of a module or a file is not looked for, since the file may be a
    stranger's, and it would run.
    """
    if ":" in recipe:
        raise BenchError(f"recipe '{recipe}' of {subject} is of a module or a file, which a stored name does not load")
    return find(subject, recipe)


def offered(subject: str) -> list[str]:
    """The names of the recipes of one scheme or baseline."""
    parts = (name.partition(":") for name in plugins.offers(RECIPES))
    return [recipe for other, _, recipe in parts if other == subject]


def _missing(subject: str, recipe: str, known: list[str]) -> BenchError:
    if known:
        return unknown(f"recipe of {subject}", recipe, known)
    subjects = sorted({name.partition(":")[0] for name in plugins.offers(RECIPES)})
    return BenchError(f"{subject} has no recipe '{recipe}'; recipes are there for: {', '.join(subjects) or 'none'}")
