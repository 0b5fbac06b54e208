"""Identifiers that somebody already has, as a scheme: ``--id-scheme file:ids.json``.

What a file holds is told by its content and never by its name:

- an ``index.json`` as LC-Rec, LETTER and MiniOneRec write it: ``{"0": ["<a_1>", "<b_2>"], ...}``, keyed by original
  ids, or by numbers that an ``.item2id`` beside it (or ``--set file.items=PATH``) makes into original ids;
- the same with whole numbers in its lists, as the ``.sem_ids`` of RPG and ActionPiece;
- a text index as OpenP5 and IDGenRec write it: ``key words of the item`` or ``key <CI1><CI20>`` on every line, with a
  tab or a space after the key, and with a header line or without;
- a NumPy matrix of codes (``.npy``, ``[items, length]``), with a file beside it that names the item of each row;
- a Parquet table of a finished run or of ``bench ids export``, or one with the columns ``item`` and ``identifier``.

Codes become tokens of a private vocabulary; words become text in the backbone's vocabulary, or in one trained on them.
"""

from __future__ import annotations

from bench.ids.imported.scheme import File, scheme_of

__all__ = ["File", "scheme_of"]
