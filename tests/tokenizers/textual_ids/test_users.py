"""Identifiers of users: written from training items alone, by the algorithm of items'; by the leak from all items."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from textual_ids import IdGenRec, IdGenRecSettings, RecommenderOnly, UserLeak, UserLeakSettings
from textual_ids.assigning import levels
from textual_ids.generator import Writer
from textual_ids.generators import kept_writer
from textual_ids.idgenrec import GENERATOR, as_histories
from textual_ids.learner import GeneratorLearner
from textual_ids.reading import read_tokens

from bench.backbone.t5 import T5
from bench.data.dataset import Dataset, ItemTable, LeakedView, Sequences, TrainView
from bench.data.splits import leave_one_out
from bench.errors import BenchError
from bench.ids import storage
from bench.ids.identifiers import Template, TokenIds
from bench.ids.users import UserIds
from bench.model.sequence import SequenceRecommender
from bench.runs import subjects

Bench = Callable[..., SimpleNamespace]
RunFolders = Callable[[Path], list[Path]]
SMALL: dict[str, Any] = {
    "bootstrap_epochs": 30,
    "candidates": 3,
    "lengths": 1,
    "vocabulary": 80,
    "bootstrap_rate": 0.02,
}
OWN = (*(f"{name}={value}" for name, value in SMALL.items()), "generator_share=0.25", "generator_rate=3", "users=on")
ROWS = [[0, 8, 2], [1], [4, 5, 6, 7, 9, 10], [], [3, 11], [0, 8, 2], [], [1]]


def of_texts(writer: Writer, rows: list[list[int]]) -> TrainView:
    """A view of as many items as the writer has texts."""
    items = ItemTable(tuple(map(str, range(len(writer.sources)))), {})
    return TrainView("texts", items, Sequences.from_rows(rows), seed=0)


def test_users_are_named_as_by_the_literal_algorithm_from_the_names_of_their_items(
    writer: Callable[..., Writer], oracle: SimpleNamespace
) -> None:
    made = writer()
    scheme = IdGenRec(IdGenRecSettings(**SMALL | {"max_text": 12}, users="on"))
    ids = scheme.named(of_texts(made, ROWS), made)
    names = [made.vocabulary.decode(ids.code(item)) for item in range(12)]
    texts = [" ".join(names[item] for item in row) for row in ROWS]
    assert as_histories(ids, Sequences.from_rows(ROWS)) == texts
    assert max(map(len, made.vocabulary.encode_batch(texts))) > 12  # so some text is cut
    assert ids.users is not None
    found = [list(ids.users.code(user)) for user in range(len(ROWS))]
    assert found == oracle.names(replace(made, sources=read_tokens(made.vocabulary, texts, 12)), levels(1, 3))
    assert len({tuple(code) for code in found}) == len(ROWS)  # equal and empty histories too
    assert all(found)
    off = IdGenRec(IdGenRecSettings(**SMALL)).named(of_texts(made, ROWS), made)
    assert off.users is None
    assert off.tokens.tobytes() == ids.tokens.tobytes()
    assert scheme.named(of_texts(made, []), made).users is None  # an unseen catalogue has no users


def held_out_moved(data: Dataset) -> Dataset:
    """The two newest items of every user are those of another."""
    values = data.sequences.values.copy()
    for back in (1, 2):
        positions = data.sequences.offsets[1:] - back
        values[positions] = np.roll(values[positions], 7 * back)
    return replace(data, sequences=replace(data.sequences, values=values))


def test_held_out_items_decide_the_users_of_the_leak_and_nothing_else(toy: Dataset, tiny: Path, tmp_path: Path) -> None:
    plan = {**SMALL, "generator": str(tiny)}
    found = []
    for data in (toy, held_out_moved(toy)):
        train = replace(leave_one_out(data).train, cache=tmp_path)
        honest = IdGenRec(IdGenRecSettings(**plan, users="on")).fit(train)
        leaky = UserLeak(UserLeakSettings(**plan)).fit(LeakedView.of(train, data))
        found.append((honest, leaky))
    (honest, leaky), (same, other) = found
    for ids in (same, leaky, other):
        assert ids.tokens.tobytes() == honest.tokens.tobytes()
    assert users_of(honest) == users_of(same)
    assert len(set(users_of(honest))) == len(toy.users)
    assert users_of(leaky) != users_of(honest)
    assert users_of(leaky) != users_of(other)


def users_of(ids: TokenIds) -> list[tuple[int, ...]]:
    assert ids.users is not None
    return [ids.users.code(user) for user in range(len(ids.users))]


def test_one_switch_for_whatever_is_trained_and_ranked(
    bench: Bench, run_folders: RunFolders, quick: list[str], toy: Dataset, tiny: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    """Training, the generator's stage, validation and test all read users; somebody unknown is served without."""
    read: dict[str, set[bool]] = {}

    def watched(self: Any, *arguments: Any) -> Any:
        heads = original(self, *arguments)
        read.setdefault(phase[-1], set()).add(bool((heads.lengths > 0).all()))
        return heads

    def within(kind: type[Any], name: str, label: str) -> None:
        inner = getattr(kind, name)

        def call(*arguments: Any, **named: Any) -> Any:
            phase.append(label)
            try:
                return inner(*arguments, **named)
            finally:
                phase.pop()

        monkeypatch.setattr(kind, name, call)

    from bench.model.inputs import HistoryWriter

    phase, original = ["lengths"], HistoryWriter._heads
    monkeypatch.setattr(HistoryWriter, "_heads", watched)
    within(GeneratorLearner, "forward", "generator")
    within(SequenceRecommender, "collate", "training")
    within(SequenceRecommender, "rank", "ranking")
    own = [f"--set=textual.{line}" for line in (*OWN, f"generator={tiny}")]
    words = ["run", "--id-scheme", "textual", *quick, *own, "--results", tmp_path]
    said = bench(*words)
    assert said.code == 0, said.err
    assert read == {label: {True} for label in ("lengths", "training", "generator", "ranking")}
    (run_folder,) = run_folders(tmp_path)
    assert json.loads((run_folder / "result.json").read_text())["scheme"]["settings"]["users"] == "on"
    ids = storage.load(run_folder / "ids.safetensors")[0]
    assert isinstance(ids, TokenIds)
    scheme = IdGenRec(subjects.settings(IdGenRec, dict(line.split("=") for line in (*OWN, f"generator={tiny}"))))
    train = leave_one_out(toy).train
    again = scheme.named(train, kept_writer(scheme.settings, train, ids.vocabulary, run_folder / GENERATOR))
    assert users_of(ids) == users_of(again)  # those of the last generator
    assert users_of(ids) != users_of(scheme.fit(replace(train, cache=tmp_path / "cache")))
    read.clear()
    answer = bench("recommend", "textual", "--results", tmp_path, "--history", "i03,i04", "-k", "3", "--json")
    assert answer.code == 0, answer.err
    assert len(json.loads(answer.out)["recommended"][0]["items"]) == 3
    assert read == {"lengths": {False}, "ranking": {False}}


