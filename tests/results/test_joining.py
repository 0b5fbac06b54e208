"""Results of several people in one folder: each run once, only what may be compared, and ranks that pair."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.results import digests, joining
from bench.results import read as stored
from bench.results.verify import verify

Bench = Callable[..., SimpleNamespace]


@pytest.fixture(scope="module")
def mine(bench: Bench, quick: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(bench, tmp_path_factory.mktemp("mine"), quick, "numeric/sequential", "pop")


@pytest.fixture(scope="module")
def theirs(bench: Bench, quick: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that can be compared with mine, one that I have too, and one under another contract."""
    results = made(bench, tmp_path_factory.mktemp("theirs"), quick, "numeric/random", "pop,random")
    return made(bench, results, [*quick, "--set=beam_width=25"], "numeric/random", "")


def made(bench: Bench, results: Path, options: list[str], schemes: str, baselines: str) -> Path:
    more = ["--baseline", baselines] if baselines else []
    said = bench("run", "--id-scheme", schemes, *more, *options, "--results", results)
    assert said.code == 0, said.err
    return results


def names(results: Path) -> list[str]:
    return sorted(run.scheme.name for run in stored.load(results, whole=True))


def test_what_may_be_compared_is_joined_and_the_rest_named(
    bench: Bench, mine: Path, theirs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "joined"
    said = bench("results", "join", mine, theirs, "--out", out)
    assert said.code == 0, said.err
    assert names(out) == ["numeric/random", "numeric/sequential", "pop", "random"]
    assert f"left out: numeric/random on toy, seed 0 of {theirs}: beam_width 25 and 20" in said.err
    twice = "note: 1 run is in an earlier source as well, with the same ranks; what comes first is kept (--details"
    assert twice in said.err
    assert "pop on toy" not in said.err
    assert f"joined in {out}: 2 runs of {mine}, 2 runs of {theirs}" in said.err
    everything = bench("results", "join", mine, theirs, "--out", tmp_path / "all", "--all")
    assert everything.code == 0
    assert names(tmp_path / "all").count("numeric/random") == 2
    assert not any(verify(file, "run", out).problems for file in out.rglob("result.json"))


def test_runs_of_two_sources_are_counted_in_one_line_and_named_on_request(
    bench: Bench, mine: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    shutil.copytree(mine, again)
    counted = bench("results", "join", mine, again, again, "--out", tmp_path / "one")
    notes = [line for line in counted.err.splitlines() if line.startswith("note: ")]
    assert len(notes) == 1
    assert "note: 4 runs are in an earlier source as well, with the same ranks; what comes first is kept" in notes[0]
    named = bench("results", "join", mine, again, "--out", tmp_path / "two", "--details")
    notes = [line for line in named.err.splitlines() if line.startswith("note: ")]
    assert len(notes) == 2
    assert any(f"note: pop on toy, seed 0 of {again} is in {mine} as well, with the same ranks" in n for n in notes)
    one, other = (joining.Twice("a", "b", "c", same) for same in (True, False))
    assert joining.told([one, other, other]) == [
        "3 runs are in an earlier source as well, 2 of them with other ranks; what comes first is kept"
    ]


def test_a_packed_run_says_that_it_has_no_model_and_how_to_get_one(
    bench: Bench, mine: Path, toy_folder: Path, tmp_path: Path
) -> None:
    packed = tmp_path / "packed"
    assert bench("results", "pack", "--results", mine, "--out", packed).code == 0
    for scheme in ("numeric/sequential", "pop"):
        asked = ["recommend", scheme, "--results", packed, "--history", "i03"]
        said = bench(*asked)
        assert (said.code, said.err.count("\n")) == (1, 1)
        assert "is packed: it holds scores and ranks, and no model; name the run in the results folder" in said.err
        assert f"bench report --results {packed} --request again.toml, then bench run --config again.toml" in said.err
    request = tmp_path / "again.toml"  # what the message says to do
    assert bench("report", "--results", packed, "--request", request).code == 0
    asked = ["run", "--config", request, "--dataset", toy_folder, "--results", tmp_path / "another"]
    said = bench(*asked, "--write-config", tmp_path / "read.toml")
    assert said.code == 0, said.err


def test_reports_and_paired_tests_are_those_of_the_runs(bench: Bench, mine: Path, theirs: Path, tmp_path: Path) -> None:
    out = tmp_path / "joined"
    assert bench("results", "join", mine, theirs, "--out", out, "--all").code == 0
    whole = tmp_path / "whole"
    for results in (theirs, mine):  # of what both have, mine is kept
        shutil.copytree(results / "runs", whole / "runs", dirs_exist_ok=True)
    tables = [bench("report", "--results", folder, "--json").out for folder in (out, whole)]
    assert tables[0] == tables[1] != ""
    compared = [
        bench("compare", "numeric/sequential", "pop", "--results", folder, "--json").out for folder in (out, mine)
    ]
    assert compared[0] == compared[1] != ""


def test_other_data_are_left_out(mine: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(mine, other)
    for file in other.rglob("result.json"):
        found = json.loads(file.read_text())
        found["dataset"]["fingerprint"] = "0123456789abcdef"
        file.write_text(json.dumps(found))
        digests.seal(file.parent)
    with joining.opened([str(mine), str(other)]) as found_runs:
        done = joining.join(found_runs, tmp_path / "out")
    assert list(done.counts.values()) == [2, 0]
    assert all("other data, toy 012345 and toy " in str(each) for each in done.left_out)


def test_a_zip_is_joined_and_nothing_else_in_it_is_unpacked(bench: Bench, theirs: Path, tmp_path: Path) -> None:
    archive = tmp_path / "theirs.zip"
    said = bench("results", "pack", "random", "--results", theirs, "--out", archive)
    assert (said.code, said.err) == (0, f"written: {archive}: 1 runs\n")
    held = zipfile.ZipFile(archive).namelist()
    assert sorted(name.rpartition("/")[2][:6] for name in held) == ["per_us", "result", "result", "users-"]
    with zipfile.ZipFile(archive, "a") as more:
        for name in ("../outside.json", "runs/toy/evil.py", "runs/toy/../../../a/b/c/result.json", "/runs/x.json"):
            more.writestr(name, "{}")
    out = tmp_path / "here" / "joined"
    said = bench("results", "join", archive, "--out", out)
    assert said.code == 0, said.err
    assert names(out) == ["random"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "theirs.zip"]
    archive.write_bytes(archive.read_bytes()[:200])
    assert "cannot read" in bench("results", "join", archive, "--out", out).err


def test_broken_runs_are_named_and_hurt_no_other(bench: Bench, mine: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(mine, broken)
    (file,) = broken.glob("runs/*/pop*/*/0/per_user.parquet")
    file.write_bytes(b"PAR1")
    said = bench("results", "join", broken, "--out", tmp_path / "out")
    assert said.code == 1
    assert f"skipped: '{file}' is corrupt" in said.err
    assert names(tmp_path / "out") == ["numeric/sequential"]


def test_a_run_is_placed_by_what_is_in_it(bench: Bench, mine: Path, tmp_path: Path) -> None:
    """Folders of a stranger may be called anything, and a single run lie anywhere."""
    (run,) = mine.glob("runs/*/pop*/*/0")
    for name, folder in (("other", tmp_path / "other/runs/toy/numeric.random@1/abc-def/7"), ("flat", tmp_path / "run")):
        shutil.copytree(run, folder)
        out = tmp_path / f"out-{name}"
        source = folder if name == "flat" else tmp_path / "other"
        assert bench("results", "join", source, "--out", out).code == 0
        (file,) = out.rglob("result.json")
        assert file.parent.relative_to(out) == run.relative_to(mine)
        assert names(out) == ["pop"]


def test_a_compressed_archive_that_was_changed_is_one_line(bench: Bench, mine: Path, tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("runs/a/b/c/0/result.json", bytes(range(256)) * 9)
    content = bytearray(archive.read_bytes())
    begin = content.index(b"result.json") + len("result.json")
    for at in range(begin, begin + 40):
        changed = bytearray(content)
        changed[at] ^= 0xFF
        archive.write_bytes(changed)
        said = bench("results", "join", archive, "--out", tmp_path / "out")
        assert (said.code, said.err.count("\n")) == (1, 1), said.err


WRONG = [
    ("scheme", "name", 5),
    ("scheme", "leaks", "no"),
    ("scheme", "found", None),
    ("dataset", "fingerprint", 5),
    ("dataset", "users", "<b>"),
    ("contract", "backbone", ["a"]),
    ("", "preset", ["smoke"]),
    ("", "seed", -1),
]


@pytest.mark.parametrize(("part", "name", "value"), WRONG)
def test_a_field_of_another_type_ends_no_report(
    bench: Bench, mine: Path, tmp_path: Path, part: str, name: str, value: object
) -> None:
    other = tmp_path / "other"
    shutil.copytree(mine, other)
    (file,) = other.glob("runs/*/numeric*/*/0/result.json")
    found = json.loads(file.read_text())
    (found[part] if part else found)[name] = value
    file.write_text(json.dumps(found))
    digests.seal(file.parent)
    joined, reported = ("results", "join", mine, other, "--out", tmp_path / "out"), ("report", "--results", other)
    for words, code in ((joined, 1), (reported, 0)):
        said = bench(*words)
        assert said.code == code, said.err
        assert f"'{file}' is corrupt" in said.err


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        (["nowhere"], "'nowhere' is no results folder, no result.json and no .zip"),
        (["."], "no finished runs in '.'"),
    ],
)
def test_a_wrong_source_is_one_line(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sources: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    found = bench("results", "join", *sources)
    assert found.code == 1
    assert found.err.startswith(f"bench: {said}")
    assert found.err.count("\n") == 1


def test_packing_again_replaces_and_keeps_the_others(bench: Bench, mine: Path, theirs: Path, tmp_path: Path) -> None:
    out = tmp_path / "packed"
    for results, runs in ((mine, ["pop"]), (theirs, ["random"]), (mine, [])):
        said = bench("results", "pack", *runs, "--results", results, "--out", out)
        assert said.code == 0, said.err
    assert names(out) == ["numeric/sequential", "pop", "random"]
    assert not list(out.rglob("*.tmp"))


def test_a_run_with_its_model_is_never_replaced_by_a_packed_one(
    bench: Bench, mine: Path, theirs: Path, tmp_path: Path
) -> None:
    own, sent = tmp_path / "own", tmp_path / "sent.zip"
    shutil.copytree(mine, own)
    assert bench("results", "pack", "--results", mine, "--out", sent).code == 0
    before = sorted(path.relative_to(own) for path in own.rglob("*"))
    said = bench("results", "join", sent, "--out", own)
    assert said.code == 1
    assert "is a run with its model, which packing would lose; name another --out" in said.err
    assert bench("results", "join", own, theirs, "--out", own).code == 0
    assert set(before) <= {path.relative_to(own) for path in own.rglob("*")}
    assert bench("recommend", "numeric/sequential", "--history", "i03", "--results", own).code == 0


def test_published_results_are_those_of_this_tree(monkeypatch: pytest.MonkeyPatch, mine: Path, tmp_path: Path) -> None:
    (tmp_path / "bench" / "results").mkdir(parents=True)
    monkeypatch.setattr(joining, "__file__", str(tmp_path / "bench" / "results" / "joining.py"))
    with pytest.raises(joining.BenchError, match="no published results"):
        joining.published()
    shutil.copytree(mine / "runs", tmp_path / "results" / "toys-cpu" / "runs")
    assert joining.published() == [tmp_path / "results" / "toys-cpu" / "runs"]
    with joining.opened(["published"]) as found:
        assert len(found.runs) == 2


def test_a_folder_called_published_is_not_taken_unseen(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, mine: Path, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    said = bench("results", "join", mine, "published", "--out", "one")
    assert "'./published'" not in said.err
    assert bench("results", "pack", "--results", mine, "--out", "published").code == 0
    said = bench("results", "join", mine, "published", "--out", "two")
    assert "stands for the results that come with bench; './published' is the one here" in said.err
    assert "'./published'" not in bench("results", "join", mine, "./published", "--out", "three").err
