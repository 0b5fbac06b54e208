"""The recipe that a subject follows: its lines of the contract, its settings, and how the row is labeled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench import recipes
from bench.contract import Contract, changed
from bench.errors import BenchError
from bench.recipes import Recipe


@dataclass(frozen=True)
class Followed:
    """``label`` is the recipe's name and what ``--set`` changed of it: ``published, but backbone``; ``""`` for none."""

    recipe: Recipe
    label: str = ""

    def contract(self, shared: Contract, overrides: Mapping[str, str]) -> Contract:
        """The contract of all with the lines of the recipe, but for those that ``--set`` gave."""
        lines = {name: text for name, text in self.recipe.contract.items() if name not in overrides}
        if "precision" in lines:
            raise BenchError(f"the recipe '{self.label}' sets precision, which is one for the whole command")
        return changed(shared, lines)


def followed(subject: str, name: str, overrides: Mapping[str, str], settings: Mapping[str, str]) -> Followed:
    """The recipe of this ``name`` for a subject, where ``--set`` gave ``overrides`` of the contract and ``settings``.

    BenchError where the subject has none.
    """
    if not name:
        return Followed(Recipe(""))
    recipe = recipes.find(subject, name)
    given = [line for line in recipe.contract if line in overrides]
    given += [setting for setting in recipe.settings if setting in settings]
    module, colon, attribute = name.rpartition(":")
    label = f"{Path(module).name}{colon}{attribute}"  # a folder of this machine is nobody's business
    return Followed(recipe, f"{label}, but {', '.join(given)}" if given else label)
