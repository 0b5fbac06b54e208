"""The grammar of identifiers in the real xgrammar, against the plain list of identifiers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from bench import backbone
from bench.ids.identifiers import TokenIds
from bench.model.trie import Trie
from bench.results import grammar
from bench.vocabulary import Vocabulary

xgrammar = pytest.importorskip("xgrammar", reason="no xgrammar: pip install --no-deps xgrammar, or the extra grammar")

Codes = list[tuple[int, ...]]
SAME_TEXT = ["ab", "a", "b", "abb", "ba", '"', "\\", "|"]  # tokens that other tokens spell, and what a grammar means


def private(folder: Path) -> Vocabulary:
    found = Vocabulary.private([*SAME_TEXT, *(f"c{number}" for number in range(20))])
    found.tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(backbone.export_tokenizer_config(found)))
    return found


def matcher(codes: Codes, vocabulary: Vocabulary, folder: Path) -> xgrammar.GrammarMatcher:
    rules = grammar.written(Trie.of(TokenIds.from_lists(codes, vocabulary)), vocabulary.eos)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    known = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=vocabulary.size)
    return xgrammar.GrammarMatcher(xgrammar.GrammarCompiler(known, max_threads=1).compile_grammar(rules))


def allowed(found: xgrammar.GrammarMatcher, size: int) -> set[int]:
    mask, logits = xgrammar.allocate_token_bitmask(1, size), torch.zeros(1, size)
    found.fill_next_token_bitmask(mask)
    xgrammar.apply_token_bitmask_inplace(logits, mask)
    return set(torch.isfinite(logits[0]).nonzero().flatten().tolist())


def going_on(codes: Codes, prefix: tuple[int, ...], end: int) -> set[int]:
    """Read off the list: the next tokens of identifiers that begin so, and the end where one is whole."""
    longer = {code[len(prefix)] for code in codes if len(code) > len(prefix) and code[: len(prefix)] == prefix}
    return longer | ({end} if prefix in codes else set())


CATALOGUES: dict[str, list[list[int]]] = {
    "one item": [[4]],
    "one long item": [[4, 5, 6]],
    "equal lengths": [[3, 4], [3, 5], [4, 4], [4, 5], [5, 4]],
    "one within another": [[3], [3, 4], [3, 4, 5], [3, 4, 5, 6], [7, 7], [8]],
    "all the same text": [[3, 5], [4, 6], [4, 5, 5], [6], [3], [7, 4]],
    "signs of a grammar": [[8, 9], [9, 8], [10], [10, 10, 8]],
    "collisions": [[3, 4], [3, 4], [5, 6]],
}
DRAWN = np.random.default_rng(3)
for number in range(4):
    CATALOGUES[f"drawn {number}"] = [
        DRAWN.integers(3, 12, DRAWN.integers(1, 6)).tolist() for _ in range(int(DRAWN.integers(5, 60)))
    ]


@pytest.mark.parametrize("name", CATALOGUES)
def test_every_identifier_is_written_and_nothing_else(name: str, tmp_path: Path) -> None:
    """After every prefix of an identifier, just what goes on to one, or ends one, is allowed."""
    vocabulary = private(tmp_path)
    codes: Codes = [tuple(code) for code in CATALOGUES[name]]
    found = matcher(codes, vocabulary, tmp_path)
    prefixes = {code[:length] for code in codes for length in range(len(code) + 1)}
    for prefix in sorted(prefixes):
        found.reset()
        assert all(found.accept_token(token) for token in prefix)
        right = going_on(codes, prefix, vocabulary.eos)
        assert allowed(found, vocabulary.size) == right
        wrong = set(range(vocabulary.size)) - right
        assert not any(found.accept_token(token) for token in wrong)
        assert found.accept_token(min(right))  # a refused token changes nothing
    for code in codes:
        found.reset()
        assert all(found.accept_token(token) for token in (*code, vocabulary.eos))
        assert found.is_terminated()


def rules(codes: Sequence[Sequence[int]]) -> list[str]:
    vocabulary = Vocabulary.private(f"c{number}" for number in range(2000))
    return grammar.written(Trie.of(TokenIds.from_lists(codes, vocabulary)), vocabulary.eos).splitlines()


def test_prefixes_are_shared_and_ways_without_a_choice_have_no_rule() -> None:
    one_rule = "root ::= Token(3) Token(4) Token(5, 6) | Token(7) Token(8) Token(9)"
    assert rules([[3, 4, 5], [3, 4, 6], [7, 8, 9]])[1:] == [one_rule]
    assert rules([[3], [3, 4]])[1:] == ["root ::= Token(3) n1", 'n1 ::= "" | Token(4)']
    catalogue = np.unique(np.random.default_rng(0).integers(0, 256, (5000, 4)), axis=0)
    lines = rules((catalogue + np.arange(4) * 256 + 3).tolist())
    assert len(lines) < 500  # at most one rule for each prefix of one code, and those of two that branch
    assert sum(line.count("Token") for line in lines) < 0.8 * catalogue.size  # one after the other, all of them


def test_words_of_a_language_model_are_written_as_they_were_learned(qwen: Path) -> None:
    """The text ``red`` has many spellings in bytes; a recommender has learned one."""
    language = backbone.language_of(str(qwen))
    assert language
    codes: Codes = [tuple(language.encode(text)) for text in ("red ball", "red", "blue ball")]
    found = matcher(codes, language, qwen)
    letters = language.encode("r")
    assert language.decode(codes[1]) == "red"
    assert not found.accept_token(letters[0])
    assert all(found.accept_token(token) for token in codes[1])
    assert allowed(found, language.size) == {language.eos, codes[0][len(codes[1])]}