def test_users_are_tokens_to_the_learner(writer: Callable[..., Writer], t5: Callable[..., T5]) -> None:
    """With certain distributions the soft path reads what the recommender reads, users included."""
    made = writer()
    codes = made.vocabulary.encode_batch([f"name {number}" for number in range(12)])
    users = UserIds(np.array([[5, 6, 7], [8, 9, 0]], np.int32), np.array([3, 2], np.int32))
    ids = replace(TokenIds.from_lists(codes, made.vocabulary, Template("car:", ";", "!")), users=users)
    learner = GeneratorLearner(SequenceRecommender(ids, t5(7)), made, 4, max_length=10)
    with torch.no_grad():
        learner.generator.decoder.norm.weight *= 1e6
    anonymous = Sequences.from_rows([[0, 8, 2, 3, 4], [1], [4]])
    histories, targets = replace(anonymous, user_rows=np.array([1, 0, 1])), np.array([3, 0, 8], np.int32)
    hard = SequenceRecommender(ids, learner.backbone).eval()
    hard.writer = hard.writer.renamed(
        TokenIds.from_lists(learner.soft_names(list(range(12)))[0], made.vocabulary, ids.template)
    )
    loss = learner(learner.collate(histories, targets))
    assert torch.equal(loss, hard(hard.collate(histories.newest(4), targets)))
    assert not torch.equal(loss, learner(learner.collate(anonymous, targets)))


@pytest.mark.parametrize(
    ("scheme", "given", "said"),
    [
        (IdGenRec, "repo", "must be one of off, on; got 'repo'; .*, are textual/idgenrec-user-leak$"),
        (UserLeak, "off", "'users' must be one of on; got 'off'"),
    ],
)
def test_settings_that_cannot_be(scheme: type[IdGenRec], given: str, said: str) -> None:
    with pytest.raises(BenchError, match=said):
        subjects.settings(scheme, {"users": given})


def test_the_leak_says_so_and_controls_have_users_too() -> None:
    assert subjects.load_scheme("textual/idgenrec-user-leak") is UserLeak
    assert UserLeak.leaks
    assert UserLeak().settings.users == "on"
    assert (IdGenRec().settings.users, IdGenRec.leaks) == ("off", False)
    assert subjects.settings(RecommenderOnly, {"users": "on"}).users == "on"
