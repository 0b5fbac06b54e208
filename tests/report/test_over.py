"""All data sets in one table, and what is said over them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from scipy import stats

from bench.report import layout
from bench.report.markdown import markdown
from bench.report.rows import sections
from bench.report.table import Chapter, Note, Table
from bench.report.tables import chapters
from bench.results.read import load

Store = Callable[..., Path]

NAMES = ("beauty", "ml-100k", "toys", "books", "games")


@pytest.fixture
def fill(store: Store) -> Callable[..., None]:
    def make(count: int, **said: object) -> None:
        for at, name in enumerate(NAMES[:count]):
            for scheme, quality in (("one", 0.6), ("three", 0.4), ("seventh", 0.35 if at % 2 else 0.5)):
                store(scheme, dataset=name, quality=quality, fingerprint=f"{at:016x}", **said)
            store("pop", dataset=name, kind="baseline", quality=0.1, fingerprint=f"{at:016x}")

    return make


def scores(root: Path) -> Table:
    return chapters(load(root))[0].tables[0]


def test_two_data_sets_stand_beside_each_other_without_ranks(
    fill: Callable[..., None], store: Store, tmp_path: Path
) -> None:
    fill(2)
    store("only here", dataset="beauty", quality=0.2, fingerprint=f"{0:016x}")
    table = scores(tmp_path)
    assert [column.title for column in table.columns] == ["beauty", "ml-100k"]
    found = {cell.text: [column.cells[at] for column in table.columns] for at, cell in enumerate(table.head.cells)}
    assert [cell.text for cell in found["only here"]][1] == "\N{EN DASH}"
    for section, at in zip(sections(load(tmp_path)), range(2), strict=True):
        for row in section.rows:
            assert found[row.label][at].value == row.metric("ndcg@10")[0]


def test_from_three_on_there_are_average_ranks_and_no_test(fill: Callable[..., None], tmp_path: Path) -> None:
    fill(3)
    (chapter, *_) = chapters(load(tmp_path))
    (table,) = chapter.tables
    assert table.columns[-1].title == "average rank"
    values = {
        row.label: [other.metric("ndcg@10")[0] for section in sections(load(tmp_path)) for other in section.rows if
                    other.label == row.label]
        for row in sections(load(tmp_path))[0].rows
    }  # fmt: skip
    order = list(values)
    expected = stats.rankdata([[-values[name][at] for name in order] for at in range(3)], axis=1).mean(axis=0)
    shown = {str(cell.value): table.columns[-1].cells[at].value for at, cell in enumerate(table.head.cells)}
    assert shown == pytest.approx(dict(zip(order, expected, strict=True)))
    assert [shown[str(cell.value)] for cell in table.head.cells] == sorted(shown.values())  # type: ignore[type-var]
    (text,) = chapter.answer
    assert "ranks are not tested: fewer than 5 data sets" in text


def test_from_five_on_ranks_are_tested(fill: Callable[..., None], tmp_path: Path) -> None:
    fill(5)
    (chapter, *_) = chapters(load(tmp_path))
    assert [table.name for table in chapter.tables] == ["datasets", "ranks"]
    (text,) = chapter.answer
    assert "Of the rows on all 5 data sets" in text
    assert "not significantly different from it" in text


def test_rows_of_one_average_rank_share_the_best(store: Store, tmp_path: Path) -> None:
    for at, name in enumerate(NAMES[:4]):
        for scheme, quality in (("one", 0.3 + 0.3 * (at % 2)), ("three", 0.6 - 0.3 * (at % 2)), ("fifth", 0.05)):
            store(scheme, dataset=name, quality=quality, fingerprint=f"{at:016x}")
    text = chapters(load(tmp_path))[0].answer[0].translate({2: None, 3: None})
    assert "data sets three and one share the best average rank, 1.50; ranks are not tested" in text.replace(
        "one and three", "three and one"
    )


def test_the_highest_of_several_contracts_has_its_letter(store: Store, tmp_path: Path) -> None:
    for name in ("beauty", "toys"):
        store("one", dataset=name, quality=0.3)
    store("three", dataset="toys", quality=0.6, contract={"epochs": 99})
    (text,) = chapters(load(tmp_path))[0].answer
    assert re.search(r"beauty: one \(0\.\d+\); toys: three \[[AB]\] \(", text)
    assert "scores under different contracts do not compare" in text


def test_scores_that_mean_nothing_are_named_and_left_out_of_the_sentences(
    fill: Callable[..., None], store: Store, tmp_path: Path
) -> None:
    fill(1)
    for name in ("one", "three"):
        store(name, dataset="ml-100k", quality=0.9, preset="smoke", fingerprint="f" * 16)
    (chapter, *_) = chapters(load(tmp_path))
    assert chapter.banner.startswith("ml-100k: The scores of trained models here mean nothing")
    (text,) = chapter.answer
    assert "beauty: one" in text
    assert "ml-100k" not in text


def test_one_data_set_has_no_chapter_over_data_sets(fill: Callable[..., None], tmp_path: Path) -> None:
    fill(1)
    assert [chapter.title for chapter in chapters(load(tmp_path))] == ["beauty"]


def test_a_scheme_under_two_contracts_is_two_rows_with_their_ids(store: Store, tmp_path: Path) -> None:
    for name in ("beauty", "toys"):
        for beam in (20, 50):
            store("one", dataset=name, contract={"beam": beam})
    ids = sorted({found.contract_id for found in load(tmp_path)})
    assert sorted(cell.text for cell in scores(tmp_path).head.cells) == [f"one {each}" for each in ids]


# -- which remark stands where ----------------------------------------------------------------------------------------


def test_what_all_data_sets_share_is_said_once(fill: Callable[..., None], tmp_path: Path) -> None:
    fill(2)
    text = markdown(chapters(load(tmp_path)))
    everywhere = text.split("## Conditions of all data sets")[1]
    for title in ("contract", "environment", "schemes"):
        assert text.count(f"- *{title}*: ") == everywhere.count(f"- *{title}*: ") == 1
    assert text.count("- *data*: ") == 3  # of each, and over both


def test_every_remark_is_printed_exactly_once(fill: Callable[..., None], tmp_path: Path) -> None:
    fill(2)
    made = chapters(load(tmp_path))
    common, legend = set(layout.common(made)), {note for _, notes in layout.legend(made) for note in notes}
    for chapter in made:
        kept = layout.conditions(chapter, made)
        own = [note for table in chapter.tables for note in layout.own(chapter, table)]
        every: set[Note] = {note for table in chapter.tables for note in table.notes} | set(chapter.notes)
        assert set(kept) | set(own) | common | legend >= every
        assert not set(kept) & common
        assert not set(own) & set(kept)
        assert not any(note.legend for note in (*kept, *own))


def test_a_chapter_finds_its_tables_by_name() -> None:
    assert Chapter("", None, (), ()).table("quality") is None


def test_one_warning_for_all_data_sets_is_said_once(store: Store, tmp_path: Path) -> None:
    for dataset in ("toys", "beauty"):
        store("one", dataset=dataset, preset="smoke")
    (chapter, *_) = chapters(load(tmp_path))
    assert (
        chapter.banner == "The scores of trained models here mean nothing: preset smoke only shows that everything runs"
    )
