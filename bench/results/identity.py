"""What makes two results the same: everything that decides a score is in a run's identity, and in its folder's name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bench.contract import digest
from bench.results.schema import DatasetFacts, Record, Scalar, SchemeFacts

READABLE = "+,="  # kept in folder names, beside letters, digits and "_-.~"


@dataclass(frozen=True, eq=False)
class Run:
    """One data set x scheme x seed under one contract. ``changed`` are the settings not at the scheme's defaults."""

    dataset: DatasetFacts
    scheme: SchemeFacts
    contract: Mapping[str, Scalar]
    seed: int
    changed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def contract_id(self) -> str:
        """8 hex digits over every line of the contract."""
        return digest(self.contract)

    def folder(self, results: Path) -> Path:
        """Where the finished run is, or will be."""
        scheme = f"{folder_name(self.scheme.name)}@{self.scheme.version}"
        special = {"settings": self.changed, "inputs": self.scheme.inputs, "recipe": self.scheme.recipe}
        special |= {"search": dict(self.scheme.search)} if self.scheme.search else {}
        scheme += f"+{digest(special)}" if any(special.values()) else ""
        contract = f"{self.contract_id}-{self.dataset.fingerprint[:6]}"
        return results / "runs" / folder_name(self.dataset.name) / scheme / contract / str(self.seed)

    @property
    def title(self) -> str:
        home = str(self.contract.get("trained_on", "")).rpartition("@")[0]
        trained = f", trained on {home}" if home else ""
        users = self.contract.get("adapted_on")
        trained += f", adapted on {users:,} users" if users else ""
        recipe = f" ({self.scheme.recipe})" if self.scheme.recipe else ""
        return f"{self.scheme.name}{recipe} on {self.dataset.name}{trained}, seed {self.seed}"

    @property
    def identity(self) -> dict[str, Any]:
        """Every value that decides the scores, by a name for people; as JSON holds it."""
        found = {
            "data set": self.dataset.name,
            "data": self.dataset.fingerprint,
            "kind": self.scheme.kind,
            "scheme": self.scheme.name,
            "version": self.scheme.version,
            "recipe": self.scheme.recipe,
            "files": self.scheme.inputs,
            "seed": self.seed,
            **{f"search {name}": value for name, value in self.scheme.search.items()},
            **{f"setting {name}": value for name, value in self.scheme.settings.items()},
            **{f"contract {name}": value for name, value in self.contract.items()},
        }
        return dict(json.loads(json.dumps(found)))

    @property
    def key(self) -> str:
        """The same for two runs of one identity, in whatever order their results name its parts."""
        return json.dumps(self.identity, sort_keys=True)


def run_of(record: Record) -> Run:
    """The run of a stored result."""
    return Run(record.dataset, record.scheme, record.contract, record.seed)


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Where two identities are unequal: ``version 1 and 2``, in the order of the first."""
    names = dict.fromkeys((*one, *other))
    return [
        f"{name} {one.get(name, 'absent')!s} and {other.get(name, 'absent')!s}"
        for name in names
        if one.get(name, "absent") != other.get(name, "absent")
    ]


def folder_name(name: str) -> str:
    """A name as one part of a path, never the same for two names: ``textual/title`` is ``textual.title``.

    A dot of the name itself, and whatever may trouble a file system or a shell, is written in percent; so is a slash at
    the start, for folders that begin with a dot are passed over.
    """
    found = ".".join(quote(part, safe=READABLE).replace(".", "%2E") for part in name.split("/"))
    return f"%2F{found[1:]}" if found.startswith(".") else found or "%"
