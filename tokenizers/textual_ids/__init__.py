"""Textual identifiers: every item is a few words.

``textual/title`` takes salient words of the item's own text, without learning anything. ``textual/idgenrec`` has a
model read the text and write the words, and trains it alternately with the recommender (IDGenRec, Tan et al., 2024).
"""

from textual_ids.idgenrec import (
    GeneratorOnly,
    IdGenRec,
    IdGenRecSettings,
    RecommenderOnly,
    UserLeak,
    UserLeakSettings,
)
from textual_ids.title import Settings, Title

__all__ = [
    "GeneratorOnly",
    "IdGenRec",
    "IdGenRecSettings",
    "RecommenderOnly",
    "Settings",
    "Title",
    "UserLeak",
    "UserLeakSettings",
]
