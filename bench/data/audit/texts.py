"""The text of items: how much of it there is, how many items share one, and in which language it seems to be."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.data.dataset import ItemTable

LOOKED_AT = 2000  # items, evenly spread over the catalogue
ENOUGH = 0.9  # share of letters in one script from which the others are not named
COMMON = 0.5  # lead of a language over the next, as part of its own count
FEWEST = 20  # function words below which no language is named
WORDS = {
    "English": "the and of for with in to a is by from on your you this at an it",
    "German": "der die das und mit für von den im zu ein eine auf ist dem aus nicht zum",
    "French": "le la les des et pour avec du en une un sur dans est par au aux pas",
    "Spanish": "el la los las de y para con del en una un por es al que se sin",
    "Italian": "il lo gli di e per con del della in una un da è nel che al non",
    "Portuguese": "o os as de e para com do da em uma um por no na que ao dos",
    "Dutch": "de het een en van voor met in op is te zijn aan dat uit bij niet naar",
}
LATIN = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Texts:
    """Counts of items: without any text, and with a text that another item has as well. ``language`` is a guess."""

    columns: tuple[str, ...]
    empty: int
    duplicated: int
    language: str


def texts(items: ItemTable) -> Texts:
    """All text columns of an item together are its text; white space around it does not count."""
    whole = [" ".join(" ".join(cells).split()) for cells in zip(*items.text.values(), strict=True)]
    counts = Counter(text for text in whole if text)
    return Texts(
        columns=tuple(items.text),
        empty=len(items) - counts.total(),
        duplicated=sum(count for count in counts.values() if count > 1),
        language=language(_spread([text for text in whole if text])),
    )


def language(found: Sequence[str]) -> str:
    """``English``, ``Han script``, ``Latin script, language unclear``; ``none`` where there are no letters.

    Scripts are told by the Unicode names of letters, languages in Latin script by their most frequent words. Titles
    have few of these, so the answer is a hint and no more.
    """
    scripts = Counter(_script(letter) for text in found for letter in text if letter.isalpha())
    if not scripts:
        return "none"
    (script, count), *_ = scripts.most_common()
    if count < ENOUGH * scripts.total():
        return " and ".join(f"{name} script ({share / scripts.total():.0%})" for name, share in scripts.most_common(2))
    return _by_words(found) if script == "Latin" else f"{script} script"


def _spread(found: Sequence[str]) -> Sequence[str]:
    return found[:: max(1, len(found) // LOOKED_AT)]


def _script(letter: str) -> str:
    name = unicodedata.name(letter, "unknown").split()[0]
    return {"Cjk": "Han"}.get(name.capitalize(), name.capitalize())


def _by_words(found: Iterable[str]) -> str:
    taken = Counter(word for text in found for word in LATIN.findall(text.lower()))
    counts = {name: sum(taken[word] for word in words.split()) for name, words in WORDS.items()}
    best, second, *_ = sorted(counts, key=lambda name: -counts[name])
    clear = counts[best] >= FEWEST and counts[best] - counts[second] >= COMMON * counts[best]
    return best if clear else "Latin script, language unclear"
