"""The recipe that a subject follows: its lines of the contract, its settings, and how the row is labeled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench import recipes
from bench.contract import BUDGETS, OF_ADAPTERS, Contract, contract_for
from bench.errors import BenchError
from bench.recipes import Recipe


@dataclass(frozen=True)
class Followed:
    """``label`` is the recipe's name and what ``--set`` changed of it: ``published, but backbone``; ``""`` for none."""

    recipe: Recipe
    label: str = ""

    def contract(self, preset: str, overrides: Mapping[str, str]) -> Contract:
        """The contract of a preset with the lines of the recipe, but for those that ``--set`` gave."""
        lines = left(self.recipe, overrides)
        if "precision" in lines:
            raise BenchError(f"the recipe '{self.label}' sets precision, which is one for the whole command")
        return contract_for(preset, {**lines, **overrides})


def left(recipe: Recipe, overrides: Mapping[str, str]) -> dict[str, str]:
    """The lines of a recipe that stand beside those that ``--set`` gave: one budget takes the place of another, and
    without its adapter nothing is said of one.
    """
    replaced = set(overrides)
    if _budgets(overrides):
        replaced |= set(BUDGETS)
    if overrides.get("adapter") == "none":
        replaced |= set(OF_ADAPTERS)
    return {name: text for name, text in recipe.contract.items() if name not in replaced}


def _budgets(lines: Mapping[str, str]) -> list[str]:
    """Which of them say how long training is."""
    return [name for name in BUDGETS if lines.get(name, "0") not in ("0", "")]


def followed(subject: str, name: str, overrides: Mapping[str, str], settings: Mapping[str, str]) -> Followed:
    """The recipe of this ``name`` for a subject, where ``--set`` gave ``overrides`` of the contract and ``settings``.

    BenchError where the subject has none.
    """
    if not name:
        return Followed(Recipe(""))
    recipe = recipes.find(subject, name)
    given = [line for line in recipe.contract if line in overrides]
    if _budgets(recipe.contract):
        given += [line for line in _budgets(overrides) if line not in given]
    given += [setting for setting in recipe.settings if setting in settings]
    module, colon, attribute = name.rpartition(":")
    label = f"{Path(module).name}{colon}{attribute}"  # a folder of this machine is nobody's business
    return Followed(recipe, f"{label}, but {', '.join(given)}" if given else label)
