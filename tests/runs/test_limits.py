"""What needs more than there is is refused before it starts, in one line, unless somebody insists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from recbole_baselines import HGN, BERT4Rec, ItemKNN, SASRec, SASRecBPR
from trivial_baselines import Graph, Markov
from unisrec_baseline import UniSRec

from bench.data.dataset import TrainView
from bench.evaluation.baseline import AnyBaseline
from bench.ids.identifiers import TokenIds
from bench.ids.limits import CatalogueSize
from bench.ids.scheme import IdScheme
from bench.runs import limits
from bench.vocabulary import Vocabulary

Bench = Callable[..., SimpleNamespace]
RunFolders = Callable[[Path], list[Path]]

LARGE = """
from bench.ids.identifiers import TokenIds
from bench.ids.limits import Needs
from bench.ids.scheme import IdScheme
from bench.vocabulary import Vocabulary

class Large(IdScheme):
    name = "mine/large"

    def needs(self, size):
        return Needs({memory} * size.items, {seconds}, "use --set mine.smaller=true")

    def fit(self, train):
        codes = [f"{{number:04d}}" for number in range(len(train.items))]
        vocabulary = Vocabulary.private("0123456789")
        return TokenIds.from_lists([vocabulary.ids(code) for code in codes], vocabulary)
"""


class Plain(IdScheme):
    """Declares nothing, as every plugin did before it could."""

    name = "mine/plain"

    def fit(self, train: TrainView) -> TokenIds:
        codes = np.arange(3, 3 + len(train.items))[:, None].tolist()
        return TokenIds.from_lists(codes, Vocabulary.private(map(str, range(len(train.items)))))


@pytest.fixture
def scheme(tmp_path: Path) -> Callable[..., str]:
    """A scheme in a file that declares so much, by what to call it with."""

    def written(memory: float = 0.0, seconds: float = 0.0) -> str:
        (tmp_path / "mine.py").write_text(LARGE.format(memory=memory, seconds=seconds))
        return f"{tmp_path / 'mine.py'}:Large"

    return written


def test_a_scheme_that_declares_nothing_is_not_asked_more() -> None:
    assert Plain().needs(CatalogueSize(10**9, 10, 10)) is None


def test_what_this_machine_has_no_room_for_is_one_line_and_nothing_is_made(
    bench: Bench, quick: list[str], tmp_path: Path, scheme: Callable[..., str]
) -> None:
    said = bench("run", "--id-scheme", scheme(memory=1e12), *quick, "--results", tmp_path / "results")
    assert said.code == 1
    (line,) = said.err.strip().splitlines()[-1:]
    room = limits.memory_of_machine() / 1e9
    assert line.startswith("bench: mine/large needs about ")
    assert f"this machine has {room:,.0f}; use --set mine.smaller=true; --ignore-limits runs it anyway" in line
    assert not list((tmp_path / "results").rglob("ids.parquet"))


def test_who_insists_gets_the_run(
    bench: Bench, quick: list[str], tmp_path: Path, scheme: Callable[..., str], run_folders: RunFolders
) -> None:
    asked = ["run", "--id-scheme", scheme(memory=1e12), *quick, "--results", tmp_path / "results"]
    assert bench(*asked, "--ignore-limits").code == 0
    assert len(run_folders(tmp_path / "results")) == 1
    assert bench(*asked).code == 0  # what is finished needs nothing more


def test_more_than_a_day_is_refused_as_well(
    bench: Bench, quick: list[str], tmp_path: Path, scheme: Callable[..., str]
) -> None:
    said = bench("run", "--id-scheme", scheme(seconds=9 * 86400), *quick, "--results", tmp_path / "results")
    assert said.code == 1
    assert "mine/large needs about 9.0 days to make identifiers at" in said.err


BASELINE = """
import numpy as np
from bench.evaluation.baseline import Baseline
from bench.ids.limits import Needs

class Large(Baseline):
    name = "large-floor"

    def needs(self, size):
        return Needs({memory} * size.items, {seconds}, "use pop")

    def fit(self, train):
        self.items = len(train.items)

    def score(self, histories):
        return np.zeros((len(histories), self.items), np.float32)
"""


@pytest.mark.parametrize(
    ("memory", "seconds", "said"), [(1e12, 0, "large-floor needs about "), (0, 9 * 86400, "about 9.0 days to fit at")]
)
def test_a_baseline_is_refused_alike(
    bench: Bench, quick: list[str], tmp_path: Path, run_folders: RunFolders, memory: float, seconds: float, said: str
) -> None:
    (tmp_path / "mine.py").write_text(BASELINE.format(memory=memory, seconds=seconds))
    asked = ["run", "--baseline", f"{tmp_path / 'mine.py'}:Large", *quick, "--results", tmp_path / "results"]
    refused = bench(*asked)
    assert refused.code == 1
    (line,) = refused.err.strip().splitlines()[-1:]
    assert said in line
    assert "; use pop; --ignore-limits runs it anyway" in line
    assert "too large" in bench(*asked, "--dry-run").out
    assert bench(*asked, "--ignore-limits").code == 0
    assert len(run_folders(tmp_path / "results")) == 1


def test_baselines_of_this_project_say_what_they_need() -> None:
    small, large = (CatalogueSize(items, items // 3, 3 * items, batch=256) for items in (10_000, 1_000_000))
    for cls in (Markov, Graph, SASRec, SASRecBPR, BERT4Rec, HGN, ItemKNN, UniSRec):
        few, many = (cls().needs(size) for size in (small, large))
        assert few is not None, cls.name
        assert many is not None, cls.name
        assert few.memory < 4e9
        assert few.seconds < limits.DAY / 4
        assert many.memory > few.memory
    assert memory_of(BERT4Rec, large) > memory_of(SASRec, large) > memory_of(SASRecBPR, large)  # gaps, one, none


def memory_of(cls: type[AnyBaseline], size: CatalogueSize) -> float:
    found = cls().needs(size)
    assert found
    return found.memory


def test_a_dry_run_shows_the_estimate_and_tries_nothing(
    bench: Bench, quick: list[str], tmp_path: Path, scheme: Callable[..., str]
) -> None:
    asked = ["run", "--id-scheme", scheme(memory=1e12, seconds=7200), *quick, "--results", tmp_path / "results"]
    said = bench(*asked, "--dry-run")
    assert said.code == 0, said.err
    assert "too large" in said.out
    assert "declared" in said.out
    assert "2:00:00" in said.out
    assert said.out.endswith("1 run: 0 finished, 0 to do, 1 too large for this machine\n")
    assert "mine/large needs about" in said.err


def test_a_container_has_what_it_was_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = limits.memory_of_machine()
    (tmp_path / "max").write_text("123456\n")
    (tmp_path / "none").write_text("max\n")
    paths = tuple(str(tmp_path / name) for name in ("none", "absent", "max"))
    monkeypatch.setattr(limits, "CONTROL_GROUPS", paths[:2])
    assert limits.memory_of_machine() >= whole
    monkeypatch.setattr(limits, "CONTROL_GROUPS", paths)
    assert limits.memory_of_machine() == 123456
