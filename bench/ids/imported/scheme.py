"""The scheme ``file:PATH``: identifiers as they stand in a file, under the same contract as any other."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from bench.data.dataset import TrainView
from bench.data.idmaps import beside
from bench.errors import BenchError
from bench.ids.identifiers import Template, TokenIds
from bench.ids.imported import formats
from bench.ids.imported.items import Matched, Value, examples, keyed, match
from bench.ids.prompts import NEUTRAL, SEPARATOR
from bench.ids.scheme import IdScheme
from bench.vocabulary import EOS, PAD, UNK, Vocabulary

MISSING = "<missing>"


@dataclass(frozen=True)
class Settings:
    """``content`` is a digest of the file and of what says which item its numbers are. It is found, never chosen: where
    it is given, the file must have it.
    """

    content: str = ""
    items: str = ""  # a file that says which item a number is: .item2id, .item, or one id on each line
    missing: Literal["error", "counter"] = "error"  # items that the file has no identifier for: stop, or number them
    separator: str | None = None  # between the items of a history; none: ';', but nothing between codes of one length
    vocabulary: int = 4000  # rows of the subword vocabulary for words, where the backbone starts from scratch


class File(IdScheme):
    """Identifiers from a file. A subclass made by ``scheme_of`` says which."""

    Settings = Settings
    path: ClassVar[Path]

    def __init__(self, settings: Any = None) -> None:
        asked = self.Settings() if settings is None else settings
        self.data = formats.content(self.path)
        self.named = Path(asked.items).expanduser() if asked.items else None
        self.beside = beside(self.path)
        parts = [self.data, *(formats.content(file) for file in (self.named or self.beside,) if file)]
        digest = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:12]
        if asked.content not in ("", digest):
            raise BenchError(f"'{self.path}' has changed: its content is {digest}, not {asked.content}")
        self.found = formats.read(self.path, self.data)
        super().__init__(replace(asked, content=digest))

    def matched(self, train: TrainView) -> Matched:
        by_key = keyed(self.found, self.path, self.named, self.beside)
        return match(by_key, train.items, self.path.name, train.dataset)

    def warnings(self, train: TrainView) -> Sequence[str]:
        matched = self.matched(train)
        said = (*matched.warnings, *filter(None, [self.found.reading]))
        if train.language is None or not self.found.words:
            return said
        codes = train.language.encode_batch([train.language.as_name(str(value)) for value in matched.values])
        unwritten = [item for item, code in enumerate(codes) if train.language.unk in code]
        some = examples([str(matched.values[item]) for item in unwritten])
        more = f"{len(unwritten):,} identifiers have letters that the backbone's vocabulary can't write: {some}"
        return (*said, *([more] if unwritten else []))

    def fit(self, train: TrainView) -> TokenIds:
        matched = self.matched(train)
        if matched.missing and self.settings.missing == "error":
            raise BenchError(f"{matched.warnings[0]}; add them, or number them with --set file.missing=counter")
        if self.found.vocabulary is not None:
            return self.as_stored(matched, self.found.vocabulary, train)
        return self.of_words(matched, train) if self.found.words else self.of_tokens(matched)

    def as_stored(self, matched: Matched, vocabulary: Vocabulary, train: TrainView) -> TokenIds:
        """In the vocabulary that the table was written with: the very identifiers of the run that it comes from."""
        if matched.missing:
            raise BenchError(f"{matched.warnings[0]}; its vocabulary is closed, so they can't be numbered")
        if vocabulary.language_model and (not train.language or train.language.fingerprint != vocabulary.fingerprint):
            raise BenchError(
                f"the identifiers in '{self.path}' are words of a pretrained backbone; give the one that they were "
                "made with: --set backbone=FOLDER"
            )
        stored, separator = self.found.template or Template(), self.settings.separator
        template = stored if separator is None else replace(stored, separator=separator)
        ids = TokenIds.from_lists([vocabulary.ids(value) for value in matched.values], vocabulary, template)
        return replace(ids, codebooks=self.found.codebooks)

    def of_words(self, matched: Matched, train: TrainView) -> TokenIds:
        texts = _numbered(matched.values)
        separator = SEPARATOR if self.settings.separator is None else self.settings.separator
        vocabulary, template = train.language, replace(NEUTRAL, separator=separator)
        if vocabulary is None:  # which has no words but theirs
            vocabulary = Vocabulary.trained(texts, self.settings.vocabulary, reserved=separator.split())
            template = Template(separator=separator)
        return TokenIds.from_lists(vocabulary.encode_batch(list(map(vocabulary.as_name, texts))), vocabulary, template)

    def of_tokens(self, matched: Matched) -> TokenIds:
        """A private vocabulary of what occurs, numbered in the order of the catalogue."""
        width = len(str(len(matched.missing)))
        codes = [tuple(value) for value in matched.values]
        for number, item in enumerate(matched.missing, start=1):
            codes[item] = (MISSING, *(f"<missing_{digit}>" for digit in f"{number:0{width}d}"))
        tokens = dict.fromkeys(token for code in codes for token in code)
        reserved = [token for token in (PAD, EOS, UNK) if token in tokens]
        if reserved:
            raise BenchError(f"'{self.path}' uses the token '{reserved[0]}', which bench needs for itself; rename it")
        separator = self.settings.separator
        if separator is None:
            separator = "" if len({len(code) for code in codes}) == 1 else SEPARATOR
        vocabulary = Vocabulary.private(dict.fromkeys([*tokens, *separator.split()]))
        return TokenIds.from_lists([vocabulary.ids(code) for code in codes], vocabulary, Template(separator=separator))


def _numbered(values: Sequence[Value]) -> list[str]:
    """The words of every item; those that have none get the first numbers that are nobody's words."""
    taken, number, texts = set(values), 0, []
    for value in values:
        while not value:
            number += 1
            value = "" if str(number) in taken else str(number)
        texts.append(str(value))
    return texts


def scheme_of(asked: str) -> type[IdScheme]:
    """The scheme of the file or folder that ``file:asked`` names; one file gives one class, however it is named."""
    if not asked:
        raise BenchError(f"file: needs a path, as in file:ids.json; it reads {formats.FORMATS}")
    return _of_file(formats.locate(asked).resolve())


@cache
def _of_file(file: Path) -> type[IdScheme]:
    stem = re.sub(r"[^\w.+-]+", "_", file.stem.removesuffix(".index")) or "ids"

    class Named(File):
        name = f"file/{stem}"
        path = file

    return Named
