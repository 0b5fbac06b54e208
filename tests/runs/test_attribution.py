"""What goes wrong in a plugin's own code is one line that says where; whatever goes wrong elsewhere stays as it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from numeric_ids import Random

from bench.errors import BenchError, said
from bench.runs.attribution import attribute_errors, location

Bench = Callable[..., SimpleNamespace]

SOURCE = """
from bench.errors import BenchError
from bench.ids.scheme import IdScheme, Stage
from bench.evaluation.baseline import Baseline
from numeric_ids import Random

def helper(train):
    return train.items.text["genres"]

class InFit(Random):
    name = "mine/fit"
    def fit(self, train):
        ids = super().fit(train)
        return helper(train)

class Talking(Random):
    name = "mine/talking"
    def fit(self, train):
        print("a word of fit")
        return super().fit(train)

class InStages(Random):
    name = "mine/stages"
    def stages(self, train, ids):
        yield Stage(ids, budget_fraction=0.1)
        assert False

class InRequire(Random):
    name = "mine/require"
    def validate_items(self, items):
        raise ValueError("two\\nlines")

class InHarness(Random):
    name = "mine/harness"
    def stages(self, train, ids):
        yield Stage(None)

class Missing(Random):
    name = "mine/missing"
    def fit(self, train):
        open("/no/such/file")

class Own(Random):
    name = "mine/own"
    def fit(self, train):
        raise BenchError("a word of its own")

class InScore(Baseline):
    name = "mine-score"
    def fit(self, train): ...
    def score(self, histories):
        return 1 / 0
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    return path


def line(text: str) -> int:
    """The number of the line of ``SOURCE`` that has the text."""
    return next(number for number, found in enumerate(SOURCE.splitlines(), 1) if text in found)


@pytest.mark.parametrize(
    ("option", "name", "message"),
    [
        ("--id-scheme", "InFit", f"mine/fit failed in fit: KeyError: 'genres' (mine.py, line {line('genres')})"),
        ("--id-scheme", "InStages", f"mine/stages failed in stages: AssertionError (mine.py, line {line('assert')})"),
        (
            "--id-scheme",
            "InRequire",
            f"mine/require failed in validate_items: ValueError: two lines (mine.py, line {line('two')})",
        ),
        (
            "--baseline",
            "InScore",
            f"mine-score failed in score: ZeroDivisionError: division by zero (mine.py, line {line('1 / 0')})",
        ),
    ],
)
def test_a_run_says_in_one_line_where_a_plugin_failed(
    bench: Bench, quick: list[str], mine: Path, tmp_path: Path, option: str, name: str, message: str
) -> None:
    words = ["run", option, f"{mine}:{name}", *quick, "--results", tmp_path / "results"]
    found = bench(*words)
    assert found.code == 1
    assert found.err.splitlines()[-1] == f"bench: {message}; --debug shows the traceback"
    assert "Traceback" not in found.err
    assert not list(tmp_path.rglob("result.json"))
    with pytest.raises(BenchError) as caught:
        bench(*words, "--debug")
    assert type(caught.value.__cause__).__name__ in message


def test_so_does_a_look_at_its_identifiers(bench: Bench, toy_folder: Path, mine: Path, tmp_path: Path) -> None:
    words = ["--dataset", toy_folder, "--results", tmp_path / "results"]
    for command in (["show"], ["export", "--out", tmp_path / "ids.parquet"]):
        found = bench("ids", command[0], f"{mine}:InFit", *command[1:], *words)
        assert found.code == 1
        assert found.err.splitlines()[-1].startswith(
            "bench: mine/fit failed in fit: KeyError: 'genres' (mine.py, line "
        )


def test_what_is_no_fault_of_its_code_stays_as_it_is(
    bench: Bench, quick: list[str], mine: Path, tmp_path: Path
) -> None:
    words = [*quick, "--results", tmp_path / "results"]
    found = bench("run", "--id-scheme", f"{mine}:Own", *words)
    assert (found.code, found.err.splitlines()[-1]) == (1, "bench: a word of its own")
    found = bench("run", "--id-scheme", f"{mine}:Missing", *words)
    assert (found.code, found.err.splitlines()[-1]) == (
        1,
        "bench: No such file or directory: '/no/such/file'",
    )
    with pytest.raises(AttributeError):
        bench("run", "--id-scheme", f"{mine}:InHarness", *words)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError, BenchError])
def test_stops_and_errors_with_words_of_their_own_pass(stop: type[BaseException]) -> None:
    class Stopping(Random):
        def fit(self, train: object) -> None:  # type: ignore[override]
            raise stop("as it is")

    with pytest.raises(stop, match=r"^as it is$"), attribute_errors(Stopping()):
        Stopping().fit(None)


def test_code_of_a_package_is_named_with_its_folder() -> None:
    with (
        pytest.raises(
            BenchError, match=r"^numeric/random failed in fit: AttributeError: .*\(numeric_ids/\w+\.py, line \d+\)"
        ),
        attribute_errors(Random()),
    ):
        Random().fit(None)  # type: ignore[arg-type]


def test_an_error_that_never_met_the_code_has_no_place_in_it() -> None:
    with pytest.raises(KeyError) as caught, attribute_errors(Random()):
        {}["genres"]
    assert location(caught.value, Random) == ""
    assert said(caught.value) == "KeyError: 'genres'"
    assert said(AssertionError()) == "AssertionError"
    assert said(ValueError("several\n lines")) == "ValueError: several lines"


def test_what_fit_prints_is_no_part_of_the_answer(bench: Bench, toy_folder: Path, mine: Path, tmp_path: Path) -> None:
    found = bench(
        "ids", "show", f"{mine}:Talking", "--dataset", toy_folder, "--results", tmp_path / "results", "--json"
    )
    assert json.loads(found.out)
    assert "a word of fit" in found.err
