"""Texts of items: how many are empty or shared, and which language they seem to be in."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.data import sources
from bench.data.audit.texts import Texts, language, texts
from bench.data.dataset import ItemTable

SENTENCES = {
    "English": "a box of bricks for the garden and the house with a lid",
    "German": "ein Kasten mit Steinen für den Garten und das Haus",
    "French": "une boîte de briques pour le jardin et la maison avec un couvercle",
    "Spanish": "una caja de ladrillos para el jardín y la casa con los niños",
    "Italian": "una scatola di mattoni per il giardino e la casa con gli amici",
    "Portuguese": "uma caixa de tijolos para o jardim e a casa com os amigos",
    "Dutch": "een doos met stenen voor de tuin en het huis van de buren",
}


def test_what_is_empty_and_what_is_shared() -> None:
    columns = {"title": ("Robot", " robot", "", " ", "Robot", "Car"), "kind": ("toy", "", "", "", " toy ", "")}
    assert texts(ItemTable(tuple("abcdef"), columns)) == Texts(
        ("title", "kind"), 2, 2, "Latin script, language unclear"
    )
    assert texts(ItemTable(("a", "b"), {})) == Texts((), 2, 0, "none")


@pytest.mark.parametrize("name", SENTENCES)
def test_languages_are_told_by_their_frequent_words(name: str) -> None:
    assert language([SENTENCES[name]] * 10) == name


def test_scripts() -> None:
    assert language(["積み木のおもちゃ"]) == "Hiragana script (75%) and Han script (25%)"
    assert language(["积木玩具 3"]) == "Han script"
    assert language(["деревянные кубики"]) == "Cyrillic script"
    assert language(["кубики", "bricks"]) == "Cyrillic script (50%) and Latin script (50%)"
    assert language(["1/4", "—"]) == "none"
    assert language(["Lego Duplo Bricks"]) == "Latin script, language unclear"


def test_real_titles_are_english(real_data: Path) -> None:
    assert texts(sources.find("toys", real_data).items).language == "English"
