"""The log of a training: what was reported stands in it, and at the end the curve, each point once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.runs import curves
from bench.runs.fitting import in_words
from bench.runs.progress import Display


def test_figures_are_appended_and_the_newest_of_all_stand_behind_the_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    display, notes = Display(loud=False), []
    with display.bar("training", 1) as bar:
        monkeypatch.setattr(bar, "at", lambda done, note: notes.append((done, bar.total, note)))
        progress = curves.reporter(tmp_path, "fine-tune", bar)
        progress(1, 9, {"epoch": 1, "loss": 0.5})
        progress(2, 9, {})
        progress(3, 9, {"ndcg@10": 0.25})
    assert notes == [
        (1, 9, "epoch 1  loss 0.5000"),
        (2, 9, "epoch 1  loss 0.5000"),
        (3, 9, "epoch 1  loss 0.5000  ndcg@10 0.2500"),
    ]
    assert [json.loads(text) for text in (tmp_path / curves.LOG).read_text().splitlines()] == [
        {"stage": "fine-tune", "step": 1, "epoch": 1, "loss": 0.5},
        {"stage": "fine-tune", "step": 3, "ndcg@10": 0.25},
    ]
    curves.rewrite(tmp_path, [curves.line("fine-tune", {"step": 3, "ndcg@10": 0.25})])
    assert (tmp_path / curves.LOG).read_text() == '{"stage": "fine-tune", "step": 3, "ndcg@10": 0.25}\n'


def test_only_who_may_write_writes(tmp_path: Path) -> None:
    with Display(loud=False).bar("training", 1) as bar:
        curves.reporter(tmp_path, "train", bar, write=False)(1, 2, {"loss": 1.0})
        assert (bar.done, bar.total) == (1, 2)
        assert not list(tmp_path.iterdir())
        with pytest.raises(BenchError, match=r"^cannot write results to "):
            curves.reporter(tmp_path / "gone", "train", bar)(1, 2, {"loss": 1.0})


def test_counts_are_whole_numbers() -> None:
    assert in_words({"trial": 2, "loss": 2.0}) == "trial 2  loss 2.0000"
