"""What stands under a table: the data, the contract, the machine, and how its numbers are to be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.console import visible
from bench.data.audit.findings import VERSION as AUDIT
from bench.evaluation.statistics import RESAMPLES
from bench.report.budget_notes import DECODING, budgets, looks, ranking, resized, revisions, searches
from bench.report.contracts import Contracts, differences, settings, varying
from bench.report.labels import names
from bench.report.rows import Row, differing
from bench.report.seed_notes import of_noise
from bench.report.significance import Tested
from bench.report.table import DAGGER, Note, strong
from bench.results.read import Result
from bench.results.schema import LOAD, DatasetFacts, Scalar

MACHINE = ("platform", "device", "cpu_threads", "processes")  # where these differ, so do seconds and memory
SHORT = ("bench", "torch", "device", "cpu_threads", "processes")  # of the environment, under every table

METRICS = (
    "Hit@k is the share of test users whose item is among the first k; NDCG@k the mean of 1/log2(rank + 1) within "
    "the first k; MRR@20 the mean of 1/rank within the first 20; an item further down counts 0"
)
STRICT = (
    "items are ranked, not identifiers: items that share one share a rank, and the target counts as the last of them"
)
INTERVALS = (
    f"95 %, over test users and training seeds: to each side the half-width of a percentile bootstrap over users "
    f"({RESAMPLES:,} resamples of as many users, with replacement, the same for every row; not corrected for bias or "
    "skew) and that of the seeds' part, added in quadrature; the latter is Student's t times the deviation over "
    "seeds, divided by the root of the number of seeds; none where all users have the same value"
)
CUT_OFF = "; cut off at 0 and 1"
DEVIATION = "; ± is the standard deviation over seeds"
UNPAIRED = "; two rows whose intervals overlap may still differ, for which see the comparisons"
MARKED = (
    "bold is the best row under one contract and every row that does not differ significantly from it (p (Holm) is "
    "0.05 or more); underlined is the best of the other rows, and likewise every row that does not differ from it; "
    "where no row differs from the best, none is bold; columns that are not tested have no marks; a baseline counts "
    "under every contract that it agrees with"
)
DAGGER_MEANS = (
    "better than every baseline that the row may be compared with: against each, p (Holm) is below 0.05; no "
    "baseline is picked, so there is no selection bias"
)
TEST = (
    "paired permutation test over users (signs of the differences are flipped; 9,999 draws, all patterns where few "
    "users differ, Hoeffding's bound where no draw comes as far), two-sided, of each user's mean over seeds; then the "
    "seeds' part is added as in the intervals: p is the level at which an interval with both parts would begin to hold "
    "0, so it covers other users and training again"
)
PICKED = (
    "p (Holm) is corrected for all {:,} comparisons of any two rows that may be compared, shown or not, so that the "
    "best baseline and the best row may be picked on these same users"
)
EACH = "; each row alone, without a correction for all rows; the lead of the best row is too large, since it was picked"
EFFECT = (
    "the relative difference is a part of the reference, the second value; effect is the mean difference of users over "
    "its standard deviation (d_z)"
)
WON = "; won, lost and tied count users by NDCG@10"
COSTS = (
    "means over seeds; tokens include the end token where there is one; decode steps are those of beam search, "
    "one for each token of the longest identifier, or one for all where vectors are written at once; ID construction, "
    "training and validation are seconds of the clock; processor is what training and validation used of all cores; "
    "training FLOPs are floating-point operations of matrix products, counted from shapes, three times those of a "
    "forward pass but for gradients that a frozen base has none of; steps are those of the optimizer, target examples "
    "the items that they predicted, looks the times that validation was read; own steps, examples and FLOPs are "
    "those of models that a scheme trains to make its identifiers, and come on top; tokens read and written are those "
    "of training, without padding; a dash stands where nothing was measured"
)
LOADED = (
    "measured beside other load: the load average of the machine was above the cores that the run could use, so its "
    "seconds are too many; compare processor seconds and FLOPs"
)
LOAD_MARGIN = 0.5  # by which a load average may exceed what a run uses: it is a mean over a minute
DIAGNOSTICS = (
    "collision rate: items that share their identifier with another, test-weighted: the same by test interactions; "
    "strict counts the target as the last of those that share its identifier, expected shows one of them at random, "
    "optimistic lets collisions cost nothing; invalid is the share of written lists that name no item, 0 by "
    "construction where the decoder only follows identifiers; beam differs is the share of up to 500 test users whose "
    "target has another rank among the best 20 of an exact ranking, and beam excess by how much NDCG@10 of these users "
    "is above the exact one; distinct tokens, entropy and shared prefix stand for each position of the identifier, "
    "first to last; a dash: no such value (vectors have no tokens, most schemes no codebook), seeds that differ in the "
    "number of positions, or a run older than the value"
)
ZERO_SHOT = "identifiers are made from the catalogue, test histories are read only to rank; costs are the model's"
ADAPTED = "they were drawn by the seed, and nothing of other users is read but to rank; costs are the model's"
JOINT = "one model for several data sets; only the items of this one are ranked, and costs are the model's"
OUTDATED = " (an audit by other code than the present, which may count otherwise: see bench data audit)"
PROBES = "rules that only count or draw; a model that does not beat them on these data has shown nothing"
SLICED = (
    "strict NDCG@10 of the users in a slice, of several targets by their mean popularity, rounded up; nothing is "
    "tested; intervals are 1.96 standard errors over users alone, without the noise of training"
)
SLICES = SLICED + CUT_OFF.replace(";", ",")
SLICED_DIFFERENCES = SLICED + ", of the difference"
MULTI_TARGET = (
    "under split=global-temporal or ties=drop-order a user has several targets: Hit@k is the share of users with any "
    "target among the first k; NDCG@k is relative to an ideal list, which begins with min(targets, k) targets; MRR@20 "
    "is the mean of 1/rank of the first target"
)


def conditions(dataset: DatasetFacts, rows: Sequence[Row], found: Contracts, missing: str) -> list[Note]:
    """All that is needed to know what the tables of a data set rest on, and to make them again."""
    return [
        _data(dataset),
        *_audit(rows),
        *_probes(rows),
        *_leaks(rows),
        *_elsewhere(rows),
        *_contracts(found),
        *ranking(rows),
        *_baselines(rows, found),
        *budgets(rows),
        *looks(rows),
        *searches(rows),
        *resized(rows),
        *revisions(rows),
        Note("split", _alike({name: run.split for name, run in _runs(rows).items()})),
        Note("seeds", _seeds(rows)),
        *([Note("missing", missing)] if missing else []),
        Note("schemes", "; ".join(dict.fromkeys(_scheme(row.first) for row in rows))),
        *_environment(rows),
        Note("results", "; ".join(", ".join(run.path for run in row.runs) for row in rows)),
    ]


def brief(rows: Sequence[Row], found: Contracts, missing: str) -> list[Note]:
    """What stands by a table even where there is little room: the contract by name, what differs, the machine, and all
    that warns of rows.
    """
    named = {name: {key: values[key] for key in SHORT if key in values} for name, values in _environments(rows).items()}
    contract = [Note("contract", _named(holder)) for holder in found.by_letter.values()]
    return [
        *(_unequal(found) if found.mixed else contract),
        Note("environment", _alike(named)),
        *_leaks(rows),
        *_elsewhere(rows),
        *searches(rows),
        *resized(rows),
        *([Note("missing", missing)] if missing else []),
    ]


def of_quality(rows: Sequence[Row], marked: bool) -> list[Note]:
    multi_seed = any(len(row.runs) > 1 for row in rows)
    return [
        Note("metrics", METRICS, legend=True),
        *([Note("targets", MULTI_TARGET, legend=True)] if any(map(_multi_target, rows)) else []),
        Note("strict", STRICT, legend=True),
        Note("intervals", INTERVALS + CUT_OFF + (DEVIATION if multi_seed else "") + UNPAIRED, legend=True),
        *of_noise(rows),
        Note("marks", MARKED, legend=True),
        *([Note(DAGGER, DAGGER_MEANS, legend=True)] if marked else []),
        *_warnings(rows),
    ]


def _warnings(rows: Sequence[Row]) -> list[Note]:
    """What runs have said of what they read, such as where vectors come from; each once, behind who said it."""
    said: dict[str, list[str]] = {}
    for row in rows:
        for line in dict.fromkeys(line for run in row.runs for line in run.warnings):
            said.setdefault(line, []).append(row.label)
    return (
        [Note("warnings", "; ".join(f"{', '.join(labels)}: {line}" for line, labels in said.items()))] if said else []
    )


def _multi_target(row: Row) -> bool:
    contract = row.first.contract
    return contract.get("split") == "global-temporal" or contract.get("ties") == "drop-order"


def of_comparisons(tested: Tested) -> list[Note]:
    partly = [line.pair for line in tested.lines if not line.pair.complete]
    named = [f"{pair.one.label} and {pair.other.label}: {pair.users:,}" for pair in partly]
    apart = [f"{pair.one.label} and {pair.other.label}" for pair in tested.apart]
    return [
        Note("test", TEST, legend=True),
        Note("correction", PICKED.format(tested.family.p.size)),
        Note(
            "intervals", INTERVALS + "; of the difference, with the same users drawn for both rows" + EACH, legend=True
        ),
        *of_noise(list(dict.fromkeys(row for pair in tested.family.pairs for row in (pair.one, pair.other)))),
        Note("effect", EFFECT + WON, legend=True),
        *_if(named, "users", strong("tested different users") + ", compared on those in common: "),
        *_if(apart, "skipped", strong("no user in common") + ": "),
    ]


def _if(named: Sequence[str], title: str, said: str) -> list[Note]:
    return [Note(title, said + "; ".join(named))] if named else []


def of_costs(rows: Sequence[Row]) -> list[Note]:
    return [Note("costs", COSTS, legend=True), *_machines(rows), *_loaded(rows)]


def _data(dataset: DatasetFacts) -> Note:
    sizes = f"{dataset.users:,} users, {dataset.items:,} items, {dataset.interactions:,} interactions"
    return Note("data", f"{dataset.name}: {sizes}; fingerprint {dataset.fingerprint}")


def audit(rows: Sequence[Row], part: str) -> str:
    """What the data can and cannot measure, as the newest result that says so has it; "" where none does."""
    said = [run for row in rows for run in row.runs if part in run.audit]
    newest = max(said, key=lambda run: run.created, default=None)
    if newest is None:
        return ""
    outdated = "" if newest.audit.get("version") == AUDIT else OUTDATED
    return visible(str(newest.audit[part])) + outdated


def _audit(rows: Sequence[Row]) -> list[Note]:
    found = audit(rows, "conclusion")
    return [Note("audit", found)] if found else []


def _probes(rows: Sequence[Row]) -> list[Note]:
    labels = ", ".join(row.label for row in rows if row.probe)
    return [Note("probes", f"{labels}: {PROBES}")] if labels else []


def _leaks(rows: Sequence[Row]) -> list[Note]:
    labels = ", ".join(row.label for row in rows if row.first.scheme.leaks)
    text = (
        strong(f"{labels} saw the validation and test items")
        + ": kept to show what a leak is worth, and never the best"
    )
    return [Note("leaks", text)] if labels else []


def _elsewhere(rows: Sequence[Row]) -> list[Note]:
    """Rows whose model was not trained on the data of the table alone."""
    unseen = ", ".join(row.label for row in rows if row.first.zero_shot)
    elsewhere = [row for row in rows if row.first.trained_on and not row.first.zero_shot]
    joint = ", ".join(row.label for row in elsewhere if not row.first.adapted_on)
    adapted = ", ".join(row.label for row in elsewhere if row.first.adapted_on)
    return [
        *(
            [Note("zero-shot", strong(f"{unseen}: no interaction of these data was learned from") + f"; {ZERO_SHOT}")]
            if unseen
            else []
        ),
        *(
            [Note("adapted", strong(f"{adapted}: learned from few users of these data") + f"; {ADAPTED}")]
            if adapted
            else []
        ),
        *([Note("trained on", strong(f"{joint}: not trained on these data alone") + f"; {JOINT}")] if joint else []),
    ]


def _named(holder: Result) -> str:
    return holder.contract_id + (f" (preset {holder.preset})" if holder.preset else "")


def _contracts(found: Contracts) -> list[Note]:
    holders = list(found.by_letter.values())
    if not found.mixed:
        return [Note("contract", f"{_named(holder)}: {settings(holder.contract, DECODING)}") for holder in holders]
    same = settings(holders[0].contract, without={*_unlike(found), *DECODING}) or "nothing"
    return [*_unequal(found), Note("the same", same)]


def _unequal(found: Contracts) -> list[Note]:
    named = ", ".join(f"{letter} is {_named(holder)}" for letter, holder in found.by_letter.items())
    return [
        Note("contracts", strong("the rows were not made under one contract") + f": {named}"),
        Note("differing", differences(_unlike(found))),
    ]


def _unlike(found: Contracts) -> dict[str, dict[str, list[str]]]:
    values = {letter: holder.contract for letter, holder in found.by_letter.items()}
    return varying(values, [letter for letter, holder in found.by_letter.items() if holder.scheme.kind == "baseline"])


def _baselines(rows: Sequence[Row], found: Contracts) -> list[Note]:
    """Baselines that stand under a contract which is not their own, and what makes them do so."""
    holders = list(found.by_letter.values())
    named = zip(names(rows), rows, strict=True)
    borrowing = {name: row.first.contract for name, row in named if row.baseline and row.first not in holders}
    if not borrowing:
        return []
    shared = dict.fromkeys(key for values in borrowing.values() for key in values if key in holders[0].contract)
    text = f"{', '.join(borrowing)}: of the contract they share " + (", ".join(shared) or "none")
    unlike = differences(varying(borrowing, borrowing))
    others = [key for key in holders[0].contract if key not in shared and key not in DECODING]
    text += f"; they differ in {unlike}" if unlike else ""
    return [Note("baselines", text + (f"; these lines do not hold for them: {', '.join(others)}" if others else ""))]


def _runs(rows: Sequence[Row]) -> dict[str, Result]:
    """Every run by a name that is its own: the row's, with the contract where rows share it, and the seed."""
    named = {}
    for row, name in zip(rows, names(rows), strict=True):
        for run in row.runs:
            named[name + (f" seed {run.seed}" if len(row.runs) > 1 else "")] = run
    return named


