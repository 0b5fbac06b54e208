"""What the statistics of an audit mean, in sentences."""

from __future__ import annotations

import math

from bench.data.audit.order import MANY, NEARLY_ALL, Order
from bench.data.audit.statistics import Statistics
from bench.data.audit.strength import AS_FOUND, TIES, TRAINING, Strength
from bench.data.audit.texts import Texts

INFORMATIVE = 0.05  # distance from one half from which a share of ascending ids is no chance
ENOUGH = 50  # pairs or hits below which no such share is judged
LITTLE = 0.1  # part of a score that rests on order from which it is called sequential
REPEATED = 0.1  # share of test targets from the user's own history that changes the task


def paragraph(
    name: str, order: Order, statistics: Statistics, strength: Strength | None, texts: Texts, merged_users: int
) -> str:
    """What can be measured here and what not."""
    said = [_time(order), *_ids(order, strength), *_strength(order, strength), *_targets(statistics)]
    said += _catalogue(texts, merged_users)
    return f"{name}: " + " ".join(f"{sentence[0].upper()}{sentence[1:]}." for sentence in said)


def line(order: Order, statistics: Statistics, strength: Strength | None, texts: Texts, merged_users: int) -> str:
    """The same without reasons: it stands under every table."""
    parts = ["time stamps are positions" if order.positional else f"{_percent(order.tied)} tied in time"]
    if strength is not None:
        chain = strength.scores[AS_FOUND]["markov"].mean
        # a row may be of another split
        parts.append(f"under leave-one-out a Markov chain over training transitions has NDCG@10 {_score(chain)}")
        parts.append(
            f"{_percent(strength.ascending_pairs)} of test items have a higher id than the item before them"
            + (f", and {_percent(strength.ascending_hits)} of those that it hits" if strength.hits else "")
        )
        parts += _resting(strength)
    return "; ".join([*parts, *_targets(statistics), *_catalogue(texts, merged_users)])


def _time(order: Order) -> str:
    if order.positional:
        few = f" (of all but {order.unnumbered:,} users, who have lost rows)" if order.unnumbered else ""
        return (
            f"the time stamps are positions, not times{few}: which interactions tied in time can no longer be seen, "
            "nor can the data be split at a point in time"
        )
    if order.timeless or order.tied >= NEARLY_ALL:
        return (
            f"{_percent(order.tied)} of the interactions tie in time with another of their user: the order of "
            "histories is arbitrary, and nothing sequential can be learned or measured"
        )
    if order.tied >= MANY:
        return (
            f"{_percent(order.tied)} of the interactions tie in time with another of their user, and which of these "
            "came next can be neither learned nor measured"
        )
    return f"time stamps order the interactions; {_percent(order.tied)} tie with another of their user"


def _ids(order: Order, strength: Strength | None) -> list[str]:
    """Whether the order of item ids tells the next item."""
    said = []
    chance = max(INFORMATIVE, 1.96 * 0.5 / math.sqrt(max(1, order.pairs_in_ties)))  # of a share of so few pairs
    for share, where in (
        (order.ascending_in_ties, "as the data set has them"),
        (order.ascending_in_ties_of_file, "as the file has them"),
    ):
        if order.pairs_in_ties >= ENOUGH and not math.isnan(share) and abs(share - 0.5) > chance:
            said.append(f"inside ties, {where}, {_percent(share)} of neighbors ascend in item id: ties follow the ids")
    if strength is None:
        return said
    pairs, hits = strength.ascending_pairs, strength.ascending_hits
    shares = f"{_percent(pairs)} of test items have a higher id than the item before them"
    if strength.hits:
        shares += f", and {_percent(hits)} of those that a Markov chain hits"
    if strength.users < ENOUGH:
        return [*said, f"{shares}, of too few users to judge"]
    if leans(strength):
        return [*said, f"{shares}, where chance is about 50 %: an id tells of the next item"]
    return [*said, f"{shares}: chance is about 50 %, and ids don't tell the next item"]


def leans(strength: Strength) -> bool:
    """Whether the next item has the higher id more often than chance has it, above all where it is hit."""
    enough = strength.hits >= ENOUGH
    return strength.ascending_pairs > 0.5 + INFORMATIVE or (enough and strength.ascending_hits > 0.5 + INFORMATIVE)


def _strength(order: Order, strength: Strength | None) -> list[str]:
    if strength is None:
        return ["nobody has the three interactions that leave-one-out needs"]
    chain = strength.scores[AS_FOUND]["markov"].mean
    others = {name: found.mean for name, found in strength.scores[AS_FOUND].items() if name != "markov"}
    said = [
        f"a Markov chain over training transitions has an NDCG@10 of {_score(chain)}, "
        + ", ".join(f"{name} {_score(value)}" for name, value in others.items())
        + ": a model that does not beat these has shown nothing"
    ]
    return [*said, *_resting(strength), *_order_of_training(strength, chain), *_advice(order, strength)]


def _resting(strength: Strength) -> list[str]:
    """How much of the chain's score rests on the order inside ties, or on that of ids where ties can't be seen."""
    chain = strength.scores[AS_FOUND]["markov"].mean
    least, most = strength.at_least(), strength.at_most()
    found = []
    if least is not None and most is not None:
        found.append(
            f"at least {_score(least)}{_part(least, chain)} and at most {_score(most)}{_part(most, chain)} of the "
            f"chain's {_score(chain)} rests on the order of ids"
        )
    if TIES in strength.scores:
        lost = chain - strength.scores[TIES]["markov"].mean
        found.append(f"{_score(max(0.0, lost))}{_part(lost, chain)} of the chain's {_score(chain)} rests on ties")
    return found


def _order_of_training(strength: Strength, chain: float) -> list[str]:
    shuffled = strength.scores[TRAINING]["markov"].mean
    kept = f"with all training order shuffled the chain has {_score(shuffled)}"
    if chain <= 0:
        return [kept]
    sequential = (chain - shuffled) / chain >= LITTLE
    return [f"{kept}: {'the order of items counts here' if sequential else 'the order of items hardly counts here'}"]


def _advice(order: Order, strength: Strength) -> list[str]:
    if not order.positional or not leans(strength):
        return []
    return [
        "a comparison on these data favors whatever reads an order from ids; see whether it holds under ties=presumed, "
        "or on data with time stamps"
    ]


def _targets(statistics: Statistics) -> list[str]:
    said = []
    if statistics.repeated_targets > REPEATED:
        said.append(f"{_percent(statistics.repeated_targets)} of test items repeat one of the user's own")
    if statistics.unseen_targets > 0:
        said.append(f"{_percent(statistics.unseen_targets)} of test items have no training interaction")
    return said


def _catalogue(texts: Texts, merged_users: int) -> list[str]:
    """What is odd about users and items: nothing where nothing is."""
    found = [
        (merged_users, "users shared an id with others and were parted"),
        (texts.empty if texts.columns else 0, "items have no text"),
        (texts.duplicated, "items have the text of another item"),
    ]
    said = [f"{count:,} {what}" for count, what in found if count]
    return said if texts.columns else [*said, "no item has text"]


def _score(value: float) -> str:
    return f"{value:.4f}".removeprefix("0")


def _part(value: float, whole: float) -> str:
    return f" ({100 * max(0.0, value) / whole:.0f} %)" if whole > 0 else ""


def _percent(share: float) -> str:
    if math.isnan(share):
        return "none"
    return f"{100 * share:.0f} %" if share in (0, 1) or 0.01 <= share <= 0.99 else f"{100 * share:.2g} %"
