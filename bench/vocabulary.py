"""Token spaces: what a recommender reads and writes.

A vocabulary is a Hugging Face ``tokenizers.Tokenizer`` with a padding and an end-of-sequence token. It is either a
language model's own (``of_language_model``), or private to a run that starts from scratch: a closed list of tokens
(``private``) or subwords trained on the catalogue's text (``trained``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from string import ascii_lowercase

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from bench.errors import BenchError

TOKENIZERS = (
    *("tokenizer.json", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "vocab.json", "vocab.txt"),
)  # files, one of which a tokenizer is in
NEW = "<|{}|>"  # how a token is called that a language model did not have
AT_ONCE = 1 << 14  # texts that a tokenizer is given together
PAD, EOS, UNK = "<pad>", "</s>", "<unk>"  # rows 0, 1 and 2 of every private vocabulary


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """A token space of ``size`` rows. ``start`` is the first token that a decoder is given, by default the padding;
    ``unk`` is None where every text can be written, as in bytes.

    ``language_model`` marks the rows as those of the pretrained backbone: its embeddings are then kept.
    """

    tokenizer: tokenizers.Tokenizer
    size: int
    pad: int
    eos: int
    unk: int | None
    language_model: bool = False
    own_start: int | None = None

    @property
    def start(self) -> int:
        return self.pad if self.own_start is None else self.own_start

    @classmethod
    def private(cls, tokens: Iterable[str]) -> Vocabulary:
        """A closed list of tokens, numbered from 3; text is split at white space and looked up."""
        table = {token: row for row, token in enumerate([PAD, EOS, UNK, *tokens])}
        tokenizer = tokenizers.Tokenizer(models.WordLevel(table, unk_token=UNK))
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        return cls._special(tokenizer, len(table))

    @classmethod
    def trained(cls, texts: Iterable[str], size: int, reserved: Sequence[str] = ()) -> Vocabulary:
        """Subwords (byte-pair encoding) trained on the texts: at most ``size`` rows, deterministic.

        ``reserved`` are tokens of their own, such as a separator: never part of another token, whatever stands beside
        them. BenchError where the texts have more characters than fit.
        """
        tokenizer = tokenizers.Tokenizer(models.BPE(unk_token=UNK))
        tokenizer.normalizer = normalizers.NFKC()
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.decoder = decoders.Metaspace()
        trainer = trainers.BpeTrainer(
            vocab_size=size - len(reserved), special_tokens=[PAD, EOS, UNK], show_progress=False
        )
        tokenizer.train_from_iterator(texts, trainer)
        tokenizer.add_tokens([tokenizers.AddedToken(token, normalized=False) for token in reserved])
        found = tokenizer.get_vocab_size()
        if found > size:  # the trainer keeps every character, however few rows it is given
            raise BenchError(f"a trained vocabulary of {size:,} rows is too small: the characters alone need {found:,}")
        return cls._special(tokenizer, found)

    @classmethod
    def of_language_model(cls, folder: Path, size: int, starts_with_pad: bool = True) -> Vocabulary:
        """The vocabulary of the pretrained model in ``folder``, whose embedding table has ``size`` rows.

        An encoder-decoder ``starts_with_pad``. Else the start is a token apart from padding and end: that of a text, or
        the first that the tokenizer calls special. A tokenizer without padding pads with its end token.
        """
        from transformers import AutoTokenizer

        _require_tokenizer(folder)
        try:
            loaded = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        except Exception as error:  # its libraries have families of their own, for files that are cut or foreign
            cause = " ".join(str(error).split())  # Transformers explains itself over several lines
            raise BenchError(f"no tokenizer in '{folder}' (asked for the backbone's vocabulary): {cause}") from error
        pad, end, unknown = loaded.pad_token_id, loaded.eos_token_id, loaded.unk_token_id
        if end is None or (pad is None and starts_with_pad):
            raise BenchError(f"the tokenizer in '{folder}' lacks a padding or end token; bench needs both")
        pad = end if pad is None else pad
        unknown = None if unknown in (pad, end) else unknown  # a name alone: nothing is written with it
        # Written out once, its scores lose their last digit: without this, what is read back from a cache would be
        # another vocabulary, and a stopped run would not find its checkpoint.
        tokenizer = tokenizers.Tokenizer.from_str(loaded.backend_tokenizer.to_str())
        most = max([tokenizer.get_vocab_size(with_added_tokens=False) - 1, *tokenizer.get_added_tokens_decoder()])
        if most >= size:
            raise BenchError(
                f"the tokenizer in '{folder}' writes token {most:,}, and the model has {size:,} rows of embeddings; "
                "these two do not belong together"
            )
        own = None if starts_with_pad else _start_of(tokenizer, loaded.bos_token_id, (pad, end, unknown))
        return cls(tokenizer, size, pad, end, unknown, language_model=True, own_start=own)

    def extended(self, tokens: Sequence[str]) -> tuple[Vocabulary, list[int]]:
        """This vocabulary with new ``tokens`` behind its own, each a row that no text is written with; and their rows.

        Rows that a table has beyond the tokenizer's last are used first.
        """
        tokenizer = tokenizers.Tokenizer.from_str(self.tokenizer.to_str())
        names = [NEW.format(token) for token in tokens]
        if known := [name for name in names if tokenizer.token_to_id(name) is not None]:
            raise BenchError(f"the vocabulary of the backbone has a token '{known[0]}' already; it cannot be added")
        tokenizer.add_tokens([tokenizers.AddedToken(name, normalized=False) for name in names])
        rows = [row for name in names if (row := tokenizer.token_to_id(name)) is not None]
        return replace(self, tokenizer=tokenizer, size=max(self.size, *(row + 1 for row in rows))), rows

    @classmethod
    def _special(cls, tokenizer: tokenizers.Tokenizer, size: int) -> Vocabulary:
        return cls(tokenizer, size, pad=0, eos=1, unk=2)

    def require_language_model(self, asked: str) -> None:
        """BenchError where what was ``asked`` for needs a language model's words."""
        if not self.language_model:
            raise BenchError(
                f"{asked} needs identifiers in a language model's words, but these have a vocabulary of their own; "
                "give a pretrained backbone and a scheme that uses its words, or drop this"
            )

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, without special tokens."""
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of many texts, computed in parallel."""
        codes: list[list[int]] = []
        for start in range(0, len(texts), AT_ONCE):  # what a tokenizer finds of a text beside its tokens is kilobytes
            found = self.tokenizer.encode_batch(list(texts[start : start + AT_ONCE]), add_special_tokens=False)
            codes += [list(each.ids) for each in found]
        return codes

    def decode(self, ids: Iterable[int]) -> str:
        """The text of an identifier, without the space that ``as_name`` puts before it."""
        text = self.tokenizer.decode(list(ids), skip_special_tokens=True)
        return text.removeprefix(" ") if self.marks_words_by_space else text

    @cached_property
    def marks_words_by_space(self) -> bool:
        """Whether a word is other tokens behind a space than at the beginning of a text, as in byte-level vocabularies
        without a space of their own (GPT-2, Qwen, Llama 3). Others put a mark before the first word too, or write
        spaces by themselves.
        """
        return self.language_model and any(map(self._is_other_behind_space, ascii_lowercase))

    def _is_other_behind_space(self, word: str) -> bool:
        alone, behind = self.encode(word), self.encode(f" {word}")
        return behind[-len(alone) :] != alone and self.encode(f"a {word}") == [*self.encode("a"), *behind]

    def as_name(self, text: str) -> str:
        """How the text of an identifier is written: so that a word is the same tokens wherever it stands in one."""
        return f" {text}" if text and self.marks_words_by_space else text

    def ids(self, tokens: Iterable[str]) -> list[int]:
        """Rows of the named tokens; a name outside the vocabulary is a BenchError."""
        found = [(token, self.tokenizer.token_to_id(token)) for token in tokens]
        missing = [token for token, row in found if row is None]
        if missing:
            raise BenchError(f"tokens {missing[:5]} are not in this vocabulary of {self.size:,} rows")
        return [row for _, row in found if row is not None]

    @cached_property
    def fingerprint(self) -> str:
        """Content hash: 16 hex digits."""
        text = f"{self.tokenizer.to_str()}|{self.size}|{self.pad}|{self.eos}|{self.unk}|{self.language_model}"
        text += "" if self.own_start is None else f"|{self.own_start}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _start_of(tokenizer: tokenizers.Tokenizer, begin: int | None, taken: Sequence[int | None]) -> int | None:
    """The token that a decoder-only model starts to write with; None where nothing but the padding is left."""
    special = sorted(row for row, token in tokenizer.get_added_tokens_decoder().items() if token.special)
    return next((row for row in (begin, *special) if row is not None and row not in taken), None)


def _require_tokenizer(folder: Path) -> None:
    """BenchError where a folder has weights alone: Transformers would make a tokenizer of nothing, without a word."""
    if not any((folder / name).is_file() for name in TOKENIZERS):
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        raise BenchError(
            f"no tokenizer in '{folder}' (found: {found}); copy {TOKENIZERS[0]} or {TOKENIZERS[1]} there from the "
            "model that it was trained from"
        )