def _alike(named: Mapping[str, Mapping[str, Any]]) -> str:
    """What all holders have in common, then where they differ."""
    unlike = varying(named)
    shared = settings(next(iter(named.values())), without=unlike)
    return "; ".join(part for part in (shared, differences(unlike)) if part)


def _seeds(rows: Sequence[Row]) -> str:
    seeds = (", ".join(str(seed) for seed in row.seeds) for row in rows)
    named = {name: {"seeds": values} for name, values in zip(names(rows), seeds, strict=True)}
    if differing(list(named.values())):
        return "; ".join(f"{label}: {values['seeds']}" for label, values in named.items())
    return next(iter(named.values()))["seeds"]


def _scheme(result: Result) -> str:
    values = settings(result.scheme.settings)
    return f"{result.scheme.name}@{result.scheme.version}" + (f" ({values})" if values else "")


def _environments(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Without the load, which is another one in every run."""
    told = ("bench", *LOAD)  # the version by the run itself
    return {
        name: {"bench": run.bench, **{key: value for key, value in run.environment.items() if key not in told}}
        for name, run in _runs(rows).items()
    }


def _environment(rows: Sequence[Row]) -> list[Note]:
    named = _environments(rows)
    commands = dict.fromkeys(str(values.pop("command")) for values in named.values() if "command" in values)
    return [
        Note("environment", _alike(named)),
        *_machines(rows),
        *(Note("made by", command) for command in commands),
    ]


def machines_differ(rows: Sequence[Row]) -> bool:
    """Whether the rows were made on machines whose seconds and memory do not compare."""
    return bool(differing([{key: values.get(key) for key in MACHINE} for values in _environments(rows).values()]))


def _machines(rows: Sequence[Row]) -> list[Note]:
    if not machines_differ(rows):
        return []
    return [Note("machines", strong("measured on different machines") + ": seconds and memory do not compare")]


def loaded(rows: Sequence[Row]) -> list[str]:
    """Which runs had to share the machine: how high the load average was, and how many cores a run used."""
    named = []
    for name, run in _runs(rows).items():
        load, used = _load(run.environment)
        if load > used + LOAD_MARGIN:
            named.append(f"{name} ({load:.1f}, used {float(run.environment['cores_used'] or 0):.1f})")
    return named


def _loaded(rows: Sequence[Row]) -> list[Note]:
    named = loaded(rows)
    return [Note("load", strong(LOADED) + ": " + ", ".join(named))] if named else []


def _load(environment: Mapping[str, Scalar]) -> tuple[float, float]:
    """The higher load average, and the cores that the run used or could have used; 0 where they are not stored."""

    def number(name: str) -> float:
        return float(environment.get(name) or 0)

    load = max(number("load_average_start"), number("load_average_end"))
    return load, max(number("cores_used"), number("cpu_threads") * number("processes"))
