"""The tree of identifiers as a grammar, in the EBNF of xgrammar, with which vLLM and SGLang constrain what they write.

``Token(3, 4)`` is one token, by its row in the vocabulary; no text is matched. A grammar of texts would let a model
write an identifier in other pieces than it has learned, and tokens that have no text could not be told apart.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.model.trie import Trie

STOP = '""'
READS = "0.1.33"  # the first release of xgrammar with Token()


def written(trie: Trie, end: int) -> str:
    """One rule for each node of the tree that branches; where there is one way on, it is written out.

    The token ``end`` is in no rule: where it would follow, an identifier may stop, and the decoder writes it.
    """
    first, count, token = (part.tolist() for part in (trie.first, trie.count, trie.token))
    rest, rules = [""] * len(token), ["# A token is a row of the vocabulary; every path is an identifier."]
    for node in range(len(token) - 1, -1, -1):  # children come behind their parent
        children = range(first[node], first[node] + count[node])
        if not children:
            continue
        ways = _ways([(token[child], rest[child]) for child in children], end)
        rest[node] = " | ".join(ways) if ways != [STOP] else ""
        if node and len(ways) > 1:
            rules.append(f"n{node} ::= {rest[node]}")
            rest[node] = f"n{node}"
    return "\n".join([rules[0], f"root ::= {rest[0]}", *reversed(rules[1:])]) + "\n"


def _ways(children: Sequence[tuple[int, str]], end: int) -> list[str]:
    """The alternatives after a prefix, of tokens and what follows each: those that nothing follows are one."""
    last = [str(token) for token, rest in children if not rest and token != end]
    stop = [STOP] if any(token == end for token, _ in children) else []
    return [*stop, *([f"Token({', '.join(last)})"] if last else []), *(f"Token({t}) {r}" for t, r in children if r)]
