"""Each requirement is broken by a scheme that breaks it, kept by one that keeps it, and its message says what to do."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bench.conformance.fixtures import Fixtures
from bench.conformance.request import NAMES, CheckRequest
from bench.conformance.requirements import REQUIREMENTS, check_requirement
from bench.conformance.result import CheckResult, passed
from bench.conformance.show import print_json
from bench.data.dataset import Dataset

SCHEMES = Path(__file__).with_name("schemes.py")
Bench = Callable[..., SimpleNamespace]
Make = Callable[[str], Fixtures]


@pytest.fixture(scope="module")
def fixtures(toy_folder: Path, tiny: Path) -> Make:
    """Of a scheme in the file beside this one, on the toy data."""
    made: dict[str, Fixtures] = {}

    def make(scheme: str) -> Fixtures:
        if scheme not in made:
            made[scheme] = Fixtures(
                CheckRequest(f"{SCHEMES}:{scheme}", str(toy_folder), (f"backbone={tiny}", "epochs=4"))
            )
        return made[scheme]

    return make


def fitted_here(fixtures: Fixtures) -> Fixtures:
    """Where the identifiers alone are checked, they need no process of their own."""
    fixtures.__dict__["ids"] = fixtures.scheme.fit(fixtures.split.train)
    fixtures.results |= {"fits": passed(""), "serializable": passed("")}
    return fixtures


def assert_broken(result: CheckResult, found: str, item: str, remedy: str) -> None:
    assert result.state == "failed"
    for text, pattern in ((result.found, found), (result.item, item), (result.remedy, remedy)):
        assert re.search(pattern, text), text
    assert "\n" not in str(result)


@pytest.mark.parametrize(
    ("scheme", "requirement", "found", "item", "remedy"),
    [
        (
            "Twins",
            "unique",
            "2 of 30 items share",
            "item 'i00', red car; item 'i01', blue car",
            "`allow_collisions = True`",
        ),
        (
            "Long",
            "length",
            "40 tokens in an identifier; the declared max_length is 32",
            "'i01', blue",
            "`max_length = 40`",
        ),
        ("Nameless", "vocabulary", "row 100 in an identifier has no token", "item 'i00'", r"Vocabulary\.private"),
        ("Unknown", "vocabulary", "row 2 in an identifier is the unknown token", "item 'i07'", "use tokens"),
        ("Unwritable", "vocabulary", r"can't write '\|' of the template", "", "change the one or the other"),
        ("Homonyms", "round-trip", "two identifiers are the same text", "item 'i00'.* item 'i01'", "read like another"),
        ("Frozen", "learns", r"training loss went from (\S+) to \1 a prediction in \d+ steps", "", "lr_scale above 0"),
        ("Greedy", "learns", r"training failed: BenchError: .* ask for 1\.50 of the training budget", "", "_fraction"),
        ("Forgetful", "resumable", "stage 'second' went another way", "", "are replayed"),
    ],
)
def test_broken_identifiers_and_trainings_are_found(
    fixtures: Make, scheme: str, requirement: str, found: str, item: str, remedy: str
) -> None:
    assert_broken(check_requirement(requirement, fitted_here(fixtures(scheme))), found, item, remedy)


@pytest.mark.parametrize(
    ("scheme", "requirement", "found", "item", "remedy"),
    [
        ("Raising", "fits", r"^fit failed: KeyError: 'no such\\ncolumn'$", r"schemes\.py, line \d+", "traceback"),
        ("Leaving", "fits", r"^fit failed: the process ended with code 3", "", "fix fit"),
        ("Misshapen", "fits", r"must be \[variants, items, length\] .* got \(30, 3\)", r"line \d+", "fix fit"),
        ("Nothing", "fits", "fit returned NoneType, not identifiers", "", "fix fit"),
        ("Short", "fits", "fit made 29 identifiers for 30 items", "item 'i29', quiet puzzle", "in catalogue order"),
        ("Unstorable", "serializable", "can't be stored: ", "", "arrays of int32"),
        ("Hashing", "deterministic", "two processes made different identifiers", "'i00', red car: '0 .*' and", "hash"),
        ("ReadsFiles", "blind", r"fit opened .*\.inter, where validation and test stand", "", "no files"),
        ("ReadsSplit", "blind", "with other validation and test items the identifiers", "car: '.*' and '", "memory"),
        ("ReadsBelowPython", "blind", "with other validation and test items the identifiers", "car: '.*'", "no files"),
        ("StartsProgram", "blind", r"fit opened .*\.inter, where validation and test stand", "", "no files"),
        ("PeeksBetween", "blind", "items stage 'second' comes to something else", "", "nothing from memory"),
        ("OpensBetween", "blind", r"stages opened .*\.inter, where validation and test stand", "", "no files"),
        ("ReadsMemory", "blind", "with other validation and test items the identifiers", "car: '.*' and '", "memory"),
    ],
)
def test_a_failure_is_found(fixtures: Make, scheme: str, requirement: str, found: str, item: str, remedy: str) -> None:
    assert_broken(check_requirement(requirement, fixtures(scheme)), found, item, remedy)


@pytest.mark.parametrize(
    ("scheme", "requirement", "state", "found"),
    [
        ("DeclaredTwins", "unique", "passed", "2 of 30 items share an identifier, as declared"),
        ("DeclaredTwins", "round-trip", "passed", "30 identifiers lead to their items, as tokens and as text"),
        ("DeclaredLong", "length", "passed", "4.2 tokens on average, 40 at most; the declared max_length is 40"),
        ("Leak", "blind", "skipped", "the scheme declares leaks = True: it is shown validation and test"),
    ],
)
def test_what_is_declared_is_no_failure(fixtures: Make, scheme: str, requirement: str, state: str, found: str) -> None:
    result = check_requirement(requirement, fitted_here(fixtures(scheme)))
    assert result.state == state
    assert result.found.startswith(found)


@pytest.mark.parametrize(
    ("scheme", "requirement", "found"),
    [
        ("Hashing", "blind", "the identifiers differ from process to process"),
        ("Raising", "learns", "'fits' failed"),
        ("Unstorable", "unique", "'serializable' failed"),
        ("Greedy", "resumable", "'learns' failed"),
    ],
)
def test_what_cannot_be_checked_is_skipped(fixtures: Make, scheme: str, requirement: str, found: str) -> None:
    result = check_requirement(requirement, fixtures(scheme))
    assert result.state == "skipped"
    assert result.found.startswith(found)


def test_a_sound_scheme_meets_every_requirement(fixtures: Make) -> None:
    """Also one that names items anew between its stages."""
    sound = fixtures("Alternating")
    sound.begin()
    assert {name: check_requirement(name, sound).state for name in REQUIREMENTS} == dict.fromkeys(
        REQUIREMENTS, "passed"
    )


@pytest.mark.long
def test_codes_in_slots_meet_every_requirement(fixtures: Make) -> None:
    slots = fixtures("Slots")
    slots.begin()
    found = {name: check_requirement(name, slots) for name in REQUIREMENTS}
    assert [name for name, result in found.items() if result.state == "failed"] == []
    assert found["round-trip"].state == "passed"
    assert found["learns"].state == "passed"


def test_texts_that_the_backbone_reads_are_read_in_every_process(toy_folder: Path, qwen: Path) -> None:
    lines = ("semantic.encoder=backbone", "semantic.codes=8", "semantic.dimensions=8", "epochs=1")
    fixtures = Fixtures(CheckRequest("semantic/rqkmeans", str(toy_folder), (f"backbone={qwen}", *lines)))
    for name in ("fits", "deterministic"):
        assert str(check_requirement(name, fixtures)).startswith(
            {"fits": "30 identifiers", "deterministic": "two"}[name]
        )
        assert check_requirement(name, fixtures).state == "passed"
    texts = fixtures.split.train.reader
    assert texts is not None
    assert texts.read(["red car"], lambda *_: None).shape == (1, 32)


def test_processes_and_folder_go_with_the_fixtures(toy_folder: Path) -> None:
    fixtures = Fixtures(CheckRequest(f"{SCHEMES}:Sound", str(toy_folder)))
    folder, fits = fixtures.folder, fixtures.begin()
    del fixtures
    assert [fit.process.poll() is not None for fit in fits] == [True] * 3
    assert not folder.exists()


def test_the_command_tells_what_is_broken_and_ends_with_one(bench: Bench, toy_folder: Path, tiny: Path) -> None:
    said = bench("check", f"{SCHEMES}:Raising", "--dataset", toy_folder, f"--set=backbone={tiny}")
    assert said.code == 1
    assert re.search(r"^fits +failed +fit failed: KeyError: 'no such", said.out, flags=re.MULTILINE)
    assert "1 failed, 9 skipped" in said.out


def test_identifiers_in_a_file_are_told_by_their_file(bench: Bench, toy_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "one of them.json"
    path.write_text(json.dumps({"i00": ["<a>"]}))
    words = [f"file:{path}", "--dataset", toy_folder, "--seed", "1", "--set", "file.separator=;"]
    fixtures = Fixtures(CheckRequest(words[0], str(toy_folder), ("file.separator=;",), 1))
    result = check_requirement("fits", fixtures)
    assert_broken(result, "fit failed: BenchError: 29 of 30 items", f"^{re.escape(str(path))}$", "^fix the file; ")
    (command,) = re.findall(r"`bench (.*) --debug`", result.remedy)
    assert shlex.split(command) == ["ids", "show", words[0], *map(str, words[1:5]), "--set=file.separator=;"]
    said = bench(*shlex.split(command))
    assert "bench: 29 of 30 items" in said.err  # the same fault, and the same data


def test_results_as_json(fixtures: Make, capsys: pytest.CaptureFixture[str]) -> None:
    raising = fixtures("Raising")
    print_json(raising, {name: check_requirement(name, raising) for name in NAMES})
    told = json.loads(capsys.readouterr().out)
    assert (told["scheme"], told["version"], told["passed"]) == ("test/raising", 1, False)
    assert [each["requirement"] for each in told["requirements"]] == list(NAMES)
    assert [each["state"] for each in told["requirements"]] == ["failed", *["skipped"] * 9]
    assert told["requirements"][0]["item"].startswith("schemes.py, line ")


def test_what_cannot_be_checked_is_one_line(bench: Bench, toy_folder: Path) -> None:
    for words, line in (
        (["textaul"], r"bench: unknown identifier scheme 'textaul'; did you mean 'textual'\?"),
        ([f"{SCHEMES}:Sound", "--set", "test.width=3"], "bench: unknown setting of test/sound 'width'"),
        (["all"], "bench: one identifier scheme is checked at a time; got 'all'"),
        (["set/setrec", "--set=set.encoder=backbone"], "bench: encoder=backbone of set/setrec needs a pretrained back"),
        (["textual", "--set=adapter=lora"], "bench: adapter=lora needs a pretrained backbone; 'mini' starts from"),
    ):
        said = bench("check", *words, "--dataset", toy_folder)
        assert said.code == 1
        assert re.match(line, said.err), said.err


def test_other_items_are_held_out_and_nothing_else_changes(toy: Dataset) -> None:
    from bench.conformance.cut import moved
    from bench.data.splits import leave_one_out

    other = moved(toy)
    before, after = leave_one_out(toy), leave_one_out(other)
    assert before.train.fingerprint == after.train.fingerprint
    assert set(other.sequences.values) == set(toy.sequences.values)
    for one, two in ((before.test, after.test), (before.validation, after.validation)):
        assert (one.items != two.items).mean() > 0.8
    counts = [np.bincount(data.sequences.values, minlength=30) for data in (toy, other)]
    assert (counts[0] != counts[1]).any()


def test_a_cut_is_a_piece_of_the_data(toy: Dataset) -> None:
    from bench.conformance.cut import NEWEST, USERS, cut

    small = cut(toy)
    assert len(small.users) == min(USERS, len(toy.users))
    assert small.sequences.lengths.max() <= NEWEST
    text = dict(zip(toy.items.ids, toy.items.text["title"], strict=True))
    assert [text[item] for item in small.items.ids] == list(small.items.text["title"])
    for user, name in enumerate(small.users):
        mine = [toy.items.ids[item] for item in toy.sequences[toy.users.index(name)][-NEWEST:]]
        assert [small.items.ids[item] for item in small.sequences[user]] == mine
