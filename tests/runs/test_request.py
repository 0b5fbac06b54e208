"""What is asked for decides where the result goes; a label does not."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from bench.contract import Contract
from bench.data.dataset import Dataset, ItemTable
from bench.data.joined import join
from bench.data.splits import leave_one_out
from bench.errors import BenchError
from bench.evaluation.baseline import DATA_VIEW
from bench.runs import subjects
from bench.runs.request import Request, changed_settings


@pytest.fixture
def scheme(toy: Dataset) -> Request:
    subject = subjects.load_scheme("textual/title")()
    return Request(subject, toy, Contract(), seed=3, preset="cpu", results=Path("results"))


@pytest.fixture
def baseline(scheme: Request) -> Request:
    return replace(scheme, subject=subjects.load_baseline("pop")())


def same(one: Request, other: Request) -> bool:
    """Whether two requests are of one run, by its identity and by its folder."""
    folders = {request.run.folder(Path("results")) for request in (one, other)}
    assert (one.run.identity == other.run.identity) is (len(folders) == 1)
    return len(folders) == 1


def test_a_scheme_is_bound_by_the_whole_contract(scheme: Request) -> None:
    assert not scheme.is_baseline
    assert scheme.run.contract_id == Contract().id
    longer = replace(scheme, contract=replace(Contract(), epochs=99))
    assert longer.run.contract_id != scheme.run.contract_id
    assert longer.conditions["epochs"] == 99


def test_a_baseline_is_bound_by_the_data_view_alone(baseline: Request) -> None:
    assert baseline.is_baseline
    assert set(baseline.conditions) == {"protocol", *DATA_VIEW}
    longer = replace(baseline, contract=replace(Contract(), epochs=99, beam_width=50))
    assert same(longer, baseline)
    for change in ({"max_history": 5}, {"exclude_history": True}, {"validation_in_test_history": False}):
        assert not same(replace(baseline, contract=replace(Contract(), **change)), baseline)


def test_the_run_says_what_it_is(scheme: Request, toy: Dataset) -> None:
    run = scheme.run
    assert (run.dataset.name, run.dataset.fingerprint, run.seed) == ("toy", toy.fingerprint, 3)
    assert (run.scheme.name, run.scheme.version, run.changed) == ("textual/title", scheme.subject.version, {})
    assert same(replace(scheme, preset=None, force=True, results=Path("elsewhere")), scheme)


def without_text(toy: Dataset, *items: int) -> Dataset:
    text = {
        name: tuple("" if n in items else cell for n, cell in enumerate(cells))
        for name, cells in toy.items.text.items()
    }
    return replace(toy, items=ItemTable(toy.items.ids, text))


def test_ids_stand_in_for_text_where_a_scheme_needs_it(scheme: Request, toy: Dataset) -> None:
    assert scheme.items is toy.items
    assert scheme.warnings == ()
    bare = replace(scheme, dataset=without_text(toy, 3, 5))
    assert [bare.items.text["title"][item] for item in (3, 4, 5)] == ["i03", toy.items.text["title"][4], "i05"]
    assert bare.warnings == ("2 of 30 items have no text: their ids stand in for it (missing_text=id)",)
    view = bare.view(leave_one_out(bare.dataset).train)
    assert view.items is bare.items
    ids = bare.subject.fit(view)
    assert len(set(ids.groups.tolist())) == 30


def test_the_id_stands_in_for_the_fields_that_are_read(toy: Dataset) -> None:
    subject = subjects.load_scheme("semantic/rqkmeans")
    of_brands = subject(replace(subject.Settings(), fields=("category",)))
    text = {**toy.items.text, "category": ("", *toy.items.text["category"][1:])}
    dataset = replace(toy, items=ItemTable(toy.items.ids, text))
    request = Request(of_brands, dataset, Contract(), 0, None, Path("results"))
    assert request.items.text["category"][0] == "i00"
    assert request.items.text["title"] == toy.items.text["title"]
    assert Request(subject(), dataset, Contract(), 0, None, Path("results")).items is dataset.items


def test_nothing_stands_in_where_that_is_refused_or_not_needed(
    scheme: Request, baseline: Request, toy: Dataset
) -> None:
    bare = without_text(toy, 3)
    strict = replace(scheme, dataset=bare, contract=replace(Contract(), missing_text="refuse"))
    with pytest.raises(BenchError, match="1 of 30 items have none, the first is 'i03'"):
        _ = strict.items
    numbers = subjects.load_scheme("numeric/random")()
    assert replace(scheme, dataset=bare, subject=numbers).items is bare.items
    assert replace(baseline, dataset=bare).items is bare.items
    unknown = subjects.load_scheme("semantic/rqkmeans")
    other = unknown(replace(unknown.Settings(), fields=("brand",)))
    with pytest.raises(BenchError, match="unknown text field 'brand'"):
        _ = replace(scheme, dataset=bare, subject=other).items


def test_time_stamps_count_where_the_split_is_made_of_them(scheme: Request, toy: Dataset) -> None:
    later = replace(scheme, dataset=replace(toy, times=toy.times * 2))
    assert same(later, scheme)
    by_time = replace(scheme.contract, split="global-temporal", selection="recall@10")
    one, other = (replace(request, contract=by_time) for request in (scheme, later))
    assert same(one, replace(one, dataset=replace(toy)))
    assert not same(one, other)
    assert one.run.dataset.fingerprint != toy.fingerprint


def test_only_settings_that_differ_from_the_defaults_count(scheme: Request) -> None:
    cls = type(scheme.subject)
    changed = cls(subjects.settings(cls, {"words": "6", "min_shared": "5"}))
    assert changed_settings(changed.settings) == {"words": 6}
    assert replace(scheme, subject=changed).run.changed == {"words": 6}


@dataclass(frozen=True)
class Demanding:
    path: str
    sizes: tuple[int, ...] = field(default_factory=lambda: (1, 2))
    depth: int = 3


def test_a_setting_without_a_default_always_counts() -> None:
    assert changed_settings(Demanding("here")) == {"path": "here"}
    assert changed_settings(Demanding("here", (1, 3), 3)) == {"path": "here", "sizes": (1, 3)}


def test_a_setting_that_came_later_leaves_stored_rows_as_they_are(scheme: Request) -> None:
    cls = subjects.load_scheme("semantic/rqkmeans")
    before, after = (cls(subjects.settings(cls, given)) for given in ({}, {"encoder": "backbone", "pool": "fields"}))
    assert "pool" not in replace(scheme, subject=before).run.scheme.settings
    assert changed_settings(after.settings) == {"encoder": "backbone", "pool": "fields"}
    assert replace(scheme, subject=after).run.scheme.settings["pool"] == "fields"


def test_settings_of_the_unseen_belong_to_tests_on_unseen_data_alone(scheme: Request, toy: Dataset) -> None:
    cls = type(scheme.subject)
    other = cls(subjects.settings(cls, {"pieces": "1"}))
    assert "pieces" not in scheme.run.scheme.settings
    assert same(replace(scheme, subject=other), scheme)  # no model is trained again
    away = replace(toy, name="away", items=ItemTable(tuple(f"a{n}" for n in range(30)), toy.items.text))
    tests = [replace(scheme, dataset=away, subject=subject, trained_by=scheme) for subject in (scheme.subject, other)]
    assert [test.run.changed for test in tests] == [{"pieces": 2}, {"pieces": 1}]  # what was stored before had none
    assert [test.run.scheme.settings["pieces"] for test in tests] == [2, 1]
    assert not same(*tests)
    joined = replace(scheme, dataset=join([toy, away]))
    assert replace(scheme, trained_by=joined).run.changed == {}  # data that the model was trained on


@pytest.mark.parametrize("name", ["textual/title", "numeric/p5-leak"])
def test_nothing_can_be_written_into_what_a_subject_is_fitted_on(toy: Dataset, name: str) -> None:
    """The recommender trains on the same memory: who sorts a ``csr_matrix`` of it in place has sorted histories."""
    train = leave_one_out(toy).train
    view = Request(subjects.load_scheme(name)(), toy, Contract(), 0, None, Path("results")).view(train)
    ones = np.ones(len(view.sequences.values), np.float32)
    taken = csr_matrix((ones, view.sequences.values, view.sequences.offsets), (len(view.sequences), len(toy.items)))
    before = view.sequences.values.tolist()
    with pytest.raises(ValueError, match="read-only"):
        taken.sort_indices()
    with pytest.raises(ValueError, match="read-only"):
        view.sequences.values[0] += 1
    with pytest.raises(ValueError, match="read-only"):
        view.sequences.offsets[0] += 1
    assert view.sequences.values.tolist() == before
    assert train.sequences.values.flags.writeable
