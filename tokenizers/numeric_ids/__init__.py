"""Numeric and structural identifiers: the family that began with P5 and that every later paper compares with.

Numbers, written in digits or as a language model reads them (``numbering``):

- ``numeric/random`` numbers items in random order: a control, for such an identifier tells nothing about its item.
- ``numeric/sequential`` numbers them as they first appear in the users' training histories, so that items bought
  together are often numbered together. ``numeric/p5-leak`` is how P5 did it, with the test items in the walk.

P5's other tasks (ratings, explanations, reviews, direct recommendation) and OpenP5's ``straightforward`` prompts, which
have no history, do not exist here: all that is trained and tested is the next item after a history.

Places in a tree, one new token for each step (``paths``), as in "How to Index Item IDs" (Hua et al., SIGIR-AP 2023,
2305.06569):

- ``numeric/collaborative``: the tree of spectral clusters of items that the same users took.
- ``numeric/category``: the tree of categories in the item table.
- ``numeric/independent``: no tree, one token for each item. ``numeric/collaborative+independent`` and
  ``numeric/category+independent`` end the path in such a token.
"""

from __future__ import annotations

from numeric_ids.numbering import Numeric, P5Leak, P5Settings, Random, Sequential, SequentialSettings, Settings
from numeric_ids.paths import (
    Category,
    CategoryIndependent,
    CategorySettings,
    Collaborative,
    CollaborativeIndependent,
    CollaborativeSettings,
    Independent,
)

__all__ = [
    "Category",
    "CategoryIndependent",
    "CategorySettings",
    "Collaborative",
    "CollaborativeIndependent",
    "CollaborativeSettings",
    "Independent",
    "Numeric",
    "P5Leak",
    "P5Settings",
    "Random",
    "Sequential",
    "SequentialSettings",
    "Settings",
]
