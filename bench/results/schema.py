"""What ``result.json`` holds: one typed record, for who writes it (``write``) and who reads it (``read``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any

from bench.evaluation.warm_cold import ITEM_GROUPS

SCHEMA = 4  # rises when an old reader would misunderstand, or a new one would miss something
DESCRIBED = ("interactions_before", "ascends", "tied", "transition_seen")  # further ones, where users have them
COLUMNS = ("user", "target", "rank", "code_rank", "group_size", "popularity", "history_length", "cold")
GROUP_COLUMNS = {
    kind: f"{kind}_rank" for kind in ITEM_GROUPS
}  # further columns, of strict ranks among the items of a kind
READINGS = ("strict", "optimistic", "expected")

LOAD = ("load_average_start", "load_average_end", "cores_used")  # of the environment: another in every run

Scalar = str | int | float | bool | None
PLAIN = {"str": str, "int": int, "bool": bool}  # types of fields that are checked when they are read


@dataclass(frozen=True)
class DatasetFacts:
    """Which data, and how many users, items and interactions; the fingerprint is a hash of its content. ``parts`` names
    the data sets that it joins.
    """

    name: str
    fingerprint: str
    users: int
    items: int
    interactions: int
    parts: tuple[str, ...] = ()

    @property
    def joined(self) -> bool:
        return bool(self.parts)


@dataclass(frozen=True)
class SchemeFacts:
    """What was compared. ``kind`` is ``scheme`` for identifiers and ``baseline`` for classical recommenders.

    ``inputs`` is a digest of the files that it reads beside the data set (its ``cache_key``), ``""`` for none.
    ``leaks``: it was fitted on validation and test, to demonstrate a leak. ``source`` is a digest of its code.
    ``recipe`` names the published way of training that settings and contract follow, ``""`` for none.
    ``probe``: it only counts or draws. ``found`` says where its settings come from if an earlier search found them.
    ``search`` is what was asked of a search for the lines of training, such as the number of trials.
    """

    name: str
    version: int
    settings: Mapping[str, Any]
    kind: str
    inputs: str = ""
    leaks: bool = False
    source: str = ""
    recipe: str = ""
    probe: bool = False
    found: str = ""
    search: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stated(self) -> dict[str, Any]:
        """The settings; where there are any, the ``recipe`` and ``files``, the start of the digest of what it reads."""
        further = {"recipe": self.recipe, "files": self.inputs[:8]}
        return {**self.settings, **{name: value for name, value in further.items() if value}, **self.search}


@dataclass(frozen=True)
class IdentifierFacts:
    """Statistics of identifiers; rates are shares of items that share an identifier, ``_test`` by test interactions.

    ``further`` holds whatever else was stored about them, such as how much of a codebook is used.
    """

    tokens_mean: float
    tokens_max: int
    vocabulary: int
    collision_rate: float
    collision_rate_test: float
    largest_group: int
    further: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> IdentifierFacts:
        """From one flat mapping, as it is stored."""
        known = [each.name for each in fields(cls) if each.name != "further"]
        further = {name: value for name, value in found.items() if name not in known}
        return cls(**{name: found[name] for name in known}, further=further)

    @property
    def flat(self) -> dict[str, Any]:
        """As it is stored: the further statistics beside the others."""
        known = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "further"}
        return {**known, **self.further}


@dataclass(frozen=True)
class Costs:
    """What a run took: seconds, MB, weights. None where a cost was not measured or does not exist.

    ``processor_seconds`` are those of training and validation, of all processes. ``training_flops`` are floating-point
    operations of matrix products; ``tokens_read`` and ``tokens_written`` are those of training, without padding.
    ``steps`` are optimizer steps, ``target_examples`` the items that they predicted and ``looks`` those at validation.
    ``own_steps``, ``own_examples`` and ``own_flops`` went into what a scheme trains to make its identifiers,
    on top of the others.
    """

    parameters: float | None
    id_construction_seconds: float | None
    training_seconds: float | None
    inference_seconds_per_1000_users: float | None
    peak_memory_mb: float | None
    validation_seconds: float | None = None
    processor_seconds: float | None = None
    id_construction_processor_seconds: float | None = None
    preparation_seconds: float | None = None
    training_flops: float | None = None
    tokens_read: float | None = None
    tokens_written: float | None = None
    steps: float | None = None
    target_examples: float | None = None
    looks: float | None = None
    own_steps: float | None = None
    own_examples: float | None = None
    own_flops: float | None = None


@dataclass(frozen=True)
class GroupFacts:
    """How many items, users and targets of one kind were measured, and the metrics as of the whole catalogue."""

    items: int
    users: int
    targets: int
    metrics: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Record:
    """The content of ``result.json``. ``metrics`` is ``metrics[reading][name]`` with the readings of ``READINGS``.

    ``item_groups`` holds the metrics of ``warm`` and ``cold`` items alone, where they were measured. ``audit`` is
    what the data can and cannot measure (``bench data audit``), ``warnings`` what a reader should know of what the run
    has read. ``files`` has the SHA-256 of every other file of the run by its path in the run's folder.
    """

    bench: str
    dataset: DatasetFacts
    scheme: SchemeFacts
    contract: Mapping[str, Scalar]
    contract_id: str
    preset: str | None
    seed: int
    split: Mapping[str, int]
    metrics: Mapping[str, Mapping[str, float]]
    item_groups: Mapping[str, GroupFacts] = field(default_factory=dict)
    identifiers: IdentifierFacts | None
    costs: Costs
    training: Mapping[str, Any] | None
    environment: Mapping[str, Scalar]
    audit: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    created: str
    files: Mapping[str, str]

    @property
    def trained_on(self) -> str:
        """The data set of the model, where it is not the one that is tested; else ``""``."""
        return str(self.contract.get("trained_on", "")).rpartition("@")[0]

    @property
    def zero_shot(self) -> bool:
        """Whether the model has seen nothing of the data set that is tested."""
        return bool(self.contract.get("zero_shot", False))

    @property
    def adapted_on(self) -> int:
        """On how many users of the data set that is tested the model was adapted, after training elsewhere; else 0."""
        return int(self.contract.get("adapted_on") or 0)

    @property
    def origin(self) -> str:
        """Where the model comes from, for people; ``""`` where it was trained on these data alone."""
        if not self.trained_on:
            return ""
        if self.adapted_on:
            return f"adapted on {self.adapted_on:,} users, from {self.trained_on}"
        return f"{'zero-shot from' if self.zero_shot else 'trained on'} {self.trained_on}"

    @property
    def protocol(self) -> int:
        """The version of what the code computes for all rows (``bench.protocol``)."""
        return int(self.contract["protocol"] or 0)


def to_json(record: Record) -> dict[str, Any]:
    """The record as JSON holds it, under the names of its fields; ``Record`` alone is written of a subclass."""
    plain = {each.name: getattr(record, each.name) for each in fields(Record)}
    return {
        "schema": SCHEMA,
        "sealed": True,
        **plain,
        "dataset": asdict(record.dataset),
        "scheme": asdict(record.scheme),
        "item_groups": {name: asdict(kind) for name, kind in record.item_groups.items()},
        "identifiers": record.identifiers and record.identifiers.flat,
        "costs": asdict(record.costs),
    }


def from_json(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a ``Record``, each of its type. KeyError, TypeError, ValueError or AttributeError where one is not.

    ``stored`` must be of the present ``SCHEMA``.
    """
    scheme, identifiers = stored["scheme"], stored["identifiers"]
    return {
        **{name: str(stored[name]) for name in ("bench", "contract_id", "created")},
        **{name: dict(stored[name]) for name in ("environment", "audit")},
        "contract": _contract(stored["contract"]),
        "dataset": _of(DatasetFacts, stored["dataset"], parts=tuple(stored["dataset"]["parts"])),
        "scheme": _of(
            SchemeFacts,
            {"found": "", **scheme, "search": dict(scheme.get("search") or {})},
            version=int(scheme["version"]),
            settings=dict(scheme["settings"]),
        ),
        "preset": _preset(stored["preset"]),
        "seed": int(stored["seed"]),
        "split": {name: int(count) for name, count in stored["split"].items()},
        "metrics": _metrics(stored["metrics"]),
        "item_groups": {
            name: _of(GroupFacts, stored["item_groups"][name], metrics=_metrics(stored["item_groups"][name]["metrics"]))
            for name in ITEM_GROUPS
            if name in stored["item_groups"]
        },
        "identifiers": None if identifiers is None else IdentifierFacts.of(identifiers),
        "costs": _costs(stored["costs"]),
        "training": stored["training"],
        "warnings": tuple(map(str, stored.get("warnings", ()))),
        "files": {str(name): str(digest) for name, digest in stored["files"].items()},
    }


