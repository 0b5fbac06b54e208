"""Promises about the identifiers themselves, and about the processes that make them."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.conformance.evidence import Evidence
from bench.conformance.verdict import Verdict, broken, kept, skipped
from bench.ids import storage
from bench.ids.identifiers import TokenIds
from bench.model.trie import Trie, with_eos
from bench.runs.subjects import IDENTIFIERS

OTHER_KIND = "these identifiers are no token sequences"


def fits(evidence: Evidence) -> Verdict:
    """``fit`` ends well and names every item of the catalogue."""
    report, items = evidence.first.report, len(evidence.data.items)
    if report.error and not report.stored:
        file = evidence.asked.scheme.removeprefix(IDENTIFIERS)
        theirs = file != evidence.asked.scheme  # the class is ours, but what it reads is somebody else's
        mend, place = ("mend the file", file) if theirs else ("mend fit", report.place)
        advice = f"{mend}; `bench ids show {evidence.asked.words} --debug` shows the traceback"
        return broken(f"fit failed: {report.error}", advice, place)
    if report.error:
        return kept("fit returned identifiers")
    if len(evidence.ids) != items:
        advice = "return one identifier for every item of train.items, in catalogue order"
        missing = evidence.item(len(evidence.ids)) if len(evidence.ids) < items else ""
        return broken(f"fit made {len(evidence.ids):,} identifiers for {items:,} items", advice, missing)
    return kept(f"{items:,} identifiers for {items:,} items")


def unique(evidence: Evidence) -> Verdict:
    """No two items share an identifier, unless the scheme says that they may."""
    ids = evidence.ids
    variants = [ids.only(variant) for variant in range(len(ids.tokens))] if isinstance(ids, TokenIds) else [ids]
    for each in variants:
        sharing = np.flatnonzero(np.bincount(each.groups)[each.groups] > 1)
        if len(sharing) and evidence.scheme.allow_collisions:
            return kept(f"{len(sharing):,} of {len(ids):,} items share an identifier, as declared")
        if len(sharing):
            one, two = np.flatnonzero(each.groups == each.groups[sharing[0]])[:2].tolist()
            advice = "tell them apart, e.g. by a last token that counts, or declare `allow_collisions = True`"
            at = f"{evidence.item(one)}; {evidence.item(two)}"
            return broken(f"{len(sharing):,} of {len(ids):,} items share an identifier", advice, at)
    return kept(f"{len(ids):,} items, {len(ids):,} identifiers")


def deterministic(evidence: Evidence) -> Verdict:
    """Two processes make the same identifiers of the same data."""
    first, second = evidence.first, evidence.second
    advice = "draw from train.random() alone; no hash(), no order of sets, no clock, no unseeded library"
    if second.report.error:
        return broken(f"a second process failed where the first did not: {second.report.error}", advice)
    if first.identifiers.read_bytes() == second.identifiers.read_bytes():
        return kept("two processes, with Python's hashes seeded differently, made the same bytes")
    other, _ = storage.load(second.identifiers)
    return broken("two processes made different identifiers", advice, _difference(evidence, other))


def blind(evidence: Evidence) -> Verdict:
    """What is held out has no effect, and is not looked at."""
    if evidence.scheme.leaks:
        return skipped("the scheme declares leaks = True: it is shown validation and test, and its results say so")
    first = evidence.first
    advice = "use nothing but the `train` that fit is given: no files, no bench.data, nothing from memory"
    if first.report.opened:
        return broken(f"fit opened {first.report.opened[0]}, where validation and test stand", advice)
    if deterministic(evidence).state == "broken":
        return skipped("the identifiers differ from process to process, so nothing can be told from their changing")
    other = evidence.moved
    if other.report.error:
        return broken(f"with other held-out items fit failed: {other.report.error}", advice)
    if first.identifiers.read_bytes() == other.identifiers.read_bytes():
        return kept("with other validation and test items the identifiers are the same bytes")
    changed, _ = storage.load(other.identifiers)
    at = _difference(evidence, changed)
    return broken("with other validation and test items the identifiers are others", advice, at)


def length(evidence: Evidence) -> Verdict:
    """No identifier is longer than the scheme declares."""
    ids, longest = evidence.ids, evidence.scheme.max_length
    if not isinstance(ids, TokenIds):
        return skipped(OTHER_KIND)
    most = int(ids.lengths.max())
    if most <= longest:
        return kept(f"{ids.lengths.mean():.1f} tokens on average, {most} at most; declared are {longest}")
    item = int(np.argwhere(ids.lengths == most)[0][1])
    room = evidence.contract.max_tokens
    advice = (
        f"shorten them, or declare `max_length = {most}`: the encoder reads {room} tokens, histories lose old items"
    )
    return broken(f"{most} tokens in an identifier; declared are {longest} at most", advice, evidence.item(item))


def vocabulary(evidence: Evidence) -> Verdict:
    """Every token of an identifier, and of the template, is a known one with a name."""
    ids = evidence.ids
    if not isinstance(ids, TokenIds):
        return skipped(OTHER_KIND)
    inside = np.arange(ids.tokens.shape[2]) < ids.lengths[..., None]
    words, used = ids.vocabulary, np.unique(ids.tokens[inside])
    nameless = [token for token in used.tolist() if words.tokenizer.id_to_token(token) is None]
    for wrong, what in ((nameless, "has no token in the vocabulary"), ([words.unk], "is the unknown token")):
        found = np.argwhere(np.isin(ids.tokens, wrong) & inside)
        if len(found):
            advice = "use tokens of the vocabulary, e.g. Vocabulary.private(tokens).ids(…), which refuses others"
            row = int(ids.tokens[tuple(found[0])])
            return broken(f"row {row} in an identifier {what}", advice, evidence.item(int(found[0][1])))
    for text in (ids.template.before, ids.template.separator, ids.template.after):
        if words.unk in words.encode(text):
            return broken(f"the vocabulary can't write '{text}' of the template", "change the one or the other")
    return kept(f"{len(used):,} tokens in use of {words.size:,}")


def round_trip(evidence: Evidence) -> Verdict:
    """An identifier leads back to its item: token by token through the prefix tree, and as text."""
    ids = evidence.ids
    if not isinstance(ids, TokenIds):
        return skipped(OTHER_KIND)
    advice = "check what fit returns: an identifier must not depend on how it is padded, nor read like another"
    for variant in range(len(ids.tokens)):
        groups = ids.only(variant).groups
        lowest = {group: item for item, group in reversed(list(enumerate(groups.tolist())))}
        reached = walked(ids, variant)
        wrong = [item for item, found in enumerate(reached) if found != lowest[groups[item]]]
        if wrong:
            return broken("an identifier does not lead to its item", advice, evidence.item(wrong[0]))
    texts: dict[str, int] = {}
    for item in range(len(ids)):
        other = texts.setdefault(ids.vocabulary.decode(ids.code(item)), item)
        if ids.groups[other] != ids.groups[item]:
            at = f"{evidence.item(other)}; {evidence.item(item)}"
            return broken("two identifiers are the same text", advice, at)
    return kept(f"{len(ids):,} identifiers lead to their items, as tokens and as text")


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


def serialisable(evidence: Evidence) -> Verdict:
    """What is stored and read back is the same."""
    first = evidence.first
    advice = "return arrays of int32 as bench.ids.scheme describes them, and a Vocabulary whose tokenizer can be saved"
    if first.report.error:
        return broken(f"the identifiers can't be stored: {first.report.error}", advice)
    if first.identifiers.read_bytes() != first.again.read_bytes():
        return broken("stored, read back and stored again, the identifiers are other bytes", advice)
    return kept(f"{first.identifiers.stat().st_size:,} bytes, the same when read back and stored again")


def _difference(evidence: Evidence, other: Any) -> str:
    """The first item whose identifiers differ, and both of them."""
    ids = evidence.ids
    if isinstance(ids, TokenIds) and isinstance(other, TokenIds):
        for item in range(min(len(ids), len(other))):
            one, two = (each.vocabulary.decode(each.code(item)) for each in (ids, other))
            if one != two:
                return f"{evidence.item(item)}: '{one}' and '{two}'"
    return "the identifiers of all items look alike; what differs is beside them"
