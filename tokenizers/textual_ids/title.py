"""``textual/title``: every item is a few words of its own text.

It writes the most salient words of an item's text, as short as is unique: "Ticket To Ride - Marklin"
becomes "ticket ride marklin board". Words are whole, items that share words share tokens, and nothing is learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from bench.data.dataset import ItemTable, TrainView
from bench.errors import BenchError
from bench.ids.identifiers import Template, TokenIds
from bench.ids.limits import CatalogueSize, Needs, token_bytes
from bench.ids.prompts import NEUTRAL, SEPARATOR
from bench.ids.scheme import IdScheme
from bench.ids.text import require_text
from bench.vocabulary import Vocabulary
from textual_ids.naming import Numbers, codes_of_all
from textual_ids.salience import Occurrences, Ranked, ranked, unwritable
from textual_ids.unwritten import refuse_numbers
from textual_ids.words import tokens_of

if TYPE_CHECKING:
    from bench.model.recommender import Recommender


@dataclass(frozen=True)
class Settings:
    words: int = 4  # words of an identifier; more only where they tell items apart
    order: Literal["salient", "frequent", "title"] = "salient"  # most telling first, most shared first, as in the text
    min_shared: int = 5  # items that must have a word before its rarity counts for it
    vocabulary: int = 4000  # rows of the subword vocabulary where the backbone starts from scratch
    pieces: int = field(default=2, metadata={"transfer": True})  # tokens of a word that names the unseen; 0: any number

    def __post_init__(self) -> None:
        if self.pieces < 0:
            raise BenchError(f"setting of textual/title 'pieces' must be 0 or more; got {self.pieces}")
        for name in ("words", "min_shared", "vocabulary"):
            if getattr(self, name) < 1:
                raise BenchError(f"setting of textual/title '{name}' must be 1 or more; got {getattr(self, name)}")


class Title(IdScheme):
    """Salient words of the item's text, in the language model's vocabulary or in one trained on these very words.

    Two items never share a token sequence: a later item takes further words of its text, and where its text is used
    up, a counter. An item whose text has no word that the vocabulary can write is a counter alone.

    An unseen catalogue is named by its own words in the trained model's vocabulary. A vocabulary that was trained on
    identifiers writes words that it was not made for in pieces or letters, so words that it writes in few tokens come
    first (``pieces``), and by their salience per token; a word with a letter that it lacks is left out.
    """

    name = "textual/title"
    version = 2
    supports_transfer = True
    Settings = Settings

    def validate_items(self, items: ItemTable) -> None:
        require_text(items, "textual identifiers")

    def needs(self, size: CatalogueSize) -> Needs:
        return Needs(token_bytes(size, 2 * self.settings.words) + 500.0 * size.items, 5e-5 * size.items)

    def warnings(self, train: TrainView) -> Sequence[str]:
        return unwritable(train.items, train.language)

    def fit(self, train: TrainView) -> TokenIds:
        return self.named(train.items, train.language, NEUTRAL if train.language else Template(separator=SEPARATOR))

    def transfer(self, trained: Recommender, target: TrainView, kept: Path) -> TokenIds:
        vocabulary = trained.ids.vocabulary
        # A language model's vocabulary was made for no catalogue: the unseen one is named as those of training were.
        pieces = 0 if vocabulary.language_model else self.settings.pieces
        return self.named(target.items, vocabulary, trained.ids.template, pieces)

    def named(self, items: ItemTable, vocabulary: Vocabulary | None, template: Template, pieces: int = 0) -> TokenIds:
        """Identifiers in the vocabulary given, or in one trained on their words. With ``pieces``, words of at most so
        many tokens come first.
        """
        self.validate_items(items)
        found = Occurrences.of(items)
        tokens = None if vocabulary is None else tokens_of(found.words, vocabulary)
        words = ranked(found, self.settings.min_shared, tokens, pieces)
        refuse_numbers(self.name, words.lengths == 0)
        fewest, choices = self.choices(words)
        if vocabulary is None:
            first = words.names(np.arange(len(items)), fewest, self.settings.order)
            vocabulary = self.trained(first, words.words)
        del found
        codes = codes_of_all(
            lambda some, which: words.names(some, fewest[some] + which, self.settings.order), choices, vocabulary
        )
        return TokenIds.from_lists(codes, vocabulary, template)

    def choices(self, words: Ranked) -> tuple[Numbers, Numbers]:
        """How many words the first choice of each item has, and how many choices there are: its ``words`` most salient
        ones that tell, then one word more each time.
        """
        lengths = words.lengths
        fewest = np.minimum(np.maximum(1, np.minimum(self.settings.words, words.informative)), lengths)
        return fewest, np.where(lengths, lengths - fewest + 1, 0)

    def trained(self, first: Sequence[str], words: Sequence[str]) -> Vocabulary:
        """Subwords of every item's first choice, so that identifiers are short; other letters only one by one."""
        letters = " ".join(sorted(set("0123456789").union(*words)))
        return Vocabulary.trained([*first, letters], self.settings.vocabulary, reserved=[SEPARATOR])