def _of(cls: type[Any], stored: Mapping[str, Any], **converted: Any) -> Any:
    found = {each.name: stored[each.name] for each in fields(cls)} | converted
    for each in fields(cls):
        if type(found[each.name]) is not PLAIN.get(str(each.type), type(found[each.name])):
            raise TypeError(f"{each.name} is {found[each.name]!r}, which is no {each.type}")
    return cls(**found)


def _contract(stored: Mapping[str, Any]) -> dict[str, Scalar]:
    """Lines of a contract, each a plain value."""
    for name, value in stored.items():
        if not isinstance(value, str | int | float | None):
            raise TypeError(f"{name} of the contract is {value!r}")
    return dict(stored)


def _preset(stored: object) -> str | None:
    if not isinstance(stored, str | None):
        raise TypeError(f"preset is {stored!r}")
    return stored


def _metrics(stored: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    return {reading: {name: float(value) for name, value in stored[reading].items()} for reading in READINGS}


def _costs(stored: Mapping[str, Any]) -> Costs:
    """Costs that have a default may be absent: nobody measured them."""
    needed = {each.name: stored[each.name] for each in fields(Costs) if each.default is MISSING}
    found = {each.name: stored.get(each.name) for each in fields(Costs)} | needed
    return Costs(**{name: None if value is None else float(value) for name, value in found.items()})
