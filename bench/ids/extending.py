"""Identifiers of codes in a language model's vocabulary: each code becomes a new token behind the model's words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bench.ids.identifiers import Ids, TokenIds
from bench.ids.users import UserIds
from bench.vocabulary import Vocabulary


def extended(ids: Ids, language: Vocabulary) -> Ids:
    """The same identifiers with the tokens of their private vocabulary as new ones of the ``language``. What is in its
    words already, and whatever is no sequence of tokens, stays.
    """
    own = ids.vocabulary
    if own.language_model or not isinstance(ids, TokenIds):
        return ids
    special = {own.pad: language.pad, own.eos: language.eos}
    rows = [row for row in range(own.size) if row not in (own.pad, own.eos, own.unk)]
    vocabulary, new = language.extended([own.tokenizer.id_to_token(row) or str(row) for row in rows])
    moved = np.zeros(own.size, np.int32)
    for row, other in (*special.items(), *zip(rows, new, strict=True)):
        moved[row] = other
    return replace(ids, tokens=moved[ids.tokens], vocabulary=vocabulary, users=_users(ids, moved))


def _users(ids: TokenIds, moved: NDArray[np.int32]) -> UserIds | None:
    return None if ids.users is None else replace(ids.users, tokens=moved[ids.users.tokens])
