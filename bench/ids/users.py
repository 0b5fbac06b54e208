"""Identifiers of users, for schemes that have the encoder read whose history it is (IDGenRec)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class UserIds:
    """``tokens [users, length]``, right-padded, of which the first ``lengths [users]`` count.

    Row ``u`` is the user of row ``u`` of the training view, in the vocabulary of the items' identifiers. Nobody is
    ranked by them, so they need not be unique; that is up to the scheme.
    """

    tokens: NDArray[np.int32]
    lengths: NDArray[np.int32]

    def __post_init__(self) -> None:
        if self.tokens.ndim != 2 or self.lengths.shape != self.tokens.shape[:1]:
            raise BenchError(
                f"tokens of users must be [users, length] with lengths [users]; "
                f"got {self.tokens.shape} and {self.lengths.shape}"
            )

    def __len__(self) -> int:
        """Number of users."""
        return len(self.tokens)

    def code(self, user: int) -> tuple[int, ...]:
        """The token ids of one user, without padding."""
        return tuple(self.tokens[user, : self.lengths[user]].tolist())


def refuse_unusable(
    tokens: NDArray[np.int32], lengths: NDArray[np.int32], vocabulary: Vocabulary, who: str = "catalogue item"
) -> None:
    """BenchError where one of ``tokens [variants, n, length]`` can't be written, or an identifier has none."""
    if (lengths < 1).any() or (lengths > tokens.shape[2]).any():
        bad = int(np.argwhere((lengths < 1) | (lengths > tokens.shape[2]))[0][1])
        raise BenchError(
            f"the identifier of {who} {bad} is empty or longer than its row; every {who.split()[-1]} needs one"
        )
    inside = np.arange(tokens.shape[2]) < lengths[..., None]
    wrong = inside & ((tokens < 0) | (tokens >= vocabulary.size) | np.isin(tokens, [vocabulary.pad, vocabulary.eos]))
    if wrong.any():
        variant, row, position = (int(at) for at in np.argwhere(wrong)[0])
        raise BenchError(
            f"token {tokens[variant, row, position]} in the identifier of {who} {row} is not usable: "
            f"it must be in 0..{vocabulary.size - 1}, but not padding or the end token"
        )
    behind = ~inside & (tokens != vocabulary.pad)  # items would be told apart by what nobody reads
    if behind.any():
        variant, row, position = (int(at) for at in np.argwhere(behind)[0])
        raise BenchError(
            f"token {tokens[variant, row, position]} stands behind the end of the identifier of {who} {row}; "
            f"only padding ({vocabulary.pad}) may"
        )
