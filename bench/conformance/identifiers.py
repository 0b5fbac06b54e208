"""Requirements on the identifiers themselves, and about the processes that make them."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.conformance.fixtures import Fixtures
from bench.conformance.result import CheckResult, failed, passed, skipped
from bench.ids import storage
from bench.ids.identifiers import SlotIds, TokenIds
from bench.model.trie import Trie, with_eos
from bench.runs.subjects import IDENTIFIERS

OTHER_KIND = "these identifiers are no token sequences"


def fits(fixtures: Fixtures) -> CheckResult:
    """``fit`` ends well and names every item of the catalogue."""
    report, items = fixtures.first.report, len(fixtures.data.items)
    if report.error and not report.stored:
        file = fixtures.asked.subject.removeprefix(IDENTIFIERS)
        theirs = file != fixtures.asked.subject  # the class is ours, but what it reads is somebody else's
        fix, origin = ("fix the file", file) if theirs else ("fix fit", report.origin)
        advice = f"{fix}; `bench ids show {fixtures.asked.words} --debug` shows the traceback"
        return failed(f"fit failed: {report.error}", advice, origin)
    if report.error:
        return passed("fit returned identifiers")
    if len(fixtures.ids) != items:
        advice = "return one identifier for every item of train.items, in catalogue order"
        missing = fixtures.item(len(fixtures.ids)) if len(fixtures.ids) < items else ""
        return failed(f"fit made {len(fixtures.ids):,} identifiers for {items:,} items", advice, missing)
    return passed(f"{items:,} identifiers for {items:,} items")


def unique(fixtures: Fixtures) -> CheckResult:
    """No two items share an identifier, unless the scheme says that they may."""
    ids = fixtures.ids
    variants = [ids.only(variant) for variant in range(len(ids.tokens))] if isinstance(ids, TokenIds) else [ids]
    for each in variants:
        sharing = np.flatnonzero(np.bincount(each.groups)[each.groups] > 1)
        if len(sharing) and fixtures.scheme.allow_collisions:
            return passed(f"{len(sharing):,} of {len(ids):,} items share an identifier, as declared")
        if len(sharing):
            one, two = np.flatnonzero(each.groups == each.groups[sharing[0]])[:2].tolist()
            advice = "tell them apart, e.g. by a last token that counts, or declare `allow_collisions = True`"
            at = f"{fixtures.item(one)}; {fixtures.item(two)}"
            return failed(f"{len(sharing):,} of {len(ids):,} items share an identifier", advice, at)
    return passed(f"{len(ids):,} items, {len(ids):,} identifiers")


def deterministic(fixtures: Fixtures) -> CheckResult:
    """Two processes make the same identifiers of the same data."""
    first, second = fixtures.first, fixtures.second
    advice = "draw from train.random() alone; no hash(), no order of sets, no clock, no unseeded library"
    if second.report.error:
        return failed(f"a second process failed where the first did not: {second.report.error}", advice)
    if first.identifiers.read_bytes() == second.identifiers.read_bytes():
        return passed("two processes, with Python's hashes seeded differently, made the same bytes")
    other, _ = storage.load(second.identifiers)
    return failed("two processes made different identifiers", advice, _difference(fixtures, other))


def blind(fixtures: Fixtures) -> CheckResult:
    """What is held out has no effect, and is not looked at."""
    if fixtures.scheme.leaks:
        return skipped("the scheme declares leaks = True: it is shown validation and test, and its results say so")
    first = fixtures.first
    advice = "use nothing but the `train` that fit is given: no files, no bench.data, nothing from memory"
    if first.report.opened:
        return failed(f"fit opened {first.report.opened[0]}, where validation and test stand", advice)
    if deterministic(fixtures).state == "failed":
        return skipped("the identifiers differ from process to process, so nothing can be told from their changing")
    other = fixtures.moved
    if other.report.error:
        return failed(f"with other held-out items fit failed: {other.report.error}", advice)
    if first.identifiers.read_bytes() == other.identifiers.read_bytes():
        return _stages_blind(fixtures)
    changed, _ = storage.load(other.identifiers)
    at = _difference(fixtures, changed)
    return failed("with other validation and test items the identifiers are others", advice, at)


def _stages_blind(fixtures: Fixtures) -> CheckResult:
    """The same of what the scheme does between stages. Validation is told to it as 0 whatever is held out."""
    advice = "use nothing but the `train` that stages is given and what it trained: no files, nothing from memory"
    one, other = fixtures.stages
    if one.report.opened:
        return failed(f"stages opened {one.report.opened[0]}, where validation and test stand", advice)
    same = "with other validation and test items the identifiers are the same bytes"
    if one.report.error:
        return passed(f"{same}; what its stages come to is not known, for they fail")
    if other.report.error:
        return failed(f"with other held-out items stages failed: {other.report.error}", advice)
    if one.report.stages == other.report.stages:
        return passed(f"{same}, and so is what its stages come to")
    pairs = zip(one.report.stages, other.report.stages, strict=False)
    name = next((mine.split()[0] for mine, theirs in pairs if mine != theirs), "the last")
    return failed(f"with other validation and test items stage '{name}' comes to something else", advice)


def length(fixtures: Fixtures) -> CheckResult:
    """No identifier is longer than the scheme declares."""
    ids, longest = fixtures.ids, fixtures.scheme.max_length
    if not isinstance(ids, TokenIds):
        return skipped(OTHER_KIND)
    most = int(ids.lengths.max())
    if most <= longest:
        return passed(
            f"{ids.lengths.mean():.1f} tokens on average, {most} at most; the declared max_length is {longest}"
        )
    item = int(np.argwhere(ids.lengths == most)[0][1])
    room = fixtures.contract.max_tokens
    advice = (
        f"shorten them, or declare `max_length = {most}`: the encoder reads {room} tokens, histories lose old items"
    )
    return failed(f"{most} tokens in an identifier; the declared max_length is {longest}", advice, fixtures.item(item))


def vocabulary(fixtures: Fixtures) -> CheckResult:
    """Every token of an identifier, and of the template, is a known one with a name."""
    ids = fixtures.ids
    if not isinstance(ids, TokenIds):
        return skipped(OTHER_KIND)
    inside = np.arange(ids.tokens.shape[2]) < ids.lengths[..., None]
    words, used = ids.vocabulary, np.unique(ids.tokens[inside])
    unknown = [] if words.unk is None else [words.unk]
    nameless = [token for token in used.tolist() if words.tokenizer.id_to_token(token) is None]
    for wrong, what in ((nameless, "has no token in the vocabulary"), (unknown, "is the unknown token")):
        found = np.argwhere(np.isin(ids.tokens, wrong) & inside)
        if len(found):
            advice = "use tokens of the vocabulary, e.g. Vocabulary.private(tokens).ids(…), which refuses others"
            row = int(ids.tokens[tuple(found[0])])
            return failed(f"row {row} in an identifier {what}", advice, fixtures.item(int(found[0][1])))
    for text in (ids.template.before, ids.template.separator, ids.template.after):
        if words.unk in words.encode(text):
            return failed(f"the vocabulary can't write '{text}' of the template", "change the one or the other")
    return passed(f"{len(used):,} tokens in use of {words.size:,}")


def round_trip(fixtures: Fixtures) -> CheckResult:
    """An identifier leads back to its item: token by token through the prefix tree, and as text."""
    ids = fixtures.ids
    if isinstance(ids, SlotIds):
        return _codes_lead_back(fixtures, ids)
    if not isinstance(ids, TokenIds):
        return skipped(OTHER_KIND)
    advice = "check what fit returns: an identifier must not depend on how it is padded, nor read like another"
    for variant in range(len(ids.tokens)):
        groups = ids.only(variant).groups
        lowest = {group: item for item, group in reversed(list(enumerate(groups.tolist())))}
        reached = walked(ids, variant)
        wrong = [item for item, found in enumerate(reached) if found != lowest[groups[item]]]
        if wrong:
            return failed("an identifier does not lead to its item", advice, fixtures.item(wrong[0]))
    texts: dict[str, int] = {}
    for item in range(len(ids)):
        other = texts.setdefault(ids.vocabulary.decode(ids.code(item)), item)
        if ids.groups[other] != ids.groups[item]:
            at = f"{fixtures.item(other)}; {fixtures.item(item)}"
            return failed("two identifiers are the same text", advice, at)
    return passed(f"{len(ids):,} identifiers lead to their items, as tokens and as text")


def _codes_lead_back(fixtures: Fixtures, ids: SlotIds) -> CheckResult:
    """All of an item's codes are those of no other, but of items in its group."""
    owner: dict[tuple[int, ...], int] = {}
    for item, codes in enumerate(ids.codes.tolist()):
        other = owner.setdefault(tuple(codes), item)
        if ids.groups[other] != ids.groups[item]:
            at = f"{fixtures.item(other)}; {fixtures.item(item)}"
            return failed("two identifiers are the same codes", "check what fit returns", at)
    return passed(f"{len(ids):,} identifiers of {ids.slots} codes lead to their items")


