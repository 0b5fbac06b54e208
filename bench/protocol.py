"""The version of what all rows of a table share."""

from __future__ import annotations

PROTOCOL = 4
"""Raise it by one with any change of code after which the same request can give other scores or ranks, where the change
is not one scheme's or baseline's own (that raises its ``version``): reading of data, splits, the input of the
recommender, training loop, selection, decoding, evaluation, metrics. Speed, costs, messages and tables do not count.

It is a line of every contract, so results of unequal protocols are stored apart and never compared. Say what changed in
CHANGELOG.md, under **Scores**, as ``protocol N``; a test holds you to it. Results of before it existed count as 1.
"""
