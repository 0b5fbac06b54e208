"""How long the identifiers of a catalogue get in a vocabulary that was trained on another one.

    python tests/benchmarks/vocabulary.py --data-dir DATA
    python tests/benchmarks/vocabulary.py --data-dir DATA --from toys,toys+yelp --to beauty --vocabulary 4000,8000
    python tests/benchmarks/vocabulary.py --data-dir DATA --language-model T5

A line for each catalogue learned on, catalogue encoded and number of rows. The mean tokens of the identifiers of
``textual/title`` are divided by those in a vocabulary trained on the encoded catalogue itself, with as many rows:

- ``its words``: the unseen catalogue named as one of training is (``pieces=0``)
- ``as written``: named as a test on unseen data names it
- ``all text``: the words of the first in byte pairs trained on all text of the catalogue learned on, not on identifiers
- ``known``: how many of the words in the encoded catalogue's own identifiers occur anywhere in the other one's text

With a language model's tokenizer, the words of the catalogue's own identifiers are encoded.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from textual_ids import Settings, Title
from textual_ids.reading import as_words, letters
from textual_ids.words import document_frequency, table

from bench.data import sources
from bench.data.dataset import Dataset, Sequences, TrainView
from bench.ids.identifiers import TokenIds
from bench.model.recommender import Recommender
from bench.vocabulary import Vocabulary

HEAD = ("learned on", "encoded", "rows", "own", "its words", "ratio", "as written", "ratio", "all text", "known")
PIECES = Settings().pieces


@dataclass(frozen=True)
class Measured:
    """Mean tokens of an identifier of the encoded catalogue."""

    rows: int
    own: float  # in a vocabulary of its own
    its_words: float
    as_written: float
    all_text: float
    known: float  # share of words


def view(dataset: Dataset) -> TrainView:
    """The catalogue alone: neither vocabulary nor names need an interaction."""
    return TrainView(dataset.name, dataset.items, Sequences.from_rows([]), seed=0)


def transferred(own: TokenIds, target: Dataset, pieces: int) -> TokenIds:
    trained = cast(Recommender, SimpleNamespace(ids=own))
    return Title(Settings(pieces=pieces)).transfer(trained, view(target), Path())


def mean(ids: TokenIds) -> float:
    return float(ids.lengths.mean())


def texts(ids: TokenIds) -> list[str]:
    return [ids.vocabulary.decode(ids.code(item)) for item in range(len(ids))]


def encoded(names: list[str], vocabulary: Vocabulary) -> float:
    return sum(map(len, vocabulary.encode_batch(names))) / len(names)


def measured(home: Dataset, target: Dataset, rows: int) -> Measured:
    """The identifiers of ``target`` in the vocabulary of ``home``; ``rows`` at most, in both."""
    learned, own = (Title(Settings(vocabulary=rows)).fit(view(dataset)) for dataset in (home, target))
    found = as_words(home.items, " ")
    names = texts(transferred(learned, target, pieces=0))
    occurring, seen = document_frequency(table(home.items)), " ".join(texts(own)).split()
    return Measured(
        learned.vocabulary.size,
        mean(own),
        mean(transferred(learned, target, pieces=0)),
        mean(transferred(learned, target, PIECES)),
        encoded(names, Vocabulary.trained([*found, letters(found)], rows)),
        sum(word in occurring for word in seen) / len(seen),
    )


def line(home: str, target: str, found: Measured) -> str:
    cells = (
        *(home, target, f"{found.rows:,}", f"{found.own:.2f}", f"{found.its_words:.2f}"),
        *(f"{found.its_words / found.own:.2f}", f"{found.as_written:.2f}", f"{found.as_written / found.own:.2f}"),
        *(f"{found.all_text:.2f}", f"{found.known:.0%}"),
    )
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--from", dest="homes", default="toys,beauty", help="learned on; + joins")
    parser.add_argument("--to", default="beauty,toys", help="encoded")
    parser.add_argument("--vocabulary", default="4000", help="rows")
    parser.add_argument("--language-model", type=Path, help="a folder with a tokenizer")
    asked = parser.parse_args()
    homes, targets = asked.homes.split(","), asked.to.split(",")
    data = {name: sources.find(name, asked.data_dir) for name in dict.fromkeys([*homes, *targets])}
    print("| " + " | ".join(HEAD) + " |\n" + "|---" * len(HEAD) + "|", flush=True)
    for rows, home, target in product(map(int, asked.vocabulary.split(",")), homes, targets):
        if target not in home.split("+"):
            print(line(home, target, measured(data[home], data[target], rows)), flush=True)
    if asked.language_model:
        language = Vocabulary.of_language_model(asked.language_model, size=1 << 20)
        for target in targets:
            own = Title().fit(view(data[target]))
            found = encoded(texts(own), language)
            print(f"{target} in the language model's tokens: {found:.2f}, {found / mean(own):.2f} of {mean(own):.2f}")


if __name__ == "__main__":
    main()