def walked(ids: TokenIds, variant: int) -> list[int]:
    """The item that every identifier leads to through the tree, token by token; -1 where there is no way."""
    tree = Trie.of(ids, variant)
    first, count, token, item = (each.tolist() for each in (tree.first, tree.count, tree.token, tree.item))
    found = []
    for code in with_eos(ids, variant).tolist():
        node = 0
        for wanted in (row for row in code if row >= 0):
            children = range(first[node], first[node] + count[node])
            node = next((child for child in children if token[child] == wanted), -1)
            if node < 0:
                break
        found.append(item[node] if node >= 0 else -1)
    return found


def serializable(fixtures: Fixtures) -> CheckResult:
    """What is stored and read back is the same."""
    first = fixtures.first
    advice = "return arrays of int32 as bench.ids.scheme describes them, and a Vocabulary whose tokenizer can be saved"
    if first.report.error:
        return failed(f"the identifiers can't be stored: {first.report.error}", advice)
    if first.identifiers.read_bytes() != first.again.read_bytes():
        return failed("stored, read back and stored again, the identifiers are other bytes", advice)
    return passed(f"{first.identifiers.stat().st_size:,} bytes, the same when read back and stored again")


def _difference(fixtures: Fixtures, other: Any) -> str:
    """The first item whose identifiers differ, and both of them."""
    ids = fixtures.ids
    if isinstance(ids, TokenIds) and isinstance(other, TokenIds):
        for item in range(min(len(ids), len(other))):
            one, two = (each.vocabulary.decode(each.code(item)) for each in (ids, other))
            if one != two:
                return f"{fixtures.item(item)}: '{one}' and '{two}'"
    return "the identifiers of all items look alike; what differs is beside them"
